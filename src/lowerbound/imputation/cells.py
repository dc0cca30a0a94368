"""Columns of a source -> values with gaps, and back: what was observed stays as it is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..columns import ColumnSchema
from ..data.files.mixed import to_values
from ..data.files.texts import normal_name
from ..data.frames import to_series
from .texts import Style

if TYPE_CHECKING:
    from polars import DataFrame, Series


LARGEST_WHOLE = 2**62
"""Whole numbers that are filled are at most this one, whatever their type can hold."""


class Cells(NamedTuple):
    """The cells of a frame in the columns of a run.

    Attributes:
        values: (N, D), NaN for what the model does not see.
        is_gap: which cells are to be filled, (N, D) bool. Cells with a level that the run does not
            know are none: they stay as they are.
        unseen: how many such cells there are, by column.
    """

    values: np.ndarray
    is_gap: np.ndarray
    unseen: dict[str, int]


def places_in(names: Sequence[str], columns: Sequence[ColumnSchema]) -> dict[int, str]:
    """Finds the names by which a source has the columns of a run, by the places of the columns."""
    known = {normal_name(name): name for name in names}
    found = {}
    for place, column in enumerate(columns):
        if column.name in known:
            found[place] = known[column.name]
    return found


def read_cells(frame: "DataFrame", columns: Sequence[ColumnSchema], names: dict[int, str]) -> Cells:
    """Reads the columns of a run from a frame.

    Args:
        frame: N rows, in the types of its source.
        columns: the D columns of the run.
        names: those of the columns that the frame has, by their places; the others are gaps that
            nobody can see filled.

    Raises:
        DataError: cells are no such values.
    """
    values = np.full((len(frame), len(columns)), np.nan)
    is_gap = np.zeros(values.shape, bool)
    unseen = {}
    for place, name in names.items():
        column = columns[place]
        series = frame[name]
        values[:, place], words = to_values(series, column)
        is_gap[:, place] = find_gaps(series, column)
        if words:
            unseen[name] = len(words)
    return Cells(values, is_gap, unseen)


def find_gaps(series: "Series", column: ColumnSchema) -> np.ndarray:
    """Says which cells hold no value, (N,) bool: they are missing, NaN, or an infinite number."""
    is_gap = series.is_null()
    if series.dtype.is_float():
        is_gap |= ~series.is_finite().fill_null(False)
    return is_gap.to_numpy()


def widened(
    frame: "DataFrame", columns: Sequence[ColumnSchema], names: dict[int, str]
) -> "DataFrame":
    """Gives columns of a fixed set of levels (`Enum`) those levels of the run that they lack."""
    import polars

    changed = []
    for place, name in names.items():
        kind = frame.schema[name]
        if isinstance(kind, polars.Enum):
            known = kind.categories.to_list()
            new = [level for level in columns[place].levels if level not in known]
            if new:
                changed.append(frame[name].cast(polars.Enum([*known, *new])))
    return frame.with_columns(changed)


def put_values(
    frame: "DataFrame",
    columns: Sequence[ColumnSchema],
    names: dict[int, str],
    is_gap: np.ndarray,
    values: np.ndarray,
    style: Style,
) -> "DataFrame":
    """Puts values in the place of the gaps of a frame.

    Args:
        frame: N rows.
        columns: the D columns of the run.
        names: those of the columns that the frame has, by their places.
        is_gap: (N, D) bool.
        values: as `columns` has them, (N, D).
        style: how texts are written.
    """
    filled = []
    for place, name in names.items():
        cells = is_gap[:, place]
        if cells.any():
            made = fill_series(frame[name], columns[place], values[:, place], cells, style)
            filled.append(made)
    return frame.with_columns(filled)


def fill_series(
    series: "Series", column: ColumnSchema, values: np.ndarray, is_gap: np.ndarray, style: Style
) -> "Series":
    """Puts values in the place of the gaps of a column, in its own type."""
    import polars

    made = to_series(column, np.where(is_gap, values, np.nan))
    if series.dtype == polars.Null:
        return made.alias(series.name)
    if series.dtype == polars.String:
        made = style.write(made, column, series.name)
    elif made.dtype == polars.String and series.dtype.is_numeric():
        # Numbers in a column of words are levels that the run does not know, and stay.
        series = series.cast(polars.String)
    made = _in_type(made, series.dtype)
    return made.zip_with(polars.Series(is_gap), series).alias(series.name)


def _in_type(made: "Series", kind: Any) -> "Series":
    """Converts filled cells to the type of their source."""
    import polars

    if kind == made.dtype:
        return made
    if isinstance(kind, polars.Datetime) and made.dtype.is_temporal():
        return _in_zone(made.cast(polars.Datetime("us")), kind)
    if kind.is_integer():
        return _within(made, kind)
    if kind.is_numeric() and made.dtype == polars.Boolean:
        return made.cast(polars.Int8).cast(kind)
    return made.cast(kind)


def _in_zone(times: "Series", kind: Any) -> "Series":
    """Converts times, which are UTC, to the time zone and the unit of their source."""
    if kind.time_zone is not None:
        times = times.dt.replace_time_zone("UTC").dt.convert_time_zone(kind.time_zone)
    return times.cast(kind)


def _within(numbers: "Series", kind: Any) -> "Series":
    """Converts numbers to whole ones of a type, within what it can hold."""
    import polars

    if numbers.dtype == polars.String:
        numbers = numbers.cast(polars.Float64)
    if numbers.dtype == polars.Boolean:
        return numbers.cast(kind)
    low = polars.select(kind.min()).item()
    high = min(polars.select(kind.max()).item(), LARGEST_WHOLE)
    if numbers.dtype.is_float():
        numbers = numbers.round()
    return numbers.clip(low, high).cast(kind)
