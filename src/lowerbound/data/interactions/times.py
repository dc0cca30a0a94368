"""The times of interactions as numbers that can be compared.

These are read: numbers, such as seconds or milliseconds since 1970, as they are; dates and moments,
of which those with a zone count in UTC; and texts of the forms with numbers alone that
`files.dates` knows. If both orders of day and month fit, nobody can know, and the user is asked.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError, DataError, one_line
from ..files.dates import (
    DAY_FIRST,
    MONTH_FIRST,
    YEAR_FIRST,
    YEAR_LAST,
    microseconds,
    read_iso,
)
from .columns import TimeFormat, formats_of

if TYPE_CHECKING:
    from polars import Series

KEY = "data.interactions.time_format"
"""The setting that says how times are written."""


def times_as_numbers(
    column: "Series", name: str, form: TimeFormat = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns numbers as they are; dates, and texts that are dates, become microseconds.

    Args:
        column: the times, (n,).
        name: the source as it appears in messages.
        form: "day-first", "month-first", a format of `strftime`, or several of these formats, of
            which the first that fits a time counts; None: found from the times.

    Returns:
        The numbers, and sentences on how they were read.

    Raises:
        DataError: a time is missing, or not all times are numbers or dates.
        ConfigError: the format is none.
    """
    import polars

    _refuse_missing(column, name)
    formats = formats_of(form)
    if formats and column.dtype.is_integer():
        column = column.cast(polars.String)
    if column.dtype == polars.String and formats:
        return _read_by_formats(column, name, formats), ()
    if column.dtype == polars.String:
        return _read_texts(column, name, form)
    if column.dtype.is_numeric():
        return column.to_numpy(), ()
    try:
        return column.cast(polars.Datetime("us")).cast(polars.Int64).to_numpy(), ()
    except polars.exceptions.PolarsError:
        raise DataError(_no_time(name, column[0])) from None


def _refuse_missing(column: "Series", name: str) -> None:
    """Raises DataError if a time is missing."""
    if column.dtype.is_float():
        missing = len(column) - int(column.is_finite().sum())
    else:
        missing = column.null_count()
    if missing:
        raise DataError(
            f"{name} has {missing} interactions without a timestamp; give each one, or another "
            "split"
        )


def _no_time(name: str, example: object) -> str:
    """Words the message for a time of no form that is read."""
    shown = one_line(repr(example), 60)
    return (
        f"{name}: timestamps such as {shown} are neither numbers nor dates as they are read: "
        "2020-01-31, 2020-01-31T10:00:00+02:00, 1/31/2020 3:05 PM, 31.01.2020 10:00; other forms "
        f"by {KEY}, such as '%d %b %y'"
    )


def _read_texts(
    column: "Series", name: str, form: TimeFormat
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Reads times that are written as texts."""
    import polars

    numbers = column.str.strip_chars().cast(polars.Float64, strict=False)
    if numbers.is_finite().all() and not numbers.null_count():
        return numbers.to_numpy(), ()
    # Each text is read once, however often it stands there.
    texts = column.unique(maintain_order=True)
    found, notes = _read_dates(texts, name, form)
    known = column.replace_strict(texts, found, return_dtype=polars.Int64)
    return known.to_numpy(), notes


def _read_by_formats(column: "Series", name: str, formats: Sequence[str]) -> np.ndarray:
    """Reads times by formats such as "%m/%d/%Y"; the first that fits a time counts."""
    import polars

    times = _read_by_format(column, formats[0])
    for form in formats[1:]:
        times = times.fill_null(_read_by_format(column, form))
    is_other = times.is_null()
    if is_other.any():
        example = one_line(repr(column.filter(is_other)[0]), 60)
        says = repr(formats[0])
        if len(formats) > 1:
            says = repr(list(formats))
        raise DataError(
            f"{name}: {int(is_other.sum())} timestamps, such as {example}, are not written as "
            f"{KEY}={says} says"
        )
    return times.cast(polars.Int64).to_numpy()


def _read_by_format(column: "Series", form: str) -> "Series":
    """Reads times by one format, null where it does not fit; those with a zone count in UTC."""
    import polars
    from polars.exceptions import PolarsError

    zone = None
    if "%z" in form:
        zone = "UTC"
    try:
        times = column.str.strip_chars().str.to_datetime(form, strict=False, time_zone=zone)
    except PolarsError as error:
        raise ConfigError(f"{KEY}={form!r} is no format of dates: {one_line(error, 160)}") from None
    return times.cast(polars.Datetime("us"))


def _read_dates(texts: "Series", name: str, form: TimeFormat) -> "tuple[Series, tuple[str, ...]]":
    """Reads texts that are dates, each in microseconds since 1970; the notes say in which order."""
    import polars

    plain = read_iso(texts)
    if plain is not None:
        return plain, ()
    frame = texts.alias("text").to_frame()
    iso = microseconds(frame, YEAR_FIRST, DAY_FIRST)
    if not iso.null_count():
        return iso, ()
    day_first = iso.fill_null(microseconds(frame, YEAR_LAST, DAY_FIRST))
    month_first = iso.fill_null(microseconds(frame, YEAR_LAST, MONTH_FIRST))
    readings = {DAY_FIRST: day_first, MONTH_FIRST: month_first}
    is_year_last = frame.select(polars.col("text").str.contains(YEAR_LAST)).to_series()
    written_last = texts.filter(is_year_last)
    fitting = [order for order, times in readings.items() if not times.null_count()]
    if form is not None:
        fitting = [order for order in fitting if order == form]
    if not fitting:
        raise DataError(_unfit(texts, readings, written_last, name, form))
    order = fitting[0]
    if len(fitting) == 2 and not (day_first == month_first).all():
        _refuse_ambiguous(written_last, name)
    example = one_line(repr(written_last[0]), 60)
    note = f"times such as {example} are read {order.replace('-', ' ')} ({KEY})"
    return readings[order], (note,)


def _refuse_ambiguous(written_last: "Series", name: str) -> None:
    """Raises DataError for dates that may be read in both orders, unless dots part them all."""
    if written_last.str.contains(r"^\s*\d+\.").all():
        return
    example = one_line(repr(written_last[0]), 60)
    raise DataError(
        f"{name}: timestamps such as {example} may be read day first or month first, and both fit "
        f"all of them; say which: {KEY}={DAY_FIRST}, {MONTH_FIRST}, or a format such as '%m/%d/%Y'"
    )


def _unfit(
    texts: "Series",
    readings: "dict[str, Any]",
    written_last: "Series",
    name: str,
    form: TimeFormat,
) -> str:
    """Words the message for dates that no order fits."""
    unread = texts.filter(readings[DAY_FIRST].is_null() & readings[MONTH_FIRST].is_null())
    if len(unread):
        return _no_time(name, unread[0])
    not_by_month = one_line(repr(texts.filter(readings[MONTH_FIRST].is_null()).first()), 60)
    not_by_day = one_line(repr(texts.filter(readings[DAY_FIRST].is_null()).first()), 60)
    if form == DAY_FIRST:
        return f"{name}: timestamps such as {not_by_day} are no dates that are {KEY}={form}"
    if form == MONTH_FIRST:
        return f"{name}: timestamps such as {not_by_month} are no dates that are {KEY}={form}"
    return (
        f"{name} has timestamps that can only be read day first, such as {not_by_month}, and some "
        f"that can only be read month first, such as {not_by_day}"
    )
