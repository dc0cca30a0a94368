"""How far imputed cells are from the truth: errors by kind of column, with standard errors over
rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..columns import KINDS, NUMBERS, ColumnSchema
from ..evaluation import Estimate

MEASURES = {
    "real": "NRMSE",
    "positive": "NRMSE",
    "count": "NRMSE",
    "datetime": "NRMSE",
    "ordinal": "MAE / levels",
    "categorical": "error rate",
    "binary": "error rate",
}
"""The error of each kind of column (Nazabal et al. 2020, section 5.2): of numbers the root mean
square error over the range of the training values, of levels with an order the mean absolute error
over the number of levels, of other levels the share that is wrong.
"""


@dataclass(frozen=True, eq=False)
class CellErrors:
    """The errors of one method on hidden cells.

    Attributes:
        columns: the D columns, with their ranges in the training data.
        truth: the hidden values, (N, D), NaN for cells that were not hidden.
        imputed: what the method puts in their places, (N, D).
        deviation: the standard deviation of each column in the training data, (D,).
    """

    columns: tuple[ColumnSchema, ...]
    truth: np.ndarray
    imputed: np.ndarray
    deviation: np.ndarray

    @cached_property
    def losses(self) -> np.ndarray:
        """The loss of each cell, (N, D), NaN where it was not hidden: the square of an error in
        parts of the range, an absolute error in parts of the number of levels, or whether the level
        is wrong.
        """
        losses = np.full(self.truth.shape, np.nan)
        for place, column in enumerate(self.columns):
            difference = self.imputed[:, place] - self.truth[:, place]
            if column.is_number:
                losses[:, place] = (difference / _range(column)) ** 2
            elif column.kind == "ordinal":
                losses[:, place] = np.abs(difference) / len(column.levels)
            else:
                losses[:, place] = np.where(np.isnan(difference), np.nan, difference != 0)
        return losses

    def by_column(self) -> dict[str, Estimate]:
        """Returns the error of each column of which a cell was hidden."""
        errors = {}
        for place, column in enumerate(self.columns):
            if not np.isnan(self.truth[:, place]).all():
                errors[column.name] = self._mean_error([place])
        return errors

    def by_kind(self) -> dict[str, Estimate]:
        """Returns the mean error over the columns of each kind."""
        errors = {}
        for kind in MEASURES:
            places = self._places((kind,))
            if places:
                errors[kind] = self._mean_error(places)
        return errors

    def mean(self) -> Estimate:
        """Returns the mean error over all columns."""
        return self._mean_error(self._places(KINDS))

    def difference(self, other: "CellErrors") -> Estimate:
        """Returns the mean error minus that of another method on the same cells."""
        places = self._places(KINDS)
        influences = self._influences(places) - other._influences(places)
        value = self._mean_error(places).value - other._mean_error(places).value
        return Estimate(value, _standard_error(influences, self._hidden_rows(places)))

    def standardised(self) -> Estimate | None:
        """Returns the mean square error of all hidden numbers, each in standard deviations of its
        column; None without numbers.
        """
        places = self._places(NUMBERS)
        if not places:
            return None
        difference = (self.imputed - self.truth)[:, places] / self.deviation[places]
        return mean_over_rows(difference**2)

    def _places(self, kinds: Sequence[str]) -> list[int]:
        """Lists the columns of these kinds of which a cell was hidden."""
        known = ~np.isnan(self.truth).all(axis=0)
        found = []
        for place, column in enumerate(self.columns):
            if known[place] and column.kind in kinds:
                found.append(place)
        return found

    def _mean_error(self, places: Sequence[int]) -> Estimate:
        """Returns the mean of the errors of some columns."""
        errors = []
        for place in places:
            mean = np.nanmean(self.losses[:, place])
            if self.columns[place].is_number:
                mean = np.sqrt(mean)
            errors.append(mean)
        influences = self._influences(places)
        standard_error = _standard_error(influences, self._hidden_rows(places))
        return Estimate(float(np.mean(errors)), standard_error)

    def _hidden_rows(self, places: Sequence[int]) -> int:
        """Counts the rows with a hidden cell in some columns."""
        return int((~np.isnan(self.losses[:, places])).any(axis=1).sum())

    def _influences(self, places: Sequence[int]) -> np.ndarray:
        """Returns what each row adds to the mean of the errors of some columns, (N,).

        To first order an error is its expectation plus the sum of these over the rows (the delta
        method): cells of one row may go wrong together.
        """
        total = np.zeros(len(self.truth))
        for place in places:
            loss = self.losses[:, place]
            mean = np.nanmean(loss)
            slope = 1.0
            if self.columns[place].is_number:
                slope = 0.5 / np.sqrt(max(mean, np.finfo(float).tiny))
            shares = slope * (loss - mean) / (~np.isnan(loss)).sum()
            total += np.nan_to_num(shares) / len(places)
        return total


def deviations(values: np.ndarray) -> np.ndarray:
    """Returns the standard deviation of the known values of each column of (N, D), (D,); 1 where
    they do not vary.
    """
    found = np.nanstd(values, axis=0)
    found[~(found > 0)] = 1.0
    return found


def _range(column: ColumnSchema) -> float:
    """Returns the range of the training values of a column; 1 where there is none."""
    if column.high > column.low:
        return column.high - column.low
    return 1.0


def _standard_error(influences: np.ndarray, rows: int) -> float:
    """Returns the standard error that the influences of rows give; nan for fewer than two rows."""
    if rows < 2:
        return math.nan
    return float(np.sqrt((influences**2).sum()))


def mean_over_rows(values: np.ndarray) -> Estimate:
    """Returns the mean of the cells that are no NaN, (N, D), with its standard error over rows."""
    known = ~np.isnan(values)
    mean = float(values[known].mean())
    influences = np.where(known, values - mean, 0).sum(axis=1) / known.sum()
    return Estimate(mean, _standard_error(influences, int(known.any(axis=1).sum())))
