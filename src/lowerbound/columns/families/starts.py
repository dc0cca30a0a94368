"""Where the distributions of a column start: about its training values, which its schema tells."""

import math
from statistics import NormalDist

import numpy as np

from ..coding import Coding
from ..schema import ColumnSchema

LEAST_SHARE = 1e-4
"""The least share of a level or an atom at the start of training, whatever its training rows."""


def typical_values(column: ColumnSchema) -> np.ndarray:
    """Returns numbers that stand for the training values that are no atoms, each for as many.

    They are the midpoints between neighbouring quantiles; one number of which nothing is known but
    the mean.
    """
    quantiles = np.asarray(column.quantiles, np.float64)
    if len(quantiles) > 1:
        return (quantiles[1:] + quantiles[:-1]) / 2
    mean = column.mean
    if column.kind == "positive":
        mean = math.exp(mean)
    if column.kind == "count":
        mean = math.expm1(mean)
    return np.array([mean])


def typical_codes(column: ColumnSchema) -> np.ndarray:
    """Returns the codes of `typical_values`."""
    return Coding([column]).encode(typical_values(column)[:, None])[:, 0]


def log_mean_of_counts(column: ColumnSchema) -> float:
    """Returns the log of the mean of the counts of a column that are no atoms."""
    return math.log(max(float(typical_values(column).mean()), 1e-2))


def log_size_of_counts(column: ColumnSchema) -> float:
    """Returns the log of the size of a negative binomial distribution with the mean and the
    variance of the counts of a column that are no atoms: variance = mean + mean^2 / size.
    """
    counts = typical_values(column)
    mean = max(float(counts.mean()), 1e-2)
    excess = float(counts.var()) - mean
    most = mean * 100
    if excess <= mean**2 / most:
        return math.log(most)
    return math.log(mean**2 / excess)


def middle_and_spread(column: ColumnSchema) -> tuple[float, float]:
    """Returns the median of the codes of a column, and their deviation by their quartiles.

    The deviation is that of a normal distribution with the same quartiles, which no outlier
    changes. It is 1 where the quartiles are equal.
    """
    codes = typical_codes(column)
    low, middle, high = np.quantile(codes, [0.25, 0.5, 0.75]).tolist()
    spread = (high - low) / (2 * NormalDist().inv_cdf(0.75))
    if not spread > 0:
        spread = 1.0
    return middle, spread


def shares_of_levels(column: ColumnSchema) -> np.ndarray:
    """Returns the shares of the levels of a column, (L,), each at least `LEAST_SHARE` or so; equal
    ones where none are known.
    """
    count = len(column.levels)
    if not column.shares:
        return np.full(count, 1 / count)
    shares = np.maximum(np.asarray(column.shares, np.float64), LEAST_SHARE)
    return np.asarray(shares / shares.sum())
