"""A Gaussian with a full covariance, fitted to a table with gaps by expectation maximisation.

For a row x with the known features o and the missing ones m, mean mu, covariance S and precision
K = S^-1 (Little & Rubin, "Statistical Analysis with Missing Data", chapter 11, written with the
precision):

    E[x_m | x_o]   = mu_m - C K_mo (x_o - mu_o),  C = Cov[x_m | x_o] = (K_mm)^-1
    log p(x_o)     = -1/2 (|o| log 2 pi + log |S| + log |K_mm| + (y - mu)' K (y - mu)),

where y is x with E[x_m | x_o] in its gaps. So a row costs a factorisation of a matrix of the size
of its gaps, and rows with the same gaps share it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import ConfigError
from .base import FittedImputer, Imputer
from .features import Features, Kind, checked_table

BLOCK_NUMBERS = 2**20
"""About this many numbers are in the matrices of the rows that are worked on at a time."""

DRAWS = 10
"""So many tables are drawn with one factorisation of each matrix; they are in memory together."""


@dataclass(frozen=True)
class GapBlock:
    """Some rows of a table with equally many gaps each, at least one.

    Attributes:
        rows: (R,), their numbers; rows with the same gaps follow each other.
        gaps: (P, k), the features that are missing in each of P patterns.
        owner: (R,), the pattern of each row.
        counts: (P,), how many rows have each pattern.
    """

    rows: np.ndarray
    gaps: np.ndarray
    owner: np.ndarray
    counts: np.ndarray

    @property
    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """The index of the missing cells of a table, (R, k)."""
        return self.rows[:, None], self.gaps[self.owner]


def gap_blocks(missing: np.ndarray) -> Iterator[GapBlock]:
    """Yields the rows with gaps, in blocks of bounded size.

    Args:
        missing: (N, F) bool, which features are missing.
    """
    bits = np.packbits(missing, axis=1)
    _, pattern = np.unique(bits, axis=0, return_inverse=True)
    sizes = missing.sum(1)
    order = np.lexsort((pattern.ravel(), sizes))
    for size in np.unique(sizes[sizes > 0]):
        rows = order[sizes[order] == size]
        length = max(1, BLOCK_NUMBERS // int(size) ** 2)
        for start in range(0, len(rows), length):
            yield _gap_block(missing, pattern.ravel(), rows[start : start + length], int(size))


def _gap_block(missing: np.ndarray, pattern: np.ndarray, rows: np.ndarray, size: int) -> GapBlock:
    """Makes one block of rows that are in the order of their patterns."""
    _, first, owner, counts = np.unique(
        pattern[rows], return_index=True, return_inverse=True, return_counts=True
    )
    features = np.nonzero(missing[rows[first]])[1]
    return GapBlock(rows, features.reshape(-1, size), owner, counts)


@dataclass(frozen=True)
class Expectation:
    """What the observed features tell about a table.

    Attributes:
        complete: (N, F), the table with E[x_m | x_o] in its gaps.
        scatter: (F, F), the sum over rows of the covariances of the missing features.
        log_prob: (N,), log p(x_o) in nats, of the features.
    """

    complete: np.ndarray
    scatter: np.ndarray
    log_prob: np.ndarray


@dataclass(frozen=True)
class Normal:
    """A multivariate normal distribution of F features.

    Attributes:
        mean: (F,).
        covariance: (F, F), positive definite.
        precision: its inverse.
        log_determinant: log |covariance|.
    """

    mean: np.ndarray
    covariance: np.ndarray
    precision: np.ndarray = field(init=False)
    log_determinant: float = field(init=False)

    def __post_init__(self) -> None:
        factor = _cholesky(self.covariance)
        inverse = np.linalg.inv(factor)
        object.__setattr__(self, "precision", inverse.T @ inverse)
        object.__setattr__(self, "log_determinant", 2 * float(np.log(np.diag(factor)).sum()))

    def expect(self, features: np.ndarray, blocks: list[GapBlock]) -> Expectation:
        """Does the expectation step for features (N, F), whose gaps are in the blocks."""
        missing = np.isnan(features)
        residual = np.where(missing, 0.0, features - self.mean)
        gradient = residual @ self.precision
        scatter = np.zeros(self.covariance.size)
        log_determinants = np.full(len(features), self.log_determinant)
        for block in blocks:
            roots, logs = self._given_the_rest(block)
            covariances = roots @ roots.transpose(0, 2, 1)
            residual[block.cells] = -_times(covariances, block, gradient[block.cells])
            log_determinants[block.rows] += logs[block.owner]
            places = block.gaps[:, :, None] * len(self.mean) + block.gaps[:, None, :]
            weighted = covariances * block.counts[:, None, None]
            scatter += np.bincount(places.ravel(), weighted.ravel(), minlength=len(scatter))
        squares = np.einsum("nf,nf->n", residual @ self.precision, residual)
        known = features.shape[1] - missing.sum(1)
        log_prob = -0.5 * (known * math.log(2 * math.pi) + log_determinants + squares)
        return Expectation(residual + self.mean, scatter.reshape(self.covariance.shape), log_prob)

    def variances(self, shape: tuple[int, int], blocks: list[GapBlock]) -> np.ndarray:
        """Gives the variance (N, F) of each missing feature given the known ones of its row.

        It is 0 for features that are known.
        """
        found = np.zeros(shape)
        for block in blocks:
            roots, _ = self._given_the_rest(block)
            found[block.cells] = (roots**2).sum(2)[block.owner]
        return found

    def deviations(
        self, shape: tuple[int, int], blocks: list[GapBlock], random: np.random.Generator
    ) -> np.ndarray:
        """Draws x - E[x | x_o] for each row, DRAWS times (DRAWS, N, F); 0 for known features."""
        found = np.zeros((DRAWS, *shape))
        for block in blocks:
            roots, _ = self._given_the_rest(block)
            normal = random.standard_normal((DRAWS, len(block.rows), block.gaps.shape[1]))
            found[:, *block.cells] = _times(roots, block, normal)
        return found

    def _given_the_rest(self, block: GapBlock) -> tuple[np.ndarray, np.ndarray]:
        """Gives, for each pattern, a root A of the covariance A A' of its gaps given the rest.

        Returns:
            A (P, k, k), and log |K_mm| (P,). With K_mm = L L', A is the inverse of L'.
        """
        precisions = self.precision[block.gaps[:, :, None], block.gaps[:, None, :]]
        factors = _cholesky(precisions)
        diagonals = np.diagonal(factors, axis1=1, axis2=2)
        roots = np.linalg.inv(factors).transpose(0, 2, 1)
        return roots, 2 * np.log(diagonals).sum(1)


def _cholesky(matrices: np.ndarray) -> np.ndarray:
    """Factorises positive definite matrices (..., k, k).

    Raises:
        ConfigError: one of them is not positive definite in float64.
    """
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        raise ConfigError(
            "the covariance of the columns became singular in float64; take a larger ridge"
        ) from None


def _times(matrices: np.ndarray, block: GapBlock, vectors: np.ndarray) -> np.ndarray:
    """Multiplies the vector of each row (..., R, k) by the matrix of its pattern (P, k, k)."""
    if len(matrices) == 1:
        return vectors @ matrices[0].T
    return np.einsum("rij,...rj->...ri", matrices[block.owner], vectors)


@dataclass(frozen=True)
class FittedGaussian(FittedImputer):
    """A Gaussian of the features of a table.

    Attributes:
        kinds: the kinds of the columns.
        features: how the table is turned into features.
        normal: the distribution of the features.
        objectives: what each round of the fit has maximised, in nats per row of features: the
            log-likelihood less the penalty of the ridge. It never falls.
    """

    kinds: tuple[Kind, ...]
    features: Features
    normal: Normal
    objectives: tuple[float, ...]

    def log_prob(self, values: np.ndarray) -> np.ndarray:
        """Computes log p(x_o), the log density of the known values of each row.

        The density of ordered levels is that of their numbers. To bound the log probability of
        whole numbers or levels from below, fit to values to which uniform noise in [0, 1) was
        added, and take the mean over such noise (Theis et al. 2016, "A note on the evaluation of
        generative models").

        Args:
            values: (N, D), NaN for a gap.

        Returns:
            (N,) nats, in the units of the values; 0 for a row without a value.

        Raises:
            ConfigError: a column has unordered levels, whose indicators have no density.
        """
        self._refuse_unordered()
        scales = np.where(np.isnan(values), 0.0, np.log(self.features.scale))
        return self.feature_log_prob(values) - scales.sum(1)

    def feature_log_prob(self, values: np.ndarray) -> np.ndarray:
        """Computes the log density of the known features of each row, standardised as they are.

        It compares Gaussians of the same features, and means nothing beside another model.

        Args:
            values: (N, D), NaN for a gap.

        Returns:
            (N,) nats.
        """
        features, blocks = self._encode(values)
        return self.normal.expect(features, blocks).log_prob

    def moments(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes E[x | x_o] and Var[x | x_o] for each cell, not rounded to levels.

        Args:
            values: (N, D), NaN for a gap.

        Returns:
            Two arrays (N, D). A known value is its own mean, with the variance 0.

        Raises:
            ConfigError: a column has unordered levels, which have no mean.
        """
        self._refuse_unordered()
        features, blocks = self._encode(values)
        complete = self.normal.expect(features, blocks).complete
        variances = self.normal.variances(features.shape, blocks)
        scale = self.features.scale
        means = np.where(np.isnan(values), complete * scale + self.features.shift, values)
        return means, variances * scale**2

    def conditional(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes the mean and the covariance of the missing values of one row.

        Args:
            row: (D,), NaN for a gap.

        Returns:
            (k,) and (k, k), for its k gaps.

        Raises:
            ConfigError: a column has unordered levels, which have no mean.
        """
        means, _ = self.moments(row[None])
        gaps = np.isnan(row)
        precision = self.normal.precision[np.ix_(gaps, gaps)]
        scale = self.features.scale[gaps]
        return means[0, gaps], np.linalg.inv(precision) * np.outer(scale, scale)

    def draws(self, values: np.ndarray, count: int, seed: int = 0) -> Iterator[np.ndarray]:
        """Yields tables whose gaps are filled with draws from p(x_m | x_o), one after the other.

        The draws of a row hang together as its columns do. Numbers of levels are rounded to the
        nearest one; of unordered levels it is that of the greatest indicator. The parameters are
        those of the fit in all draws, so that intervals are too narrow for few rows.

        Args:
            values: (N, D), NaN for a gap.
            count: the number of tables.
            seed: of the draws.

        Yields:
            (N, D) float64 without gaps. Known values come back bit for bit.
        """
        table = checked_table(values, self.kinds)
        gaps = np.isnan(table)
        features, blocks = self._encode(table)
        complete = self.normal.expect(features, blocks).complete
        random = np.random.default_rng(seed)
        for start in range(0, count, DRAWS):
            deviations = self.normal.deviations(features.shape, blocks, random)
            for deviation in deviations[: count - start]:
                filled = table.copy()
                filled[gaps] = self.features.decode(complete + deviation)[gaps]
                yield filled

    def _refuse_unordered(self) -> None:
        """Raises a ConfigError if a column has unordered levels."""
        for column, kind in enumerate(self.kinds):
            if kind.is_unordered:
                raise ConfigError(
                    f"column {column} has unordered levels, which have neither a density nor a "
                    "mean; fit to their numbers as ordered levels, or with noise as numbers"
                )

    def _encode(self, values: np.ndarray) -> tuple[np.ndarray, list[GapBlock]]:
        """Gives the features of a table, and its rows with gaps."""
        features = self.features.encode(checked_table(values, self.kinds))
        return features, list(gap_blocks(np.isnan(features)))

    def _complete(self, table: np.ndarray) -> np.ndarray:
        features, blocks = self._encode(table)
        return self.features.decode(self.normal.expect(features, blocks).complete)


@dataclass(frozen=True)
class GaussianEM(Imputer[FittedGaussian]):
    """Imputes the conditional mean of a Gaussian with a full covariance, fitted by expectation
    maximisation.

    Ordered levels enter as numbers and are rounded; unordered ones enter as indicators, of which
    the greatest mean wins. Everything is standardised by the known values.

    What rises in each round is the log-likelihood of the known features per row, less the penalty
    ridge / 2 tr(S^-1) (the log density of an inverse Wishart prior). Its maximisation step is
    exact: the covariance of the completed table, plus `ridge` on its diagonal.

    Attributes:
        ridge: what is added to the variances of the standardised features, 0 or more. It keeps the
            covariance positive definite where columns determine each other or rows are few.
        tolerance: the fit ends when a round raises the objective by less than this, in nats per
            row.
        rounds: it ends after this many rounds in any case.
    """

    ridge: float = 1e-3
    tolerance: float = 1e-5
    rounds: int = 1000

    def __post_init__(self) -> None:
        if not (self.ridge >= 0 and self.tolerance >= 0):
            raise ConfigError(
                f"ridge and tolerance must be 0 or more, got {self.ridge} and {self.tolerance}"
            )
        if self.rounds < 1:
            raise ConfigError(f"rounds must be 1 or more, got {self.rounds}")

    def _fit(self, table: np.ndarray, kinds: tuple[Kind, ...]) -> FittedGaussian:
        """Fits the Gaussian.

        Raises:
            ConfigError: the covariance became singular, as it can with a ridge of 0.
        """
        encoding = Features.of(table, kinds, independent=True)
        features = encoding.encode(table)
        # A row without a value says nothing, and would only slow the fit down.
        features = features[~np.isnan(features).all(1)]
        width = features.shape[1]
        blocks = list(gap_blocks(np.isnan(features)))
        normal = Normal(np.zeros(width), np.eye(width))
        objectives: list[float] = []
        for _ in range(self.rounds):
            found = normal.expect(features, blocks)
            penalty = 0.5 * self.ridge * float(np.trace(normal.precision))
            objectives.append(float(found.log_prob.mean()) - penalty)
            if len(objectives) > 1 and objectives[-1] - objectives[-2] < self.tolerance:
                break
            normal = self._maximize(found)
        return FittedGaussian(kinds, encoding, normal, tuple(objectives))

    def _maximize(self, found: Expectation) -> Normal:
        """Does the maximisation step."""
        rows, width = found.complete.shape
        mean = found.complete.mean(0)
        centred = found.complete - mean
        covariance = (centred.T @ centred + found.scatter) / rows
        return Normal(mean, covariance + self.ridge * np.eye(width))


RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
"""The ridges that `choose_ridge` compares."""


def choose_ridge(
    imputer: GaussianEM,
    values: np.ndarray,
    kinds: Sequence[Kind] | None = None,
    ridges: Sequence[float] = RIDGES,
    share: float = 0.1,
    seed: int = 0,
) -> GaussianEM:
    """Chooses the ridge by which known cells are told best when they are hidden.

    Args:
        imputer: the other settings.
        values: (N, D), NaN for a gap.
        kinds: the kinds of the D columns; all are numbers without it.
        ridges: what is compared.
        share: the share of the known cells that are hidden, the same ones for each ridge.
        seed: of the choice of these cells.

    Returns:
        The imputer with the ridge of the greatest log density of the hidden cells given the others.

    Raises:
        DataError: the table does not fit the kinds, or a column has no value that is not hidden.
    """
    table = np.array(values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(table))
    hidden = np.random.default_rng(seed).choice(known, int(share * len(known)), replace=False)
    visible = table.copy()
    visible.flat[hidden] = np.nan
    candidates = [replace(imputer, ridge=ridge) for ridge in ridges]
    told = []
    for candidate in candidates:
        fitted = candidate.fit(visible, kinds)
        told.append(fitted.feature_log_prob(table) - fitted.feature_log_prob(visible))
    return candidates[int(np.argmax([each.sum() for each in told]))]
