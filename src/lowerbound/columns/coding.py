"""From the values of the columns of a table to the codes that a model sees, and back."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from .schema import ColumnSchema

CODE_OF_ZERO = -1000.0
"""The code of a zero in a column of positive numbers that has zeros: they have no log."""


class Coding:
    """Codes the columns of a table.

    The code of a real number or a date is (value - mean) / scale, that of a positive number
    (log(value) - mean) / scale. Counts and positions of levels are their own codes.

    Args:
        columns: the D columns.
    """

    def __init__(self, columns: Sequence[ColumnSchema]) -> None:
        self.columns: tuple[ColumnSchema, ...] = tuple(columns)

    @cached_property
    def is_log(self) -> np.ndarray:
        """Which columns are coded by their logs, (D,) bool."""
        return np.array([column.kind == "positive" for column in self.columns], bool)

    @cached_property
    def is_standardised(self) -> np.ndarray:
        """Which columns have standardised codes, (D,) bool."""
        return np.array([column.has_density for column in self.columns], bool)

    @cached_property
    def mean(self) -> np.ndarray:
        """What is subtracted of each column, (D,): 0 where codes are no standardised values."""
        return self._where_standardised([column.mean for column in self.columns], 0.0)

    @cached_property
    def scale(self) -> np.ndarray:
        """What each column is divided by, (D,): 1 where codes are no standardised values."""
        return self._where_standardised([column.scale for column in self.columns], 1.0)

    def _where_standardised(self, numbers: Sequence[float], other: float) -> np.ndarray:
        return np.where(self.is_standardised, np.asarray(numbers, np.float64), other)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Converts values (..., D) to codes, float64; a gap stays NaN."""
        numbers = np.array(values, np.float64)
        logs = numbers[..., self.is_log]
        is_zero = logs == 0
        with np.errstate(invalid="ignore", divide="ignore"):
            numbers[..., self.is_log] = np.log(logs)
        codes = (numbers - self.mean) / self.scale
        codes[..., self.is_log] = np.where(is_zero, CODE_OF_ZERO, codes[..., self.is_log])
        return np.asarray(codes)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Converts codes (..., D) to values, float64, with the decimals that the source has.

        The code of an atom, which is rounded to float32, gives the atom as it is in the source.
        """
        codes = np.array(codes, np.float64)
        is_zero = codes[..., self.is_log] == CODE_OF_ZERO
        values = codes * self.scale + self.mean
        with np.errstate(over="ignore"):
            values[..., self.is_log] = np.where(is_zero, 0, np.exp(values[..., self.is_log]))
        values = self.rounded(values)
        for position, atoms in enumerate(self.atoms()):
            column = values[..., position]
            for code, atom in zip(atoms, self.columns[position].atoms, strict=True):
                column[codes[..., position].astype(np.float32) == code] = atom
        return values

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Rounds values (..., D) to the decimals that the source has; a new array."""
        values = np.array(values, np.float64)
        for position, column in enumerate(self.columns):
            if column.decimals is not None:
                values[..., position] = _round(values[..., position], column)
        return values

    def atoms(self) -> list[np.ndarray]:
        """Returns the codes of the atoms of each column, float32."""
        codes = []
        for position, column in enumerate(self.columns):
            rows = np.zeros((len(column.atoms), len(self.columns)))
            rows[:, position] = column.atoms
            codes.append(self.encode(rows)[:, position].astype(np.float32))
        return codes


def _round(values: np.ndarray, column: ColumnSchema) -> np.ndarray:
    """Rounds values to the decimals of a column; a positive number stays above zero, unless the
    column has zeros.
    """
    assert column.decimals is not None
    rounded = np.round(values, column.decimals)
    if column.kind != "positive" or 0 in column.atoms:
        return np.asarray(rounded)
    return np.where((rounded == 0) & (values > 0), 10.0**-column.decimals, rounded)
