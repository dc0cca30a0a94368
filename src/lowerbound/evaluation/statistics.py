"""Means with standard errors, mean ranks, and the distance of two samples."""

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor


class Estimate(NamedTuple):
    """A mean over examples and its standard error (nan for a single example)."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, values: Tensor) -> "Estimate":
        """From one value per example, (N,); nan from none."""
        spread = values.double().std().item() if len(values) > 1 else math.nan
        return cls(values.double().mean().item(), spread / math.sqrt(max(len(values), 1)))


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value (n,), 1 for the least; equal ones have the mean of their ranks."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (sizes.cumsum() - (sizes - 1) / 2)[group]


def kolmogorov_smirnov(first: np.ndarray, second: np.ndarray) -> float:
    """The greatest difference of the distribution functions of two sets, (N,) and (M,): the
    statistic of the test of two samples.

    It is that of `scipy.stats.ks_2samp`, whose module takes longer to import, and more memory, than
    all pictures of a report.
    """
    first, second = np.sort(first), np.sort(second)
    every = np.concatenate([first, second])
    below = [np.searchsorted(part, every, side="right") / len(part) for part in (first, second)]
    return float(np.abs(below[0] - below[1]).max())
