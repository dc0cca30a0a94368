"""Families of single columns of a table: what a network gives -> distributions of codes, one file
each. The likelihood `Columns` is made of these.
"""

from typing import Annotated

from ...specs.registry import part
from .base import ColumnDistribution, ColumnFamily
from .gaussian import Gaussian
from .histogram import Histogram
from .negative_binomial import NegativeBinomial
from .softmax import Softmax

LISTED_FIRST = ("gaussian", "histogram", "negative_binomial", "softmax")
"""The order in which the families are listed; files that are not named here follow by names."""

AnyColumnFamily = Annotated[ColumnFamily, part(__name__, ColumnFamily)]

__all__ = [
    "AnyColumnFamily",
    "ColumnDistribution",
    "ColumnFamily",
    "Gaussian",
    "Histogram",
    "NegativeBinomial",
    "Softmax",
]
