"""What the cells of a column of a table stand for: gaps, numbers, dates or words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .dialect import MISSING

if TYPE_CHECKING:
    from polars import DataFrame, Expr, Series

LARGEST = float(np.finfo(np.float32).max)
"""Numbers beyond this one are gaps, as infinite ones are."""

LARGEST_EXACT = 2.0**53
"""float64 has all whole numbers up to this one."""

COLUMNS_AT_ONCE = 2**10
"""So many columns of texts are parsed at once."""

NUMBER_FORMS = {
    "1,234.5": (",", "."),
    "1.234,5": (".", ","),
    "1 234.5": (r"[ \u{a0}\u{202f}\u{2009}]", "."),
    "1 234,5": (r"[ \u{a0}\u{202f}\u{2009}]", ","),
    "1'234.5": (r"['\u{2019}]", "."),
    "1'234,5": (r"['\u{2019}]", ","),
    "1234,5": ("", ","),
}
"""Forms of numbers that are not plain: the mark between thousands, and the decimal mark."""

PADDED = r"^0\d"
"""A number with zeros before it, such as 007, is a code and no number."""

WITH_UNIT = (
    r"^(?:[$€£¥₹₽₩]\s?[+-]?|[+-]?[$€£¥₹₽₩]\s?)?[+-]?\d[\d.,' ]*(?:\s?(?:[%‰]|[^\d\s.,]{1,3}))?$"
)
"""A number beside the sign of a currency, a percent sign or a short unit."""

SIGN = r"[$€£¥₹₽₩%‰]"
"""A sign that no level has, and no code."""

NO_MARK_OF_NUMBERS = r"[^\d.,' +-]"
"""A character that no number has, however it is written."""

FEW_UNITS = 12
"""So few different words with a short unit may be levels, such as 1st, 2nd, 3rd."""


@dataclass(frozen=True)
class CellFormat:
    """How cells are written, as far as that is known.

    Attributes:
        missing: the words that stand for a gap.
        decimal: the decimal mark of texts, where it is known.
        is_text: the cells are those of a text file, so that they have no types.
    """

    missing: tuple[str, ...] = MISSING
    decimal: str | None = None
    is_text: bool = False

    @property
    def numbers(self) -> list[float]:
        """The numbers among the words that stand for a gap, such as -999."""
        found = []
        for word in self.missing:
            try:
                found.append(float(word))
            except ValueError:
                continue
        return [number for number in found if np.isfinite(number)]


USUAL = CellFormat()
"""Cells are written as they usually are."""


@dataclass(frozen=True)
class Numbers:
    """Numbers that were read.

    Attributes:
        values: (N,) float64; a gap is NaN.
        is_odd: the cells that are no numbers and no gaps, (N,) bool.
    """

    values: np.ndarray
    is_odd: np.ndarray


def is_text(series: "Series") -> bool:
    """Says whether the cells of a column are texts, in any of the types of Polars."""
    import polars

    return isinstance(series.dtype, polars.String | polars.Categorical | polars.Enum)


@dataclass(frozen=True)
class Words:
    """The different texts of a column.

    Attributes:
        texts: as they are written, without null.
        counts: in how many cells each stands, (n,) of whole numbers.
        stripped: without blanks around them; null where they stand for a gap.
    """

    texts: "Series"
    counts: "Series"
    stripped: "Series"

    @property
    def different(self) -> "Series":
        """The different words, without gaps and without blanks around them."""
        return self.stripped.drop_nulls().unique()

    @property
    def cells(self) -> int:
        """The number of cells that are no gaps."""
        return self.count(self.stripped.is_not_null())

    def count(self, is_such: "Series") -> int:
        """Counts the cells whose texts are such."""
        return int(self.counts.filter(is_such).sum())


def is_with_unit(word: str) -> bool:
    """Says whether a word is a number with the sign of a currency, a percent sign or a unit."""
    return bool(re.match(WITH_UNIT, word) and re.search(NO_MARK_OF_NUMBERS, word))


def count_words(texts: "Series", cells: CellFormat) -> Words:
    """Finds the different texts of a column, and in how many cells each stands."""
    frame = texts.alias("text").value_counts(name="count").drop_nulls()
    stripped = frame["text"].str.strip_chars()
    is_gap = _is_in(stripped, cells.missing)
    if is_gap.any():
        stripped = stripped.set(is_gap, None)
    return Words(frame["text"], frame["count"], stripped)


def find_words(texts: "Series", cells: CellFormat) -> "Series":
    """Finds the different words of a column of texts, without gaps and without blanks around."""
    return count_words(texts, cells).different


def as_words(texts: "Series", cells: CellFormat) -> "Series":
    """Returns texts without blanks around them, null where they stand for a gap."""
    stripped = texts.str.strip_chars()
    is_gap = _is_in(stripped, cells.missing)
    if is_gap.any():
        return stripped.set(is_gap, None)
    return stripped


def map_words(texts: "Series", convert: "Callable[[Series], Series]", kind: Any) -> "Series":
    """Converts texts, each different one once where many stand in several rows.

    Args:
        texts: (N,).
        convert: texts (n,) -> values (n,).
        kind: the type of Polars that the values have.
    """
    words = texts.unique()
    if 2 * len(words) > len(texts):
        return convert(texts)
    return texts.replace_strict(words, convert(words), return_dtype=kind)


def _is_in(words: "Series", others: Sequence[str]) -> "Series":
    """Says which words are among some others; false for null."""
    import polars

    listed = polars.Series(list(others), dtype=polars.String)
    return words.is_in(listed.implode()).fill_null(False)


# Numbers


def read_numbers(series: "Series", form: str, cells: CellFormat) -> Numbers:
    """Reads the numbers of a column of any type.

    Args:
        series: the cells, (N,).
        form: how numbers in texts are written: one of `NUMBER_FORMS`, or "" for plain ones.
        cells: how the cells are written.
    """
    numbers = _read_numbers(series, form, cells)
    gaps = cells.numbers
    if gaps:
        numbers.values[np.isin(numbers.values, gaps)] = np.nan
    return numbers


def _read_numbers(series: "Series", form: str, cells: CellFormat) -> Numbers:
    """Reads numbers, of which some may stand for a gap."""
    import polars

    if is_text(series):
        return _read_texts(series.cast(polars.String), form, cells)
    is_number = series.dtype.is_numeric() or series.dtype in (polars.Boolean, polars.Null)
    if not is_number:
        is_odd = series.is_not_null().to_numpy()
        return Numbers(np.full(len(series), np.nan), is_odd)
    values = _as_array(series.cast(polars.Float64))
    return Numbers(_finite(values), np.zeros(len(series), bool))


def _read_texts(texts: "Series", form: str, cells: CellFormat) -> Numbers:
    """Reads numbers in texts: plain ones at once, and what is left word by word."""
    import polars

    numbers = texts.clear(len(texts)).cast(polars.Float64)
    if not form:
        numbers = texts.cast(polars.Float64, strict=False)
    is_odd = np.zeros(len(texts), bool)
    if numbers.null_count() == texts.null_count():
        return Numbers(_finite(_as_array(numbers)), is_odd)
    is_left = numbers.is_null() & texts.is_not_null()
    rest = texts.filter(is_left)

    def parse(words: "Series") -> "Series":
        return parse_numbers(as_words(words, cells), form)

    read = map_words(rest, parse, polars.Float64)
    values = _as_array(numbers)
    left = is_left.to_numpy()
    values[left] = _as_array(read)
    if read.null_count():
        unread = rest.set(read.is_not_null(), None)
        is_word = map_words(unread, lambda words: ~_is_gap(words, cells), polars.Boolean)
        is_odd[left] = is_word.fill_null(False).to_numpy()
    return Numbers(_finite(values), is_odd)


def _is_gap(texts: "Series", cells: CellFormat) -> "Series":
    """Says which texts stand for a gap; null does."""
    return as_words(texts, cells).is_null()


def parse_plain_columns(frame: "DataFrame", cells: CellFormat) -> "DataFrame":
    """Makes numbers of those columns of texts that hold nothing else, many columns at once.

    Columns of plain numbers and gaps become Int64 or Float64. Others stay as they are, and so do
    numbers with zeros before them, infinite ones, and those that float64 lacks.
    """
    import polars

    if cells.decimal == ",":
        return frame
    columns: list[Series] = []
    for start in range(0, frame.width, COLUMNS_AT_ONCE):
        part = frame[:, start : start + COLUMNS_AT_ONCE]
        texts = part.select(polars.col(polars.String))
        if texts.width:
            part = part.with_columns(_parse_plain(texts, cells))
        columns += part.get_columns()
    return frame.with_columns(columns)


def _parse_plain(texts: "DataFrame", cells: CellFormat) -> "list[Series]":
    """Makes numbers of some columns of texts."""
    import polars

    every = polars.all()
    numbers = _cast_if_all(texts)
    rest = texts.drop(numbers.columns)
    if rest.width:
        stripped = every.str.strip_chars()
        gaps = polars.Series(list(cells.missing), dtype=polars.String)
        known = polars.when(~stripped.is_in(gaps.implode())).then(stripped)
        more = _cast_if_all(rest.select(known))
        numbers = polars.DataFrame([*numbers.get_columns(), *more.get_columns()])
    if not numbers.width:
        return []
    written = texts.select(numbers.columns)
    zeros = every.str.starts_with("0") & ~every.str.starts_with("0.") & (every.str.len_bytes() > 1)
    is_padded = written.select(zeros.any()).row(0)
    has_points = written.select(every.str.contains(".", literal=True).any()).row(0)
    greatest = numbers.select(every.abs().max()).row(0)
    is_whole = numbers.select((every == every.round()).all()).row(0)
    columns = []
    for place, column in enumerate(numbers):
        most = greatest[place]
        if is_padded[place] or most is None:
            continue
        is_plain = not has_points[place] or are_written_whole(written[column.name], cells)
        if is_whole[place] and is_plain:
            if most < LARGEST_EXACT:
                columns.append(column.cast(polars.Int64))
        elif most <= LARGEST:
            columns.append(column)
    return columns


def _cast_if_all(texts: "DataFrame") -> "DataFrame":
    """Makes numbers of the columns whose texts all are plain numbers; the others are left out."""
    import polars

    numbers = texts.select(polars.all().cast(polars.Float64, strict=False))
    nulls = zip(texts.null_count().row(0), numbers.null_count().row(0), strict=True)
    kept = [
        name for name, (ours, theirs) in zip(texts.columns, nulls, strict=True) if ours == theirs
    ]
    return numbers.select(polars.col(kept).fill_nan(None))


def parse_numbers(words: "Series", form: str) -> "Series":
    """Converts words to float64 by a form of numbers; null where one is no such number."""
    import polars

    if not form:
        return words.str.to_lowercase().cast(polars.Float64, strict=False)
    frame = words.alias("word").to_frame()
    return frame.select(number_expression(polars.col("word"), form)).to_series()


def number_expression(text: "Expr", form: str) -> "Expr":
    """Returns texts as float64 by one of `NUMBER_FORMS`; null where one is no such number."""
    import polars

    group, decimal = NUMBER_FORMS[form]
    plain = text
    if group:
        plain = plain.str.replace_all(_escaped(group), "")
    plain = plain.str.replace(decimal, ".", literal=True)
    fits = text.str.contains(_pattern(form)).fill_null(False)
    return polars.when(fits).then(plain.cast(polars.Float64, strict=False))


def find_number_forms(words: "Series", decimal: str | None) -> list[str]:
    """Lists the forms by which all words are numbers, and by which they are not the same ones.

    Args:
        words: different ones, without gaps.
        decimal: the decimal mark, where it is known.

    Returns:
        "" where they are plain; else some of `NUMBER_FORMS`, of which there are two if nobody can
        know what the mark in them is; none if they are no numbers.
    """
    if words.is_empty():
        return []
    if decimal != "," and not parse_numbers(words, "").null_count():
        return [""]
    fitting = [form for form in NUMBER_FORMS if _fits(words, form, decimal)]
    if len(fitting) > 1 and _are_same(words, fitting):
        fitting = fitting[:1]
    grouped = [form for form in fitting if NUMBER_FORMS[form][0]]
    # Numbers with three decimals throughout would have them below a thousand too.
    if len(fitting) > 1 and words.str.contains(r"^[+-]?\d{1,3}$").any():
        fitting = grouped
    if not fitting and not parse_numbers(words, "").null_count():
        return [""]
    return fitting


def _fits(words: "Series", form: str, decimal: str | None) -> bool:
    """Says whether all words are numbers of a form, and some have the mark that makes it one."""
    group, own_decimal = NUMBER_FORMS[form]
    if decimal not in (None, own_decimal):
        return False
    if not words.str.contains(_pattern(form)).all():
        return False
    mark = _escaped(group or own_decimal)
    return bool(words.str.contains(mark).any())


def _are_same(words: "Series", forms: Sequence[str]) -> bool:
    """Says whether words are the same numbers by all forms."""
    read = [parse_numbers(words, form) for form in forms]
    return all(bool((numbers == read[0]).all()) for numbers in read[1:])


def _pattern(form: str) -> str:
    """Returns the pattern of a number of a form."""
    group, decimal = NUMBER_FORMS[form]
    whole = r"\d+"
    if group:
        whole = rf"(?:[1-9]\d{{0,2}}(?:{_escaped(group)}\d{{3}})+|\d+)"
    return rf"^[+-]?{whole}(?:{_escaped(decimal)}\d+)?(?:[eE][+-]?\d+)?$"


def _escaped(mark: str) -> str:
    if mark == ".":
        return r"\."
    return mark


def have_units(words: "Series") -> bool:
    """Says whether all words are numbers beside a sign or a short unit, and no levels."""
    if words.is_empty() or not words.str.contains(WITH_UNIT).all():
        return False
    if words.str.contains(SIGN).any():
        return True
    units = words.str.extract(r"([^\d\s.,]+)$").unique()
    return len(units) == 1 and units.null_count() == 0 and len(words) > FEW_UNITS


def count_infinite(series: "Series", form: str, cells: CellFormat) -> int:
    """Counts the cells that are infinite numbers, or numbers beyond float32."""
    import polars

    if is_text(series):
        numbers = series.cast(polars.String).cast(polars.Float64, strict=False)
    elif series.dtype.is_numeric():
        numbers = series.cast(polars.Float64)
    else:
        return 0
    return int((numbers.abs().fill_nan(0) > LARGEST).sum())


def _as_array(numbers: "Series") -> np.ndarray:
    """Returns float64 numbers with NaN for null, in an array of their own."""
    return np.array(numbers.fill_null(float("nan")).to_numpy(), np.float64)


def _finite(values: np.ndarray) -> np.ndarray:
    """Makes gaps of infinite numbers, and of those beyond float32."""
    with np.errstate(invalid="ignore"):
        values[np.abs(values) > LARGEST] = np.nan
    return values


def are_padded(texts: "Series") -> bool:
    """Says whether a column has numbers with zeros before them."""
    # Far faster than the pattern, which few texts then need.
    with_zero = texts.filter(texts.str.starts_with("0"))
    return bool(with_zero.str.contains(PADDED).any())


def are_written_whole(texts: "Series", cells: CellFormat) -> bool:
    """Says whether the whole numbers of a column are written without a decimal point."""
    if not texts.str.contains(".", literal=True).any():
        return True
    # A word for a gap may have a point.
    return not find_words(texts, cells).str.contains(".", literal=True).any()


def first_row(is_such: np.ndarray) -> int:
    """Returns the first row, from 1, that is such."""
    return int(np.flatnonzero(is_such)[0]) + 1
