"""Tables with columns of several kinds and with gaps: frames -> arrays of numbers, and back.

A row of the array has a number for each column: numbers as they are, levels as their positions,
dates as days since 1970. A gap is NaN.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...columns import ColumnSchema
from ...errors import DataError, one_line
from .choice import Choice, listed
from .kinds import FoundKind, find_kinds, level_texts
from .sources import Raw, Wanted

if TYPE_CHECKING:
    from polars import DataFrame, Series

DAY = 86_400_000_000
"""A day has so many microseconds."""

ERROR = "error"
"""The setting of `data.unseen` that refuses levels which the run does not know."""


def mixed_table(frame: "DataFrame", choice: Choice, wanted: Wanted, name: str) -> Raw:
    """Makes a table of the columns of values of a frame, whatever their kinds.

    Args:
        frame: the columns; text is read as words.
        choice: the columns, by what they are used for.
        wanted: what is asked for: the kinds that the user has named, or the columns of a run.
        name: the source as it appears in messages.

    Returns:
        The table without ids and labels.

    Raises:
        DataError: no column is left, or values are no such values as those of the run.
    """
    if wanted.like is not None and wanted.like.table:
        columns = wanted.like.table
        values, notes = _values_for_run(frame, columns, wanted, name)
        return Raw(name, "table", values, None, columns=_names(columns), table=columns, notes=notes)
    found = find_kinds(frame.select(choice.values), wanted.kinds or {}, name)
    kept = [each.column for each in found if not each.is_left_out]
    if not kept:
        raise DataError(f"{name} has no column that a model reads: {_tell_left_out(found)}")
    values = np.column_stack([to_values(frame[column.name], column)[0] for column in kept])
    return Raw(
        name,
        "table",
        values,
        None,
        columns=_names(kept),
        table=tuple(kept),
        notes=_notes(found, values, name),
    )


def _names(columns: Sequence[ColumnSchema]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def _notes(found: list[FoundKind], values: np.ndarray, name: str) -> tuple[str, ...]:
    """Tells which columns are left out, and how many cells are gaps."""
    notes = []
    if any(each.is_left_out for each in found):
        notes.append(f"{name}: left out: {_tell_left_out(found)}")
    gaps = int(np.isnan(values).sum())
    if gaps:
        rows = int(np.isnan(values).any(axis=1).sum())
        notes.append(
            f"{name}: {gaps:,} of {values.size:,} cells are gaps, in {rows:,} of "
            f"{len(values):,} rows"
        )
    return tuple(notes)


def _tell_left_out(found: list[FoundKind]) -> str:
    parts = []
    for each in found:
        if each.is_left_out:
            parts.append(f"{each.column.name!r} ({each.column.kind}: {each.why})")
    return one_line(", ".join(parts), 240)


def _values_for_run(
    frame: "DataFrame", columns: Sequence[ColumnSchema], wanted: Wanted, name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Makes the values of the columns of a run; a column that is not there is one of gaps."""
    values = np.full((len(frame), len(columns)), np.nan)
    unseen = {}
    absent = []
    for position, column in enumerate(columns):
        if column.name not in frame.columns:
            absent.append(column.name)
            continue
        values[:, position], words = to_values(frame[column.name], column)
        if words:
            unseen[column.name] = words
    if len(absent) == len(columns):
        raise DataError(f"{name} has none of the columns of the run: {listed(absent)}")
    notes = []
    if absent:
        notes.append(f"{name}: columns that are not there are gaps: {listed(absent)}")
    for column_name, words in unseen.items():
        told = (
            f"{name}: {len(words):,} cells of {column_name!r} have levels that the run does not "
            f"know, such as {one_line(repr(words[0]), 60)}"
        )
        if wanted.unseen == ERROR:
            raise DataError(f"{told}; data.unseen='missing' takes them for gaps")
        notes.append(f"{told}; they are gaps")
    return values, tuple(notes)


def to_values(series: "Series", column: ColumnSchema) -> tuple[np.ndarray, list[str]]:
    """Converts the cells of a column to numbers, (N,) float64; a gap is NaN.

    Args:
        series: the cells.
        column: what they are read as.

    Returns:
        The numbers, and the words that are no levels of the column, which are gaps.

    Raises:
        DataError: cells are no such values.
    """
    if column.levels:
        return _to_positions(series, column)
    if column.kind == "datetime":
        return _to_days(series, column), []
    return _to_numbers(series, column), []


def _to_positions(series: "Series", column: ColumnSchema) -> tuple[np.ndarray, list[str]]:
    """Converts levels to their positions."""
    import polars

    texts = level_texts(series)
    positions = {level: float(position) for position, level in enumerate(column.levels)}
    numbers = texts.replace_strict(
        list(positions), list(positions.values()), default=None, return_dtype=polars.Float64
    )
    is_unseen = numbers.is_null() & texts.is_not_null()
    return _as_array(numbers), texts.filter(is_unseen).to_list()


def _to_days(series: "Series", column: ColumnSchema) -> np.ndarray:
    """Converts dates to days since 1970."""
    import polars

    try:
        times = series.cast(polars.Datetime("us"))
    except polars.exceptions.PolarsError:
        raise DataError(f"column {column.name!r} is read as dates, and has others") from None
    return _as_array(times.cast(polars.Int64).cast(polars.Float64)) / DAY


def _to_numbers(series: "Series", column: ColumnSchema) -> np.ndarray:
    """Converts numbers; an infinite one is a gap."""
    import polars

    numbers = series.cast(polars.Float64, strict=False)
    if numbers.null_count() > series.null_count():
        is_bad = numbers.is_null() & series.is_not_null()
        word = series.filter(is_bad)[0]
        raise DataError(
            f"column {column.name!r} is read as numbers, and has {one_line(repr(word), 60)}"
        )
    array = _as_array(numbers)
    return np.where(np.isfinite(array), array, np.nan)


def _as_array(numbers: "Series") -> np.ndarray:
    """Returns float64 numbers with NaN for null."""
    import polars

    return np.array(numbers.cast(polars.Float64).fill_null(float("nan")).to_numpy(), np.float64)
