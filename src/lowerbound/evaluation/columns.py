"""Measures of the columns of a table, by their kinds: how far the columns of two tables are apart,
how two columns hang together, and which gaps come together.

Values are those of `columns`: numbers, positions of levels; a gap is NaN and counts nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..columns import ColumnSchema
from .statistics import kolmogorov_smirnov


def shares_of_levels(positions: np.ndarray, count: int) -> np.ndarray:
    """Returns the share of each of `count` levels among observed positions (n,), (count,)."""
    known = positions[~np.isnan(positions)].astype(np.int64)
    counts = np.bincount(known, minlength=count)
    return np.asarray(counts / max(len(known), 1))


def total_variation(first: np.ndarray, second: np.ndarray) -> float:
    """Measures how far two distributions over the same levels are apart, (L,) each: half the sum of
    the absolute differences, which is the greatest difference of the probabilities of any event.
    """
    return float(np.abs(first - second).sum() / 2)


def column_distance(column: ColumnSchema, first: np.ndarray, second: np.ndarray) -> float:
    """Measures how far the observed values (N,) and (M,) of one column are apart, in [0, 1].

    Of numbers it is the statistic of Kolmogorov and Smirnov, of levels the total variation. It is
    nan where one of them has no observed value.
    """
    first = first[~np.isnan(first)]
    second = second[~np.isnan(second)]
    if not len(first) or not len(second):
        return np.nan
    if column.is_number:
        return kolmogorov_smirnov(first, second)
    # Samples of another run may have a level more.
    greatest = max(first.max(), second.max())
    count = max(len(column.levels), int(greatest) + 1)
    return total_variation(shares_of_levels(first, count), shares_of_levels(second, count))


def distances_by_kind(
    columns: Sequence[ColumnSchema], first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Measures `column_distance` of each of the D columns of (N, D) and (M, D); (D,)."""
    distances = []
    for position, column in enumerate(columns):
        distances.append(column_distance(column, first[:, position], second[:, position]))
    return np.array(distances)


# Associations ------------------------------------------------------------------------------------


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Computes the correlation of two columns of numbers without gaps, (n,) each; 0 where one of
    them does not vary.
    """
    first = first - first.mean()
    second = second - second.mean()
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    if not scale > 0:
        return 0.0
    return float(np.clip((first * second).sum() / scale, -1, 1))


def cramers_v(first: np.ndarray, second: np.ndarray, corrected: bool = True) -> float:
    """Computes Cramer's V of two columns of positions of levels without gaps, (n,) each, in [0, 1].

    Args:
        first: the positions of the one.
        second: the positions of the other.
        corrected: whether the part that chance has in it is taken off (Bergsma 2013, "A
            bias-correction for Cramer's V and Tschuprow's T"): tables of many levels and few rows
            look associated where they are not.

    Returns:
        The association; 0 where a column has one level only.
    """
    count = len(first)
    table = _contingency(first, second)
    spare = np.array(table.shape) - 1
    if spare.min() == 0:
        return 0.0
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / count
    phi_squared = ((table - expected) ** 2 / expected).sum() / count
    if not corrected:
        return float(np.sqrt(min(phi_squared / spare.min(), 1)))
    by_chance = spare.prod() / (count - 1)
    most = (spare - spare**2 / (count - 1)).min()
    if most <= 0:
        return 0.0
    return float(np.sqrt(np.clip((phi_squared - by_chance) / most, 0, 1)))


def _contingency(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Counts the pairs of the levels that occur, (rows, columns)."""
    _, rows = np.unique(first, return_inverse=True)
    _, columns = np.unique(second, return_inverse=True)
    width = int(columns.max()) + 1
    height = int(rows.max()) + 1
    counts = np.bincount(rows * width + columns, minlength=height * width)
    return np.asarray(counts.reshape(height, width), np.float64)


def correlation_ratio(numbers: np.ndarray, levels: np.ndarray, corrected: bool = True) -> float:
    """Computes the correlation ratio (eta) of numbers and levels without gaps, in [0, 1].

    Its square is the share of the variance of the numbers that the means of the levels have.

    Args:
        numbers: (n,).
        levels: the positions of the levels, (n,).
        corrected: whether the part that chance has in it is taken off (Kelley 1935, "An unbiased
            correlation ratio measure").

    Returns:
        The association; 0 where a column does not vary.
    """
    _, groups = np.unique(levels, return_inverse=True)
    sizes = np.bincount(groups)
    deviations = numbers - numbers.mean()
    total = (deviations**2).sum()
    if len(sizes) < 2 or not total > 0:
        return 0.0
    means = np.bincount(groups, deviations) / sizes
    explained = (sizes * means**2).sum() / total
    if corrected:
        spare = len(numbers) - len(sizes)
        if spare <= 0:
            return 0.0
        explained = 1 - (1 - explained) * (len(numbers) - 1) / spare
    return float(np.sqrt(np.clip(explained, 0, 1)))


def association(
    columns: tuple[ColumnSchema, ColumnSchema],
    first: np.ndarray,
    second: np.ndarray,
    corrected: bool = True,
) -> float:
    """Measures how two columns hang together, over the rows in which both are observed.

    Numbers have their correlation in [-1, 1], levels Cramer's V, and numbers and levels the
    correlation ratio, both in [0, 1].

    Returns:
        The association; nan where fewer than two rows have both, 0 where a column does not vary.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    if both.sum() < 2:
        return np.nan
    first = first[both]
    second = second[both]
    if columns[0].is_number and columns[1].is_number:
        return pearson(first, second)
    if columns[0].is_number:
        return correlation_ratio(first, second, corrected)
    if columns[1].is_number:
        return correlation_ratio(second, first, corrected)
    return cramers_v(first, second, corrected)


def associations(
    columns: Sequence[ColumnSchema], values: np.ndarray, corrected: bool = True
) -> np.ndarray:
    """Measures `association` of each pair of the columns of a table (N, D); (D, D), symmetric, with
    1 for a column and itself.
    """
    found = np.eye(len(columns))
    for i, j in combinations(range(len(columns)), 2):
        pair = (columns[i], columns[j])
        found[i, j] = association(pair, values[:, i], values[:, j], corrected)
        found[j, i] = found[i, j]
    return found


# Gaps --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GapPair:
    """Two columns whose gaps come together, or keep away from each other.

    Attributes:
        first: the position of the one.
        second: the position of the other.
        both: the share of rows that lack both.
        correlation: the correlation of the two indicators of a gap (phi), in [-1, 1].
    """

    first: int
    second: int
    both: float
    correlation: float


def gap_pairs(observed: np.ndarray) -> list[GapPair]:
    """Finds how the gaps of columns come together, the strongest correlation first.

    Args:
        observed: which cells are observed, (N, D) bool.

    Returns:
        A pair for any two columns that have gaps and observed cells both.
    """
    gaps = (~observed).astype(np.float64)
    shares = gaps.mean(0)
    varying = np.flatnonzero((shares > 0) & (shares < 1))
    together = gaps[:, varying].T @ gaps[:, varying] / len(gaps)
    of_each = shares[varying]
    deviations = np.sqrt(of_each * (1 - of_each))
    phi = (together - np.outer(of_each, of_each)) / np.outer(deviations, deviations)
    pairs = []
    for i, j in combinations(range(len(varying)), 2):
        pairs.append(
            GapPair(int(varying[i]), int(varying[j]), float(together[i, j]), float(phi[i, j]))
        )
    return sorted(pairs, key=lambda pair: -abs(pair.correlation))
