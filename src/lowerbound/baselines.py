"""Recommenders without a neural network, to compare with: each is fitted in one call and then
scores any history.

`Ease(l2=200).fit(matrix)` gives a scorer: from histories, `SparseRows` (B, I), to scores (B, I)
float32, in a new tensor.
"""

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from .errors import ConfigError
from .sparse import SparseRows
from .specs.registry import members
from .system.machine import refuse_beyond_available

BLOCK = 1024
"""Rows of an items x items matrix that are worked on at a time."""


class Scorer(Protocol):
    """A fitted baseline."""

    def __call__(self, history: SparseRows) -> Tensor: ...


class Baseline(ABC):
    """A way to fit a scorer to the training matrix (n, I)."""

    @abstractmethod
    def fit(self, matrix: csr_matrix) -> Scorer:
        """The scorer of this matrix."""


@dataclass(frozen=True)
class Counts:
    """The same scores for everybody: how many users of the training set have each item, (I,)."""

    counts: Tensor

    def __call__(self, history: SparseRows) -> Tensor:
        """(B, I)."""
        return self.counts.repeat(len(history), 1)


@dataclass(frozen=True)
class ItemToItem:
    """Scores x B for a history x: what each item had (row) says for each other (column), (I, I)."""

    table: Tensor

    def __call__(self, history: SparseRows) -> Tensor:
        """(B, I)."""
        return history.to(self.table.device).times(self.table)


@dataclass(frozen=True)
class Folded:
    """Scores of a factorisation: a history is folded in, as if it were one more user, and meets the
    items' factors (I, f).
    """

    model: Any
    factors: Tensor

    def __call__(self, history: SparseRows) -> Tensor:
        """(B, I)."""
        indices = (a.cpu().numpy().astype(np.int32) for a in (history.columns, history.offsets))
        rows = csr_matrix(
            (history.values.cpu().float().numpy(), *indices), shape=tuple(history.shape)
        )
        users = self.model.recalculate_user(np.arange(len(history)), rows)
        return torch.from_numpy(users) @ self.factors.T


@dataclass(frozen=True)
class Popularity(Baseline):
    """The same list for everybody, the items of most users first."""

    def fit(self, matrix: csr_matrix) -> Counts:
        """Count."""
        return Counts(torch.from_numpy(np.asarray((matrix != 0).sum(0), dtype=np.float32).ravel()))


def _gram(x: csr_matrix, l2: float) -> np.ndarray:
    """X'X + l2 I, dense (I, I) float32, from sparse products of blocks of rows."""
    items, transposed = x.shape[1], x.T.tocsr()
    gram = np.empty((items, items), dtype=np.float32)
    for start in range(0, items, BLOCK):
        (transposed[start : start + BLOCK] @ x).toarray(out=gram[start : start + BLOCK])
    gram.flat[:: items + 1] += l2
    return gram


def _mirror(a: np.ndarray) -> None:
    """Copy the upper triangle onto the lower one, in place, a block at a time."""
    for start in range(0, len(a), BLOCK):
        stop = start + BLOCK
        square = np.triu(a[start:stop, start:stop])
        a[start:stop, start:stop] = square + np.triu(square, 1).T
        for below in range(stop, len(a), BLOCK):
            a[below : below + BLOCK, start:stop] = a[start:stop, below : below + BLOCK].T


def _invert(gram: np.ndarray) -> None:
    """The inverse of a symmetric positive definite (I, I) float32 matrix, in place, through its
    Cholesky factor.

    LAPACK reads the transpose, which is the same matrix in its own order of columns: no copy is
    made.

    Raises:
        ConfigError: it is not positive definite in float32.
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


@dataclass(frozen=True)
class Ease(Baseline):
    """A linear autoencoder with no self-loop, in closed form (Steck 2019, "Embarrassingly Shallow
    Autoencoders", eq. 8).

    B = -P / diag(P), its diagonal zero, where P = (X'X + l2 I)^-1. In float32, in one array of 4
    I^2 bytes, and about 2 I^3 operations.

    Attributes:
        l2: weight of the penalty on B, above 0; choose it on validation data (200 to 1000 for large
            sets).
    """

    l2: float = 500.0

    def __post_init__(self) -> None:
        if not self.l2 > 0:
            raise ConfigError(f"l2 must be above 0, got {self.l2!r}")

    def memory(self, items: int) -> int:
        """The most bytes that a fit takes at once, beside the training matrix."""
        return 4 * items**2 + 3 * 8 * items * min(items, BLOCK)

    def fit(self, matrix: csr_matrix) -> ItemToItem:
        """Invert.

        Raises:
            ConfigError: the memory is not there, or `l2` is too small for float32.
        """
        x = csr_matrix(matrix, dtype=np.float32)
        refuse_beyond_available(self.memory(x.shape[1]), f"EASE over {x.shape[1]:,} items")
        table = _gram(x, self.l2)
        _invert(table)
        diagonal = table.diagonal().copy()
        for start in range(0, len(table), BLOCK):
            table[start : start + BLOCK] /= -diagonal
        np.fill_diagonal(table, 0)
        return ItemToItem(torch.from_numpy(table))


def _implicit() -> Any:
    try:
        from implicit.cpu.als import AlternatingLeastSquares
    except ImportError:
        raise ConfigError(
            "Als needs the library implicit: pip install 'lowerbound[recommend-baselines]'"
        ) from None
    return AlternatingLeastSquares


@dataclass(frozen=True)
class Als(Baseline):
    """Weighted factorisation by alternating least squares (Hu, Koren & Volinsky 2008), by the
    library `implicit`.

    An entry r has confidence alpha r, a pair without an entry has 1.

    Attributes:
        factors: f, the size of the vectors.
        regularization: weight of their squares.
        alpha: confidence in an entry of 1.
        iterations: times that users and items are solved for.
        seed: of the start.
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
        """Factorise.

        Raises:
            ConfigError: `implicit` is not installed.
        """
        solver = _implicit()
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


BASELINES = members(__name__, Baseline)
"""Name -> baseline."""
