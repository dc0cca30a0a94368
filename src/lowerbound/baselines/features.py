"""The columns of a table as an imputer sees them: their kinds, and the features made of them.

A table is a float array (N, D) in which NaN is a gap. A column has numbers, or levels, which are
whole numbers 0, 1 ... Methods that take only numbers see *features*: each number and each ordered
level standardised, and each unordered level as indicators.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError, DataError, ShapeError


@dataclass(frozen=True)
class Kind:
    """What the values of a column are: numbers, or so many levels.

    Attributes:
        levels: the number of levels, which are written 0 to levels - 1; None for numbers.
        ordered: whether the levels have an order, such as that of "low", "middle" and "high".
    """

    levels: int | None = None
    ordered: bool = False

    def __post_init__(self) -> None:
        if self.levels is not None and self.levels < 1:
            raise ConfigError(f"levels must be 1 or more, or None for numbers, got {self.levels}")
        if self.levels is None and self.ordered:
            raise ConfigError("ordered is for levels; a column of numbers has none")

    @property
    def is_unordered(self) -> bool:
        """Whether the values are levels without an order."""
        return self.levels is not None and not self.ordered


NUMBER = Kind()
"""The kind of a column of numbers."""


def checked_kinds(kinds: Sequence[Kind] | None, values: np.ndarray) -> tuple[Kind, ...]:
    """Gives the kinds of the columns of a table, as many as it has; all numbers if `kinds` is None.

    Raises:
        ShapeError: the values are no table, or have another number of columns.
    """
    shape = np.shape(values)
    if len(shape) != 2:
        raise ShapeError(f"a table has rows and columns, (N, D); got an array of shape {shape}")
    if kinds is None:
        return (NUMBER,) * shape[1]
    if len(kinds) != shape[1]:
        raise ShapeError(f"got {len(kinds)} kinds for a table of {shape[1]} columns")
    return tuple(kinds)


def checked_table(values: np.ndarray, kinds: Sequence[Kind]) -> np.ndarray:
    """Gives a float64 copy of a table whose values are finite, gaps, or levels that there are.

    Raises:
        DataError: says which column has which value that is not allowed.
    """
    checked_kinds(kinds, values)
    table = np.array(values, dtype=np.float64)
    infinite = np.isinf(table).any(0)
    if infinite.any():
        column = int(infinite.argmax())
        raise DataError(f"column {column} has an infinite value; allowed: numbers, NaN for a gap")
    for column, kind in enumerate(kinds):
        if kind.levels is not None:
            _refuse_unknown_levels(table[:, column], kind.levels, column)
    return table


def _refuse_unknown_levels(values: np.ndarray, levels: int, column: int) -> None:
    """Raises a DataError if a value of a column is neither a gap nor one of its levels."""
    known = values[~np.isnan(values)]
    wrong = (known != np.floor(known)) | (known < 0) | (known >= levels)
    if wrong.any():
        raise DataError(
            f"column {column} has the value {known[wrong][0]:g}; allowed: its levels, whole "
            f"numbers from 0 to {levels - 1}, and NaN for a gap"
        )


def refuse_empty_columns(table: np.ndarray) -> None:
    """Raises a DataError if a column has no value at all."""
    empty = np.isnan(table).all(0)
    if empty.any():
        column = int(empty.argmax())
        raise DataError(f"column {column} has no value at all; leave it out")


@dataclass(frozen=True)
class Features:
    """Turns a table (N, D) into features (N, F), which are numbers, and features into a table.

    Attributes:
        kinds: the kinds of the columns.
        independent: whether the first indicator of each unordered column is left out, since the
            others tell it, and indicators are standardised too. Else there is one for each level,
            0 or 1.
        shift: (F,), subtracted of each feature.
        scale: (F,), by which it is divided then.
    """

    kinds: tuple[Kind, ...]
    independent: bool
    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray, kinds: tuple[Kind, ...], *, independent: bool) -> "Features":
        """Makes the features of a table, standardised by the values that are known."""
        plain = _expand(table, kinds, independent)
        shift = np.nanmean(plain, axis=0)
        scale = np.nanstd(plain, axis=0)
        # The deviation of a constant column is zero, or what the rounding of its mean has left.
        scale[scale <= 1e-12 * np.abs(shift)] = 1.0
        if not independent:
            indicators = _are_indicators(kinds, independent)
            shift[indicators] = 0.0
            scale[indicators] = 1.0
        return cls(kinds, independent, shift, scale)

    def columns(self) -> np.ndarray:
        """Gives the number of the column that each feature belongs to, (F,)."""
        widths = [_width(kind, self.independent) for kind in self.kinds]
        return np.repeat(np.arange(len(widths)), widths)

    def encode(self, table: np.ndarray) -> np.ndarray:
        """Gives the features (N, F) of a table (N, D); those of a gap are NaN."""
        return (_expand(table, self.kinds, self.independent) - self.shift) / self.scale

    def decode(self, features: np.ndarray) -> np.ndarray:
        """Gives the table (..., D) that is nearest to features (..., F)."""
        plain = features * self.scale + self.shift
        columns = []
        start = 0
        for kind in self.kinds:
            stop = start + _width(kind, self.independent)
            columns.append(_nearest(plain[..., start:stop], kind, self.independent))
            start = stop
        return np.stack(columns, axis=-1)


def _width(kind: Kind, independent: bool) -> int:
    """Counts the features of a column."""
    if kind.levels is None or kind.ordered:
        return 1
    if independent:
        return kind.levels - 1
    return kind.levels


def _are_indicators(kinds: Sequence[Kind], independent: bool) -> np.ndarray:
    """Says of each feature whether it is an indicator."""
    found = []
    for kind in kinds:
        found += [kind.is_unordered] * _width(kind, independent)
    return np.array(found, dtype=bool)


def _expand(table: np.ndarray, kinds: Sequence[Kind], independent: bool) -> np.ndarray:
    """Gives the features (N, F) of a table before they are standardised."""
    features = []
    for column, kind in enumerate(kinds):
        values = table[:, column : column + 1]
        if kind.levels is not None and not kind.ordered:
            first = kind.levels - _width(kind, independent)
            indicators = (values == np.arange(first, kind.levels)).astype(np.float64)
            values = np.where(np.isnan(values), np.nan, indicators)
        features.append(values)
    return np.concatenate(features, axis=1)


def _nearest(plain: np.ndarray, kind: Kind, independent: bool) -> np.ndarray:
    """Gives the values (...) of a column that are nearest to its features (..., width)."""
    if kind.levels is None:
        return plain[..., 0]
    if kind.ordered:
        return np.clip(np.rint(plain[..., 0]), 0, kind.levels - 1)
    if independent:
        first = 1.0 - plain.sum(-1, keepdims=True)
        plain = np.concatenate([first, plain], axis=-1)
    return plain.argmax(-1).astype(np.float64)
