"""Columns of texts, as text files have them, read as what the columns of a run are."""

from typing import TYPE_CHECKING

from ..columns import ColumnSchema
from ..data.files.dialect import Dialect
from ..data.files.tables import BOOLEANS, as_number

if TYPE_CHECKING:
    from polars import Series


def parse_texts(texts: "Series", column: ColumnSchema, dialect: Dialect) -> "Series":
    """Reads the texts of a column; words that stand for missing values become null.

    Numbers become whole ones where all are. A column with texts that are no such values stays one
    of texts, and is refused later by the first of them.
    """
    words = without_missing(texts, dialect)
    if column.kind == "datetime":
        return words
    if column.type == "boolean":
        return _parse_booleans(words)
    if column.type in ("integer", "float"):
        return _parse_numbers(words, dialect.decimal)
    return words


def without_missing(texts: "Series", dialect: Dialect) -> "Series":
    """Returns texts without blanks around them, null for words that stand for missing values."""
    import polars

    word = polars.col(texts.name).str.strip_chars()
    is_value = ~word.is_in(list(dialect.missing))
    return texts.to_frame().select(polars.when(is_value).then(word)).to_series()


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
