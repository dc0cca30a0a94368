"""The kinds of the columns of a table, found from their values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...columns import KINDS, LEVELLED, ColumnSchema
from ...columns.schema import LEFT_OUT
from ...errors import ConfigError, DataError, one_line, unknown

if TYPE_CHECKING:
    from polars import DataFrame, Series

MOST_LEVELS = 1000
"""A column of more different words is no column of levels."""

MOST_ORDINAL = 12
"""Whole numbers of more different values are counts, and no levels."""

MOST_UNIQUE = 0.5
"""Words of which a larger share is different, in a column of many, are texts, and no levels."""

FEW_WORDS = 50
"""So few different words may be levels, however few rows there are."""

MOST_DECIMALS = 10
"""Numbers with more decimals than these are not rounded."""

LARGEST_COUNT = 2.0**24
"""Whole numbers from this one on are real numbers: float32 lacks some of them."""


@dataclass(frozen=True)
class FoundKind:
    """What a column was taken for.

    Attributes:
        column: what is known of it from the source; its kind may be one that no model reads.
        why: says why, in a few words.
    """

    column: ColumnSchema
    why: str

    @property
    def is_left_out(self) -> bool:
        """Whether no model reads such a column."""
        return self.column.kind in LEFT_OUT


def refuse_unknown_kinds(kinds: Mapping[str, str], names: list[str], table: str) -> None:
    """Refuses kinds that there are not, and kinds of columns that are not read.

    Raises:
        ConfigError: there is no such kind.
        DataError: there is no such column.
    """
    for name, kind in kinds.items():
        if kind not in (*KINDS, *LEFT_OUT):
            raise ConfigError(unknown("kind", kind, (*KINDS, *LEFT_OUT), " (data.kinds)"))
        if name not in names:
            where = f" among those that are read of {table} (data.kinds)"
            raise DataError(one_line(unknown("column", name, names, where)))


def find_kinds(frame: "DataFrame", kinds: Mapping[str, str], table: str) -> list[FoundKind]:
    """Finds the kind of each column of a frame.

    Args:
        frame: the columns.
        kinds: the kinds that the user has named, by column.
        table: the table as it appears in messages.

    Raises:
        ConfigError: a kind that was named does not exist, or does not fit the values.
        DataError: a column that was named does not exist.
    """
    refuse_unknown_kinds(kinds, frame.columns, table)
    found = []
    for series in frame.iter_columns():
        if series.name in kinds:
            found.append(_as_told(series, kinds[series.name], table))
        else:
            found.append(find_kind(series))
    return found


def find_kind(series: "Series") -> FoundKind:
    """Finds the kind of a column from its type and its values."""
    import polars

    values = series.drop_nulls()
    name = series.name
    if series.dtype.is_temporal() and series.dtype in (polars.Date, polars.Datetime):
        kind = "date"
        if series.dtype != polars.Date:
            kind = "datetime"
        return FoundKind(ColumnSchema(name, "datetime", kind), "dates")
    if series.dtype == polars.Boolean:
        levels = ("false", "true")
        return FoundKind(ColumnSchema(name, "binary", "boolean", levels), "yes or no")
    if series.dtype.is_numeric() or series.dtype == polars.Null:
        return _kind_of_numbers(name, values.cast(polars.Float64).to_numpy())
    if series.dtype.is_nested() or series.dtype in (polars.Binary, polars.Object):
        return FoundKind(ColumnSchema(name, "text", "text"), f"values of type {series.dtype}")
    return _kind_of_words(series)


def _kind_of_numbers(name: str, numbers: np.ndarray) -> FoundKind:
    """Finds the kind of a column of numbers by its observed values (n,)."""
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return FoundKind(ColumnSchema(name), "no values")
    decimals = count_decimals(numbers)
    different = np.unique(numbers)
    column = ColumnSchema(name, decimals=decimals)
    if decimals == 0:
        column = replace(column, type="integer")
    if len(different) == 2:
        column = replace(column, kind="binary", levels=tuple(map(number_text, different)))
        return FoundKind(column, "two different numbers")
    if decimals == 0 and numbers.min() >= 0:
        return _kind_of_whole_numbers(column, different)
    if decimals == 0:
        return FoundKind(column, "whole numbers, some below 0")
    if numbers.min() > 0:
        return FoundKind(replace(column, kind="positive"), "numbers above 0")
    if numbers.min() == 0 and (numbers == 0).sum() > 1:
        return FoundKind(replace(column, kind="positive"), "numbers above 0, and zeros")
    return FoundKind(column, "numbers")


def _kind_of_whole_numbers(column: ColumnSchema, different: np.ndarray) -> FoundKind:
    """Finds the kind of whole numbers from 0 on, by the different ones."""
    if different[-1] >= LARGEST_COUNT:
        return FoundKind(column, f"whole numbers up to {different[-1]:.3g}")
    is_gapless = len(different) == different[-1] - different[0] + 1
    if len(different) <= MOST_ORDINAL and is_gapless:
        levels = tuple(map(number_text, different))
        column = replace(column, kind="ordinal", levels=levels)
        return FoundKind(column, f"whole numbers {levels[0]} to {levels[-1]}")
    return FoundKind(replace(column, kind="count"), "whole numbers from 0 on")


def _kind_of_words(series: "Series") -> FoundKind:
    """Finds the kind of a column of words."""
    words = level_texts(series).drop_nulls()
    levels = words.unique().sort().to_list()
    share = len(levels) / max(len(words), 1)
    name = series.name
    if len(levels) == len(words) and len(levels) > FEW_WORDS:
        return FoundKind(ColumnSchema(name, "id", "text"), "a word of its own in each row")
    if len(levels) > MOST_LEVELS or (len(levels) > FEW_WORDS and share > MOST_UNIQUE):
        return FoundKind(ColumnSchema(name, "text", "text"), f"{len(levels):,} different words")
    kind = "categorical"
    if len(levels) == 2:
        kind = "binary"
    column = ColumnSchema(name, kind, "text", tuple(levels))
    return FoundKind(column, f"{len(levels)} different words")


def _as_told(series: "Series", kind: str, table: str) -> FoundKind:
    """Takes a column for what the user says that it is.

    Raises:
        ConfigError: its values are no such values.
    """
    found = find_kind(series)
    why = "told by data.kinds"
    if kind in LEFT_OUT:
        return FoundKind(ColumnSchema(series.name, kind, "text"), why)
    if kind in LEVELLED:
        return FoundKind(_with_levels(series, found.column, kind, table), why)
    column = replace(found.column, kind=kind, levels=())
    if column.type in ("text", "boolean") and kind != "datetime":
        raise ConfigError(
            f"data.kinds: {series.name!r} of {table} cannot be {kind}: it has words; allowed for "
            "words: categorical, ordinal, text, id"
        )
    return FoundKind(column, why)


def _with_levels(series: "Series", column: ColumnSchema, kind: str, table: str) -> ColumnSchema:
    """Returns a column of all different values as its levels."""
    texts = level_texts(series).drop_nulls().unique().to_list()
    if column.type in ("text", "boolean"):
        levels = sorted(texts)
    else:
        levels = sorted(texts, key=float)
    if len(levels) > MOST_LEVELS or (kind == "binary" and len(levels) != 2):
        raise ConfigError(
            f"data.kinds: {series.name!r} of {table} cannot be {kind}: it has {len(levels):,} "
            f"different values; allowed: 2 for binary, up to {MOST_LEVELS:,} else"
        )
    return replace(column, kind=kind, levels=tuple(levels))


def count_decimals(numbers: np.ndarray) -> int | None:
    """Counts the decimals that numbers have at most; None for more than `MOST_DECIMALS`."""
    for decimals in range(MOST_DECIMALS + 1):
        if np.array_equal(np.round(numbers, decimals), numbers):
            return decimals
    return None


def number_text(number: float) -> str:
    """Writes a number as the name of a level: whole numbers without a decimal point."""
    if number == int(number):
        return str(int(number))
    return repr(float(number))


def level_texts(series: "Series") -> "Series":
    """Writes the values of a column as the names of levels, which are texts; a gap stays null."""
    import polars

    if series.dtype.is_numeric():
        numbers = series.cast(polars.Float64)
        # What is NaN or infinite is a gap.
        numbers = numbers.set(~numbers.is_finite().fill_null(True), None)
        return numbers.map_elements(number_text, return_dtype=polars.String)
    return series.cast(polars.String).str.strip_chars()
