"""Measures of a fitted model.

They work on `Terms` and `Level` records, on scores, and on any examples that come in batches.
"""

from .cells import ColumnLikelihood, column_likelihoods
from .detection import auroc, average_precision, complexity, percentile, typicality
from .latent import LatentStatistics, latent_statistics
from .likelihood import Bound, Likelihood, bits_per_dimension, bound, importance_log_likelihood
from .ranking.rank import Ranking, difference, rank
from .ranking.slices import Slice, by_activity, by_item_popularity
from .ranking.top_k import TopK, top_k
from .statistics import Estimate

__all__ = [
    "Bound",
    "ColumnLikelihood",
    "Estimate",
    "LatentStatistics",
    "Likelihood",
    "Ranking",
    "Slice",
    "TopK",
    "auroc",
    "average_precision",
    "bits_per_dimension",
    "bound",
    "by_activity",
    "by_item_popularity",
    "column_likelihoods",
    "complexity",
    "difference",
    "importance_log_likelihood",
    "latent_statistics",
    "percentile",
    "rank",
    "top_k",
    "typicality",
]
