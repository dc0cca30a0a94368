"""Convolutions that compute what PyTorch's compute, in another way where that was measured to be
faster.

They are PyTorch's own layers by their weights and by their function. On a CPU with oneDNN the
transposed ones and those with few outputs are most of the time of a step, and here they go through
kernels that are made for the work: benchmarks/convolutions.py. On other devices they are PyTorch's.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..sparse import compute_type

FEW_OUTPUTS = 2
"""Outputs up to which a convolution is faster as a matrix product, whatever its kernel
(benchmarks/convolutions.py).
"""


_PER_PIXEL = (0, 2, 3, 1)


def _fits(x: Tensor) -> bool:
    """Whether the kernels used here are those that were measured."""
    return (
        x.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and compute_type(x) in (torch.float32, torch.bfloat16)
    )


def _gradients(
    by_out: Tensor, x: Tensor, weight: Tensor, stride: Any, padding: Any, wanted: tuple[bool, bool]
) -> tuple[Tensor, ...]:
    """The gradients of a convolution with respect to x and to its weight, those that are wanted."""
    return torch.ops.aten.convolution_backward(
        by_out, x, weight, None, stride, padding, [1, 1], False, [0, 0], 1, [*wanted, False]
    )


class _Up(torch.autograd.Function):
    """The transposed convolution is the gradient of a convolution: here it is computed as that,
    forward and backward.

    In bfloat16 the ordinary kernel is as fast forward; backward it is several times slower in any
    precision.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: Any, padding: Any
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        if x.dtype != torch.float32:
            return F.conv_transpose2d(x, weight, bias, stride, padding)
        size = [
            (n - 1) * s - 2 * p + k
            for n, s, p, k in zip(x.shape[2:], stride, padding, weight.shape[2:], strict=True)
        ]
        like = torch.empty(len(x), weight.shape[1], *size, memory_format=torch.channels_last)
        out, *_ = _gradients(x, like, weight, stride, padding, (True, False))
        return out.add_(bias.view(-1, 1, 1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_out: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        by_out = by_out.contiguous(memory_format=torch.channels_last)
        by_x = (
            F.conv2d(by_out, weight, None, ctx.stride, ctx.padding)
            if ctx.needs_input_grad[0]
            else None
        )
        _, by_weight, *_ = _gradients(x, by_out, weight, ctx.stride, ctx.padding, (False, True))
        return by_x, by_weight, by_out.sum((0, 2, 3)), None, None


class Up(nn.ConvTranspose2d):
    """A transposed convolution, without output padding, dilation or groups."""

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        if not _fits(x):
            return super().forward(x, output_size)
        x, weight, bias = (t.to(compute_type(x)) for t in (x, self.weight, self.bias))  # type: ignore[union-attr]
        return _Up.apply(x, weight, bias, self.stride, self.padding)


class _Few(torch.autograd.Function):
    """A convolution as one matrix product at each pixel, (outputs * kernel), of which each output
    sums what falls on it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        parts = torch.mm(_table(weight), _pixels(x).T).view(*_planes(x, weight))
        size = [n - k + 1 for n, k in zip(x.shape[2:], weight.shape[2:], strict=True)]
        out = bias.view(-1, 1, 1, 1).expand(-1, len(x), *size).contiguous()
        for part in _windows(parts, size):
            out += part
        return out.transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_out: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        parts = x.new_zeros(_planes(x, weight))
        for part in _windows(parts, by_out.shape[2:]):
            part.copy_(by_out.transpose(0, 1))
        flat = parts.view(-1, _pixels(x).shape[0])
        shape = (*weight.shape[2:], *weight.shape[:2])
        by_weight = torch.empty_like(weight).copy_(
            torch.mm(flat, _pixels(x)).view(shape).permute(2, 3, 0, 1)
        )
        rows = torch.mm(flat.T, _table(weight)) if ctx.needs_input_grad[0] else None
        by_x = (
            None
            if rows is None
            else rows.view(len(x), *x.shape[2:], x.shape[1]).permute(0, 3, 1, 2)
        )
        return by_x, by_weight, by_out.sum((0, 2, 3))


def _pixels(x: Tensor) -> Tensor:
    """The channels of each pixel, (B * height * width, channels); a view of what lies channels
    last.
    """
    return x.permute(_PER_PIXEL).reshape(-1, x.shape[1])


def _table(weight: Tensor) -> Tensor:
    """(kernel * outputs, channels)."""
    return weight.permute(2, 3, 0, 1).reshape(-1, weight.shape[1])


def _planes(x: Tensor, weight: Tensor) -> tuple[int, ...]:
    """Kernel, outputs, B, height, width: the outer dimensions first, so that what is summed lies in
    rows.
    """
    return (*weight.shape[2:], weight.shape[0], len(x), *x.shape[2:])


def _windows(parts: Tensor, size: Any) -> list[Tensor]:
    """Of each place in the kernel, what falls on the outputs."""
    height, width = size
    places = [(i, j) for i in range(parts.shape[0]) for j in range(parts.shape[1])]
    return [parts[i, j, ..., i : i + height, j : j + width] for i, j in places]


class Last(nn.Conv2d):
    """A convolution of stride 1."""

    def forward(self, x: Tensor) -> Tensor:
        few = self.out_channels <= FEW_OUTPUTS and not any(self.padding)
        if not few or compute_type(x) != torch.float32 or not _fits(x):
            return super().forward(x)
        return _Few.apply(x, self.weight, self.bias)
