"""Rows of a sparse matrix, as batches of interactions: what was observed, and nothing for what was
not.

A batch is compressed by rows (CSR). No function here makes a dense copy, but `dense` itself.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class SparseRows:
    """A batch of B sparse rows over I columns: row b has `values[offsets[b]:offsets[b + 1]]` at
    those places of `columns`.

    Within a row each column stands once, in ascending order.

    Attributes:
        offsets: (B + 1,) int64, from 0 to the number of entries.
        columns: (entries,) int64, below `width`.
        values: (entries,).
        width: I.
    """

    __slots__ = ("_sorted", "columns", "offsets", "values", "width")

    def __init__(self, offsets: Tensor, columns: Tensor, values: Tensor, width: int) -> None:
        self.offsets, self.columns, self.values, self.width = offsets, columns, values, width
        self._sorted: list[
            Tensor
        ] = []  # the order of the entries by column; shared by all rows with these places

    @classmethod
    def of(cls, matrix: Any) -> "SparseRows":
        """From a SciPy matrix (B, I)."""
        csr = matrix.tocsr()
        offsets, columns = (
            torch.from_numpy(np.ascontiguousarray(a, dtype=np.int64))
            for a in (csr.indptr, csr.indices)
        )
        return cls(
            offsets,
            columns,
            torch.from_numpy(np.ascontiguousarray(csr.data, dtype=np.float32)),
            csr.shape[1],
        )

    def __len__(self) -> int:
        """B."""
        return len(self.offsets) - 1

    @property
    def shape(self) -> torch.Size:
        """(B, I)."""
        return torch.Size([len(self), self.width])

    def dim(self) -> int:
        """2, as for a dense batch of rows."""
        return 2

    @property
    def counts(self) -> Tensor:
        """Entries of each row, (B,) int64."""
        return self.offsets.diff()

    @property
    def rows(self) -> Tensor:
        """The row of each entry, (entries,) int64."""
        return torch.repeat_interleave(self.counts, output_size=len(self.columns))

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "SparseRows":
        """The same rows on a device, their values in a precision."""
        if device is None or torch.device(device) == self.values.device:
            return self.with_values(self.values.to(dtype=dtype))
        return SparseRows(
            self.offsets.to(device),
            self.columns.to(device),
            self.values.to(device, dtype),
            self.width,
        )

    def with_values(self, values: Tensor) -> "SparseRows":
        """Other values at the same places."""
        other = SparseRows(self.offsets, self.columns, values, self.width)
        other._sorted = self._sorted
        return other

    def sums(self) -> Tensor:
        """The sum of each row, (B,)."""
        return self.values.new_zeros(len(self)).index_add(0, self.rows, self.values)

    def times(self, table: Tensor) -> Tensor:
        """The matrix product with a dense table (I, d): (B, d), the sum of its rows at the entries,
        each by its value.
        """
        return F.embedding_bag(
            self.columns,
            table,
            self.offsets[:-1],
            mode="sum",
            per_sample_weights=self.values.to(table.dtype),
        )

    def compact(self) -> tuple["SparseRows", Tensor]:
        """The transpose without its empty rows, (C, B), and the columns (C,) of this matrix that
        they are.
        """
        if not self._sorted:
            self._sorted.append(torch.argsort(self.columns, stable=True))
        (order,) = self._sorted
        found, counts = torch.unique_consecutive(self.columns[order], return_counts=True)
        offsets = F.pad(counts.cumsum(0), (1, 0))
        return SparseRows(offsets, self.rows[order], self.values[order], len(self)), found

    def dense(self) -> Tensor:
        """A dense copy (B, I)."""
        out = self.values.new_zeros(len(self), self.width)
        out[self.rows, self.columns] = self.values
        return out
