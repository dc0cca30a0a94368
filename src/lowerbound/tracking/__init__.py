"""Experiment trackers that follow a run: numbers after each epoch, pictures now and then, the report at
the end.

`metrics.csv` is always written; a tracker is an extra, through its own library, which is imported
only where it is used. A tracker that fails is told of once and then left alone: it never ends a run.
"""

from .base import Tracker, flat
from .watch import Tracking, Watch, installed, trackers, watching

LISTED_FIRST = ("tensorboard", "wandb", "mlflow")
"""The order in which trackers are listed; files that are not named here follow by their names."""

__all__ = ["Tracker", "Tracking", "Watch", "flat", "installed", "trackers", "watching"]
