"""Experiment trackers that follow a run: numbers after each epoch, now and then pictures, a report.

`metrics.csv` is always written. A tracker is an extra that works through its own library, which is
imported only where it is used. A tracker that fails is reported once and then left alone: it never
ends a run.
"""

from .base import Tracker, flat
from .watch import Tracking, Watch, installed, trackers, watching

LISTED_FIRST = ("tensorboard", "wandb", "mlflow")
"""Trackers are listed in this order. Files that are not named here follow by their names."""

__all__ = ["Tracker", "Tracking", "Watch", "flat", "installed", "trackers", "watching"]
