"""A linear layer's output over very many columns, not yet computed: what a likelihood of sparse
rows needs of it, tile by tile.

The natural parameters of p(x | z) over I items are l = h W' + b, (N, I). A log-likelihood of sparse
rows needs only their inner product with x, which is a sparse matter, and one sum over the items for
each row (a log-partition function), which is taken over tiles of the items. So no (N, I) array has
to exist, forward or backward, beyond `KEPT` bytes of it.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .rows import SparseRows

Reduction = Literal["logsumexp", "softplus", "square"]
"""The sums over items that are known."""


TILE_NUMBERS = 2**20
"""Natural parameters in one tile, over all rows: small enough for a cache, large enough for the
matrix products.
"""


KEPT_BYTES = 2**27
"""Bytes of natural parameters that are kept for the way back; beyond that they are computed again.
"""


class _Sum(NamedTuple):
    """A sum over items, tile by tile.

    Attributes:
        of: logits (N, T) -> the slope of this tile, (N, T), and its state, (N,).
        total: the states of all tiles, (tiles, N) -> the sum (N,), and by what the slope of each
            tile is multiplied, (tiles, N).
    """

    of: Callable[[Tensor], tuple[Tensor, ...]]
    total: Callable[..., tuple[Tensor, Tensor]]


def _precise(tile: Tensor) -> Tensor:
    return tile.float() if tile.dtype in (torch.bfloat16, torch.float16) else tile


def _exponentials(logits: Tensor) -> tuple[Tensor, ...]:
    """Relative to the greatest of the tile, so that nothing overflows."""
    highest = _precise(logits.amax(1, keepdim=True))
    slope = (logits - highest).exp_()
    return slope.to(logits.dtype), highest.squeeze(1), slope.sum(1)


def _logsumexp(highest: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    total = (highest + sums.log()).logsumexp(0)
    return total, torch.exp(highest - total)


def _sum(parts: Tensor) -> tuple[Tensor, Tensor]:
    return parts.sum(0), torch.ones_like(parts)


REDUCTIONS: dict[Reduction, _Sum] = {
    "logsumexp": _Sum(_exponentials, _logsumexp),
    "softplus": _Sum(lambda logits: (logits.sigmoid(), F.softplus(_precise(logits)).sum(1)), _sum),
    "square": _Sum(lambda logits: (2 * logits, _precise(logits).square().sum(1)), _sum),
}


def compute_type(h: Tensor) -> torch.dtype:
    """What the matrix products are carried out in: bfloat16 under autocast, else as it is."""
    kind = h.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else h.dtype


def _tiles(rows: int, width: int) -> Iterator[slice]:
    step = max(64, TILE_NUMBERS // max(rows, 1) // 64 * 64)  # in whole blocks of a matrix unit
    return (slice(start, min(start + step, width)) for start in range(0, width, step))


class _Terms(torch.autograd.Function):
    """(h, W, b, x) -> <x, l> (N,) and the reduction of l (N,), with h (N, d) of K draws for each of
    the B rows of x, N = K B.
    """

    @staticmethod
    def forward(
        ctx: Any,
        h: Tensor,
        weight: Tensor,
        bias: Tensor,
        x: SparseRows,
        kind: Reduction,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        small, keep = h.to(dtype), len(h) * len(weight) * dtype.itemsize <= KEPT_BYTES
        slopes, states = [], []
        for tile in _tiles(len(h), len(weight)):
            slope, *state = REDUCTIONS[kind].of(_logits(small, weight[tile], bias[tile]))
            slopes.append(slope if keep else None)
            states.append(state)
        total, factors = REDUCTIONS[kind].total(*map(torch.stack, zip(*states, strict=True)))
        items = x.times(weight)
        inner = (
            (h.view(-1, *items.shape) * items).sum(-1) + x.times(bias.unsqueeze(1)).squeeze(1)
        ).flatten()
        ctx.save_for_backward(h, weight, bias, items, factors)
        ctx.x, ctx.kind, ctx.dtype, ctx.slopes = x, kind, dtype, slopes
        return inner, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_inner: Tensor, by_total: Tensor) -> tuple[Tensor | None, ...]:
        h, weight, bias, items, factors = ctx.saved_tensors
        by_h = (by_inner.view(-1, len(items), 1) * items).reshape(h.shape)
        by_weight, by_bias = torch.empty_like(weight), torch.empty_like(bias)
        for tile, slope, factor in zip(
            _tiles(len(h), len(weight)), ctx.slopes, (by_total * factors).unsqueeze(2), strict=True
        ):
            if slope is None:
                slope, *_ = REDUCTIONS[ctx.kind].of(
                    _logits(h.to(ctx.dtype), weight[tile], bias[tile])
                )
            # The factor goes to the smaller side of each product, so that no tile is gone over
            # again.
            by_weight[tile] = slope.T @ (factor * h).to(ctx.dtype)
            by_bias[tile] = (factor.T.to(ctx.dtype) @ slope).squeeze(0)
            by_h += factor * (slope @ weight[tile].to(ctx.dtype))
        ctx.slopes = [None] * len(
            factors
        )  # memory for the optimiser; who goes back again computes them again
        _add_sparse(ctx.x, h, by_inner, by_weight, by_bias)
        return by_h, by_weight, by_bias, None, None, None


def _logits(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias.to(h.dtype), h, weight.to(h.dtype).T)


def _add_sparse(
    x: SparseRows, h: Tensor, by_inner: Tensor, by_weight: Tensor, by_bias: Tensor
) -> None:
    """What <x, l> adds to the gradients of the weight and the bias: rows of the items that occur."""
    columns, found = x.compact()
    by_rows = (h * by_inner.unsqueeze(1)).view(-1, len(x), h.shape[1]).sum(0)
    by_weight.index_add_(0, found, columns.times(by_rows))
    by_bias.index_add_(
        0, found, columns.times(by_inner.view(-1, len(x)).sum(0).unsqueeze(1)).squeeze(1)
    )


class DeferredLinear:
    """l = h W' + b over I columns, (..., I), not yet computed.

    Attributes:
        h: (..., d).
        weight: (I, d).
        bias: (I,).
    """

    __slots__ = ("bias", "h", "weight")

    def __init__(self, h: Tensor, weight: Tensor, bias: Tensor) -> None:
        self.h, self.weight, self.bias = h, weight, bias

    @property
    def shape(self) -> torch.Size:
        """(..., I)."""
        return torch.Size([*self.h.shape[:-1], len(self.bias)])

    def lead(self, *shape: int) -> "DeferredLinear":
        """The same with other dimensions before the last."""
        return DeferredLinear(self.h.reshape(*shape, self.h.shape[-1]), self.weight, self.bias)

    def tensor(self) -> Tensor:
        """Computed, (..., I)."""
        return F.linear(self.h, self.weight, self.bias)

    def terms(self, x: SparseRows, kind: Reduction) -> tuple[Tensor, Tensor]:
        """<x, l> and the reduction of l over the columns, both of the shape (..., B) of h (..., B,
        d), for the B rows of x.
        """
        dtype = compute_type(self.h)
        h = self.h.reshape(-1, self.h.shape[-1]).to(self.weight.dtype)
        inner, total = _Terms.apply(h, self.weight, self.bias, x.to(dtype=h.dtype), kind, dtype)
        return inner.view(self.h.shape[:-1]), total.view(self.h.shape[:-1])
