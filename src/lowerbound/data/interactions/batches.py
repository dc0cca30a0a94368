"""The rows of a log in pieces, so that few of them are in memory."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polars import DataFrame, LazyFrame

ROWS_AT_ONCE = 2**19
"""Rows of a log that are read at a time."""


def batches_of(frame: "LazyFrame", rows: int | None = None) -> "Iterator[DataFrame]":
    """Returns the rows of a frame in pieces, in their order, so that few of them are in memory.

    A Polars that cannot stream into Python reads all of them first.

    Args:
        frame: all rows.
        rows: of a piece, about; None: `ROWS_AT_ONCE`.
    """
    rows = rows or ROWS_AT_ONCE
    if hasattr(frame, "collect_batches"):
        return iter(frame.collect_batches(chunk_size=rows, maintain_order=True, lazy=True))
    return frame.collect().iter_slices(rows)
