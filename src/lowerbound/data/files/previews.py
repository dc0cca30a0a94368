"""The columns of a table by its first rows: what they hold, and what they would be used for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import one_line
from .description import Column

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
    examples = []
    for value in series.drop_nulls().unique(maintain_order=True).head(SHOWN_VALUES):
        examples.append(one_line(plain_text(value), 30))
    return Column(series.name, kind_of(series), use, series.null_count(), tuple(examples))


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
