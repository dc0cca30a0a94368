"""Recommenders without a neural network, to compare with.

Each baseline is fitted in one call: `Als().fit(matrix)` returns a scorer. A scorer takes histories,
`SparseRows` (B, I), and returns scores (B, I) float32 in a new tensor. Those that are linear in the
history are in `linear`.
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
from .base import Baseline


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
