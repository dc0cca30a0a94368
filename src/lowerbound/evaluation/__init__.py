"""Measures of a fitted model. They work on `Terms` and `Level` records and on any examples that come in batches."""

from .latent import LatentStatistics, latent_statistics
from .likelihood import Bound, Estimate, Likelihood, bits_per_dimension, bound, importance_log_likelihood

__all__ = [
    "Bound",
    "Estimate",
    "LatentStatistics",
    "Likelihood",
    "bits_per_dimension",
    "bound",
    "importance_log_likelihood",
    "latent_statistics",
]
