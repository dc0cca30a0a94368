"""How the columns of a table follow factors, for a start of their distributions."""

from typing import NamedTuple

import numpy as np

from ..schema import ColumnSchema

LEAST_SPREAD = 0.05
"""The least variance of factors within a level, beside that of all rows."""

LEAST_LEVEL = 1e-3
"""The least share of a level, of which nothing is known below it."""


class FollowedFactors(NamedTuple):
    """Features of one column: mean + loadings z + noise, with z ~ N(0, I).

    Of a number that is its code (the standardised log(1 + x) of a count), and an indicator of each
    of its atoms (of a count, of the frequent ones); of levels with an order their position; of
    other levels an indicator of each but the first.

    Attributes:
        mean: (F,).
        loadings: (F, k).
        noise: variances, (F,).
    """

    mean: np.ndarray
    loadings: np.ndarray
    noise: np.ndarray

    def of_column(self, column: ColumnSchema) -> "FollowedFactors":
        """Returns the features without those of the atoms of numbers."""
        if not column.is_number:
            return self
        return FollowedFactors(self.mean[:1], self.loadings[:1], self.noise[:1])

    def of_atoms(self, has_indicator: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns weights (count, k) and biases (count,) of the scores of a number being none of
        its atoms, and being each of them.

        Args:
            has_indicator: which of its A atoms have an indicator, (A,) bool. The others are as
                likely beside being none of them, whatever z is.
            count: at least 1 + A; the scores of atoms that are not there are zero.
        """
        told = 1 + int(has_indicator.sum())
        weights, biases = scores_of_levels(self.mean[1:told], self.loadings[1:told], told)
        # Atoms without an indicator share the score of none.
        scores = np.zeros(1 + len(has_indicator), np.int64)
        scores[1:][has_indicator] = np.arange(1, told)
        more = count - len(scores)
        return np.pad(weights[scores], ((0, more), (0, 0))), np.pad(biases[scores], (0, more))


def scores_of_levels(
    shares: np.ndarray, loadings: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights (count, k) and biases (count,) of scores of L levels, beside log-shares.

    The indicators of all levels sum to one, so that those of the first follow from the others.

    Where z is normal within each level, with the means m_l = loadings / share and one covariance C,
    log p(l | z) = log p(l) + m_l' C^-1 z - m_l' C^-1 m_l / 2 + a constant (linear discriminants).

    Args:
        shares: the means of the indicators of all levels but the first, (L - 1,).
        loadings: the covariances of the same with z, (L - 1, k).
        count: at least L; the scores of levels that are not there are zero.
    """
    first = 1 - shares.sum()
    known = np.maximum(np.concatenate([[first], shares]), LEAST_LEVEL)
    of_first = -loadings.sum(0, keepdims=True)
    means = np.concatenate([of_first, loadings]) / known[:, None]
    between = (means * known[:, None]).T @ means
    inverse = _inverse_within(between)
    levels = len(known)
    weights = np.zeros((count, loadings.shape[1]))
    biases = np.zeros(count)
    weights[:levels] = means @ inverse
    biases[:levels] = -0.5 * (weights[:levels] * means).sum(1)
    return weights, biases


def _inverse_within(between: np.ndarray) -> np.ndarray:
    """Returns the inverse of the covariance of z within levels, I less that between them (k, k)."""
    values, vectors = np.linalg.eigh(np.eye(len(between)) - between)
    spreads = np.maximum(values, LEAST_SPREAD)
    return (vectors / spreads) @ vectors.T


def scores_of_numbers(
    centres: np.ndarray, followed: FollowedFactors, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights (count, k) and biases (count,) of scores of numbers, beside log-shares.

    Where a number is x = mean + w'z + noise, log p(x | z) - log p(x) is, up to what does not depend
    on x, (x - mean) w'z / Psi - (x - mean)^2 (1 / Psi - 1 / (Psi + w'w)) / 2.

    Args:
        centres: the numbers, (n,).
        followed: of one feature.
        count: at least n; the scores of the others are zero.
    """
    distances = centres - followed.mean[0]
    noise = followed.noise[0]
    loadings = followed.loadings[0]
    narrowing = 1 / noise - 1 / (noise + loadings @ loadings)
    more = count - len(centres)
    weights = np.outer(distances / noise, loadings)
    biases = -0.5 * distances**2 * narrowing
    return np.pad(weights, ((0, more), (0, 0))), np.pad(biases, (0, more))
