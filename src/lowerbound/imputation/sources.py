"""Tables that are to be filled, as frames piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns import ColumnSchema
from ..data.files.cells import USUAL, CellFormat
from ..data.files.dialect import Dialect, TextFormat
from ..data.files.tables import (
    array_names,
    cells_of_frame,
    cells_of_text,
    refusing_damage,
    scan_parquet,
)
from ..data.files.texts import TEXTS, find_dialect, is_text, scan_texts
from ..data.memory import (
    DataSource,
    InMemory,
    frame_of_objects,
    is_in_memory,
    name_of,
    refuse_absent,
    to_plain,
)
from ..data.named.entries import NAMED, find_path
from ..errors import DataError
from ..run import Run

if TYPE_CHECKING:
    from polars import DataFrame, LazyFrame

PARQUET = ".parquet"
"""The ending of Parquet files."""


@dataclass(frozen=True, eq=False)
class SourceTable:
    """A table with gaps.

    Attributes:
        name: of the table in messages.
        rows: how many there are.
        scan: the rows, of which nothing is read yet; of a text file all cells are texts.
        path: the file, or None for data in memory.
        dialect: how a text file is written, or None.
        cells: how the cells are written.
    """

    name: str
    rows: int
    scan: "LazyFrame"
    path: Path | None = None
    dialect: Dialect | None = None
    cells: CellFormat = USUAL

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.scan.collect_schema().names()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how a text file was read."""
        if self.dialect is None:
            return ()
        return self.dialect.notes()

    def pieces(self, rows: int) -> "Iterator[DataFrame]":
        """Yields so many rows after so many, in order; the last ones may be fewer.

        There is one piece of a table without rows.

        Raises:
            DataError: the file is damaged.
        """
        import polars

        waiting = self.scan.clear().collect()
        is_first = True
        with refusing_damage(self.path or Path(self.name)):
            for batch in self._batches(rows):
                waiting = polars.concat([waiting, batch])
                while len(waiting) >= rows:
                    yield waiting[:rows]
                    is_first = False
                    waiting = waiting[rows:]
        if len(waiting) or is_first:
            yield waiting

    def _batches(self, rows: int) -> "Iterator[DataFrame]":
        """Yields some rows after others, as many as Polars likes."""
        if hasattr(self.scan, "collect_batches"):
            yield from self.scan.collect_batches(chunk_size=rows, maintain_order=True)
        else:
            yield self.scan.collect()


def open_table(run: Run, source: DataSource | None) -> SourceTable:
    """Opens a table, of which nothing is read yet.

    Args:
        run: that is to fill it.
        source: see `impute`.

    Raises:
        DataError: it is no table, has no rows, or cannot be read.
    """
    table = _open(run, source)
    if not table.rows:
        raise DataError(f"{table.name} has no rows, so that there is nothing to fill")
    return table


def _open(run: Run, source: DataSource | None) -> SourceTable:
    """Opens a table as `open_table` does, with rows or without."""
    import polars

    if source is None:
        source = run.recipe.data.source
        if run.held is not None:
            source = run.held
    asked = run.recipe.data.text_format()
    if is_in_memory(source):
        frame = _frame_of(source, run.schema.table)
        cells = cells_of_frame(asked)
        return SourceTable(name_of(source), len(frame), frame.lazy(), cells=cells)
    path = path_of(source)
    with refusing_damage(path):
        if path.suffix.lower() == PARQUET:
            scan = scan_parquet(path)
            rows = scan.select(polars.len()).collect().item()
            return SourceTable(str(path), rows, scan, path, cells=cells_of_frame(asked))
        return _open_text(path, asked)


def _open_text(path: Path, asked: TextFormat) -> SourceTable:
    dialect = find_dialect(path, asked)
    scan = scan_texts(path, dialect)
    return SourceTable(str(path), dialect.rows, scan, path, dialect, cells_of_text(dialect, asked))


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
        raise DataError(f"impute fills tables, files that end in {endings}; got {name}")
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
        got = f"data of type {type(source).__name__}"
        if isinstance(found, np.ndarray):
            got = f"an array of shape {found.shape}"
        raise DataError(
            f"impute fills frames, and arrays with the {wanted} columns of the run (N, {wanted}); "
            f"got {got}"
        )
    if found.dtype.kind in "OUS":
        names = [column.name for column in columns]
        return frame_of_objects(found).rename(dict(zip(array_names(wanted), names, strict=True)))
    made = []
    for column, values in zip(columns, found.T, strict=True):
        series = polars.Series(column.name, values)
        if series.dtype.is_float() and series.is_nan().all():
            series = series.fill_nan(None).cast(polars.Null)
        made.append(series)
    return polars.DataFrame(made)
