"""Recommenders without a neural network, to compare with.

Each baseline is fitted in one call: `Ease(l2=200).fit(matrix)` returns a scorer. A scorer takes
histories, `SparseRows` (B, I), and returns scores (B, I) float32 in a new tensor.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from ..errors import ConfigError
from ..sparse import SparseRows
from ..system.machine import refuse_beyond_available
from .base import Baseline

BLOCK_ROWS = 1024
"""This many rows of an (items, items) matrix are worked on at a time."""


@dataclass(frozen=True)
class Counts:
    """A scorer that gives everybody the same scores: how many training users have each item.

    Attributes:
        counts: (I,).
    """

    counts: Tensor

    def __call__(self, history: SparseRows) -> Tensor:
        """Returns the scores (B, I)."""
        return self.counts.repeat(len(history), 1)


@dataclass(frozen=True)
class ItemToItem:
    """A scorer that multiplies a history x by a matrix B: the scores are x B.

    Attributes:
        table: B (I, I); entry (i, j) is what an item i in the history adds to the score of item j.
    """

    table: Tensor

    def __call__(self, history: SparseRows) -> Tensor:
        """Returns the scores (B, I)."""
        return history.to(self.table.device).times(self.table)


@dataclass(frozen=True)
class Folded:
    """A scorer by factorisation, which folds a history in as if it were one more user.

    Attributes:
        model: the fitted model of `implicit`.
        factors: the factors of the items, (I, f).
    """

    model: Any
    factors: Tensor

    def __call__(self, history: SparseRows) -> Tensor:
        """Returns the scores (B, I)."""
        values = history.values.cpu().float().numpy()
        columns = history.columns.cpu().numpy().astype(np.int32)
        offsets = history.offsets.cpu().numpy().astype(np.int32)
        shape = (len(history), history.width)
        rows = csr_matrix((values, columns, offsets), shape=shape)
        users = np.arange(len(history))
        user_factors = self.model.recalculate_user(users, rows)
        return torch.from_numpy(user_factors) @ self.factors.T


@dataclass(frozen=True)
class Popularity(Baseline):
    """The same list for everybody: the items of most users first."""

    def fit(self, matrix: csr_matrix) -> Counts:
        """Counts the users of each item."""
        has_item: Any = matrix != 0
        counts = np.asarray(has_item.sum(0), dtype=np.float32)
        return Counts(torch.from_numpy(counts.ravel()))


@dataclass(frozen=True)
class Ease(Baseline):
    """A linear autoencoder with no self-loop, in closed form (Steck 2019, "Embarrassingly Shallow
    Autoencoders", eq. 8).

    B = -P / diag(P) with a zero diagonal, where P = (X'X + l2 I)^-1. It is computed in float32, in
    one array of 4 I^2 bytes, with about 2 I^3 operations.

    Attributes:
        l2: weight of the penalty on B, above 0; choose it on validation data (200 to 1000 for large
            sets).
    """

    l2: float = 500.0

    def __post_init__(self) -> None:
        if not self.l2 > 0:
            raise ConfigError(f"l2 must be above 0, got {self.l2!r}")

    def memory(self, items: int) -> int:
        """Returns the peak memory of a fit in bytes, without the training matrix."""
        table = 4 * items**2
        blocks = 3 * 8 * items * min(items, BLOCK_ROWS)
        return table + blocks

    def fit(self, matrix: csr_matrix) -> ItemToItem:
        """Computes B from the training matrix.

        Raises:
            ConfigError: the memory is not available, or `l2` is too small for float32.
        """
        x = csr_matrix(matrix, dtype=np.float32)
        items = x.shape[1]
        refuse_beyond_available(self.memory(items), f"EASE over {items:,} items")
        table = _gram(x, self.l2)
        _invert(table)
        diagonal = table.diagonal().copy()
        for start in range(0, items, BLOCK_ROWS):
            table[start : start + BLOCK_ROWS] /= -diagonal
        np.fill_diagonal(table, 0)
        return ItemToItem(torch.from_numpy(table))


def _gram(x: csr_matrix, l2: float) -> np.ndarray:
    """Computes X'X + l2 I, dense (I, I) float32, from sparse products of blocks of rows."""
    items = x.shape[1]
    transposed = x.T.tocsr()
    gram = np.empty((items, items), dtype=np.float32)
    for start in range(0, items, BLOCK_ROWS):
        stop = start + BLOCK_ROWS
        product = transposed[start:stop] @ x
        product.toarray(out=gram[start:stop])
    gram.flat[:: items + 1] += l2
    return gram


def _invert(gram: np.ndarray) -> None:
    """Inverts a symmetric positive definite (I, I) float32 matrix in place, by its Cholesky factor.

    LAPACK reads the transpose, which is the same matrix in LAPACK's order of columns. So no copy is
    made.

    Raises:
        ConfigError: the matrix is not positive definite in float32.
    """
    from scipy.linalg import lapack  # imported where used: it takes a third of a second

    factor, failed = lapack.spotrf(gram.T, lower=1, overwrite_a=1, clean=0)
    if not failed:
        inverse, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ConfigError("X'X + l2 I cannot be inverted in float32; take a larger l2")
    if not np.shares_memory(inverse, gram):
        gram.T[...] = inverse
    _mirror(gram)


def _mirror(matrix: np.ndarray) -> None:
    """Copies the upper triangle onto the lower one, in place, a block at a time."""
    size = len(matrix)
    for start in range(0, size, BLOCK_ROWS):
        stop = start + BLOCK_ROWS
        block = matrix[start:stop, start:stop]
        upper = np.triu(block)
        strictly_upper = np.triu(block, 1)
        block[...] = upper + strictly_upper.T
        for next_start in range(stop, size, BLOCK_ROWS):
            next_stop = next_start + BLOCK_ROWS
            right_block = matrix[start:stop, next_start:next_stop]
            matrix[next_start:next_stop, start:stop] = right_block.T


@dataclass(frozen=True)
class Als(Baseline):
    """Weighted factorisation by alternating least squares (Hu, Koren & Volinsky 2008), by the
    library `implicit`.

    An entry r has the confidence alpha r. A pair without an entry has the confidence 1.

    Attributes:
        factors: f, the size of the factor vectors.
        regularization: weight of the squares of the factors.
        alpha: confidence in an entry of 1.
        iterations: number of times that users and items are solved for.
        seed: seed of the initial factors.
    """

    factors: int = 64
    regularization: float = 0.01
    alpha: float = 1.0
    iterations: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        if self.factors < 1 or self.iterations < 1:
            raise ConfigError(
                f"factors and iterations must be 1 or more, got {self.factors} and "
                f"{self.iterations}"
            )
        if not (self.alpha > 0 and self.regularization >= 0):
            raise ConfigError(
                f"alpha must be above 0 and regularization not below, got {self.alpha} and "
                f"{self.regularization}"
            )

    def fit(self, matrix: csr_matrix) -> Folded:
        """Factorises the training matrix.

        Raises:
            ConfigError: `implicit` is not installed.
        """
        solver = _import_solver()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # advice on the number of BLAS threads
            model = solver(
                self.factors,
                self.regularization,
                self.alpha,
                iterations=self.iterations,
                random_state=self.seed,
            )
        model.fit(csr_matrix(matrix, dtype=np.float32), show_progress=False)
        return Folded(model, torch.from_numpy(model.item_factors))


def _import_solver() -> Any:
    """Imports the solver of the optional library `implicit`."""
    try:
        from implicit.cpu.als import AlternatingLeastSquares
    except ImportError:
        raise ConfigError(
            "Als needs the library implicit: pip install 'lowerbound[recommend-baselines]'"
        ) from None
    return AlternatingLeastSquares
