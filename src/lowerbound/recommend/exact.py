"""Sums without rounding: layers whose results do not depend on the order of additions."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from ..batch import Batch
from ..families import Delta, Normal
from ..model import VAE
from ..model.conditionals import Conditional
from ..model.last import item_vectors, last_layer
from ..networks.joining import JoinedRows
from ..noise import Noisy
from ..sparse import (
    RowsBeside,
    SparseLinear,
    SparseRows,
    Transposed,
    Uncomputed,
)

SERIAL_NUMBERS = 2**15
"""PyTorch goes over an array of up to this many numbers in one thread."""


LANES = 64
"""PyTorch's vector instructions take fewer numbers than this at once."""


__all__ = ["Trunk", "item_vectors", "last_layer", "on_grid"]


# Sums without rounding


def on_grid(values: Tensor, terms: int) -> Tensor:
    """Rounds float64 rows (N, K), each to a grid of its own, so that the inner products of two such
    rows of `terms` numbers are exact.

    Each value is a multiple of the row's step and at most 2^bits of them: a sum of products is a
    multiple of the product of the steps and at most terms * 2^(2 bits) <= 2^53 of them, as is every
    partial sum. With 600 terms, bits is 21.
    """
    carry_bits = math.ceil(math.log2(max(terms, 2)))
    bits = (53 - carry_bits) // 2
    largest = values.abs().amax(1, keepdim=True).clamp(min=2.0**-300)
    # The next power of two above `largest`, divided by 2^bits.
    mantissa = torch.frexp(largest).mantissa
    step = largest / mantissa * 2.0**-bits
    return (values / step).round_().mul_(step)


LOG_TERMS = 12
"""Terms of the series of `steady_log`; the next one would be below the rounding of float64."""


def steady_log(values: Tensor) -> Tensor:
    """Computes the natural logarithm of positive float64 numbers, in a new tensor.

    `torch.log` gives an element other last bits at the end of an array than in its middle. Here
    each step is an addition, a multiplication or a division, which are rounded alike everywhere:
    log(m 2^e) = e log 2 + 2 artanh((m - 1) / (m + 1)), with m between the roots of 1/2 and of 2.
    """
    mantissa, exponent = torch.frexp(values)
    is_low = mantissa < math.sqrt(0.5)
    mantissa = torch.where(is_low, mantissa * 2, mantissa)
    power = exponent.double() - is_low.double()
    ratio = (mantissa - 1) / (mantissa + 1)
    square = ratio * ratio
    series = torch.full_like(square, 1 / (2 * LOG_TERMS - 1))
    for term in range(LOG_TERMS - 1, 0, -1):
        series.mul_(square).add_(1 / (2 * term - 1))
    return power.mul_(math.log(2)) + series.mul_(ratio).mul_(2)


class _ExactLinear(nn.Module):
    """A linear layer in float64 whose sums are exact."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = on_grid(weight.detach().double(), weight.shape[1])
        self.bias: Tensor | float = 0.0
        if bias is not None:
            self.bias = bias.detach().double()

    def forward(self, x: Tensor) -> Tensor:
        rounded = on_grid(x, x.shape[1])
        return (rounded @ self.weight.T).add_(self.bias)

    def keep_first(self, outputs: int) -> None:
        """Leaves out all but the first of its outputs."""
        self.weight = self.weight[:outputs].clone()
        if isinstance(self.bias, Tensor):
            self.bias = self.bias[:outputs].clone()


class _SparseFirst(nn.Module):
    """A first layer on sparse rows, with the result in float64.

    It sums up each user alone, in the precision of its table, and makes no copy of the table. What
    it adds for the numbers beside the rows is exact.
    """

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        self.table = layer.weight.detach()
        self.bias = layer.bias.detach().double()
        self.of_beside: _ExactLinear | None = None
        if layer.beside is not None:
            self.of_beside = _ExactLinear(layer.beside.T, None)

    def forward(self, x: SparseRows | RowsBeside) -> Tensor:
        if isinstance(x, RowsBeside):
            assert isinstance(x.rows, SparseRows)
            assert self.of_beside is not None
            return self._of_rows(x.rows) + self.of_beside(x.beside)
        return self._of_rows(x)

    def _of_rows(self, x: SparseRows) -> Tensor:
        return x.times(self.table).double() + self.bias


def _replace_layers(module: nn.Module) -> None:
    """Puts exact layers in place of the linear ones in a module, and float64 in place of its other
    parameters; the last layer stays.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.Linear | Transposed):
            setattr(module, name, _ExactLinear(child.weight, child.bias))
        elif isinstance(child, SparseLinear):
            setattr(module, name, _SparseFirst(child))
        elif not isinstance(child, Uncomputed):
            _replace_layers(child)
    stores: list[Any] = [module._parameters, module._buffers]
    for tensors in stores:
        for name, tensor in tensors.items():
            if tensor is not None and tensor.is_floating_point():
                tensors[name] = tensor.detach().double()


