"""Values written as the cells of a column of texts are written in their source."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..columns import ColumnSchema
from ..data.files.cells import NUMBER_FORMS, USUAL, CellFormat, as_words, is_text, parse_numbers
from ..data.files.dates import find_dates, read_dates, write_dates, zone_offset
from ..data.files.mixed import ISO, LOOKED_AT, TRUTH, form_of
from ..data.frames import to_plain_series

if TYPE_CHECKING:
    from polars import DataFrame, Series

SIGNIFICANT = 7
"""Numbers of a column of any decimals are written with so many digits: float32 has no more."""

MOMENT = "%Y-%m-%d %H:%M:%S"
"""Moments are written so where the source has none to show how."""

FOUR_DIGITS = r"\d{4}"
"""A number with so many digits beside each other has no marks between thousands."""


@dataclass(frozen=True)
class Style:
    """How the texts of a source are written.

    Attributes:
        cells: how the cells are written.
        examples: the first words of each column of texts, without gaps and blanks around them.
    """

    cells: CellFormat = USUAL
    examples: Mapping[str, "Series"] = field(default_factory=dict)

    @classmethod
    def of_frame(cls, frame: "DataFrame", cells: CellFormat) -> "Style":
        """Returns the style of a source by its first rows."""
        import polars

        examples = {}
        for series in frame.head(LOOKED_AT):
            if is_text(series):
                words = as_words(series.cast(polars.String), cells)
                examples[series.name] = words.drop_nulls()
        return cls(cells, examples)

    def write(self, values: np.ndarray, column: ColumnSchema, name: str) -> "Series":
        """Writes values as the cells of a column are written in the source.

        Args:
            values: of the column, (N,), NaN for what is not written.
            column: what the run knows of the column.
            name: of the column in the source.

        Returns:
            Texts, (N,), null for what is not written.
        """
        import polars

        examples = self.examples.get(name, polars.Series(name, [], polars.String))
        if column.kind == "datetime":
            return _write_dates(values, column, examples)
        made = to_plain_series(column, values)
        if {level.lower() for level in column.levels} == TRUTH:
            return _write_truth(made, examples)
        if column.type == "text":
            return made
        style = NumberStyle.of_words(examples, column, self.cells)
        texts = [style.write(value, column.decimals) for value in made]
        return polars.Series(name, texts, polars.String)


# Numbers


@dataclass(frozen=True)
class NumberStyle:
    """How the numbers of a column of texts are written.

    Attributes:
        mark: stands between thousands; empty for none.
        decimal: the decimal mark.
        least: so many decimals at least.
    """

    mark: str = ""
    decimal: str = "."
    least: int = 0

    @classmethod
    def of_words(
        cls, words: "Series", column: ColumnSchema, cells: CellFormat = USUAL
    ) -> "NumberStyle":
        """Finds the style of the first words of a column, read as the reader reads them."""
        form = form_of(words, column.format, cells)
        words = words.filter(parse_numbers(words, form).is_not_null())
        if not form:
            return cls(least=_least_decimals(words, "."))
        group, decimal = NUMBER_FORMS[form]
        return cls(_mark_of(words, form, group), decimal, _least_decimals(words, decimal))

    def write(self, value: float | None, decimals: int | None) -> str | None:
        """Writes a number with at most `decimals` of them; None stays None."""
        if value is None:
            return None
        whole, point, fraction = number_text(value, decimals, self.least).partition(".")
        if self.mark and whole.lstrip("-").isdigit():
            whole = re.sub(r"(?<=\d)(?=(\d{3})+$)", self.mark, whole)
        if not point:
            return whole
        return f"{whole}{self.decimal}{fraction}"


def _mark_of(words: "Series", form: str, group: str) -> str:
    """Finds the mark between thousands; empty where numbers of four digits have none."""
    if not group:
        return ""
    pattern = group
    if group == ".":
        pattern = r"\."
    found = words.str.extract(rf"\d({pattern})\d{{3}}").drop_nulls()
    if len(found):
        return str(found[0])
    if words.str.contains(FOUR_DIGITS).any():
        return ""
    return form[1]


def _least_decimals(words: "Series", decimal: str) -> int:
    """Counts the decimals that all numbers have at least."""
    return min((_count_decimals(word, decimal) for word in words), default=0)


def number_text(value: float, decimals: int | None, least: int = 0) -> str:
    """Writes a number with at most `decimals` of them, and at least `least`.

    >>> number_text(1.5, 3, 2), number_text(7, 0), number_text(1 / 3, None)
    ('1.50', '7', '0.3333333')
    """
    if decimals is None:
        text = f"{float(value):.{SIGNIFICANT}g}"
    else:
        text = f"{value:.{max(decimals, least)}f}"
    if "e" in text or "." not in text:
        return text
    whole, _, fraction = text.partition(".")
    kept = fraction.rstrip("0").ljust(least, "0")
    if not kept:
        return whole
    return f"{whole}.{kept}"


def _count_decimals(cell: str, decimal: str) -> int:
    """Counts the digits behind the decimal mark of a number."""
    return len(cell.lower().partition("e")[0].partition(decimal)[2])


# Words


def _lower(words: "Series") -> "Series":
    return words.str.to_lowercase()


def _title(words: "Series") -> "Series":
    return words.str.to_titlecase()


def _upper(words: "Series") -> "Series":
    return words.str.to_uppercase()


def _write_truth(made: "Series", examples: "Series") -> "Series":
    """Writes truth values, or levels that are their names, in the case of the examples."""
    import polars

    words = made.cast(polars.String)
    examples = examples.filter(examples.str.to_lowercase().is_in(list(TRUTH)))
    for change in (_lower, _title, _upper):
        if examples.len() and (change(examples) == examples).all():
            return change(words)
    return words


# Dates


def _write_dates(values: np.ndarray, column: ColumnSchema, examples: "Series") -> "Series":
    """Writes days since 1970 in the form of the examples."""
    import polars

    own = ISO
    if column.type == "text":
        own = column.format
    form = _form_of_dates(examples, own)
    if column.type == "datetime" and examples.is_empty():
        form = MOMENT
    moments = to_plain_series(column, values).cast(polars.Int64)
    return write_dates(moments + zone_offset(form), form)


def _form_of_dates(words: "Series", own: str) -> str:
    """Finds the form of dates: that of the run, or another one that gives all the same dates."""
    times = read_dates(words, own)
    words = words.filter(times.is_not_null())
    times = times.drop_nulls()
    if bool((write_dates(times, own) == words).all()):
        return own
    found = find_dates(words).format
    if found is None:
        return own
    read = read_dates(words, found) - zone_offset(found)
    if (read == times - zone_offset(own)).fill_null(False).all():
        return found
    return own
