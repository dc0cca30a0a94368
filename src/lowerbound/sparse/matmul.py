"""The matrix product of sparse rows with a learned table, and its gradient."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .rows import SparseRows

SPARSE_UPDATE_FRACTION = 0.5
"""A gradient that reaches this fraction of the rows of a table, or more, is made dense.

A dense gradient is then faster even with an optimiser that takes sparse ones.
"""


class _SparseMatmul(torch.autograd.Function):
    """The product x W (B, d) of sparse rows x with a table W.

    The gradient of W is zero in the rows of items that do not occur. With `sparse` it is a sparse
    tensor without these rows.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: SparseRows, sparse: bool) -> Tensor:
        ctx.x = x
        ctx.sparse = sparse
        ctx.shape = weight.shape
        return x.times(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        # The transposed batch sums over the users of each item, in order, where a gradient by the
        # rows of the batch would need scattered additions.
        transpose, items = ctx.x.compact()
        item_gradients = transpose.times(grad_output.contiguous())
        if ctx.sparse and sparse_update_pays(items, ctx.shape[0]):
            gradient = torch.sparse_coo_tensor(
                items.unsqueeze(0),
                item_gradients,
                ctx.shape,
                is_coalesced=True,
                check_invariants=False,
            )
        else:
            gradient = item_gradients.new_zeros(ctx.shape).index_copy_(0, items, item_gradients)
        return gradient, None, None


def sparse_update_pays(rows: Tensor, table_rows: int) -> bool:
    """Says whether updating only `rows` (C,) is faster than updating the whole table.

    Measured: above half of the table a dense gradient is faster.

    Args:
        rows: the rows that have a gradient, each of them once.
        table_rows: number of rows of the table.
    """
    return len(rows) < SPARSE_UPDATE_FRACTION * table_rows


def sparse_matmul(x: SparseRows, weight: Tensor, sparse: bool = False) -> Tensor:
    """Multiplies sparse rows (B, I) by a learned table (I, d).

    Args:
        x: the sparse rows.
        weight: the table.
        sparse: whether the gradient of the table is a sparse tensor that holds only the rows of the
            items that occur. It is dense all the same where at least half of the items occur.

    Returns:
        The product (B, d).
    """
    return _SparseMatmul.apply(weight, x.to(dtype=weight.dtype), sparse)
