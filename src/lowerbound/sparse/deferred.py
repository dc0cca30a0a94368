"""The output of a linear layer with very many columns, which is never computed as a whole.

The natural parameters of p(x | z) over I items are the logits l = h W' + b, (N, I). A
log-likelihood of sparse rows x needs only two things of them. The first is their inner product with
x, for which only the entries of x count. The second is one sum over the items in each row, the
log-partition function, which is computed by tiles of the items. So no (N, I) array has to exist,
neither forward nor backward, except that up to `KEPT_BYTES` are kept of one.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .rows import SparseRows
from .sampled import ItemSampler, sampled_terms

Reduction = Literal["logsumexp", "softplus", "square"]
"""The known sums over items."""

TILE_NUMBERS = 2**20
"""A tile has about this many logits, over all rows.

That is small enough for a cache and large enough for the matrix products.
"""

KEPT_BYTES = 2**27
"""The slopes of the tiles are kept for the backward pass if they take up to this many bytes.

Otherwise the backward pass computes them again.
"""


class DeferredLinear:
    """The linear map l = h W' + b over I columns, (..., I), not yet computed.

    Attributes:
        h: (..., d).
        weight: W, (I, d).
        bias: b, (I,).
        sampler: chooses the items that stand for all in sums that gradients are asked of; None
            takes all.
    """

    __slots__ = ("bias", "h", "sampler", "weight")

    def __init__(
        self, h: Tensor, weight: Tensor, bias: Tensor, sampler: ItemSampler | None = None
    ) -> None:
        self.h: Tensor = h
        self.weight: Tensor = weight
        self.bias: Tensor = bias
        self.sampler: ItemSampler | None = sampler

    @property
    def shape(self) -> torch.Size:
        """The shape of the output, (..., I)."""
        return torch.Size([*self.h.shape[:-1], len(self.bias)])

    def lead(self, *shape: int) -> "DeferredLinear":
        """Returns the same map with other dimensions before the last one."""
        h = self.h.reshape(*shape, self.h.shape[-1])
        return DeferredLinear(h, self.weight, self.bias, self.sampler)

    def tensor(self) -> Tensor:
        """Computes the whole output, (..., I)."""
        return F.linear(self.h, self.weight, self.bias)

    def terms(self, x: SparseRows, kind: Reduction) -> tuple[Tensor, Tensor]:
        """Computes the inner product <x, l> and the reduction of l over the columns.

        Args:
            x: B sparse rows; h is (..., B, d).
            kind: the sum over the columns.

        Returns:
            The inner products and the reductions, both (..., B).
        """
        *lead, features = self.h.shape
        h = self.h.reshape(-1, features).to(self.weight.dtype)
        if self.sampler is not None and kind == "logsumexp" and torch.is_grad_enabled():
            rows = x.to(dtype=h.dtype)
            inner, total = sampled_terms(h, self.weight, self.bias, rows, self.sampler)
            return inner.view(lead), total.view(lead)
        inner, total = _DeferredTerms.apply(
            h,
            self.weight,
            self.bias,
            x.to(dtype=h.dtype),
            kind,
            compute_type(self.h),
        )
        return inner.view(lead), total.view(lead)


def compute_type(h: Tensor) -> torch.dtype:
    """Returns the type of the matrix products: that of autocast where it is on, else that of h."""
    device_type = h.device.type
    if torch.is_autocast_enabled(device_type):
        return torch.get_autocast_dtype(device_type)
    return h.dtype


class _TiledSum(NamedTuple):
    """A sum over items that is computed tile by tile.

    The state of a tile is what the total needs of it, one or two tensors (N,).

    Attributes:
        of_tile: logits (N, T) -> the slope of the tile's sum by its logits, (N, T), and its state.
        total: the states of all tiles, (tiles, N) each -> the sum (N,), and the factors
            (tiles, N) by which the slopes of the tiles are multiplied.
    """

    of_tile: Callable[[Tensor], tuple[Tensor, ...]]
    total: Callable[..., tuple[Tensor, Tensor]]


def _in_float32(tile: Tensor) -> Tensor:
    """Converts a tile of half precision, so that its sum is precise."""
    if tile.dtype in (torch.bfloat16, torch.float16):
        return tile.float()
    return tile


def _exponentials_of_tile(logits: Tensor) -> tuple[Tensor, ...]:
    """Computes exponentials relative to the greatest logit of each row, so that none overflows."""
    highest = _in_float32(logits.amax(1, keepdim=True))
    exponentials = (logits - highest).exp_()
    return exponentials.to(logits.dtype), highest.squeeze(1), exponentials.sum(1)


def _total_logsumexp(highest: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    total = (highest + sums.log()).logsumexp(0)
    return total, torch.exp(highest - total)


def _softplus_of_tile(logits: Tensor) -> tuple[Tensor, ...]:
    return logits.sigmoid(), F.softplus(_in_float32(logits)).sum(1)


def _square_of_tile(logits: Tensor) -> tuple[Tensor, ...]:
    return 2 * logits, _in_float32(logits).square().sum(1)


def _total_sum(sums: Tensor) -> tuple[Tensor, Tensor]:
    return sums.sum(0), torch.ones_like(sums)


REDUCTIONS: dict[Reduction, _TiledSum] = {
    "logsumexp": _TiledSum(_exponentials_of_tile, _total_logsumexp),
    "softplus": _TiledSum(_softplus_of_tile, _total_sum),
    "square": _TiledSum(_square_of_tile, _total_sum),
}


def _tiles(rows: int, items: int) -> Iterator[slice]:
    """Cuts the items into tiles of whole blocks of 64, as a matrix unit takes them."""
    blocks = TILE_NUMBERS // max(rows, 1) // 64
    step = 64 * max(blocks, 1)
    for start in range(0, items, step):
        stop = min(start + step, items)
        yield slice(start, stop)


def _logits(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias.to(h.dtype), h, weight.to(h.dtype).T)


class _DeferredTerms(torch.autograd.Function):
    """The map (h, W, b, x) -> <x, l> (N,) and the reduction of l (N,).

    h (N, d) has K draws for each of the B rows of x, N = K B.
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
        reduction = REDUCTIONS[kind]
        rounded_h = h.to(dtype)
        is_kept = len(h) * len(weight) * dtype.itemsize <= KEPT_BYTES
        slopes: list[Tensor | None] = []
        states = []
        for tile in _tiles(len(h), len(weight)):
            # The logits have no name here, so that their memory is free for those of the next tile.
            slope, *state = reduction.of_tile(_logits(rounded_h, weight[tile], bias[tile]))
            states.append(state)
            if is_kept:
                slopes.append(slope)
            else:
                slopes.append(None)
        stacked_states = [torch.stack(parts) for parts in zip(*states, strict=True)]
        total, factors = reduction.total(*stacked_states)
        # <x, l> = <h, x W> + <x, b>, from products with the sparse rows alone.
        x_weight = x.times(weight)
        x_bias = x.times(bias.unsqueeze(1)).squeeze(1)
        inner = (h.view(-1, *x_weight.shape) * x_weight).sum(-1) + x_bias
        ctx.save_for_backward(h, weight, bias, x_weight, factors)
        ctx.x = x
        ctx.kind = kind
        ctx.dtype = dtype
        ctx.slopes = slopes
        return inner.flatten(), total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_inner: Tensor, grad_total: Tensor) -> tuple[Tensor | None, ...]:
        h, weight, bias, x_weight, factors = ctx.saved_tensors
        reduction = REDUCTIONS[ctx.kind]
        grad_h = (grad_inner.view(-1, len(x_weight), 1) * x_weight).reshape(h.shape)
        grad_weight = torch.empty_like(weight)
        grad_bias = torch.empty_like(bias)
        tiles = _tiles(len(h), len(weight))
        grad_factors = (grad_total * factors).unsqueeze(2)
        for tile, slope, factor in zip(tiles, ctx.slopes, grad_factors, strict=True):
            if slope is None:
                slope, *_ = reduction.of_tile(_logits(h.to(ctx.dtype), weight[tile], bias[tile]))
            # The factor multiplies the smaller side of each product, so that no tile is gone over
            # again.
            grad_weight[tile] = slope.T @ (factor * h).to(ctx.dtype)
            grad_bias[tile] = (factor.T.to(ctx.dtype) @ slope).squeeze(0)
            grad_h += factor * (slope @ weight[tile].to(ctx.dtype))
        # This frees memory for the optimiser. A second backward pass computes the slopes again.
        ctx.slopes = [None] * len(factors)
        _add_inner_gradients(ctx.x, h, grad_inner, grad_weight, grad_bias)
        return grad_h, grad_weight, grad_bias, None, None, None


def _add_inner_gradients(
    x: SparseRows, h: Tensor, grad_inner: Tensor, grad_weight: Tensor, grad_bias: Tensor
) -> None:
    """Adds the gradients of <x, l> to those of the weight and the bias.

    Only the rows of the items that occur in x change.
    """
    transpose, items = x.compact()
    draw_gradients = h * grad_inner.unsqueeze(1)
    row_gradients = draw_gradients.view(-1, len(x), h.shape[1]).sum(0)
    item_gradients = transpose.times(row_gradients)
    grad_weight.index_add_(0, items, item_gradients)
    row_sums = grad_inner.view(-1, len(x)).sum(0)
    item_sums = transpose.times(row_sums.unsqueeze(1))
    grad_bias.index_add_(0, items, item_sums.squeeze(1))
