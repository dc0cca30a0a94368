"""Neighbours: the images, rows, users or items that are most like one, by their codes."""

from .encoded import Encoded
from .found import Similar
from .metrics import METRICS, nearest, spreads_of_posteriors
from .search import encode_items, similar

__all__ = [
    "METRICS",
    "Encoded",
    "Similar",
    "encode_items",
    "nearest",
    "similar",
    "spreads_of_posteriors",
]
