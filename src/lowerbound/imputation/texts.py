"""Columns of texts, as text files have them: read as what the columns of a run are, and written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ..columns import ColumnSchema
from ..data.files.dialect import Dialect
from ..data.files.tables import BOOLEANS, as_number

if TYPE_CHECKING:
    from polars import DataFrame, Series

SIGNIFICANT = 7
"""Numbers of a column of any decimals are written with so many digits: float32 has no more."""

DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
)
"""Dates are written in the first of these in which those of the source are."""


# Reading


def parse_frame(
    frame: "DataFrame", columns: Sequence[ColumnSchema], dialect: Dialect
) -> "DataFrame":
    """Reads the columns of a run from a frame of texts; the others stay texts."""
    parsed = []
    for column in columns:
        if column.name in frame.columns:
            parsed.append(parse_texts(frame[column.name], column, dialect))
    return frame.with_columns(parsed)


def parse_texts(texts: "Series", column: ColumnSchema, dialect: Dialect) -> "Series":
    """Reads the texts of a column; words that stand for missing values become null.

    Numbers become whole ones where all are. A column with texts that are no such values stays one
    of texts, and is refused later by the first of them.
    """
    words = without_missing(texts, dialect)
    if column.kind == "datetime":
        return _parse_dates(words)
    if column.type == "boolean":
        return _parse_booleans(words)
    if column.type in ("integer", "float"):
        return _parse_numbers(words, dialect.decimal)
    return words


def without_missing(texts: "Series", dialect: Dialect) -> "Series":
    """Returns texts without blanks around them, null for words that stand for missing values."""
    import polars

    word = polars.first().str.strip_chars()
    is_value = ~word.is_in(list(dialect.missing))
    return texts.to_frame().select(polars.when(is_value).then(word)).to_series().alias(texts.name)


def _parse_booleans(words: "Series") -> "Series":
    """Reads true and false in any case."""
    lowered = words.str.to_lowercase()
    if lowered.is_in(list(BOOLEANS)).all():
        return lowered == "true"
    return words


def _parse_numbers(words: "Series", decimal: str) -> "Series":
    """Reads numbers, as whole ones where all are."""
    import polars

    numbers = words.to_frame().select(as_number(polars.first(), decimal)).to_series()
    if numbers.null_count() > words.null_count():
        return words
    whole = numbers.cast(polars.Int64, strict=False)
    if whole.null_count() == numbers.null_count() and (whole == numbers).all():
        return whole
    return numbers


def _parse_dates(words: "Series") -> "Series":
    """Reads dates in the first format that all are written in."""
    for form in DATE_FORMATS:
        times = words.str.to_datetime(form, time_unit="us", strict=False)
        if times.null_count() == words.null_count():
            return times
    return words


# Writing


@dataclass(frozen=True)
class Style:
    """How the cells of a source are written.

    Attributes:
        decimal: the decimal mark.
        examples: the first cells of each column, by name.
    """

    decimal: str = "."
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of_dialect(cls, dialect: Dialect) -> "Style":
        """Returns the style of a text file, by its first rows."""
        examples: dict[str, list[str]] = {name: [] for name in dialect.columns}
        for row in dialect.sample:
            for name, cell in zip(dialect.columns, row, strict=False):
                if cell.strip() not in dialect.missing:
                    examples[name].append(cell.strip())
        return cls(dialect.decimal, examples)

    def write(self, values: "Series", column: ColumnSchema, name: str) -> "Series":
        """Writes values as the cells of a column are written in the source; null stays null.

        Args:
            values: in the type that `data.frames.to_series` gives them.
            column: what the run knows of the column.
            name: of the column in the source.
        """
        import polars

        examples = self.examples.get(name, ())
        if column.kind == "datetime":
            texts = _dates(values, examples)
        elif column.type == "boolean":
            texts = _booleans(values, examples)
        elif column.levels and column.type == "text":
            return values
        else:
            texts = self._numbers(values, column, examples)
        return polars.Series(name, list(texts), polars.String)

    def _numbers(
        self, values: "Series", column: ColumnSchema, examples: Sequence[str]
    ) -> Iterable[str | None]:
        """Writes numbers with the decimals of their column, at least those of all its examples."""
        least = min((_count_decimals(cell, self.decimal) for cell in examples), default=0)
        for value in values:
            if value is None:
                yield None
            else:
                yield number_text(value, column.decimals, least).replace(".", self.decimal)


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


def _booleans(values: "Series", examples: Sequence[str]) -> Iterable[str | None]:
    """Writes true and false in the case of the examples."""
    change = str.lower
    if examples and all(cell.istitle() for cell in examples):
        change = str.title
    elif examples and all(cell.isupper() for cell in examples):
        change = str.upper
    for value in values:
        if value is None:
            yield None
        else:
            yield change(str(value))


def _dates(values: "Series", examples: Sequence[str]) -> Iterable[str | None]:
    """Writes dates in the format of the examples, or as ISO 8601 has them."""
    form = _format_of(examples)
    for value in values:
        if value is None:
            yield None
        elif form is None:
            yield value.isoformat()
        else:
            yield value.strftime(form)


def _format_of(examples: Sequence[str]) -> str | None:
    """Finds the format that all examples of dates are written in."""
    for form in DATE_FORMATS:
        if examples and all(_is_date(cell, form) for cell in examples):
            return form
    return None


def _is_date(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)
    except ValueError:
        return False
    return True
