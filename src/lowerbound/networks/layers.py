"""What the networks share: their contract, the activations by name, output heads, and sizes that
fit exactly.
"""

import math
from collections.abc import Callable
from itertools import groupby

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ShapeError
from .kernels import Last


class Heads(nn.Module):
    """Separate layers on the same input, their outputs side by side: the same functions as one wide
    layer.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x) for layer in self.layers], dim=1)


def output(layer: Callable[[int], nn.Module], width: int, heads: int) -> nn.Module:
    """One layer of this width, or `heads` layers that share it equally."""
    if width % heads:
        raise ConfigError(f"{heads} heads cannot share {width} features equally")
    return layer(width) if heads == 1 else Heads([layer(width // heads) for _ in range(heads)])


def image(shape: tuple[int, ...], network: str) -> tuple[int, int, int]:
    """The shape as (channels, height, width).

    Raises:
        ShapeError: the event is not an image.
    """
    if len(shape) != 3:
        raise ShapeError(
            f"{network} needs images (channels, height, width), got an event of shape {shape}; use "
            "MLP for vectors"
        )
    return shape[0], shape[1], shape[2]


def elements(shape: tuple[int, ...]) -> int:
    """How many numbers an event of this shape has."""
    return math.prod(shape)


def fit(
    channels_in: int, channels_out: int, size: tuple[int, int], target: tuple[int, int]
) -> Last:
    """A convolution of stride 1 whose output has exactly the `target` height and width.

    Where the input is larger its kernel has the surplus; where it is smaller it is padded to the
    full, which makes it a transposed convolution of stride 1.
    """
    kernel = tuple(abs(s - t) + 1 for s, t in zip(size, target, strict=True))
    padding = tuple(k - 1 if s < t else 0 for k, s, t in zip(kernel, size, target, strict=True))
    return Last(channels_in, channels_out, kernel, padding=padding)  # type: ignore[arg-type]


IMAGES_AT_A_TIME = 32
"""Images that go through convolutions at a time where no gradients are wanted."""


class Layers(nn.Sequential):
    """Layers in a row. Without gradients the layers between two linear ones see a large batch in
    pieces.

    Each example is convolved by itself, so the numbers are the same, and the feature maps of a
    piece stay in the cache, where those of a batch of a thousand images take hundreds of megabytes.
    Linear layers see the batch whole: a matrix product adds up in another order for another number
    of rows.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training or torch.is_grad_enabled() or x.device.type != "cpu":
            return super().forward(x)
        for linear, layers in groupby(self, _linear):
            step = nn.Sequential(*layers)
            x = (
                step(x)
                if linear
                else torch.cat([step(piece) for piece in x.split(IMAGES_AT_A_TIME)])
            )
        return x


def _linear(layer: nn.Module) -> bool:
    return any(isinstance(part, nn.Linear) for part in layer.modules())


def channels_last(module: nn.Module) -> nn.Module:
    """The same module with its weights laid out channels last: the same function, in the order that
    CPUs convolve in.
    """
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
