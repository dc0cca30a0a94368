"""An id is the same id, whatever type and spelling a tool gave it.

The ids of a log, of a file of titles, of a history and of a request all come here. Whole numbers
are numbers, also as texts (`7`), as real numbers (`7.0`, which pandas makes of a column with gaps)
and as categories. Blanks around a text do not count, and neither does how its accents are encoded
(Unicode NFC). Other texts stay as they are: `007`, `+7` and `7e0` are no numbers.
"""

import re
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import DataError

if TYPE_CHECKING:
    from polars import Expr, Series

WHOLE_AS_REAL = r"^(-?[1-9][0-9]*|0)\.0+$"
"""A whole number that was written as a real one."""


class Parsed(NamedTuple):
    """A column of texts, parsed as numbers of one type.

    Attributes:
        numbers: the numbers, null where a text is none.
        fits: one Boolean, whether every text is such a number.
    """

    numbers: "Expr"
    fits: "Expr"


def parse_whole_numbers(text: "Expr") -> Parsed:
    """Parses texts as whole numbers; a text fits if the number would be written just so.

    For example 1 fits, and 001 does not.
    """
    import polars

    number = text.cast(polars.Int64, strict=False)
    return Parsed(number, number.cast(polars.String).eq_missing(text).all())


def id_text(value: Any) -> str:
    """Returns the text by which one id is known, the same for `7`, `7.0`, `"7"` and `" 7"`."""
    if type(value) is int:
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        value = int(value)
    text = unicodedata.normalize("NFC", str(value)).strip()
    return re.sub(WHOLE_AS_REAL, r"\1", text)


def unify(ids: "Series") -> "Series":
    """Returns ids in the type and spelling in which they are compared, (n,).

    They are whole numbers if all of them are, else texts; real numbers and dates that are no whole
    numbers stay what they are. Numbers too long for NumPy become texts.
    """
    import polars

    kind = ids.dtype
    if kind.is_float():
        return _unify_reals(ids)
    if kind.is_integer():
        return _unify_integers(ids)
    if kind in (polars.Categorical, polars.Enum) or kind.is_decimal():
        ids = ids.cast(polars.String)
    if ids.dtype == polars.String:
        return _unify_texts(ids)
    return ids


def _unify_reals(ids: "Series") -> "Series":
    """Makes whole numbers of real ones if all of them are.

    Raises:
        DataError: they are too large for real numbers to tell neighbours apart.
    """
    import polars

    is_blurred = (ids.abs() > 2**53) & ids.is_finite()
    if ids.dtype == polars.Float64 and is_blurred.any():
        example = ids.filter(is_blurred)[0]
        raise DataError(
            f"ids such as {example:.0f} are real numbers, which do not tell neighbours beyond 2^53 "
            "apart; give whole numbers or texts"
        )
    is_whole = (ids == ids.floor()) & (ids.abs() < 2**63)
    if is_whole.all():
        return ids.cast(polars.Int64)
    return ids


def _unify_integers(ids: "Series") -> "Series":
    """Makes Int64 of whole numbers of any width; those beyond it become texts, but for UInt64."""
    import polars

    numbers = ids.cast(polars.Int64, strict=False)
    if numbers.null_count() == ids.null_count():
        return numbers
    if ids.dtype == polars.UInt64:
        return ids
    return ids.cast(polars.String)


def _unify_texts(ids: "Series") -> "Series":
    """Makes whole numbers of texts if all of them are; else each gets one spelling."""
    import polars

    texts = ids.str.strip_chars().str.normalize("NFC").str.replace(WHOLE_AS_REAL, "${1}")
    parsed = parse_whole_numbers(polars.col("id"))
    frame = texts.alias("id").to_frame()
    if frame.select(parsed.fits).item():
        texts = frame.select(parsed.numbers).to_series()
    return texts.alias(ids.name)


def as_texts(ids: "Series") -> "Series":
    """Returns the texts by which ids are known, as `id_text` does for one."""
    import polars

    return unify(ids).cast(polars.String).str.replace(WHOLE_AS_REAL, "${1}")


def series(ids: np.ndarray) -> "Series":
    """Returns ids as a Polars series: texts, which NumPy holds as objects, become strings."""
    import polars

    if ids.dtype == object:
        return polars.Series("item", ids.tolist())
    return polars.Series("item", ids)


def encode(column: "Series") -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct ids, ascending, and the position of each entry's id among them."""
    import polars

    given = column.unique()
    unified = unify(given)
    ids = unified.unique().sort()
    numbering = polars.int_range(len(ids), eager=True)
    position_of_given = unified.replace_strict(ids, numbering, return_dtype=polars.Int64)
    codes = column.replace_strict(given, position_of_given, return_dtype=polars.Int64)
    return ids.to_numpy(), codes.to_numpy()


def positions(ids: np.ndarray, catalogue: np.ndarray) -> np.ndarray:
    """Finds the position of each id in a catalogue of ids, (n,) int64; -1 if it is not there.

    Of two equal ids of a catalogue the first counts.
    """
    import polars

    asked = unify(series(ids))
    known = unify(series(catalogue))
    if asked.dtype != known.dtype:
        asked = as_texts(asked)
        known = as_texts(known)
    rows = known.alias("id").to_frame().with_row_index("at")
    rows = rows.drop_nulls("id").unique("id", keep="first")
    at = rows["at"].cast(polars.Int64)
    return asked.replace_strict(rows["id"], at, default=-1, return_dtype=polars.Int64).to_numpy()
