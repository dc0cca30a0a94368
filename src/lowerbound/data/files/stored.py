"""The columns of a file, of which one at a time is in memory."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polars import LazyFrame, Series

Change = Callable[["Series"], "Series"]
"""What is made of a column when it is read."""


@dataclass(frozen=True)
class StoredColumns:
    """Columns of a Parquet file that are read when they are asked for, and not kept.

    It offers what is asked of a frame of Polars where columns are read one by one.

    Attributes:
        scan: the file, of which nothing is read yet.
        columns: the names of the columns.
        rows: the number of rows.
        changes: what is made of each column when it is read, one after another; they may refuse it.
    """

    scan: "LazyFrame"
    columns: Sequence[str]
    rows: int
    changes: tuple[Change, ...] = ()

    @classmethod
    def of(cls, scan: "LazyFrame", columns: Sequence[str]) -> "StoredColumns":
        """Returns some columns of a Parquet file."""
        import polars

        rows = scan.select(polars.len()).collect().item()
        return cls(scan, columns, rows)

    def __len__(self) -> int:
        """Returns the number of rows."""
        return self.rows

    def __getitem__(self, name: str) -> "Series":
        """Reads a column."""
        column = self.scan.select(name).collect().to_series()
        for change in self.changes:
            column = change(column)
        return column

    def iter_columns(self) -> "Iterator[Series]":
        """Reads the columns one after another."""
        for name in self.columns:
            yield self[name]

    def select(self, names: Sequence[str]) -> "StoredColumns":
        """Returns some of the columns."""
        return replace(self, columns=list(names))

    def changed(self, change: Change) -> "StoredColumns":
        """Returns the columns with one more change to each when it is read."""
        return replace(self, changes=(*self.changes, change))


@contextmanager
def storing(rows: "LazyFrame") -> Iterator[StoredColumns]:
    """Stores rows in a temporary Parquet file for the while, in which columns are found.

    A text file is so read once, row by row, and not once for each of its columns.
    """
    import polars

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        rows.sink_parquet(path)
        scan = polars.scan_parquet(path, glob=False)
        yield StoredColumns.of(scan, scan.collect_schema().names())
