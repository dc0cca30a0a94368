"""Means with standard errors, the tails of importance weights, mean ranks, and the distance of two
samples.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
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

    def widened(self, *errors: float) -> "Estimate":
        """Returns the estimate with a standard error that holds these errors too; they are taken
        for independent of each other.
        """
        return Estimate(self.value, math.hypot(self.standard_error, *errors))

    @property
    def is_clear(self) -> bool:
        """Whether the value, a difference, is beyond two standard errors on either side of 0."""
        return abs(self.value) > CLEAR_ERRORS * self.standard_error

    @property
    def is_clearly_above(self) -> bool:
        """Whether the value, a difference, is more than two standard errors above 0."""
        return self.value > CLEAR_ERRORS * self.standard_error


LEAST_TAIL = 5
"""The shape of a tail of fewer weights than this is not estimated."""

GRID_START = 30
"""Points of the grid of the estimate of Zhang and Stephens, but for the root of the number of
values.
"""

FLAT = 1e-4
"""Weights that differ by less than this part of the largest have no tail: float32 rounds so."""

PRIOR_VALUES = 10
"""Values that the prior of a shape counts as; it is at 0.5 (Vehtari et al. 2024, appendix)."""


def pareto_shape(excesses: Tensor) -> Tensor:
    """Estimates the shape k of generalised Pareto distributions that start at 0.

    Positive k means a tail like that of a power, without moments of order 1 / k and beyond. The
    estimate is that of Zhang and Stephens (2009), a posterior mean over a grid of one parameter,
    drawn to 0.5 as by ten values more (Vehtari, Simpson, Gelman, Yao and Gabry 2024).

    Args:
        excesses: values above 0, (n, B), one sample a column; only their proportions matter.

    Returns:
        (B,); -inf where the values of a sample are all equal, inf where a quarter of them is 0
        beside the others, nan where one is not a number.
    """
    n = len(excesses)
    x = excesses.double().sort(0).values
    quartile = x[int(n / 4 + 0.5) - 1]
    points = GRID_START + int(math.sqrt(n))
    grid = torch.arange(1, points + 1, device=x.device, dtype=x.dtype)
    spacing = 1 - torch.sqrt(points / (grid - 0.5))
    b = 1 / x[-1] + spacing[:, None] / (3 * quartile)  # (points, B)
    shapes = torch.log1p(-b[:, None] * x).mean(1)
    log_likelihood = n * (torch.log(-b / shapes) - shapes - 1)
    weights = torch.softmax(log_likelihood.nan_to_num(nan=-math.inf), 0)
    best = (b * weights).nan_to_num(nan=0.0).sum(0)
    estimate = torch.log1p(-best * x).mean(0)
    shape = (n * estimate + PRIOR_VALUES * 0.5) / (n + PRIOR_VALUES)
    shape = torch.where(quartile > 0, shape, math.inf)
    shape = torch.where(x[0] < x[-1], shape, -math.inf)
    return torch.where(x.isnan().any(0), math.nan, shape)


def pareto_k(log_weights: Tensor) -> Tensor:
    """Estimates the shape of the tail of importance weights: the Pareto k of Vehtari et al. (2024).

    A generalised Pareto distribution is fitted to the largest min(0.2 S, 3 sqrt(S)) of S weights.

    Args:
        log_weights: (S, B).

    Returns:
        (B,); -inf where the tail is flat, nan where it would be of fewer than 5 weights or where no
        weight is a number above 0.
    """
    count = len(log_weights)
    tail = math.ceil(min(0.2 * count, 3 * math.sqrt(count)))
    if tail < LEAST_TAIL:
        return torch.full_like(log_weights[0], math.nan)
    top = log_weights.double().topk(tail + 1, 0).values
    weights = torch.exp(top - top[0])
    excesses = weights[:-1] - weights[-1]
    return pareto_shape(torch.where(excesses[0] < FLAT, 0, excesses))


def pareto_threshold(samples: int) -> float:
    """Returns the Pareto k beyond which the mean of so many weights is not to be relied on: they
    would have to be more than a sample can be (Vehtari et al. 2024, section 3.2.4).
    """
    if samples < 2:
        return math.nan
    return min(1 - 1 / math.log10(samples), 0.7)


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
