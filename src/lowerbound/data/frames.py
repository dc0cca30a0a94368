"""Values of a table with columns of several kinds -> a frame in the types of its source."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..columns import ColumnSchema
from .files.mixed import DAY

if TYPE_CHECKING:
    from polars import DataFrame, Series


def to_frame(columns: Sequence[ColumnSchema], values: np.ndarray) -> "DataFrame":
    """Makes a frame of values (N, D): whole numbers are whole, levels are words, dates are dates.

    A gap is null.
    """
    import polars

    made = []
    for position, column in enumerate(columns):
        made.append(to_series(column, values[:, position]))
    return polars.DataFrame(made)


def to_series(column: ColumnSchema, values: np.ndarray) -> "Series":
    """Makes a column of its values (N,), with the type that it has in the source."""
    import polars

    numbers = polars.Series(column.name, values, polars.Float64).fill_nan(None)
    if column.levels:
        return _levels(column, numbers)
    if column.kind == "datetime":
        times = (numbers * DAY).round().cast(polars.Int64).cast(polars.Datetime("us"))
        if column.type == "date":
            return times.dt.round("1d").cast(polars.Date)
        return times
    if column.type == "integer":
        return numbers.round().cast(polars.Int64)
    return numbers


def _levels(column: ColumnSchema, positions: "Series") -> "Series":
    """Makes levels of their positions: words, whole numbers, numbers or Booleans."""
    import polars

    places = list(range(len(column.levels)))
    words = positions.cast(polars.Int64).replace_strict(
        places, list(column.levels), return_dtype=polars.String
    )
    if column.type == "boolean":
        return words == "true"
    if column.type == "integer":
        return words.cast(polars.Int64)
    if column.type == "float":
        return words.cast(polars.Float64)
    return words
