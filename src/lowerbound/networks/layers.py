"""Layers that several networks use: output heads, size-fitting convolutions, layers in a row."""

from abc import abstractmethod
from collections.abc import Callable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ShapeError
from ..system.tracing import is_exporting
from .kernels import Last

IMAGES_AT_A_TIME = 32
"""Without gradients, this many images go through convolutions at a time."""


class Heads(nn.Module):
    """Separate layers on the same input, with their outputs side by side.

    They compute the same functions as one wide layer.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers: nn.ModuleList = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x) for layer in self.layers], dim=1)


class WithLinearPath(nn.Module):
    """The sum of layers in a row and of a linear map from their input to their output."""

    def __init__(self, layers: nn.Module, path: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.path(x)


class Recomputed(nn.Module):
    """A block that may be computed a second time in the backward pass, so that nothing within it is
    kept in memory between the two passes, but for its inputs (Chen et al. 2016).

    A subclass defines `compute` in the place of `forward`. Values and gradients are the same to the
    last bit, for a third more time. `compute` must give the same when it is called again: it
    changes no state, and what it draws by `distributed.processes.draw_shared` or by torch is drawn
    again from the same random numbers.

    Attributes:
        recompute: whether it is; `training.recompute` sets it for a fit.
    """

    recompute: bool = False

    @abstractmethod
    def compute(self, *inputs: Any) -> Any:
        """Computes what the block gives for its inputs."""

    def forward(self, *inputs: Any) -> Any:
        if self.recompute and torch.is_grad_enabled():
            # Imported where it is used: it brings the compiler, which takes a second.
            from torch.utils.checkpoint import checkpoint

            return checkpoint(self.compute, *inputs, use_reentrant=False)
        return self.compute(*inputs)


def output_layer(make_layer: Callable[[int], nn.Module], width: int, heads: int) -> nn.Module:
    """Makes one layer of this width, or `heads` layers that share the width equally.

    Args:
        make_layer: makes a layer of a given width.
        width: number of outputs in all.
        heads: number of layers.
    """
    if width % heads:
        raise ConfigError(f"{heads} heads cannot share {width} features equally")
    if heads == 1:
        return make_layer(width)
    return Heads([make_layer(width // heads) for _ in range(heads)])


def image_shape(
    shape: tuple[int, ...], network: str, of_vectors: str = "MLP"
) -> tuple[int, int, int]:
    """Returns the shape of an event as (channels, height, width).

    Args:
        shape: of the event.
        network: name of the network that wants it, for the message.
        of_vectors: name of one that takes vectors.

    Raises:
        ShapeError: the event is not an image.
    """
    if len(shape) != 3:
        raise ShapeError(
            f"{network} needs images (channels, height, width), got an event of shape {shape}; use "
            f"{of_vectors} for vectors"
        )
    return shape[0], shape[1], shape[2]


def fitting_convolution(
    channels_in: int, channels_out: int, size: tuple[int, int], target: tuple[int, int]
) -> Last:
    """Makes a convolution of stride 1 from images of one size to images of exactly another.

    Where the input is larger, the kernel is as large as the surplus. Where the input is smaller, it
    is padded fully, which makes the layer a transposed convolution of stride 1.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        size: height and width of the input.
        target: height and width of the output.
    """
    height, width = size
    target_height, target_width = target
    kernel = (abs(height - target_height) + 1, abs(width - target_width) + 1)
    padding = (max(target_height - height, 0), max(target_width - width, 0))
    return Last(channels_in, channels_out, kernel, padding=padding)


class Layers(nn.Sequential):
    """Layers in a row, which without gradients convolve a large batch in pieces.

    Each example is convolved independently, so the numbers are the same. The feature maps of a
    piece stay in the cache, where those of a batch of a thousand images take hundreds of megabytes.
    Linear layers get the whole batch, because a matrix product adds up in another order for another
    number of rows.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training or torch.is_grad_enabled() or x.device.type != "cpu":
            return super().forward(x)
        if is_exporting():
            return super().forward(x)
        for is_linear, layers in groupby(self, _has_linear_layer):
            step = nn.Sequential(*layers)
            if is_linear:
                x = step(x)
            else:
                x = torch.cat([step(piece) for piece in x.split(IMAGES_AT_A_TIME)])
        return x


def _has_linear_layer(layer: nn.Module) -> bool:
    return any(isinstance(module, nn.Linear) for module in layer.modules())


def channels_last(module: nn.Module) -> nn.Module:
    """Lays the weights of a module out channels last, the order that CPUs convolve in.

    The module computes the same function.
    """
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
