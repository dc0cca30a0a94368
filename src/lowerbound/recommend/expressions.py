"""Expressions over the columns of the items, as SQL has them behind WHERE.

An expression comes from anybody: from a command line or over HTTP. So only what is known to be
harmless is read: names, numbers, texts, operators and some functions, each of which looks at one
item alone. Queries and functions of tables, which might read files, are none of them.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConditionError, one_line, unknown

if TYPE_CHECKING:
    from polars import DataFrame, Expr, Series

LONGEST = 1000
"""An expression may have so many characters."""

FUNCTIONS = (
    *("ABS", "CEIL", "FLOOR", "ROUND", "SQRT", "LN", "EXP"),
    *("LOWER", "UPPER", "LENGTH", "STARTS_WITH", "ENDS_WITH", "STRPOS", "SUBSTR"),
    *("COALESCE", "IFNULL", "NULLIF", "GREATEST", "LEAST", "CAST"),
)
"""These functions may be called: each is one of one item, and its value is no longer than what it
is called with.
"""

BEFORE_PARENTHESES = (
    *("AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "BETWEEN", "IS", "AS"),
    *("CASE", "WHEN", "THEN", "ELSE"),
)
"""These words may stand before a parenthesis without being functions."""

REFUSED = ("SELECT", "FROM", "WITH", "TABLE", "VALUES", "EXISTS", "OVER", "UNNEST", "UNION")
"""These words begin or join queries. A column called so stands in double quotes."""

TOKEN = re.compile(
    r"""(?P<blank>[ ]+)
    |(?P<text>'(?:[^'\\]|'')*')
    |(?P<quoted>"[^"\\]+")
    |(?P<word>[^\W\d]\w*)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<operator><>|!=|<=|>=|==|\|\||[=<>+*/%(),-])""",
    re.VERBOSE,
)
"""What an expression is made of."""


def holds(frame: "DataFrame", expression: str, option: str = "where") -> np.ndarray:
    """Finds the rows of a frame for which an expression is true, (I,) bool.

    Where a value is missing the expression may be neither true nor false, which counts as false.

    Args:
        frame: one row for each item.
        expression: such as "year > 1990 AND genres LIKE '%Comedy%'"; see `FUNCTIONS`.
        option: what the expression was given as, for messages.

    Raises:
        ConditionError: it is no such expression, or there is no such column.
    """
    from polars.exceptions import PanicException, PolarsError

    condition = _parse(frame, expression, option)
    try:
        found = frame.select(condition.alias("found"))["found"]
    except (PolarsError, PanicException) as error:
        raise _failed(expression, option, str(error).strip().split("\n")[0]) from None
    if str(found.dtype) != "Boolean":
        raise _failed(expression, option, "it is neither true nor false; compare it with something")
    values = found.fill_null(False).to_numpy()
    return np.broadcast_to(values, (len(frame),)).copy()


def _parse(frame: "DataFrame", expression: str, option: str) -> "Expr":
    """Parses an expression whose columns the frame has.

    Raises:
        ConditionError: it is none.
    """
    from polars import sql_expr
    from polars.exceptions import PanicException, PolarsError

    _refuse_other(expression, option)
    try:
        condition = sql_expr(expression)
    except (PolarsError, PanicException):
        raise _failed(expression, option, "it cannot be read as an expression of SQL") from None
    for name in condition.meta.root_names():
        if name not in frame.columns:
            raise _no_column(name, frame, expression, option)
    if not condition.meta.eq(condition.meta.undo_aliases()):
        raise _failed(expression, option, "one condition is needed; AND and OR join several")
    return condition


def _refuse_other(expression: Any, option: str) -> None:
    """Refuses what is no expression of the allowed tokens.

    Raises:
        ConditionError: says what is not allowed.
    """
    if not isinstance(expression, str) or not expression.strip():
        raise ConditionError(
            f'{option} is an expression over the columns of the items, such as "year > 1990"; '
            f"got {one_line(repr(expression), 80)}"
        )
    if len(expression) > LONGEST:
        raise ConditionError(
            f"{option} has {len(expression):,} characters; allowed: up to {LONGEST:,}"
        )
    if "--" in expression or "/*" in expression:
        raise _failed(expression, option, "comments are not allowed")
    previous = ("", "")
    word = ""  # the word that stands last, with nothing but blanks behind it
    for kind, text in _tokens(expression, option):
        if kind == "word" and text.upper() in REFUSED:
            raise _failed(expression, option, f"{text} is not allowed: there are no queries in it")
        if kind in ("text", "quoted") and previous[0] == "word":
            raise _failed(expression, option, f"a blank is needed behind {previous[1]}")
        if text == "(" and word and word.upper() not in (*FUNCTIONS, *BEFORE_PARENTHESES):
            raise ConditionError(unknown("function", word, FUNCTIONS, f" in {option}"))
        previous = (kind, text)
        if kind == "word":
            word = text
        elif kind != "blank":
            word = ""


def _tokens(expression: str, option: str) -> Iterator[tuple[str, str]]:
    """Yields the kinds and the texts of the tokens, blanks too.

    Raises:
        ConditionError: there is something else.
    """
    place = 0
    while place < len(expression):
        found = TOKEN.match(expression, place)
        if found is None:
            raise _failed(expression, option, f"{expression[place]!r} is not allowed here")
        yield str(found.lastgroup), found.group()
        place = found.end()


def _failed(expression: str, option: str, cause: str) -> ConditionError:
    """Returns the error for an expression that cannot be used."""
    return ConditionError(f"{option} {one_line(repr(expression), 120)}: {one_line(cause, 200)}")


def _no_column(name: str, frame: "DataFrame", expression: str, option: str) -> ConditionError:
    """Returns the error for a column that the items do not have."""
    columns = frame.columns
    by_folded = {column.casefold(): column for column in columns}
    meant = by_folded.get(name.casefold())
    message = unknown("column", name, columns, f" in {option}", meant)
    if f'"{name}"' in expression:
        message += "; texts stand in single quotes"
    several = f"{name}s"
    if several in columns and _holds_several(frame[several]):
        message += f"; {several} are parted by |, so write {several} LIKE '%...%'"
    return ConditionError(message)


def _holds_several(column: "Series") -> bool:
    """Says whether a column is of texts, some of which name several things."""
    is_text = str(column.dtype) == "String"
    return is_text and bool(column.str.contains("|", literal=True).any())
