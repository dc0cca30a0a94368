"""Sums without rounding: layers whose results do not hang on the order of additions."""

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..model import VAE
from ..sparse import DeferredLinear, SparseLinear, SparseRows, Transposed, Uncomputed, sparse_matmul

SERIAL, LANES = 2**15, 64
"""Numbers up to which PyTorch goes over an array in one thread, and more than it takes of them at
once.
"""


# Sums without rounding


def on_grid(values: Tensor, terms: int) -> Tensor:
    """Float64 rows (N, K), rounded to a grid of their own, so that the inner products of two such
    rows of `terms` are exact.

    Each value is a multiple of the row's step and at most 2^bits of them: a sum of products is a
    multiple of the product of the steps and at most terms * 2^(2 bits) <= 2^53 of them, as is every
    partial sum. With 600 terms, bits is 21.
    """
    bits = (53 - math.ceil(math.log2(max(terms, 2)))) // 2
    most = values.abs().amax(1, keepdim=True).clamp(min=2.0**-300)
    step = (
        most / torch.frexp(most).mantissa * 2.0**-bits
    )  # a power of two: the next above `most`, parted
    return (values / step).round_().mul_(step)


class _Exact(nn.Module):
    """A linear layer in float64 whose sums are exact."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = on_grid(weight.detach().double(), weight.shape[1])
        self.bias = 0.0 if bias is None else bias.detach().double()

    def forward(self, x: Tensor) -> Tensor:
        return on_grid(x, x.shape[1]) @ self.weight.T + self.bias


class _First(nn.Module):
    """A first layer on sparse rows. It sums up each user by itself, in the precision of its table,
    of which it makes no copy.
    """

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        self.table, self.bias = layer.weight.detach(), layer.bias.detach().double()

    def forward(self, x: SparseRows) -> Tensor:
        return sparse_matmul(x, self.table).double() + self.bias


def _exactly(module: nn.Module) -> None:
    """Puts exact layers in place of the linear ones below, and float64 in place of other
    parameters; the last layer stays.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.Linear | Transposed):
            setattr(module, name, _Exact(child.weight, child.bias))
        elif isinstance(child, SparseLinear):
            setattr(module, name, _First(child))
        elif not isinstance(child, Uncomputed):
            _exactly(child)
    for own in (module._parameters, module._buffers):
        own |= {
            k: v.detach().double() if v.is_floating_point() else v
            for k, v in own.items()
            if v is not None
        }


def last_layer(model: VAE) -> DeferredLinear:
    """The last layer of a recommender's decoder, for z = 0: its weight is (I, d), one vector for
    each item.

    Raises:
        ConfigError: the model is not one of interactions.
    """
    natural = getattr(
        model.decode(next(model.parameters()).new_zeros(1, _sizes(model)[0])), "natural", None
    )
    if not isinstance(natural, DeferredLinear):
        raise ConfigError(
            "only a run on interactions recommends; this one was fitted to dense examples"
        )
    return natural


def item_vectors(model: VAE) -> np.ndarray:
    """The vectors of the items, rows of the weight of the decoder's last layer, (I, d) float32."""
    with torch.no_grad():
        return last_layer(model).weight.float().cpu().numpy()


def _sizes(model: VAE) -> tuple[int, ...]:
    return model.latents.sizes


class Trunk:
    """From histories to the codes z (B, d) and to the input of the last layer h (B, K), float64:
    each row by its history alone.

    A few empty rows follow each block of users. They take the end of every array, which PyTorch
    computes by other instructions.
    """

    def __init__(self, model: VAE) -> None:
        self.model = copy.deepcopy(
            model, {id(p): p for p in (*model.parameters(), *model.buffers())}
        )
        _exactly(self.model.eval())
        widths = [m.weight.shape[0] for m in self.model.modules() if isinstance(m, _Exact)]
        widths += [m.table.shape[1] for m in self.model.modules() if isinstance(m, _First)] + [
            *_sizes(model)
        ]
        self.empty = -(-LANES // min(widths))
        self.rows = max(1, SERIAL // max(widths) - self.empty)

    def __call__(self, x: SparseRows) -> tuple[Tensor, Tensor]:
        """For rows (B, I)."""
        parts = [
            self._block(x, start, min(start + self.rows, len(x)))
            for start in range(0, len(x), self.rows)
        ]
        z, h = (torch.cat(list(part)) for part in zip(*parts, strict=True))
        return z, h

    def _block(self, x: SparseRows, start: int, stop: int) -> tuple[Tensor, Tensor]:
        first, last = int(x.offsets[start]), int(x.offsets[stop])
        offsets = (
            torch.cat([x.offsets[start : stop + 1], x.offsets[stop].expand(self.empty)]) - first
        )
        z = self.model.encode(
            SparseRows(offsets, x.columns[first:last], x.values[first:last].double(), x.width)
        )[0]
        return z[: stop - start], self.model.decode(z).natural.h[: stop - start]  # type: ignore[attr-defined]
