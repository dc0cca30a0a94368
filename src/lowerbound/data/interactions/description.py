"""What a log of interactions would be read as, by its first rows."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import LowerboundError
from ..files.description import Description
from ..files.dialect import Dialect
from ..files.previews import HEAD_ROWS, describe_columns
from ..files.tables import parse_spelled_numbers
from .columns import Columns
from .forms import guarded
from .logs import AS_WRITTEN, RawLog, Writing, choose_columns, name_columns, read_log

if TYPE_CHECKING:
    from polars import DataFrame, LazyFrame

TIMED = Columns(timed=True)
"""The usual columns, with the times."""


def describe_log(path: Path, how: Writing = AS_WRITTEN, columns: Columns = TIMED) -> Description:
    """Describes a file or a folder of interactions by its first rows.

    Args:
        path: the file, the folder or the pattern.
        how: how its files are written, where the user has said so.
        columns: which columns are users, items, ratings and times.

    Raises:
        DataError: it is of no known kind, or cannot be read.
    """
    log = name_columns(read_log(path, how), how)
    first = min(log.parts)
    head = guarded(str(path), lambda: _read_head(log, first))
    count = guarded(str(path), lambda: _count_lines(log))
    found = Description(
        str(path),
        "interactions",
        count,
        facts=_describe_parts(log),
        looked_at=len(head),
        notes=log.notes,
    )
    try:
        chosen = choose_columns(log, first, replace(columns, timed=True))
    except LowerboundError as error:
        uses: Mapping[str, str] = {}
        return replace(found, columns=describe_columns(head, uses), problem=str(error))
    uses = {name: key.replace("timestamp", "time") for key, name in chosen.names.items()}
    return replace(found, columns=describe_columns(head, uses), notes=(*log.notes, *chosen.notes))


def _read_head(log: RawLog, part: int) -> "DataFrame":
    """Reads the first rows of a part; texts that are all numbers become numbers."""
    head = log.parts[part].head(HEAD_ROWS).collect()
    dialect = log.dialects.get(part)
    if dialect is None:
        return head
    return parse_spelled_numbers(head, dialect)


def _describe_parts(log: RawLog) -> tuple[str, ...]:
    """Says which parts a log brings."""
    if len(log.parts) == 1:
        return ()
    names = {0: "train", 1: "validation", 2: "test"}
    return (f"its own parts: {', '.join(names[number] for number in sorted(log.parts))}",)


def _count_lines(log: RawLog) -> int:
    """Counts the interactions of all parts."""
    return sum(_length(frame, log.dialects.get(part)) for part, frame in log.parts.items())


def _length(frame: "LazyFrame", dialect: Dialect | None) -> int:
    import polars

    if dialect is not None:
        return dialect.rows
    return int(frame.select(polars.len()).collect().item())
