"""Means with standard errors, mean ranks, and the distance of two samples."""

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

CLEAR_ERRORS = 2
"""An estimate is called clear where it is further than this many standard errors from 0."""


class Estimate(NamedTuple):
    """A mean over examples and its standard error (nan for a single example)."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, values: Tensor) -> "Estimate":
        """Estimates the mean from one value per example, (N,); it is nan from none."""
        doubles = values.double()
        deviation = math.nan
        if len(values) > 1:
            deviation = doubles.std().item()
        count = max(len(values), 1)
        standard_error = deviation / math.sqrt(count)
        return cls(doubles.mean().item(), standard_error)

    @property
    def is_clear(self) -> bool:
        """Whether the value, a difference, is beyond two standard errors on either side of 0."""
        return abs(self.value) > CLEAR_ERRORS * self.standard_error

    @property
    def is_clearly_above(self) -> bool:
        """Whether the value, a difference, is more than two standard errors above 0."""
        return self.value > CLEAR_ERRORS * self.standard_error


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks values (n,), 1 for the least; equal ones have the mean of their ranks."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last_ranks = sizes.cumsum()
    middle_ranks = last_ranks - (sizes - 1) / 2
    return middle_ranks[group]


def kolmogorov_smirnov(first: np.ndarray, second: np.ndarray) -> float:
    """Measures how far two samples (N,) and (M,) are apart: the statistic of the test of Kolmogorov
    and Smirnov.

    It is the greatest difference of the two distribution functions, as `scipy.stats.ks_2samp` has
    it. The module of SciPy takes longer to import, and more memory, than all pictures of a report.
    """
    first = np.sort(first)
    second = np.sort(second)
    values = np.concatenate([first, second])
    first_counts = np.searchsorted(first, values, side="right")
    second_counts = np.searchsorted(second, values, side="right")
    first_distribution = first_counts / len(first)
    second_distribution = second_counts / len(second)
    differences = np.abs(first_distribution - second_distribution)
    return float(differences.max())


def column_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Measures `kolmogorov_smirnov` of each column of (N, D) and (M, D); (D,)."""
    distances = []
    for first_column, second_column in zip(first.T, second.T, strict=True):
        distances.append(kolmogorov_smirnov(first_column, second_column))
    return np.array(distances)
