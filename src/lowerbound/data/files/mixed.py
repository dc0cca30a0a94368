"""Tables with columns of several kinds and with gaps: frames -> arrays of numbers.

A row of the array has a number for each column: numbers as they are, levels as their positions,
dates as days since 1970. A gap is NaN. `data.frames` makes frames of such arrays again.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...columns import ColumnSchema
from ...errors import DataError, counted, one_line
from ...system.maps import is_mapped, new_array, tell_map
from ..prepare import chunks, take_columns
from .cells import (
    NUMBER_FORMS,
    USUAL,
    CellFormat,
    Numbers,
    as_words,
    count_infinite,
    find_number_forms,
    find_words,
    is_text,
    map_words,
    parse_numbers,
    parse_plain_columns,
    read_numbers,
)
from .choice import Choice, listed
from .dates import MICROSECONDS, read_dates, zone_offset
from .kinds import FoundKind, find_kinds, is_impossible, number_text
from .sources import Raw, Wanted
from .stored import StoredColumns

if TYPE_CHECKING:
    from polars import DataFrame, Series

DAY = 86_400 * MICROSECONDS
"""A day has so many microseconds."""

ERROR = "error"
"""The setting of `data.unseen` that refuses what the columns of a run cannot hold."""

ISO = "%Y-%m-%d"
"""Texts are read by this form where the column of a run has dates that were no texts."""

UNKNOWN = -1.0
"""The position of a level that a column lacks, until it is a gap."""

LOOKED_AT = 1000
"""So many cells of a column tell how its numbers are written."""

TRUTH = {"true", "false"}
"""Levels of these words, in any case, are the truth values of other tables too."""


def mixed_table(
    frame: "DataFrame | StoredColumns",
    choice: Choice,
    wanted: Wanted,
    name: str,
    cells: CellFormat = USUAL,
) -> Raw:
    """Makes a table of the columns of values of a frame, whatever their kinds.

    Args:
        frame: the columns; those of a text file are all texts.
        choice: the columns, by what they are used for.
        wanted: what is asked for: the kinds that the user has named, or the columns of a run.
        name: the source as it appears in messages.
        cells: how the cells are written.

    Returns:
        The table without ids and labels.

    Raises:
        DataError: no column is left, or values are no such values as those of the run.
        ConfigError: a kind that the user has named does not fit a column.
    """
    if wanted.like is not None and wanted.like.table:
        return _table_for_run(frame, wanted.like.table, wanted, name, cells)
    kinds = dict(wanted.kinds or {})
    for given in choice.given:  # their kinds are found elsewhere
        kinds.pop(given, None)
    frame = frame.select(choice.values)
    plain = plain_frame(frame, kinds, cells)
    found = find_kinds(frame, kinds, name, cells, plain)
    found, values = read_table(frame, plain, found, kinds, cells)
    return table_of_found(frame, found, values, name, cells)


def table_of_found(
    frame: "DataFrame | StoredColumns",
    found: list[FoundKind],
    values: np.ndarray,
    name: str,
    cells: CellFormat,
) -> Raw:
    """Makes a table of columns whose kinds are found and whose values are read.

    Args:
        frame: the columns.
        found: the kinds of all columns.
        values: (N, D), those of the D columns that are not left out.
        name: the source as it appears in messages.
        cells: how the cells are written.

    Raises:
        DataError: no column is left.
    """
    columns = [each.column for each in found if not each.is_left_out]
    if not columns:
        raise DataError(f"{name} has no column that a model reads: {_tell_left_out(found)}")
    infinite = 0
    for position, column in enumerate(columns):
        if column.is_number and np.isnan(values[:, position]).any():
            infinite += count_infinite(frame[column.name], column.format, cells)
    notes = (
        *_tell_kinds(found, name),
        *_tell_gaps(values, infinite, name),
        *_tell_map(values, name),
    )
    return Raw(
        name, "table", values, None, columns=_names(columns), table=tuple(columns), notes=notes
    )


def plain_frame(
    frame: "DataFrame | StoredColumns", kinds: Mapping[str, str], cells: CellFormat
) -> "DataFrame | StoredColumns":
    """Makes numbers of the columns of a text file that hold nothing else, for speed alone.

    In other frames a column of texts is one, and the type is given back.
    """
    if not cells.is_text:
        return frame
    if isinstance(frame, StoredColumns):
        return frame.changed(partial(_plain_column, kinds=kinds, cells=cells))
    told = [name for name in frame.columns if name in kinds]
    return frame.with_columns(parse_plain_columns(frame.drop(told), cells).get_columns())


def _plain_column(series: "Series", kinds: Mapping[str, str], cells: CellFormat) -> "Series":
    """Makes numbers of a column as `plain_frame` does."""
    if series.name in kinds:
        return series
    return parse_plain_columns(series.to_frame(), cells).to_series()


def read_found(
    frame: "DataFrame | StoredColumns",
    plain: "DataFrame | StoredColumns",
    column: ColumnSchema,
    cells: CellFormat,
) -> np.ndarray:
    """Reads a column whose kind is found, (N,)."""
    series = plain[column.name]
    if column.format in NUMBER_FORMS:
        series = frame[column.name]
    return to_values(series, column, cells)[0]


def read_table(
    frame: "DataFrame | StoredColumns",
    plain: "DataFrame | StoredColumns",
    found: list[FoundKind],
    kinds: Mapping[str, str],
    cells: CellFormat,
) -> tuple[list[FoundKind], np.ndarray]:
    """Reads the columns whose kinds are found, one after another, and leaves out copies.

    Returns:
        The kinds, of all columns, and the values (N, D) of those that are not left out.
    """
    read = [each.column for each in found if not each.is_left_out]
    values = new_array((len(frame), len(read)))
    for position, column in enumerate(read):
        values[:, position] = read_found(frame, plain, column, cells)
    found = without_copies(found, (values[:, i] for i in range(len(read))), kinds)
    kept = {each.column.name for each in found if not each.is_left_out}
    is_kept = np.array([column.name in kept for column in read], bool)
    return found, take_columns(values, is_kept)


def without_copies(
    found: list[FoundKind], parts: Iterable[np.ndarray], told: Mapping[str, str]
) -> list[FoundKind]:
    """Leaves out columns that have the very values of another one before them.

    Args:
        found: all columns.
        parts: the values (N,) of those that are not left out, in their order.
        told: the kinds that the user has named, by column: such columns stay.
    """
    seen: dict[object, str] = {}
    checked = []
    values = iter(parts)
    for each in found:
        if each.is_left_out:
            checked.append(each)
            continue
        part = next(values)
        column = each.column
        digest = hashlib.sha256(part.tobytes()).digest()
        key = (column.levels, column.kind == "datetime", digest)
        first = seen.setdefault(key, column.name)
        if first != column.name and column.name not in told and len(part) > 1:
            each = replace(each, is_useless=True, why=f"equal to {first!r}")
        checked.append(each)
    return checked


def _names(columns: Sequence[ColumnSchema]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


# What is told


def _tell_kinds(found: list[FoundKind], name: str) -> tuple[str, ...]:
    """Tells of the kinds of columns, of those that are left out, and how others are written."""
    counts = Counter(each.column.kind for each in found if not each.is_left_out)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    notes = [f'{name}: columns by kind: {kinds} (data.kinds={{name="kind"}} sets another)']
    if any(each.is_left_out for each in found):
        notes.append(f"{name}: left out: {_tell_left_out(found)}{_tell_ids(found)}")
    written: dict[str, list[str]] = {}
    for each in found:
        if each.note and not each.is_left_out:
            written.setdefault(each.note, []).append(each.column.name)
    for note, names in written.items():
        notes.append(f"{name}: {listed(names)}: {note}")
    return tuple(notes)


def _tell_left_out(found: list[FoundKind]) -> str:
    parts = []
    for each in found:
        if each.is_useless:
            parts.append(f"{each.column.name!r} ({each.why})")
        elif each.is_left_out:
            parts.append(f"{each.column.name!r} ({each.column.kind}: {each.why})")
    return one_line(", ".join(parts), 400)


def _tell_ids(found: list[FoundKind]) -> str:
    """Says how columns that name the rows are kept beside codes and scores."""
    ids = [each.column.name for each in found if each.column.kind == "id"]
    if not ids:
        return ""
    return "; data.ids keeps an id beside codes and scores"


def _tell_gaps(values: np.ndarray, infinite: int, name: str) -> tuple[str, ...]:
    """Tells how many cells are gaps."""
    gaps = 0
    rows = 0
    for _, piece in chunks(values):
        is_gap = np.isnan(piece)
        gaps += int(is_gap.sum())
        rows += int(is_gap.any(axis=1).sum())
    if not gaps:
        return ()
    verb = "are gaps"
    if gaps == 1:
        verb = "is a gap"
    of_cells = f"{gaps:,} of {counted(values.size, 'cell')}"
    note = f"{name}: {of_cells} {verb}, in {rows:,} of {counted(len(values), 'row')}"
    if infinite:
        note += f"; {infinite:,} of them are infinite numbers, or beyond float32"
    return (note,)


def _tell_map(values: np.ndarray, name: str) -> tuple[str, ...]:
    """Tells of values that are not in memory."""
    if not is_mapped(values.shape):
        return ()
    return (f"{name}: {tell_map(values.shape)}",)


# Tables that a run reads


def _table_for_run(
    frame: "DataFrame | StoredColumns",
    columns: Sequence[ColumnSchema],
    wanted: Wanted,
    name: str,
    cells: CellFormat,
) -> Raw:
    """Makes a table of the columns of a run."""
    values, notes = read_columns_of_run(frame, columns, wanted, name, cells)
    table = tuple(columns)
    return Raw(name, "table", values, None, columns=_names(columns), table=table, notes=notes)


def read_columns_of_run(
    frame: "DataFrame | StoredColumns",
    columns: Sequence[ColumnSchema],
    wanted: Wanted,
    name: str,
    cells: CellFormat,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Reads the columns of a run; a column that is not there is one of gaps.

    What a column cannot hold is a gap, and counted, or refused: `data.unseen` says which.

    Returns:
        The values (N, D), and sentences on what is a gap.
    """
    values = new_array((len(frame), len(columns)))
    odd = {}
    absent = []
    for position, column in enumerate(columns):
        if column.name not in frame.columns:
            absent.append(column.name)
            values[:, position] = np.nan
            continue
        series = frame[column.name]
        values[:, position], is_odd = to_values(series, column, cells)
        if is_odd.any():
            odd[column] = odd_texts(series, is_odd)
    notes = []
    if absent:
        notes.append(f"{name}: columns that are not there are gaps: {listed(absent)}")
    for column, words in odd.items():
        told = f"{name}: {tell_odd(column, len(words), words[0])}"
        if wanted.unseen == ERROR:
            raise DataError(
                f"{told}; data.unseen=missing, when a run is fitted, takes such cells for gaps"
            )
        gaps = "they are gaps"
        if len(words) == 1:
            gaps = "it is a gap"
        notes.append(f"{told}; {gaps} (data.unseen)")
    notes += _tell_map(values, name)
    return values, tuple(notes)


