"""Anomalies: how likely each example of a source is under a run, and which are unlike what the run
was fitted to.
"""

from .cells import OddCells
from .measures import ANOMALOUS, Scorer, settings_of_scores
from .reference import OwnScores, examples_kept, forget, keep
from .scores import Judge, Scores, TruthMeasures, score
from .threshold import Threshold

__all__ = [
    "ANOMALOUS",
    "Judge",
    "OddCells",
    "OwnScores",
    "Scorer",
    "Scores",
    "Threshold",
    "TruthMeasures",
    "examples_kept",
    "forget",
    "keep",
    "score",
    "settings_of_scores",
]
