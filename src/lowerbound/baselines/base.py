"""The contracts of baselines: of recommenders, and of imputers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from scipy.sparse import csr_matrix
from torch import Tensor

from ..sparse import SparseRows
from .features import Kind, checked_kinds, checked_table, refuse_empty_columns


class Scorer(Protocol):
    """A fitted baseline: histories (B, I) -> scores (B, I)."""

    def __call__(self, history: SparseRows) -> Tensor: ...


class Baseline(ABC):
    """A method that fits a scorer to the training matrix (n, I)."""

    @abstractmethod
    def fit(self, matrix: csr_matrix) -> Scorer:
        """Fits the scorer to this matrix."""


class FittedImputer(ABC):
    """What an imputer has learnt of a table; it fills the gaps of tables with the same columns.

    Attributes:
        kinds: the kinds of the D columns.
    """

    kinds: tuple[Kind, ...]

    def impute(self, values: np.ndarray) -> np.ndarray:
        """Fills the gaps of a table.

        Args:
            values: (N, D), NaN for a gap.

        Returns:
            (N, D) float64, a new array without gaps. Known values come back bit for bit.

        Raises:
            DataError: the table does not fit the kinds of the columns.
        """
        table = checked_table(values, self.kinds)
        gaps = np.isnan(table)
        if gaps.any():
            table[gaps] = self._complete(table)[gaps]
        return table

    @abstractmethod
    def _complete(self, table: np.ndarray) -> np.ndarray:
        """Gives a table (N, D) without gaps, of which only the values of the gaps are used."""


Fitted = TypeVar("Fitted", bound=FittedImputer, covariant=True)


class Imputer(ABC, Generic[Fitted]):
    """A method that learns from a table with gaps how to fill gaps."""

    def fit(self, values: np.ndarray, kinds: Sequence[Kind] | None = None) -> Fitted:
        """Learns from a table.

        Args:
            values: (N, D), NaN for a gap. Levels are whole numbers from 0.
            kinds: the kinds of the D columns; all are numbers without it.

        Raises:
            DataError: the table does not fit the kinds of the columns, or a column has no value.
        """
        known_kinds = checked_kinds(kinds, values)
        table = checked_table(values, known_kinds)
        refuse_empty_columns(table)
        return self._fit(table, known_kinds)

    @abstractmethod
    def _fit(self, table: np.ndarray, kinds: tuple[Kind, ...]) -> Fitted:
        """Learns from a float64 table (N, D) that was checked, and may be kept."""
