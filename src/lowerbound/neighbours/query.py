"""What neighbours are looked for: a row of the data, the example in a file, or one in memory."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from ..data import Examples, Split
from ..data.memory import DataSource, is_in_memory, source_text
from ..errors import DataError, one_line
from ..run import Run
from ..system.files import exists, expand_home

MISSING = "allowed: the number of a row, the path of a file with one example"
"""What `to` may be, for messages."""


class Query(NamedTuple):
    """One example whose neighbours are looked for.

    Attributes:
        text: what names it.
        example: a split of this one example.
        position: its place among the examples that are searched, if it is one of them.
    """

    text: str
    example: Split
    position: int | None = None


def find_query(run: Run, to: Any, examples: Split, whole: Split | None = None) -> Query:
    """Finds the example that `to` stands for.

    Args:
        run: reads what is not among the examples.
        to: the number of a row, as the column `row` has it; the path of a file; the name of a file
            of the source, or of a user; or one example in memory.
        examples: what is searched.
        whole: all examples of their source, whose rows and names `to` may be too.

    Raises:
        DataError: there is no such row or file, or it holds several examples.
    """
    if whole is None:
        whole = examples
    if isinstance(to, int | np.integer) and not isinstance(to, bool):
        if not isinstance(examples, Examples):
            return _by_name(str(to), examples, whole)
        return _by_row(int(to), examples, whole)
    if isinstance(to, str | PathLike):
        return _by_text(run, str(to), examples, whole)
    return _one_of(run, _as_many(to, run), "the example in memory")


def _by_text(run: Run, text: str, examples: Split, whole: Split) -> Query:
    """Finds what a text names: a file, a row, or an example by its name in the source."""
    is_dense = isinstance(examples, Examples)
    if is_dense and exists(expand_home(text)):
        return _one_of(run, text, text)
    if is_dense and text.strip().lstrip("+-").isdecimal():
        return _by_row(int(text), examples, whole)
    return _by_name(text, examples, whole)


def _by_row(row: int, examples: Split, whole: Split) -> Query:
    """Finds the example of a row of the source."""
    found = np.flatnonzero(whole.rows == row)
    if not len(found):
        lowest = int(whole.rows.min())
        highest = int(whole.rows.max())
        raise DataError(
            f"there is no row {row} among the {len(whole):,} examples; their rows are "
            f"{lowest:,} to {highest:,}"
        )
    return _at(int(found[0]), f"row {row}", examples, whole)


def _by_name(text: str, examples: Split, whole: Split) -> Query:
    """Finds the example that the source names so: by its file, or a user by the id."""
    names = whole.names_of_rows()
    for kind in ("file", "user"):
        for place, name in enumerate(names.get(kind, ())):
            if str(name) == text:
                return _at(place, f"{kind} {text}", examples, whole)
    if "user" in names:
        first = one_line(", ".join(map(str, names["user"][:3])), 60)
        raise DataError(f"there is no user {one_line(text, 80)}; the first users are {first}")
    raise DataError(f"there is no file {one_line(text, 120)}; {MISSING}")


def _at(place: int, text: str, examples: Split, whole: Split) -> Query:
    """Makes a query of the example at a place in the whole source."""
    example = whole.take(slice(place, place + 1))
    positions = np.flatnonzero(examples.rows == example.rows[0])
    if not len(positions):
        return Query(text, example)
    return Query(text, example, int(positions[0]))


def _one_of(run: Run, source: DataSource, text: str) -> Query:
    """Reads a source that must hold one example.

    Raises:
        DataError: it holds more, or none.
    """
    example = run.seen(source)
    if not isinstance(example, Split):  # a matrix of users
        example = run.other_data(source).split("all")
    if len(example) != 1:
        where = source_text(source)
        if is_in_memory(source):
            where = "to"
        raise DataError(f"{where} holds {len(example):,} examples; {MISSING}")
    return Query(text, example)


def _as_many(example: Any, run: Run) -> Any:
    """Makes a source of one example of one in memory: an array of the shape of an example, or a
    dict of the cells of a row.
    """
    if isinstance(example, Mapping) and not any(np.ndim(value) for value in example.values()):
        return [dict(example)]
    shape = tuple(getattr(example, "shape", ()))
    is_array = hasattr(example, "ndim") and not hasattr(example, "columns")
    if is_array and shape in (run.schema.shape, run.schema.shape[1:]) and shape:
        return example[None]
    return example
