"""Values of a table with columns of several kinds -> a frame in the types of its source."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns import ColumnSchema
from ..errors import DataError, one_line
from .files.dates import write_dates, zone_offset
from .files.mixed import DAY

if TYPE_CHECKING:
    from polars import DataFrame, Series

NANOSECONDS = "ns"
"""Moments of this unit are given back in it, rounded to microseconds."""


def to_frame(columns: Sequence[ColumnSchema], values: np.ndarray) -> "DataFrame":
    """Makes a frame of values (N, D): whole numbers are whole, levels are words, dates are dates.

    A gap is null.

    Raises:
        DataError: the schema of a column names a type or a zone that there is not.
    """
    import polars

    made = []
    for position, column in enumerate(columns):
        made.append(to_series(column, values[:, position]))
    return polars.DataFrame(made)


def to_series(column: ColumnSchema, values: np.ndarray) -> "Series":
    """Makes a column of its values (N,), with the type that it has in the source.

    Dates that are texts in the source are texts of the same form.

    Raises:
        DataError: the schema names a type or a zone that there is not.
    """
    import polars

    numbers = polars.Series(column.name, values, polars.Float64).fill_nan(None)
    try:
        if column.kind == "datetime":
            return _dates(column, numbers)
        if column.levels:
            return _levels(column, numbers)
        if column.type == "integer":
            return _with_type(column, numbers.round().cast(polars.Int64))
        return _with_type(column, numbers)
    except polars.exceptions.PolarsError as error:
        raise DataError(
            f"column {column.name!r} cannot be given back as {column.type} "
            f"{column.format!r}: {one_line(error, 120)}"
        ) from None


def to_plain_series(column: ColumnSchema, values: np.ndarray) -> "Series":
    """Makes a column of its values (N,), however its source has them: numbers, words, truth values,
    or moments in UTC.
    """
    if column.kind == "datetime":
        if column.type == "text":
            values = values - zone_offset(column.format) / DAY
        column = replace(column, type="datetime")
    return to_series(replace(column, format=""), values)


def _dates(column: ColumnSchema, days: "Series") -> "Series":
    """Makes dates, moments or texts of days since 1970."""
    import polars

    times = (days * DAY).round().cast(polars.Int64)
    if column.type == "text":
        return write_dates(times, column.format)
    moments = times.cast(polars.Datetime("us"))
    if column.type == "date":
        return moments.dt.round("1d").cast(polars.Date)
    unit, _, zone = column.format.partition(" ")
    if unit == "ms":
        moments = moments.dt.round("1ms")
    if unit in ("ms", NANOSECONDS):
        moments = moments.dt.cast_time_unit(unit)  # type: ignore[arg-type]
    if zone:
        return moments.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return moments


def to_texts(column: ColumnSchema, values: np.ndarray) -> list[str]:
    """Writes values (N,) of a column as its source would, numbers with six digits; "" for a gap."""
    texts = []
    for value in to_series(column, values).to_list():
        if value is None:
            texts.append("")
        elif isinstance(value, float):
            texts.append(f"{value:.6g}")
        else:
            texts.append(str(value))
    return texts


def _levels(column: ColumnSchema, positions: "Series") -> "Series":
    """Makes levels of their positions: words, whole numbers, numbers or truth values."""
    import polars

    places = list(range(len(column.levels)))
    words = positions.cast(polars.Int64).replace_strict(
        places, list(column.levels), return_dtype=polars.String
    )
    if column.type == "boolean":
        return words == "true"
    if column.type == "integer":
        return _with_type(column, words.cast(polars.Float64).cast(polars.Int64))
    if column.type == "float":
        return _with_type(column, words.cast(polars.Float64))
    return _with_type(column, words)


def _with_type(column: ColumnSchema, series: "Series") -> "Series":
    """Gives a column the type that it has in a frame, where that can hold the values."""
    kind = _frame_type(column)
    if kind is None:
        return series
    given = series.cast(kind, strict=False)
    # A number that was drawn may be beyond the small integers of its source.
    if given.null_count() > series.null_count():
        return series
    return given


def _frame_type(column: ColumnSchema) -> Any:
    """Returns the type of Polars that the format of a column names; None for none."""
    import polars

    form = column.format
    if not form or form[0] == "1":
        return None
    if form == "Enum":
        return polars.Enum(column.levels)
    if form.startswith("Decimal"):
        precision, scale = form[8:-1].split(",")
        return polars.Decimal(int(precision), int(scale))
    return getattr(polars, form)
