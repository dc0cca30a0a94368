"""The matrix product of sparse rows with a learned table, and its gradient."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .rows import SparseRows

SPARSE_UPDATE_FRACTION = 0.5
"""Fraction of the rows of a table above which its gradient is dense even where a sparse one is
welcome: it is faster then.
"""


class _Times(torch.autograd.Function):
    """x W for sparse rows x: (B, d); the gradient of W is zero but for the items that occur, and
    says so if `sparse`.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: SparseRows, sparse: bool) -> Tensor:
        ctx.x, ctx.sparse, ctx.shape = x, sparse, weight.shape
        return x.times(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_out: Tensor) -> tuple[Tensor, None, None]:
        # By the transposed batch: a sum over the users of each item, in order, instead of scattered
        # additions.
        columns, found = ctx.x.compact()
        rows = columns.times(by_out.contiguous())
        if ctx.sparse and sparse_update_pays(found, ctx.shape[0]):
            coordinates = found.unsqueeze(0)
            return (
                torch.sparse_coo_tensor(
                    coordinates, rows, ctx.shape, is_coalesced=True, check_invariants=False
                ),
                None,
                None,
            )
        return rows.new_zeros(ctx.shape).index_copy_(0, found, rows), None, None


def sparse_update_pays(rows: Tensor, of: int) -> bool:
    """Whether some rows `of` a table of so many are better updated by themselves."""
    return len(rows) < SPARSE_UPDATE_FRACTION * of


def sparse_matmul(x: SparseRows, weight: Tensor, sparse: bool = False) -> Tensor:
    """The matrix product of sparse rows (B, I) with a learned table (I, d): (B, d).

    `sparse`: the gradient of the table is a sparse tensor with the rows of the items that occur,
    where these are less than half.
    """
    return _Times.apply(weight, x.to(dtype=weight.dtype), sparse)
