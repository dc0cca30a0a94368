"""The files of one log, one below the other."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, one_line
from ..files.dialect import Dialect
from .folders import LogFile, keys_of

if TYPE_CHECKING:
    from polars import LazyFrame

WHOLE_NUMBER = r"-?(0|[1-9][0-9]{0,17})"
"""A value of a partition that is a whole number, written as such."""


def with_keys(
    frames: "Sequence[LazyFrame]", files: Sequence[LogFile], are_texts: bool
) -> "list[LazyFrame]":
    """Adds the columns that the names of the folders of files tell, but to files that have them.

    They are whole numbers where all their values are, and the files are no texts.

    Args:
        frames: the rows of each file.
        files: the files.
        are_texts: all columns are texts.
    """
    import polars

    added: list[list[Any]] = [[] for _ in files]
    for name in keys_of(files):
        values = polars.Series([file.keys.get(name) for file in files], dtype=polars.String)
        if not are_texts and values.str.contains(f"^{WHOLE_NUMBER}$").all():
            values = values.cast(polars.Int64)
        for place, frame in enumerate(frames):
            if name not in frame.collect_schema():
                value = polars.lit(values[place], dtype=values.dtype)
                added[place].append(value.alias(name))
    return [frame.with_columns(columns) for frame, columns in zip(frames, added, strict=True)]


# Files whose columns have types


def join_typed(
    name: str, paths: Sequence[Path], frames: "Sequence[LazyFrame]", names: Sequence[str] | None
) -> "LazyFrame":
    """Joins files whose columns have types, which may differ between them.

    Args:
        name: the source as it appears in messages.
        paths: of the files.
        frames: their rows.
        names: the columns that are to be read; None: all, which are then the same in all files.

    Raises:
        DataError: a file lacks a column that another one has.
    """
    import polars

    if len(frames) == 1:
        return frames[0]
    schemas = [frame.collect_schema() for frame in frames]
    common = list(names or schemas[0])
    for path, schema in zip(paths, schemas, strict=True):
        theirs = [one for one in schema if names is None or one in names]
        _refuse_others(name, (paths[0], common), (path, theirs))
    types = {column: [schema[column] for schema in schemas] for column in common}
    columns = []
    for column, kinds in types.items():
        if not any(kind.is_nested() for kind in kinds) or len(set(kinds)) == 1:
            columns.append(_to_common_type(column, kinds))
    return polars.concat([frame.select(columns) for frame in frames], how="vertical_relaxed")


def _refuse_others(
    name: str, first: tuple[Path, Sequence[str]], other: tuple[Path, Sequence[str]]
) -> None:
    """Refuses two files that do not have the same columns."""
    for (path, columns), (richer, more) in ((first, other), (other, first)):
        lacking = [column for column in more if column not in columns]
        if lacking:
            raise DataError(
                one_line(
                    f"{name} holds files of different columns: {path.name} lacks "
                    f"{', '.join(map(repr, lacking[:5]))}, which {richer.name} has; allowed: files "
                    f"of one log. Give one file, such as {richer}, a pattern of paths, or the "
                    "columns to read by data.columns",
                    500,
                )
            )


def _to_common_type(column: str, kinds: Sequence[Any]) -> Any:
    """Makes a column of one type that all files can have: a text where there is no other."""
    import polars

    found = polars.col(column)
    if len(set(kinds)) == 1:
        return found
    if all(kind.is_numeric() for kind in kinds):
        return found
    if all(kind in (polars.Date, polars.Datetime) for kind in kinds):
        if any(kind == polars.Datetime and kind.time_zone is not None for kind in kinds):
            return found.cast(polars.Datetime("us", "UTC"))
        return found.cast(polars.Datetime("us"))
    return found.cast(polars.String)


# Texts


def join_texts(
    name: str, frames: "Sequence[LazyFrame]", dialects: Sequence[Dialect]
) -> "tuple[LazyFrame, Dialect]":
    """Joins text files of the same columns, and says how all of them are written.

    A decimal comma of one of them is that of all, where commas separate no fields.

    Raises:
        DataError: they have different columns, or a line of names in some of them alone.
    """
    import polars

    first = dialects[0]
    if len(dialects) == 1:
        return frames[0], first
    for other in dialects:
        if other.header != first.header:
            raise DataError(
                f"{name} holds files with a line of names and some without one, such as "
                f"{first.path.name} and {other.path.name}; data.header=true or false says which "
                "they are"
            )
        _refuse_others(name, (first.path, first.columns), (other.path, other.columns))
    marks = {dialect.decimal for dialect in dialects if dialect.separator != ","}
    decimal = first.decimal
    if "," in marks:
        decimal = ","
    rows = sum(dialect.rows for dialect in dialects)
    # By name: the files may have their columns in another order.
    return polars.concat(frames, how="diagonal"), replace(first, rows=rows, decimal=decimal)


def tell_dialects(dialects: Sequence[Dialect]) -> tuple[str, ...]:
    """Says how text files are written, once for all that are written alike."""
    alike: dict[tuple[str, ...], list[Dialect]] = {}
    for dialect in dialects:
        alike.setdefault(tuple(dialect.findings()), []).append(dialect)
    notes: list[str] = []
    for members in alike.values():
        for note in members[0].notes():
            file = members[0].path.name
            others = ""
            if len(members) > 1:
                others = f" and {len(members) - 1:,} more"
            notes.append(note.replace(f"{file}:", f"{file}{others}:", 1))
    return tuple(notes)
