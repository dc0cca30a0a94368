"""Convolutions that compute the same as PyTorch's, another way where that was measured as faster.

They are PyTorch's own layers in their weights and in their function. On a CPU with oneDNN,
transposed convolutions and those with few outputs take most of the time of a step. There they go
through kernels that suit them better (benchmarks/convolutions.py). On other devices they are
PyTorch's.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..sparse import compute_type
from ..system.tracing import is_exporting

FEW_OUTPUTS = 2
"""A convolution with up to this many outputs is faster as a matrix product, whatever its kernel.

Measured by benchmarks/convolutions.py.
"""


class Up(nn.ConvTranspose2d):
    """A transposed convolution, without output padding, dilation or groups."""

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        if not _is_measured(x):
            return super().forward(x, output_size)
        dtype = compute_type(x)
        weight = self.weight.to(dtype)
        bias = self.bias.to(dtype)  # type: ignore[union-attr]
        return _TransposedConvolution.apply(x.to(dtype), weight, bias, self.stride, self.padding)


class Last(nn.Conv2d):
    """A convolution of stride 1."""

    def forward(self, x: Tensor) -> Tensor:
        is_small = self.out_channels <= FEW_OUTPUTS and not any(self.padding)
        if not is_small or not _is_measured(x) or compute_type(x) != torch.float32:
            return super().forward(x)
        return _FewOutputsConvolution.apply(x, self.weight, self.bias)


def _is_measured(x: Tensor) -> bool:
    """Says whether PyTorch would use the kernels that those of this file were measured against."""
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if is_exporting():  # what computes the graph has kernels of its own
        return False
    return compute_type(x) in (torch.float32, torch.bfloat16)


class _TransposedConvolution(torch.autograd.Function):
    """A transposed convolution, computed as the gradient of a convolution, which it is.

    This holds forward and backward. In bfloat16 the ordinary kernel is as fast forward; backward it
    is several times slower in any precision.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: Any, padding: Any
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        ctx.padding = padding
        if x.dtype != torch.float32:
            return F.conv_transpose2d(x, weight, bias, stride, padding)
        # Of the convolution's input only the shape matters here; the output has that shape.
        _, outputs, kernel_height, kernel_width = weight.shape
        height = (x.shape[2] - 1) * stride[0] - 2 * padding[0] + kernel_height
        width = (x.shape[3] - 1) * stride[1] - 2 * padding[1] + kernel_width
        shape = (len(x), outputs, height, width)
        pattern = torch.empty(shape, memory_format=torch.channels_last)
        output, *_ = _convolution_gradients(x, pattern, weight, stride, padding, (True, False))
        return output.add_(bias.view(-1, 1, 1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_output = grad_output.contiguous(memory_format=torch.channels_last)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = F.conv2d(grad_output, weight, None, ctx.stride, ctx.padding)
        _, grad_weight, *_ = _convolution_gradients(
            x, grad_output, weight, ctx.stride, ctx.padding, (False, True)
        )
        return grad_x, grad_weight, grad_output.sum((0, 2, 3)), None, None


def _convolution_gradients(
    grad_output: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Any,
    padding: Any,
    needed: tuple[bool, bool],
) -> tuple[Tensor, ...]:
    """Computes the gradients of a convolution by x and by its weight, as far as they are needed."""
    return torch.ops.aten.convolution_backward(
        grad_output, x, weight, None, stride, padding, [1, 1], False, [0, 0], 1, [*needed, False]
    )


class _FewOutputsConvolution(torch.autograd.Function):
    """A convolution with few outputs, as one matrix product at each pixel.

    The product gives each pixel its contributions (kernel * outputs), one for each place of the
    kernel. An output is the sum of the contributions that fall on it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        products = torch.mm(_weight_table(weight), _pixels(x).T)
        contributions = products.view(_contribution_shape(x, weight))
        _, _, kernel_height, kernel_width = weight.shape
        height = x.shape[2] - kernel_height + 1
        width = x.shape[3] - kernel_width + 1
        biases = bias.view(-1, 1, 1, 1)
        output = biases.expand(-1, len(x), height, width).contiguous()
        for window in _kernel_windows(contributions, (height, width)):
            output += window
        return output.transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_contributions = x.new_zeros(_contribution_shape(x, weight))
        for window in _kernel_windows(grad_contributions, grad_output.shape[2:]):
            window.copy_(grad_output.transpose(0, 1))
        pixels = _pixels(x)
        grad_products = grad_contributions.view(-1, len(pixels))
        grad_table = torch.mm(grad_products, pixels)
        outputs, channels, kernel_height, kernel_width = weight.shape
        by_place = grad_table.view(kernel_height, kernel_width, outputs, channels)
        grad_weight = torch.empty_like(weight).copy_(by_place.permute(2, 3, 0, 1))
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_pixels = torch.mm(grad_products.T, _weight_table(weight))
            batch, _, height, width = x.shape
            by_pixel = grad_pixels.view(batch, height, width, channels)
            grad_x = by_pixel.permute(0, 3, 1, 2)
        return grad_x, grad_weight, grad_output.sum((0, 2, 3))


def _pixels(x: Tensor) -> Tensor:
    """Returns the channels of each pixel, (B * height * width, channels).

    This is a view of images that lie channels last.
    """
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _weight_table(weight: Tensor) -> Tensor:
    """Returns the weight as a table (kernel * outputs, channels)."""
    return weight.permute(2, 3, 0, 1).reshape(-1, weight.shape[1])


def _contribution_shape(x: Tensor, weight: Tensor) -> tuple[int, ...]:
    """Returns the shape (kernel height, kernel width, outputs, B, height, width).

    The dimensions of the images are the last ones, so that what is summed lies in rows of memory.
    """
    outputs, _, kernel_height, kernel_width = weight.shape
    batch, _, height, width = x.shape
    return kernel_height, kernel_width, outputs, batch, height, width


def _kernel_windows(contributions: Tensor, size: Sequence[int]) -> list[Tensor]:
    """Returns one shifted view of the contributions for each place of the kernel.

    Args:
        contributions: (kernel height, kernel width, outputs, B, height, width).
        size: height and width of the convolution's output.

    Returns:
        Views (outputs, B, *size); at each of their pixels is what falls on that output.
    """
    height, width = size
    kernel_height, kernel_width = contributions.shape[:2]
    windows = []
    for i in range(kernel_height):
        for j in range(kernel_width):
            window = contributions[i, j, ..., i : i + height, j : j + width]
            windows.append(window)
    return windows
