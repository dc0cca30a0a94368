"""The columns of a file, of which one at a time is in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polars import LazyFrame, Series


@dataclass(frozen=True)
class StoredColumns:
    """Columns of a file that are read when they are asked for, and not kept.

    It offers what is asked of a frame of Polars where columns are read one by one.

    Attributes:
        scan: the file, of which nothing is read yet.
        columns: the names of the columns.
        rows: the number of rows.
        check: refuses a column that was read.
    """

    scan: "LazyFrame"
    columns: Sequence[str]
    rows: int
    check: "Callable[[Series], None]"

    def __len__(self) -> int:
        """Returns the number of rows."""
        return self.rows

    def __getitem__(self, name: str) -> "Series":
        """Reads a column."""
        column = self.scan.select(name).collect().to_series()
        self.check(column)
        return column

    def iter_columns(self) -> "Iterator[Series]":
        """Reads the columns one after another."""
        for name in self.columns:
            yield self[name]

    def select(self, names: Sequence[str]) -> "StoredColumns":
        """Returns some of the columns."""
        return replace(self, columns=list(names))
