"""Interactions as a graph takes them: lists of items of one length, filled up with -1.

`SparseRows` have as many entries as there are interactions in a batch, which a graph would fix.
"""

import torch
from torch import Tensor

from ...sparse import SparseRows

NO_ITEM = -1
"""Stands where a list of items has ended."""


class PaddedRows(SparseRows):
    """Sparse rows (B, I) as two arrays (B, L): in a row, the columns of its entries, and their
    values, 0 where there is no entry.

    Args:
        columns: (B, L) int64, from 0 to I - 1; anything where there is no entry.
        values: (B, L).
        width: I.
    """

    __slots__ = ()

    def __init__(self, columns: Tensor, values: Tensor, width: int) -> None:
        super().__init__(columns, columns, values, width)

    def __len__(self) -> int:
        """Returns the number of rows, B."""
        return self.columns.shape[0]

    @property
    def counts(self) -> Tensor:
        """The number of entries of each row that are not 0, (B,) int64."""
        return (self.values != 0).sum(1)

    @property
    def rows(self) -> Tensor:
        """The row of each place, (B, L) int64."""
        places = torch.arange(self.columns.shape[0], device=self.columns.device)
        return places.unsqueeze(1).expand(self.columns.shape)

    @property
    def shape(self) -> torch.Size:
        """The shape (B, I)."""
        return torch.Size([self.columns.shape[0], self.width])

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "PaddedRows":
        """Returns the same rows on a device, with values of a type."""
        return PaddedRows(self.columns.to(device), self.values.to(device, dtype), self.width)

    def with_values(self, values: Tensor) -> "PaddedRows":
        """Returns rows with other values at the same places."""
        return PaddedRows(self.columns, values, self.width)

    def sums(self) -> Tensor:
        """Returns the sum of each row, (B,)."""
        return self.values.sum(1)

    def times(self, table: Tensor) -> Tensor:
        """Returns the matrix product with a dense table (I, d), (B, d)."""
        weighted = table[self.columns] * self.values.to(table.dtype).unsqueeze(-1)
        return weighted.sum(1)