def tell_odd(column: ColumnSchema, count: int, first: str) -> str:
    """Says how many cells a column cannot hold, with the first of them."""
    shown = one_line(repr(first), 60)
    where = f"of {column.name!r} ({column.kind})"
    if column.levels and count == 1:
        return f"1 cell {where} has a level that the run does not know: {shown}"
    cells = f"{count:,} cells {where}"
    if column.levels:
        return f"{cells} have levels that the run does not know, such as {shown}"
    if column.kind == "datetime":
        meant = "date"
    elif column.kind == "count":
        meant = "whole number from 0 on"
    elif column.kind == "positive" and 0.0 in column.atoms:
        meant = "number from 0 on"
    elif column.kind == "positive":
        meant = "number above 0"
    else:
        meant = "number"
    if count == 1:
        return f"1 cell {where} is no {meant}: {shown}"
    return f"{cells} are each no {meant}, such as {shown}"


# Values


class Values(NamedTuple):
    """The cells of a column as numbers.

    Attributes:
        values: (N,) float64; NaN for a gap, and for an odd cell.
        is_odd: the cells that are no gaps and that the column cannot hold, (N,) bool: levels that
            it lacks, words that are no numbers or no dates, numbers that its kind has not.
    """

    values: np.ndarray
    is_odd: np.ndarray


