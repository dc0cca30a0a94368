"""Tables that are to be filled, as frames in the types of their source."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..columns import ColumnSchema
from ..data.files.dialect import TextFormat
from ..data.files.tables import scan_parquet
from ..data.files.texts import TEXTS, find_dialect, is_text, scan_texts
from ..data.memory import DataSource, InMemory, is_in_memory, refuse_absent, to_plain
from ..data.named.entries import NAMED, find_path
from ..errors import DataError
from ..run import Run
from .texts import parse_texts

if TYPE_CHECKING:
    from polars import DataFrame

PARQUET = ".parquet"
"""The ending of Parquet files."""


class SourceTable(NamedTuple):
    """A table with gaps.

    Attributes:
        frame: its rows.
        notes: sentences on how it was read.
    """

    frame: "DataFrame"
    notes: tuple[str, ...] = ()


def read_source(run: Run, source: DataSource | None) -> SourceTable:
    """Reads a table whole.

    Args:
        run: that is to fill it.
        source: see `impute`.

    Raises:
        DataError: it is no table, or cannot be read.
    """
    if source is None:
        source = own_source(run)
    if is_in_memory(source):
        return SourceTable(_frame_of(source, run.schema.table))
    path = path_of(source)
    if path.suffix.lower() == PARQUET:
        return SourceTable(scan_parquet(path).collect())
    return _read_text(path, run.recipe.data.text_format(), run.schema.table)


def own_source(run: Run) -> DataSource:
    """Returns the source that a run was fitted to."""
    if run.held is not None:
        return run.held
    return run.recipe.data.source


def path_of(source: Any) -> Path:
    """Finds the file of a table.

    Raises:
        DataError: there is no such file, or it is none of a table.
    """
    name = str(source)
    refuse_absent(name)
    path = None
    if name not in NAMED:
        path = find_path(name)
    if path is None or not (is_text(path) or path.suffix.lower() == PARQUET):
        endings = ", ".join((*TEXTS, PARQUET))
        raise DataError(f"impute fills tables, files with the endings {endings}; got {name}")
    return path


def _frame_of(source: InMemory, columns: Sequence[ColumnSchema]) -> "DataFrame":
    """Makes a frame of data in memory; an array has the columns of the run.

    Raises:
        DataError: it is no frame, and no array of so many columns.
    """
    import polars

    found = to_plain(source)
    if isinstance(found, polars.DataFrame):
        return found
    wanted = len(columns)
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.shape[1] != wanted:
        got = type(source).__name__
        if isinstance(found, np.ndarray):
            got = f"an array of shape {found.shape}"
        raise DataError(
            f"impute fills frames, and arrays with the {wanted} columns of the run (N, {wanted}); "
            f"got {got}"
        )
    return polars.DataFrame(found, schema=[column.name for column in columns], orient="row")


def _read_text(path: Path, asked: TextFormat, columns: Sequence[ColumnSchema]) -> SourceTable:
    """Reads a text file: the columns of the run in their types, the others as texts."""
    dialect = find_dialect(path, asked)
    frame = scan_texts(path, dialect).collect()
    parsed = []
    for column in columns:
        if column.name in frame.columns:
            parsed.append(parse_texts(frame[column.name], column, dialect))
    return SourceTable(frame.with_columns(parsed), dialect.notes())
