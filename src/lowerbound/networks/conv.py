"""The convolutional network of system R2, for images of any height, width and number of channels."""

from itertools import pairwise

from pydantic import Field, PositiveInt
from torch import nn

from ..specs.checked import checked
from .base import ACTIVATIONS, Activation, Network
from .kernels import Up
from .layers import Layers, channels_last, elements, fit, image, output


@checked
class Conv(Network):
    """Strided convolutions down and transposed ones up.

    The encoder is one convolution (padding `kernel_size // 2`) and activation per entry of
    `channels`, then a linear layer. The decoder is a linear layer, transposed convolutions without
    padding, and a last convolution that fits the size.
    """

    channels: tuple[PositiveInt, ...] = Field(default=(32, 64), min_length=1)
    kernel_size: PositiveInt = 3
    stride: PositiveInt = 2
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if self.stride > self.kernel_size:  # the pixels between would not depend on the latents
            raise ValueError(
                f"stride must be at most kernel_size, {self.kernel_size}, got {self.stride}"
            )

    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        channels = (image(shape, "Conv")[0], *self.channels)
        steps = [m for a, b in pairwise(channels) for m in (self._down(a, b), self._activation())]
        inner = elements(self._inner(shape))
        head = output(lambda width: nn.Linear(inner, width), features, heads)
        return channels_last(Layers(*steps, nn.Flatten(), head))

    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        out, height, width = image(shape, "Conv")
        inner = self._inner(shape)
        channels = (inner[0], *reversed(self.channels))
        steps = [m for a, b in pairwise(channels) for m in (self._up(a, b), self._activation())]
        size = (self._grown(inner[1]), self._grown(inner[2]))
        last = output(lambda c: fit(channels[-1], c, size, (height, width)), out, heads)
        start = (nn.Linear(features, elements(inner)), self._activation(), nn.Unflatten(1, inner))
        return channels_last(Layers(*start, *steps, last))

    def _activation(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()

    def _down(self, inputs: int, outputs: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, self.kernel_size, self.stride, self.kernel_size // 2)

    def _up(self, inputs: int, outputs: int) -> Up:
        return Up(inputs, outputs, self.kernel_size, self.stride)

    def _inner(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Shape of the smallest feature maps: what `_down` makes of the image, once per entry of
        `channels`.
        """
        return self.channels[-1], self._shrunk(shape[1]), self._shrunk(shape[2])

    def _shrunk(self, size: int) -> int:
        for _ in self.channels:
            size = (size + 2 * (self.kernel_size // 2) - self.kernel_size) // self.stride + 1
        return size

    def _grown(self, size: int) -> int:
        for _ in self.channels:
            size = (size - 1) * self.stride + self.kernel_size
        return size