def to_values(series: "Series", column: ColumnSchema, cells: CellFormat = USUAL) -> Values:
    """Converts the cells of a column to numbers.

    Args:
        series: the cells, (N,), of any type: texts are read as numbers, dates or levels.
        column: what they are read as.
        cells: how the cells are written.
    """
    if column.levels:
        return _to_positions(series, column, cells)
    if column.kind == "datetime":
        return _to_days(series, column, cells)
    return _to_numbers(series, column, cells)


def odd_texts(series: "Series", is_such: np.ndarray) -> list[str]:
    """Returns some of the cells as texts: whole numbers have no decimal point."""
    found = series.filter(is_such)
    if found.dtype.is_numeric():
        found = _as_texts(found)
    return [str(value) for value in found.to_list()]


def _to_numbers(series: "Series", column: ColumnSchema, cells: CellFormat) -> Values:
    """Converts numbers; an infinite one is a gap."""
    numbers = read_by_column(series, column, cells)
    values = numbers.values
    with np.errstate(invalid="ignore"):
        is_odd = is_impossible(values, column)
    values[is_odd] = np.nan
    return Values(values, numbers.is_odd | is_odd)


def read_by_column(series: "Series", column: ColumnSchema, cells: CellFormat) -> Numbers:
    """Reads numbers written as those of the run, or otherwise."""
    is_plain = column.format not in NUMBER_FORMS and cells.decimal != ","
    if is_plain or not is_text(series):
        numbers = read_numbers(series, "", cells)
        if not numbers.is_odd.any():
            return numbers
    return read_numbers(series, form_of(series, column.format, cells), cells)


