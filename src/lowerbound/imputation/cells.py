"""Columns of a source -> values with gaps, and back: what was observed stays as it is."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..columns import ColumnSchema
from ..data.files.cells import CellFormat, as_words, is_text
from ..data.files.mixed import odd_texts, read_by_column, to_values
from ..data.files.texts import normal_name
from ..data.frames import to_plain_series, to_series
from ..errors import DataError, one_line
from .texts import Style

if TYPE_CHECKING:
    from polars import DataFrame, Series

LARGEST_WHOLE = 2**62
"""Whole numbers that are filled are at most this one, whatever their type can hold."""


class Cells(NamedTuple):
    """The cells of a frame in the columns of a run.

    Attributes:
        values: (N, D), NaN for what the model does not see.
        is_gap: which cells are to be filled, (N, D) bool. Odd cells, which their column cannot
            hold, are none: they stay as they are.
        odd: these cells as texts, by the places of the columns that have some.
    """

    values: np.ndarray
    is_gap: np.ndarray
    odd: dict[int, list[str]]


def places_in(names: Sequence[str], columns: Sequence[ColumnSchema]) -> dict[int, str]:
    """Finds the names by which a source has the columns of a run, by the places of the columns."""
    known = {normal_name(name): name for name in names}
    found = {}
    for place, column in enumerate(columns):
        if column.name in known:
            found[place] = known[column.name]
    return found


def read_cells(
    frame: "DataFrame",
    columns: Sequence[ColumnSchema],
    names: Mapping[int, str],
    cells: CellFormat,
) -> Cells:
    """Reads the columns of a run from a frame.

    Args:
        frame: N rows, in the types of its source; texts of a text file.
        columns: the D columns of the run.
        names: those of the columns that the frame has, by their places; the others are gaps that
            nobody can see filled.
        cells: how the cells are written.

    Raises:
        DataError: the schema of the run names a form of dates by which nothing can be read.
    """
    values = np.full((len(frame), len(columns)), np.nan)
    is_gap = np.zeros(values.shape, bool)
    odd = {}
    for place, name in names.items():
        series = frame[name]
        values[:, place], is_odd = to_values(series, columns[place], cells)
        is_gap[:, place] = np.isnan(values[:, place]) & ~is_odd
        if is_odd.any():
            odd[place] = odd_texts(series, is_odd)
    return Cells(values, is_gap, odd)


def count_gaps(series: "Series", cells: CellFormat) -> int:
    """Counts the gaps of a column that no run reads: cells that are missing, NaN, or words for
    missing values.
    """
    import polars

    if is_text(series):
        return as_words(series.cast(polars.String), cells).null_count()
    if series.dtype.is_float():
        series = series.fill_nan(None)
    return series.null_count()


def typed_frame(
    frame: "DataFrame",
    columns: Sequence[ColumnSchema],
    names: Mapping[int, str],
    values: np.ndarray,
    cells: CellFormat,
) -> "DataFrame":
    """Gives the texts of a text file the types of the columns of a run; gaps are null.

    A cell that its type cannot hold, such as a word among numbers, is null too.

    Args:
        frame: N rows of texts.
        columns: the D columns of the run.
        names: those of the columns that the frame has, by their places.
        values: as they were read, (N, D).
        cells: how the cells are written.
    """
    import polars

    changed = []
    for place, name in names.items():
        column = columns[place]
        if column.type == "text":
            series = as_words(frame[name], cells)
        elif column.type in ("integer", "float"):
            # Numbers that the column cannot hold are numbers all the same.
            read = read_by_column(frame[name], column, cells).values
            series = polars.Series(name, read, nan_to_null=True)
            if column.type == "integer" and (series == series.round()).all():
                series = series.cast(polars.Int64)
        else:
            series = to_series(column, values[:, place])
        changed.append(series.alias(name))
    return frame.with_columns(changed)


def widened(
    frame: "DataFrame", columns: Sequence[ColumnSchema], names: Mapping[int, str]
) -> "DataFrame":
    """Gives columns of a fixed set of levels (`Enum`) those levels of the run that they lack.

    Where the run has numbers or truth values in their place they become texts.
    """
    import polars

    changed = []
    for place, name in names.items():
        kind = frame.schema[name]
        if not isinstance(kind, polars.Enum):
            continue
        column = columns[place]
        if column.type != "text" or not column.levels:
            changed.append(frame[name].cast(polars.String))
            continue
        known = kind.categories.to_list()
        new = [level for level in column.levels if level not in known]
        if new:
            changed.append(frame[name].cast(polars.Enum([*known, *new])))
    return frame.with_columns(changed)


def put_values(
    frame: "DataFrame",
    columns: Sequence[ColumnSchema],
    names: Mapping[int, str],
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

    Raises:
        DataError: the type of a column with gaps holds no such values.
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

    kind = series.dtype
    known = np.where(is_gap, values, np.nan)
    if kind == polars.Null:
        made = to_series(column, known)
    elif isinstance(kind, polars.Enum):
        made = to_plain_series(column, known).cast(kind)
    elif is_text(series):
        made = style.write(known, column, series.name).cast(kind)
    else:
        made = _in_type(to_plain_series(column, known), kind, series.name)
        if made.dtype != kind:
            # Words among numbers: the numbers are levels that the run does not know, and stay.
            series = series.cast(made.dtype)
    return made.zip_with(polars.Series(is_gap), series).alias(series.name)


def _in_type(made: "Series", kind: Any, name: str) -> "Series":
    """Converts filled cells to the type of their source; words stay words.

    Raises:
        DataError: the type holds no such values.
    """
    import polars

    is_moment = kind in (polars.Date, polars.Datetime)
    is_number = kind.is_numeric() or kind == polars.Boolean
    if made.dtype.is_temporal() and not is_moment:
        raise _other_type(name, kind, "dates")
    if not made.dtype.is_temporal() and not is_number:
        meant = "numbers"
        if made.dtype == polars.String:
            meant = "words"
        raise _other_type(name, kind, meant)
    if kind == polars.Date:
        return made.dt.round("1d").cast(kind)
    if is_moment:
        return _in_zone(made, kind)
    if made.dtype == polars.String:
        numbers = made.cast(polars.Float64, strict=False)
        if numbers.null_count() > made.null_count():
            return made
        made = numbers
    if isinstance(kind, polars.Decimal):
        return _within_digits(made, kind)
    if kind.is_integer():
        return _within(made, kind)
    return made.cast(kind)


def _other_type(name: str, kind: Any, meant: str) -> DataError:
    return DataError(
        f"the gaps of column {name!r} cannot be filled: the run has {meant} there, and its type is "
        f"{one_line(kind, 60)}; convert it, or leave the column out"
    )


def _in_zone(times: "Series", kind: Any) -> "Series":
    """Converts times, which are UTC, to the time zone and the unit of their source."""
    if kind.time_unit == "ms":
        times = times.dt.round("1ms")
    if kind.time_zone is not None:
        times = times.dt.replace_time_zone("UTC").dt.convert_time_zone(kind.time_zone)
    return times.cast(kind)


def _within(numbers: "Series", kind: Any) -> "Series":
    """Converts numbers to whole ones of a type, within what it can hold."""
    import polars

    if numbers.dtype == polars.Boolean:
        return numbers.cast(kind)
    low = polars.select(kind.min()).item()
    high = min(polars.select(kind.max()).item(), LARGEST_WHOLE)
    if numbers.dtype.is_float():
        numbers = numbers.round()
    return numbers.clip(low, high).cast(kind)


def _within_digits(numbers: "Series", kind: Any) -> "Series":
    """Converts numbers to decimal ones of a type, within what it can hold."""
    import polars

    step = 10.0**-kind.scale
    most = 10.0 ** (kind.precision - kind.scale) - step
    return numbers.cast(polars.Float64).clip(-most, most).round(kind.scale).cast(kind)