def _keep_means(model: VAE) -> None:
    """Leaves the variances of normal posteriors out, where one exact layer gives them and the means
    alike: nobody asks for them here.
    """
    for part in getattr(model.latents, "posteriors", ()):
        if not isinstance(part, Conditional) or part.head is not None:
            continue
        family = part.family
        network: nn.Module = part.network
        if isinstance(network, Noisy):
            network = network.network
        if isinstance(network, JoinedRows):
            network = network.network
        is_plain = isinstance(family, Normal) and family.mean == "identity"
        if not is_plain or family.parameters != 2 or not isinstance(network, nn.Sequential):
            continue
        last = network[-1]
        if isinstance(last, _ExactLinear):
            last.keep_first(len(last.weight) // 2)
            part.family = Delta()


def _sizes(model: VAE) -> tuple[int, ...]:
    return model.latents.sizes


class Trunk:
    """The network from histories to the codes z (B, d) and to the input h (B, K) of the last layer.

    Both are float64, and each row depends on its history and its conditions alone. A few empty rows
    follow each block of users. They take the end of every array, which PyTorch computes by other
    instructions.
    """

    def __init__(self, model: VAE) -> None:
        # The copy shares the tensors of the model.
        tensors = (*model.parameters(), *model.buffers())
        shared = {id(tensor): tensor for tensor in tensors}
        self.model: VAE = copy.deepcopy(model, shared)
        _replace_layers(self.model.eval())
        _keep_means(self.model)
        widths = [*_sizes(model)]
        for module in self.model.modules():
            if isinstance(module, _ExactLinear):
                widths.append(module.weight.shape[0])
            elif isinstance(module, _SparseFirst):
                widths.append(module.table.shape[1])
        self.empty_rows: int = -(-LANES // min(widths))
        self.block_rows: int = max(1, SERIAL_NUMBERS // max(widths) - self.empty_rows)

    def __call__(self, x: SparseRows, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns z and h of the rows (B, I) and the codes of their conditions (B, G), if any."""
        embedded = None
        if given is not None:
            embedded = self._embed(given)
        if len(x) <= self.block_rows:
            return self._run_block(x, embedded, 0, len(x))
        codes = []
        features = []
        for start in range(0, len(x), self.block_rows):
            stop = min(start + self.block_rows, len(x))
            z, h = self._run_block(x, embedded, start, stop)
            codes.append(z)
            features.append(h)
        return torch.cat(codes), torch.cat(features)

    def _embed(self, given: Tensor) -> Tensor:
        """Returns the numbers (B, E) that stand for conditions, each row by its own codes (G,).

        All that is computed of the codes but sums, which are exact, is at most as wide as they are.
        """
        width = given.shape[1]
        rows = max(1, SERIAL_NUMBERS // width - LANES)
        unknown = given.new_full((LANES, width), torch.nan)
        parts = []
        for part in given.split(rows):
            embedded = self.model.embed(torch.cat([part, unknown]).double())
            assert embedded is not None
            parts.append(embedded[: len(part)])
        return torch.cat(parts)

    def _run_block(
        self, x: SparseRows, embedded: Tensor | None, start: int, stop: int
    ) -> tuple[Tensor, Tensor]:
        """Returns z and h of the rows from `start` to `stop`."""
        first = 0
        last = len(x.columns)
        if stop - start < len(x):
            first = int(x.offsets[start])
            last = int(x.offsets[stop])
        empty = x.offsets[stop].expand(self.empty_rows)
        offsets = torch.cat([x.offsets[start : stop + 1], empty])
        if first:
            offsets -= first
        values = x.values[first:last].double()
        block = SparseRows(offsets, x.columns[first:last], values, x.width)
        given: tuple[Tensor, ...] = ()
        if embedded is not None:
            nothing = embedded.new_zeros(self.empty_rows, embedded.shape[1])
            given = (torch.cat([embedded[start:stop], nothing]),)
        values_of_latents = self.model.latents.means(Batch(block, *given))
        p = self.model.decoder(values_of_latents.context, *given)
        z = values_of_latents.zs[0]
        h = p.natural.h
        rows = stop - start
        return z[:rows], h[:rows]
