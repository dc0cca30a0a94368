"""The columns of a table by its first rows: what they hold, and what they would be used for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError, one_line
from .cells import CellFormat, as_words, is_text
from .description import Column
from .kinds import NO_VALUES, FoundKind
from .mixed import to_values

if TYPE_CHECKING:
    from polars import DataFrame, Series

HEAD_ROWS = 1000
"""Columns are described by this many rows."""

SHOWN_VALUES = 3
"""A column is shown with this many of its values."""


LARGEST_WRITTEN = 1e15
"""Whole numbers up to this one are written with all their digits."""


def describe_columns(head: "DataFrame", uses: Mapping[str, str]) -> tuple[Column, ...]:
    """Describes the columns of the first rows of a table.

    Args:
        head: the rows, whose texts that are numbers are numbers already.
        uses: what each column would be used for; "left out" where it is not named.
    """
    columns = []
    for series in head:
        use = uses.get(series.name, "left out")
        columns.append(describe_column(series, use))
    return tuple(columns)


def describe_column(series: "Series", use: str) -> Column:
    """Describes one column by its first values."""
    return Column(series.name, kind_of(series), use, series.null_count(), _examples(series))


def describe_found(
    found: FoundKind | DataError, series: "Series", cells: CellFormat, use: str
) -> Column:
    """Describes a column of a table by its kind.

    Args:
        found: its kind, or why it has none.
        series: its cells.
        cells: how the cells are written.
        use: what it would be used for.
    """
    import polars

    words = series
    if is_text(series):
        words = as_words(series.cast(polars.String), cells)
    missing = words.null_count()
    examples = _examples(words)
    if isinstance(found, DataError):
        return Column(series.name, "unknown", "refused", missing, examples, "see the problem")
    column = found.column
    kind = column.kind
    if found.why == NO_VALUES:
        kind = "empty"
    if found.is_left_out and use == "value":
        use = "left out"
    levels = None
    if column.levels and not found.is_useless:
        levels = len(column.levels)
    if not found.is_left_out:
        missing = int(np.isnan(to_values(series, column, cells)[0]).sum())
    return Column(series.name, kind, use, missing, examples, found.why, levels)


def _examples(series: "Series") -> tuple[str, ...]:
    """Shows the first different values of a column; none of objects of Python."""
    import polars

    if series.dtype == polars.Object:
        return ()
    values = series.head(HEAD_ROWS).drop_nulls().unique(maintain_order=True).head(SHOWN_VALUES)
    return tuple(one_line(plain_text(value), 30) for value in values)


def plain_text(value: object) -> str:
    """Writes a value as people do: 1 for 1.0, 0.25 for 0.25000001."""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < LARGEST_WRITTEN:
            return str(int(value))
        return f"{value:.7g}"
    return str(value)


def kind_of(series: "Series") -> str:
    """Says what a column holds."""
    import polars

    values = series.drop_nulls()
    if values.is_empty():
        return "empty"
    if values.dtype == polars.Boolean:
        return "yes or no"
    if values.dtype.is_integer():
        return "whole number"
    if values.dtype.is_numeric():
        if (values == values.round()).all():
            return "whole number"
        return "number"
    if values.dtype in (polars.String, polars.Categorical, polars.Enum):
        return "text"
    return str(values.dtype).lower()
