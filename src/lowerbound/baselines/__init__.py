"""Methods without a neural network, to compare with.

Recommenders: `Ease(l2=200).fit(matrix)` returns a scorer, which takes histories and returns scores.
Imputers: `GaussianEM().fit(values, kinds)` returns a fitted imputer, whose `impute(values)` fills
the gaps of a table.
"""

from ..specs.registry import members
from .base import Baseline, FittedImputer, Imputer, Scorer
from .features import NUMBER, Kind
from .gaussian import FittedGaussian, GaussianEM
from .linear import Ease, Elsa, GraphFilter, LinearBaseline, LinearScorer
from .mean_mode import MeanMode
from .recommenders import Als, Counts, Folded, Popularity
from .scikit import KNN, Iterative

LISTED_FIRST = ("recommenders", "linear", "mean_mode", "gaussian", "scikit")
"""The order in which baselines are listed; files that are not named here follow by their names."""

BASELINES = members(__name__, Baseline)
"""The recommenders by name."""

IMPUTERS = members(__name__, Imputer)
"""The imputers by name."""

__all__ = [
    "BASELINES",
    "IMPUTERS",
    "KNN",
    "NUMBER",
    "Als",
    "Baseline",
    "Counts",
    "Ease",
    "Elsa",
    "FittedGaussian",
    "FittedImputer",
    "Folded",
    "GaussianEM",
    "GraphFilter",
    "Imputer",
    "Iterative",
    "Kind",
    "LinearBaseline",
    "LinearScorer",
    "MeanMode",
    "Popularity",
    "Scorer",
]
