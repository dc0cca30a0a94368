"""Measures of a fitted model. They work on `Terms` and `Level` records, on scores, and on any
examples that come in batches.
"""

from .anomaly import auroc, complexity, percentile, typicality
from .latent import LatentStatistics, latent_statistics
from .likelihood import (
    Bound,
    Estimate,
    Likelihood,
    bits_per_dimension,
    bound,
    importance_log_likelihood,
)
from .ranking import Ranking, Slice, TopK, by_activity, by_item_popularity, difference, rank, top_k

__all__ = [
    "Bound",
    "Estimate",
    "LatentStatistics",
    "Likelihood",
    "Ranking",
    "Slice",
    "TopK",
    "auroc",
    "bits_per_dimension",
    "bound",
    "by_activity",
    "by_item_popularity",
    "complexity",
    "difference",
    "importance_log_likelihood",
    "latent_statistics",
    "percentile",
    "rank",
    "top_k",
    "typicality",
]