def form_of(series: "Series", own: str, cells: CellFormat) -> str:
    """Finds how numbers are written in a column of texts: as those of the run, or otherwise."""
    import polars

    if not is_text(series):
        return ""
    words = find_words(series.cast(polars.String).head(LOOKED_AT), cells)
    if own in NUMBER_FORMS and not parse_numbers(words, own).null_count():
        return own
    forms = find_number_forms(words, cells.decimal)
    if forms:
        return forms[0]
    if own in NUMBER_FORMS:
        return own
    if cells.decimal == ",":
        return "1234,5"
    return ""


def _to_positions(series: "Series", column: ColumnSchema, cells: CellFormat) -> Values:
    """Converts levels to their positions."""
    import polars

    if column.type in ("integer", "float"):
        return _to_positions_of_numbers(series, column, cells)
    levels = list(column.levels)
    is_truth = {level.lower() for level in levels} == TRUTH
    if is_truth:
        levels = [level.lower() for level in levels]
    places = [float(place) for place in range(len(levels))]
    texts = series.cast(polars.String)
    if not is_text(series):
        texts = _as_texts(series)

    def find(words: "Series") -> "Series":
        words = as_words(words, cells)
        if is_truth:
            words = words.str.to_lowercase()
        found = words.replace_strict(levels, places, default=UNKNOWN, return_dtype=polars.Float64)
        return found.set(words.is_null(), None)

    positions = np.array(map_words(texts, find, polars.Float64).fill_null(np.nan).to_numpy())
    is_odd = positions == UNKNOWN
    positions[is_odd] = np.nan
    return Values(positions, is_odd)


def _as_texts(series: "Series") -> "Series":
    """Writes values as the names of levels: whole numbers without a decimal point."""
    import polars

    if not series.dtype.is_numeric():
        return series.cast(polars.String, strict=False)
    numbers = series.cast(polars.Float64).fill_nan(None)
    different = numbers.unique().drop_nulls()
    names = [number_text(number) for number in different]
    return numbers.replace_strict(different, names, default=None, return_dtype=polars.String)


def _to_positions_of_numbers(series: "Series", column: ColumnSchema, cells: CellFormat) -> Values:
    """Converts levels that are numbers to their positions."""
    numbers = read_by_column(series, column, cells)
    levels = np.array([float(level) for level in column.levels])
    order = np.argsort(levels)
    places = np.searchsorted(levels[order], numbers.values).clip(max=len(levels) - 1)
    positions = order[places].astype(np.float64)
    is_known = levels[order[places]] == numbers.values
    is_odd = numbers.is_odd | (~is_known & ~np.isnan(numbers.values))
    positions[~is_known] = np.nan
    return Values(positions, is_odd)


def _to_days(series: "Series", column: ColumnSchema, cells: CellFormat) -> Values:
    """Converts dates to days since 1970; those of a zone count in UTC.

    Raises:
        DataError: the schema names a form by which nothing can be read.
    """
    import polars

    if isinstance(series.dtype, polars.Date | polars.Datetime):
        times = series.cast(polars.Datetime("us")).cast(polars.Int64)
        if column.type == "text":
            times = times + zone_offset(column.format)
        is_odd = np.zeros(len(series), bool)
    elif is_text(series):
        try:
            times, is_odd = _read_texts(series.cast(polars.String), column, cells)
        except polars.exceptions.PolarsError as error:
            raise DataError(
                f"column {column.name!r} cannot be read by the form {column.format!r}: "
                f"{one_line(error, 120)}"
            ) from None
    else:
        times = polars.Series(series.name, [None] * len(series), polars.Int64)
        is_odd = series.is_not_null().to_numpy()
    days = np.array(times.cast(polars.Float64).fill_null(float("nan")).to_numpy(), np.float64)
    return Values(days / DAY, is_odd)


def _read_texts(
    texts: "Series", column: ColumnSchema, cells: CellFormat
) -> "tuple[Series, np.ndarray]":
    """Reads texts that are dates, in microseconds, and says which are none and no gaps."""
    import polars

    form = column.format
    if column.type != "text":
        form = ISO

    def read(words: "Series") -> "Series":
        return read_dates(as_words(words, cells), form)

    times = map_words(texts, read, polars.Int64)
    is_odd = (times.is_null() & texts.is_not_null()).to_numpy()
    if is_odd.any():
        is_odd = is_odd.copy()
        is_odd[is_odd] = as_words(texts.filter(is_odd), cells).is_not_null().to_numpy()
    return times, is_odd
