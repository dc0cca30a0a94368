"""Rows of a sparse matrix, which hold a batch of interactions: only what was observed is stored.

A batch is compressed by rows (CSR). Only the method `dense` makes a dense copy.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class SparseRows:
    """A batch of B sparse rows over I columns.

    Row b holds `values[offsets[b]:offsets[b + 1]]` in the columns at the same places of `columns`.
    Within a row each column occurs once, in ascending order.

    Attributes:
        offsets: (B + 1,) int64, from 0 to the number of entries.
        columns: (entries,) int64, below `width`.
        values: (entries,).
        width: I.
    """

    __slots__ = ("_column_order", "columns", "offsets", "values", "width")

    def __init__(self, offsets: Tensor, columns: Tensor, values: Tensor, width: int) -> None:
        self.offsets: Tensor = offsets
        self.columns: Tensor = columns
        self.values: Tensor = values
        self.width: int = width
        # The order of the entries by column, once it is known. Rows with the same places share the
        # list, so that each of them finds what another one has sorted.
        self._column_order: list[Tensor] = []

    @classmethod
    def of(cls, matrix: Any) -> "SparseRows":
        """Makes sparse rows of a SciPy matrix (B, I)."""
        csr = matrix.tocsr()
        offsets = np.ascontiguousarray(csr.indptr, dtype=np.int64)
        columns = np.ascontiguousarray(csr.indices, dtype=np.int64)
        values = np.ascontiguousarray(csr.data, dtype=np.float32)
        return cls(
            torch.from_numpy(offsets),
            torch.from_numpy(columns),
            torch.from_numpy(values),
            csr.shape[1],
        )

    def __len__(self) -> int:
        """Returns the number of rows, B."""
        return len(self.offsets) - 1

    @property
    def shape(self) -> torch.Size:
        """The shape (B, I)."""
        return torch.Size([len(self), self.width])

    def dim(self) -> int:
        """Returns 2, the number of dimensions, as a dense batch of rows does."""
        return 2

    @property
    def counts(self) -> Tensor:
        """The number of entries of each row, (B,) int64."""
        return self.offsets.diff()

    @property
    def rows(self) -> Tensor:
        """The row of each entry, (entries,) int64."""
        return torch.repeat_interleave(self.counts, output_size=len(self.columns))

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "SparseRows":
        """Returns the same rows on a device, with values of a type."""
        if device is None or torch.device(device) == self.values.device:
            return self.with_values(self.values.to(dtype=dtype))
        return SparseRows(
            self.offsets.to(device),
            self.columns.to(device),
            self.values.to(device, dtype),
            self.width,
        )

    def with_values(self, values: Tensor) -> "SparseRows":
        """Returns rows with other values at the same places."""
        other = SparseRows(self.offsets, self.columns, values, self.width)
        other._column_order = self._column_order
        return other

    def emptied(self) -> "SparseRows":
        """Returns as many rows without any entry."""
        nothing = slice(0, 0)
        offsets = torch.zeros_like(self.offsets)
        return SparseRows(offsets, self.columns[nothing], self.values[nothing], self.width)

    def first_columns(self, width: int) -> "SparseRows":
        """Returns the rows over the first columns alone, (B, width)."""
        if width == self.width:
            return self
        is_kept = self.columns < width
        kept_before = torch.zeros(len(self.columns) + 1, dtype=torch.int64)
        kept_before[1:] = is_kept.cumsum(0)
        return SparseRows(
            kept_before[self.offsets], self.columns[is_kept], self.values[is_kept], width
        )

    def sums(self) -> Tensor:
        """Returns the sum of each row, (B,)."""
        return self.values.new_zeros(len(self)).index_add(0, self.rows, self.values)

    def times(self, table: Tensor) -> Tensor:
        """Returns the matrix product with a dense table (I, d), (B, d).

        Each row of it is the sum of the table's rows at the entries, weighted by their values.
        """
        return F.embedding_bag(
            self.columns,
            table,
            self.offsets[:-1],
            mode="sum",
            per_sample_weights=self.values.to(table.dtype),
        )

    def compact(self) -> tuple["SparseRows", Tensor]:
        """Transposes the matrix and leaves out the empty rows of the transpose.

        Returns:
            The transpose (C, B), and for each of its rows the column of this matrix, (C,).
        """
        if not self._column_order:
            self._column_order.append(torch.argsort(self.columns, stable=True))
        (order,) = self._column_order
        sorted_columns = self.columns[order]
        columns, counts = torch.unique_consecutive(sorted_columns, return_counts=True)
        offsets = F.pad(counts.cumsum(0), (1, 0))
        rows = self.rows[order]
        values = self.values[order]
        return SparseRows(offsets, rows, values, len(self)), columns

    def dense(self) -> Tensor:
        """Returns a dense copy (B, I)."""
        copy = self.values.new_zeros(len(self), self.width)
        copy[self.rows, self.columns] = self.values
        return copy
