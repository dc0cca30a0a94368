"""Families of single columns of a table: what a network gives -> distributions of codes, one file
each. The likelihood `Columns` is made of these.
"""

from typing import Annotated

from ...specs.registry import part
from .base import ColumnDistribution, ColumnFamily
from .cumulative_logits import CumulativeLogits
from .factors import FollowedFactors
from .gaussian import Gaussian
from .histogram import Histogram
from .negative_binomial import NegativeBinomial
from .poisson import Poisson
from .softmax import Softmax
from .student_t import StudentT

LISTED_FIRST = (
    "gaussian",
    "student_t",
    "histogram",
    "poisson",
    "negative_binomial",
    "softmax",
    "cumulative_logits",
)
"""The order in which the families are listed; files that are not named here follow by names."""

AnyColumnFamily = Annotated[ColumnFamily, part(__name__, ColumnFamily)]

__all__ = [
    "AnyColumnFamily",
    "ColumnDistribution",
    "ColumnFamily",
    "CumulativeLogits",
    "FollowedFactors",
    "Gaussian",
    "Histogram",
    "NegativeBinomial",
    "Poisson",
    "Softmax",
    "StudentT",
]
