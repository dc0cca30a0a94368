"""Imputation that looks at no other column."""

from dataclasses import dataclass

import numpy as np

from .base import FittedImputer, Imputer
from .features import Kind


@dataclass(frozen=True)
class FittedMeanMode(FittedImputer):
    """The one value for the gaps of each column.

    Attributes:
        kinds: the kinds of the columns.
        fillings: (D,).
    """

    kinds: tuple[Kind, ...]
    fillings: np.ndarray

    def _complete(self, table: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.fillings, table.shape)


@dataclass(frozen=True)
class MeanMode(Imputer[FittedMeanMode]):
    """Imputes the mean of a column of numbers, and the most frequent one of levels."""

    def _fit(self, table: np.ndarray, kinds: tuple[Kind, ...]) -> FittedMeanMode:
        fillings = np.nanmean(table, axis=0)
        for column, kind in enumerate(kinds):
            if kind.levels is not None:
                fillings[column] = _mode(table[:, column])
        return FittedMeanMode(kinds, fillings)


def _mode(values: np.ndarray) -> int:
    """Gives the most frequent level of a column with gaps, the first one of several."""
    known = values[~np.isnan(values)].astype(np.int64)
    return int(np.bincount(known).argmax())
