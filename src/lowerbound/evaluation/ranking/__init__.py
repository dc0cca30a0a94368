"""Ranking metrics of any scorer over held-out interactions: one streaming pass for every metric and
every cut k.

A list never holds an item whose score is minus infinity. Ties go to the lower item index, whatever
the batch size or the number of threads.
"""

from .beyond import BEYOND, ItemFacts, gini, measurable
from .metrics import CUTS, METRICS, cuts, metrics_by_name
from .rank import Holdout, Ranking, Scorer, difference, rank
from .slices import Slice, by_activity, by_item_popularity
from .top_k import TopK, top_k

__all__ = [
    "BEYOND",
    "CUTS",
    "METRICS",
    "Holdout",
    "ItemFacts",
    "Ranking",
    "Scorer",
    "Slice",
    "TopK",
    "by_activity",
    "by_item_popularity",
    "cuts",
    "difference",
    "gini",
    "measurable",
    "metrics_by_name",
    "rank",
    "top_k",
]
