"""The kinds of the columns of a table, found from their values.

`docs/tables.md` states the rules.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...columns import KINDS, LEVELLED, ColumnSchema
from ...columns.schema import DATE_FORMAT, LEFT_OUT
from ...errors import ConfigError, DataError, one_line, unknown
from .cells import (
    LARGEST_EXACT,
    USUAL,
    CellFormat,
    Words,
    are_padded,
    are_written_whole,
    count_words,
    find_number_forms,
    find_words,
    first_row,
    have_units,
    is_text,
    parse_numbers,
    read_numbers,
)
from .dates import find_dates, have_short_years, order_of, read_dates

if TYPE_CHECKING:
    from polars import DataFrame, Series

    from .stored import StoredColumns

MOST_LEVELS = 1000
"""A column of more different words is no column of levels."""

MOST_ORDINAL = 12
"""Whole numbers are levels only if no more than these lie from the least to the greatest."""

MOST_GAPLESS = 0.75
"""Whole numbers are levels only if at least this share of those from the least to the greatest is
there.
"""

MOST_UNIQUE = 0.5
"""Words of which a larger share is different, in a column of many, are texts, and no levels."""

FEW_WORDS = 50
"""So few different words may be levels, however few rows there are."""

LEAST_IDS = 12
"""Words that all differ name the rows if there are more of them than these."""

LEAST_COUNTED = 10
"""A column of so many rows may count them; one of fewer may do so by chance."""

ID_NAMES = re.compile(r"(.*[_\s.-])?(?i:id|ids|uuid|guid|key|index|idx)|.*[a-z]I[Dd]")
"""Whole numbers that all differ name the rows if their column has such a name."""

MOST_DECIMALS = 10
"""Numbers with more decimals than these are not rounded."""

LARGEST_COUNT = 2.0**24
"""Whole numbers from this one on are real numbers: float32 lacks some of them."""

NEARLY_ALL = 0.9
"""Where this share of the words are numbers or dates, the others are told of."""

NO_VALUES = "no values"
"""Why a column of gaps is left out."""

DATETIME = "datetime"
"""This kind may have a form of dates after it in `data.kinds`."""


@dataclass(frozen=True)
class FoundKind:
    """What a column was taken for.

    Attributes:
        column: what is known of it from the source; its kind may be one that no model reads.
        why: says why, in a few words.
        is_useless: a model can learn nothing of it, whatever its kind: it has one value, or none.
        note: says how its cells are read, where that is not plain; or "".
    """

    column: ColumnSchema
    why: str
    is_useless: bool = False
    note: str = ""

    @property
    def is_left_out(self) -> bool:
        """Whether no model reads such a column."""
        return self.is_useless or self.column.kind in LEFT_OUT


def refuse_unknown_kinds(kinds: Mapping[str, str], names: list[str], table: str) -> None:
    """Refuses kinds that there are not, and kinds of columns that are not read.

    Raises:
        ConfigError: there is no such kind.
        DataError: there is no such column.
    """
    for name, kind in kinds.items():
        if kind not in (*KINDS, *LEFT_OUT) and not kind.startswith(f"{DATETIME} "):
            raise ConfigError(unknown("kind", kind, (*KINDS, *LEFT_OUT), " (data.kinds)"))
        if name not in names:
            where = f" among those that are read of {table} (data.kinds)"
            raise DataError(one_line(unknown("column", name, names, where)))


def find_kinds(
    frame: "DataFrame | StoredColumns",
    kinds: Mapping[str, str],
    table: str,
    cells: CellFormat = USUAL,
    plain: "DataFrame | StoredColumns | None" = None,
) -> list[FoundKind]:
    """Finds the kind of each column of a frame.

    Args:
        frame: the columns.
        kinds: the kinds that the user has named, by column.
        table: the table as it appears in messages.
        cells: how the cells are written.
        plain: the same columns, where those of plain numbers in texts may be numbers already.

    Raises:
        ConfigError: a kind that was named does not exist, or does not fit the values.
        DataError: a column that was named does not exist, or can be read in two ways.
    """
    sure = []
    for each in find_or_refuse(frame, kinds, table, cells, plain):
        if isinstance(each, DataError):
            raise DataError(f"{table}: {each}")
        sure.append(each)
    return sure


def find_or_refuse(
    frame: "DataFrame | StoredColumns",
    kinds: Mapping[str, str],
    table: str,
    cells: CellFormat = USUAL,
    plain: "DataFrame | StoredColumns | None" = None,
) -> "list[FoundKind | DataError]":
    """Finds the kind of each column of a frame, or the error if it can be read in two ways.

    A column that can be read in one way only tells the decimal mark of the others.

    Raises:
        ConfigError: a kind that was named does not exist, or does not fit the values.
        DataError: a column that was named does not exist.
    """
    refuse_unknown_kinds(kinds, list(frame.columns), table)
    if plain is None:
        plain = frame
    found = []
    for series in plain.iter_columns():
        found.append(_find_or_refuse(series, kinds, table, cells))
    decimal = _decimal_of(found, cells)
    if decimal is None:
        return found
    cells = replace(cells, decimal=decimal)
    for position, name in enumerate(frame.columns):
        each = found[position]
        if not isinstance(each, DataError) and not each.column.is_number:
            continue
        series = frame[name]
        if isinstance(each, DataError) or is_text(series):
            found[position] = _find_or_refuse(series, kinds, table, cells)
    return found


def _find_or_refuse(
    series: "Series", kinds: Mapping[str, str], table: str, cells: CellFormat
) -> "FoundKind | DataError":
    """Finds the kind of a column, or returns the error if it can be read in two ways."""
    if series.name in kinds:
        return _as_told(series, kinds[series.name], table, cells)
    try:
        return find_kind(series, cells)
    except DataError as error:
        return error


def _decimal_of(found: "list[FoundKind | DataError]", cells: CellFormat) -> str | None:
    """Finds the decimal mark of the texts of a table from those columns that can be read in one
    way; None where they do not tell, or where it is known.
    """
    if cells.decimal is not None:
        return None
    formats = [each.column.format for each in found if isinstance(each, FoundKind)]
    if any(form.endswith("4,5") for form in formats):
        return ","
    has_points = any(form.endswith("4.5") for form in formats)
    for each in found:
        if isinstance(each, FoundKind) and each.column.type == "float" and cells.is_text:
            has_points = True
    if has_points:
        return "."
    return None


def find_kind(series: "Series", cells: CellFormat = USUAL) -> FoundKind:
    """Finds the kind of a column from its type and its values.

    Raises:
        DataError: its values can be read in two ways, or are numbers with signs or units.
    """
    import polars

    name = series.name
    kind = series.dtype
    if series.null_count() == len(series):
        return FoundKind(ColumnSchema(name), NO_VALUES, is_useless=True)
    if is_text(series):
        return _kind_of_texts(series, cells)
    if kind.is_numeric():
        numbers = read_numbers(series, "", cells).values
        column = ColumnSchema(name, type="float", format=_frame_type(series))
        if kind.is_integer():
            column = replace(column, type="integer")
        return _kind_of_numbers(column, numbers)
    if kind in (polars.Date, polars.Datetime):
        found = FoundKind(_date_column(series), "dates")
    elif kind == polars.Boolean:
        levels = ("false", "true")
        found = FoundKind(ColumnSchema(name, "binary", "boolean", levels), "yes or no")
    else:
        why = f"values of type {one_line(kind, 60)}"
        return FoundKind(ColumnSchema(name, "text", "text"), why)
    different = series.drop_nulls().unique()
    if len(different) == 1:
        return _constant(found.column, str(different[0]), len(series))
    return found


def _constant(column: ColumnSchema, value: str, rows: int) -> FoundKind:
    """Describes a column of one value; one row alone tells nothing of that."""
    why = f"one value only: {one_line(value, 40)}"
    return FoundKind(column, why, is_useless=rows > 1)


# Numbers


def _frame_type(series: "Series") -> str:
    """Names the type of a column in a frame, where it is not the usual one of its values."""
    import polars

    kind = series.dtype
    if kind in (polars.Float64, polars.Int64, polars.Boolean, polars.Date):
        return ""
    if isinstance(kind, polars.Decimal):
        return f"Decimal({kind.precision},{kind.scale})"
    if isinstance(kind, polars.Categorical | polars.Enum):
        return type(kind).__name__
    return str(kind)


def _kind_of_numbers(column: ColumnSchema, values: np.ndarray) -> FoundKind:
    """Finds the kind of a column of numbers.

    Args:
        column: its name, type and format.
        values: (N,), a gap is NaN.
    """
    numbers = values[np.isfinite(values)]
    if not len(numbers):
        return FoundKind(column, NO_VALUES, is_useless=True)
    decimals = count_decimals(numbers)
    column = replace(column, decimals=decimals)
    different = np.unique(numbers)
    # Different ones may be the same in float64, so that this is asked first.
    if column.type == "integer" and np.abs(different[[0, -1]]).max() >= LARGEST_EXACT:
        return FoundKind(ColumnSchema(column.name, "id", "integer"), "whole numbers from 2^53 on")
    if len(different) == 1:
        return _constant(column, number_text(different[0]), len(values))
    if decimals == 0:
        why = _why_id(column, values, different)
        if why is not None:
            return FoundKind(ColumnSchema(column.name, "id", column.type), why)
    if len(different) == 2:
        column = replace(column, kind="binary", levels=tuple(map(number_text, different)))
        return FoundKind(column, "two different numbers")
    if decimals == 0:
        return _kind_of_whole_numbers(column, different)
    if different[0] > 0:
        return FoundKind(replace(column, kind="positive"), "numbers above 0")
    if different[0] == 0 and (numbers == 0).sum() > 1:
        column = replace(column, kind="positive", atoms=(0.0,))
        return FoundKind(column, "numbers above 0, and zeros")
    return FoundKind(column, "numbers")


def _why_id(column: ColumnSchema, values: np.ndarray, different: np.ndarray) -> str | None:
    """Says why whole numbers name the rows; None if they do not."""
    if len(different) < len(values) or len(values) < LEAST_COUNTED:
        return None
    if values[0] in (0, 1) and bool((np.diff(values) == 1).all()):
        return "it counts the rows"
    if len(values) > LEAST_IDS and ID_NAMES.fullmatch(column.name) is not None:
        return "a number of its own in each row"
    return None


def _kind_of_whole_numbers(column: ColumnSchema, different: np.ndarray) -> FoundKind:
    """Finds the kind of whole numbers by the different ones, ascending."""
    span = different[-1] - different[0] + 1
    if span <= MOST_ORDINAL and len(different) >= MOST_GAPLESS * span:
        levels = tuple(map(number_text, different))
        column = replace(column, kind="ordinal", levels=levels)
        return FoundKind(column, f"whole numbers {levels[0]} to {levels[-1]}")
    if different[0] < 0:
        return FoundKind(column, "whole numbers, some below 0")
    if different[-1] >= LARGEST_COUNT:
        return FoundKind(column, f"whole numbers up to {different[-1]:.3g}")
    return FoundKind(replace(column, kind="count"), "whole numbers from 0 on")


def count_decimals(numbers: np.ndarray) -> int | None:
    """Counts the decimals that numbers have at most; None for more than `MOST_DECIMALS`."""
    for decimals in range(MOST_DECIMALS + 1):
        # Most numbers are told by their first ones.
        for part in (numbers[:1000], numbers):
            if not np.array_equal(np.round(part, decimals), part):
                break
        else:
            return decimals
    return None


def number_text(number: float) -> str:
    """Writes a number as the name of a level: whole numbers without a decimal point."""
    if number == int(number):
        return str(int(number))
    return repr(float(number))


# Dates


def _date_column(series: "Series") -> ColumnSchema:
    """Describes a column of dates or moments of a frame."""
    import polars

    kind = series.dtype
    if not isinstance(kind, polars.Datetime):
        return ColumnSchema(series.name, DATETIME, "date")
    form: str = kind.time_unit
    if kind.time_zone is not None:
        form = f"{form} {kind.time_zone}"
    if form == "us":
        form = ""
    return ColumnSchema(series.name, DATETIME, "datetime", format=form)


def _kind_of_dates(name: str, words: "Series") -> FoundKind | None:
    """Finds whether words are dates; None if they are not.

    Raises:
        DataError: they are, and day and month can be told in two ways.
    """
    if have_short_years(words):
        raise DataError(
            f"column {name!r} has dates with years of two digits, such as {_shown(words)}; say how "
            f'they are written, such as data.kinds={{{name}="datetime %d/%m/%y"}}, or '
            f'{{{name}="text"}} leaves them out'
        )
    dates = find_dates(words)
    if len(dates.orders) == 2:
        raise DataError(_tell_orders(name, words))
    if dates.format is None or len(dates.unread):
        return None
    column = ColumnSchema(name, DATETIME, "text", format=dates.format)
    if len(words) == 1:
        return _constant(column, words[0], 2)
    return FoundKind(
        column,
        f"dates written as {dates.format}",
        note=f"dates written as {dates.format}{_order_text(dates.format)}",
    )


def _tell_orders(name: str, words: "Series") -> str:
    """Words the message for dates whose day and month cannot be told apart."""
    return (
        f"column {name!r} has dates such as {_shown(words)}, which may be read day first or month "
        f'first, and both fit all of them; say which: data.kinds={{{name}="datetime %d/%m/%Y"}} '
        f'or "datetime %m/%d/%Y", or {{{name}="text"}} leaves them out'
    )


def _order_text(form: str) -> str:
    """Says which stands first of day and month, where the year does not."""
    if form.startswith("%Y") or "%b" in form or "%B" in form:
        return ""
    return f" ({order_of(form).replace('-', ' ')})"


# Words


def _kind_of_texts(series: "Series", cells: CellFormat) -> FoundKind:
    """Finds the kind of a column of texts: numbers, dates or words.

    Raises:
        DataError: they can be read in two ways, or are numbers with signs or units.
    """
    import polars

    texts = series.cast(polars.String)
    name = series.name
    column = ColumnSchema(name, format=_type_of_texts(series, cells))
    if cells.decimal != ",":
        plain = read_numbers(texts, "", cells)
        if not plain.is_odd.any() and not are_padded(texts):
            return _kind_of_plain_numbers(column, texts, plain.values, cells)
    counted = count_words(texts, cells)
    words = counted.different
    if words.is_empty():
        return FoundKind(ColumnSchema(name), NO_VALUES, is_useless=True)
    numbers = _kind_of_written_numbers(column, texts, words, cells)
    if numbers is not None:
        return numbers
    dates = _kind_of_dates(name, words)
    if dates is not None:
        return dates
    if have_units(words):
        raise DataError(
            f"column {name!r} has numbers with currency signs, percent signs or units, such as "
            f"{_shown(words)}: write plain numbers, or leave it out (data.exclude), or read its "
            f'words as levels (data.kinds={{{name}="categorical"}})'
        )
    found = _kind_of_words(series, counted, words, cells)
    return replace(found, note=_tell_nearly(counted, words))


def _type_of_texts(series: "Series", cells: CellFormat) -> str:
    """Names the type that numbers in a column of texts have in their source."""
    import polars

    if cells.is_text:
        return ""
    if series.dtype == polars.String:
        return "String"
    return _frame_type(series)


def _kind_of_plain_numbers(
    column: ColumnSchema, texts: "Series", values: np.ndarray, cells: CellFormat
) -> FoundKind:
    """Finds the kind of plain numbers in texts: whole ones are so written."""
    if count_decimals(values[np.isfinite(values)]) == 0 and are_written_whole(texts, cells):
        column = replace(column, type="integer")
    return _kind_of_numbers(column, values)


def _kind_of_written_numbers(
    column: ColumnSchema, texts: "Series", words: "Series", cells: CellFormat
) -> FoundKind | None:
    """Finds the kind of numbers with a decimal comma or marks between thousands; None if the words
    are no numbers.

    Raises:
        DataError: a mark may be either.
    """
    if are_padded(words):
        return None
    forms = find_number_forms(words, cells.decimal)
    name = column.name
    if len(forms) > 1:
        marked = words.filter(words.str.contains(","))
        raise DataError(
            f"column {name!r} has numbers such as {_shown(marked)}, whose comma may be a decimal "
            "mark or stand between thousands: data.decimal=',' or data.decimal='.' says which"
        )
    if not forms:
        return None
    form = forms[0]
    values = read_numbers(texts, form, cells).values
    if not form:
        return _kind_of_plain_numbers(column, texts, values, cells)
    column = ColumnSchema(name, format=form)
    if count_decimals(values[np.isfinite(values)]) == 0:
        column = replace(column, type="integer")
    note = f"numbers written as {form}"
    return replace(_kind_of_numbers(column, values), note=note)


def _kind_of_words(
    series: "Series", counted: Words, words: "Series", cells: CellFormat
) -> FoundKind:
    """Finds the kind of a column of words.

    Args:
        series: the column.
        counted: its texts.
        words: its different words.
        cells: how the cells are written.
    """
    name = series.name
    count = counted.cells
    if len(words) == count and len(words) > LEAST_IDS:
        return FoundKind(ColumnSchema(name, "id", "text"), "a word of its own in each row")
    is_varied = len(words) > FEW_WORDS and len(words) > MOST_UNIQUE * count
    if len(words) > MOST_LEVELS or is_varied:
        return FoundKind(ColumnSchema(name, "text", "text"), f"{len(words):,} different words")
    column = _with_words(series, words, cells)
    if len(words) == 1:
        return _constant(column, repr(words[0]), len(series))
    why = f"{len(words)} different words"
    if column.format == "Enum" and len(column.levels) > 2:
        return FoundKind(replace(column, kind="ordinal"), f"{why}, in the order of the Enum")
    return FoundKind(column, why)


def _with_words(series: "Series", words: "Series", cells: CellFormat) -> ColumnSchema:
    """Describes a column of levels that are words, sorted, or in the order of an Enum."""
    import polars

    levels = words.sort().to_list()
    kind = series.dtype
    if isinstance(kind, polars.Enum):
        levels = [word for word in kind.categories.to_list() if word not in cells.missing]
    form = ""
    if kind != polars.String:
        form = _frame_type(series)
    name_of_kind = "categorical"
    if len(levels) == 2:
        name_of_kind = "binary"
    return ColumnSchema(series.name, name_of_kind, "text", tuple(levels), format=form)


def _tell_nearly(counted: Words, words: "Series") -> str:
    """Tells of a column of words nearly all of which are numbers or dates."""
    total = counted.cells
    kind = "numbers"
    is_odd = counted.stripped.is_not_null() & parse_numbers(counted.stripped, "").is_null()
    odd = counted.count(is_odd)
    if not 0 < odd <= (1 - NEARLY_ALL) * total:
        kind = "dates"
        dates = find_dates(words)
        if dates.format is None:
            return ""
        is_odd = counted.stripped.is_in(dates.unread.implode()).fill_null(False)
        odd = counted.count(is_odd)
    if not 0 < odd <= (1 - NEARLY_ALL) * total:
        return ""
    example = counted.stripped.filter(is_odd).sort()[0]
    return (
        f"read as words: {odd:,} of {total:,} cells are no {kind}, such as "
        f"{one_line(repr(example), 40)} (data.missing names the words that are gaps)"
    )


def _shown(words: "Series") -> str:
    return one_line(repr(words.sort()[0]), 40)


# Kinds that the user has named


def _as_told(series: "Series", kind: str, table: str, cells: CellFormat) -> FoundKind:
    """Takes a column for what the user says that it is.

    Raises:
        ConfigError: its values are no such values.
    """
    why = "told by data.kinds"
    if kind in LEFT_OUT:
        return FoundKind(ColumnSchema(series.name, kind, "text"), why)
    if kind.startswith(DATETIME):
        return FoundKind(_told_dates(series, kind, table, cells), why)
    if kind in LEVELLED:
        return FoundKind(_told_levels(series, kind, table, cells), why)
    return FoundKind(_told_numbers(series, kind, table, cells), why)


def _refuse_kind(name: str, table: str, kind: str, reason: str) -> ConfigError:
    return ConfigError(f"data.kinds: {name!r} of {table} cannot be {kind}: {reason}")


def _told_dates(series: "Series", kind: str, table: str, cells: CellFormat) -> ColumnSchema:
    """Takes a column for dates, whose form may be named after the kind."""
    import polars

    name = series.name
    if series.dtype in (polars.Date, polars.Datetime):
        return _date_column(series)
    if not is_text(series):
        raise _refuse_kind(
            name,
            table,
            DATETIME,
            f"its values are of type {one_line(series.dtype, 40)}; allowed: "
            "dates, and texts that are dates",
        )
    form = kind.removeprefix(DATETIME).strip()
    words = find_words(series.cast(polars.String), cells)
    if not form:
        dates = find_dates(words)
        if len(dates.orders) == 2:
            raise ConfigError(f"{table}: {_tell_orders(name, words)}")
        form = dates.format or "%Y-%m-%d"
    try:
        if DATE_FORMAT.fullmatch(form) is None or "%" not in form:
            raise ValueError(form)
        is_odd = read_dates(words, form).is_null()
    except (ValueError, polars.exceptions.PolarsError):
        raise ConfigError(
            f"data.kinds: {one_line(repr(form), 40)} is no form of dates; allowed: such as "
            "'%Y-%m-%d', '%d/%m/%Y' or '%m/%d/%y %H:%M'"
        ) from None
    _refuse_others(series, is_odd, words, table, f"{DATETIME} {form}")
    return ColumnSchema(name, DATETIME, "text", format=form)


def _refuse_others(
    series: "Series", is_odd: "Series", words: "Series", table: str, kind: str
) -> None:
    """Refuses a kind that does not fit some words of a column.

    Raises:
        ConfigError: there are such words.
    """
    import polars

    odd = words.filter(is_odd)
    if odd.is_empty():
        return
    cells = series.cast(polars.String).str.strip_chars()
    is_such = cells.is_in(odd.implode()).fill_null(False).to_numpy()
    raise _refuse_kind(
        series.name,
        table,
        kind,
        f"{_cells_text(is_such)}, such as {_first(cells, is_such)}; "
        "data.missing names the words that are gaps",
    )


def _cells_text(is_odd: np.ndarray) -> str:
    count = int(is_odd.sum())
    if count == 1:
        return "1 cell does not fit"
    return f"{count:,} cells do not fit"


def _first(cells: "Series", is_such: np.ndarray) -> str:
    """Shows the first of some cells, with its row."""
    row = first_row(is_such)
    return f"{one_line(repr(cells[row - 1]), 40)} in row {row}"


def _told_numbers(series: "Series", kind: str, table: str, cells: CellFormat) -> ColumnSchema:
    """Takes a column for numbers of a kind."""
    name = series.name
    form = _told_form(series, kind, table, cells)
    values = _told_values(series, kind, form, table, cells)
    known = values[np.isfinite(values)]
    if not len(known):
        raise _refuse_kind(name, table, kind, "it has no values")
    column = ColumnSchema(name, kind, format=form or _format_of(series, cells))
    column = replace(column, decimals=count_decimals(known))
    if _are_whole(series, known, cells):
        column = replace(column, type="integer")
    if kind == "positive" and (known == 0).any():
        column = replace(column, atoms=(0.0,))
    with np.errstate(invalid="ignore"):
        is_odd = is_impossible(values, column)
    if is_odd.any():
        raise _refuse_kind(
            name, table, kind, f"{_cells_text(is_odd)}, such as {_first(series, is_odd)}"
        )
    return column


def _told_form(series: "Series", kind: str, table: str, cells: CellFormat) -> str:
    """Finds the form of the numbers of a column of texts; "" for plain ones and other columns."""
    import polars

    if not is_text(series):
        return ""
    words = find_words(series.cast(polars.String), cells)
    forms = find_number_forms(words, cells.decimal)
    if len(forms) > 1:
        raise _refuse_kind(
            series.name,
            table,
            kind,
            f"the comma of {_shown(words)} may be a decimal mark or stand "
            "between thousands: data.decimal=',' or data.decimal='.' says which",
        )
    if not forms:
        return ""
    return forms[0]


def _told_values(
    series: "Series", kind: str, form: str, table: str, cells: CellFormat
) -> np.ndarray:
    """Reads a column that the user has said is one of numbers, (N,); a gap is NaN."""
    import polars

    numbers = read_numbers(series, form, cells)
    if series.dtype == polars.Boolean or numbers.is_odd.all():
        raise _refuse_kind(
            series.name,
            table,
            kind,
            "it has words; allowed for words: categorical, ordinal, text, id",
        )
    if numbers.is_odd.any():
        raise _refuse_kind(
            series.name,
            table,
            kind,
            f"{_cells_text(numbers.is_odd)}, such as "
            f"{_first(series, numbers.is_odd)}; data.missing names the words that are gaps",
        )
    return numbers.values


def _format_of(series: "Series", cells: CellFormat) -> str:
    if is_text(series):
        return _type_of_texts(series, cells)
    return _frame_type(series)


def _are_whole(series: "Series", known: np.ndarray, cells: CellFormat) -> bool:
    """Says whether a column is one of whole numbers in its source."""
    import polars

    if is_text(series):
        return count_decimals(known) == 0 and are_written_whole(series.cast(polars.String), cells)
    return series.dtype.is_integer()


def is_impossible(values: np.ndarray, column: ColumnSchema) -> np.ndarray:
    """Says which numbers (N,) a column of this kind cannot hold; a gap is possible."""
    if column.kind == "positive" and 0.0 in column.atoms:
        return np.asarray(values < 0)
    if column.kind == "positive":
        return np.asarray(values <= 0)
    if column.kind == "count":
        return np.asarray((values < 0) | (values != np.round(values)) & ~np.isnan(values))
    return np.zeros(values.shape, bool)


def _told_levels(series: "Series", kind: str, table: str, cells: CellFormat) -> ColumnSchema:
    """Takes a column for levels: all its different values."""
    import polars

    name = series.name
    if series.dtype == polars.Boolean:
        column = ColumnSchema(name, "binary", "boolean", ("false", "true"))
    elif series.dtype.is_numeric():
        column = _number_levels(series, "", cells)
    elif is_text(series):
        words = find_words(series.cast(polars.String), cells)
        forms = find_number_forms(words, cells.decimal)
        column = _with_words(series, words, cells)
        if len(forms) == 1 and not are_padded(words):
            column = _number_levels(series, forms[0], cells)
    else:
        raise _refuse_kind(
            name,
            table,
            kind,
            f"its values are of type {one_line(series.dtype, 40)}; allowed: "
            "texts, numbers, yes or no",
        )
    count = len(column.levels)
    if count > MOST_LEVELS or not count or (kind == "binary" and count != 2):
        raise _refuse_kind(
            name,
            table,
            kind,
            f"it has {count:,} different values; allowed: 2 for binary, 1 to {MOST_LEVELS:,} else",
        )
    return replace(column, kind=kind)


def _number_levels(series: "Series", form: str, cells: CellFormat) -> ColumnSchema:
    """Describes a column of levels that are numbers."""
    values = read_numbers(series, form, cells).values
    different = np.unique(values[np.isfinite(values)])
    levels = tuple(map(number_text, different[: MOST_LEVELS + 1]))
    column = ColumnSchema(series.name, "categorical", levels=levels)
    column = replace(column, format=form or _format_of(series, cells))
    if len(different) and _are_whole(series, different, cells):
        column = replace(column, type="integer")
    return replace(column, decimals=count_decimals(different))
