"""The convolutional network of system R2, for images of any height, width and channels."""

import math
from itertools import pairwise

from pydantic import Field, PositiveInt
from torch import nn

from ..specs.checked import checked
from .base import ACTIVATIONS, Activation, Network
from .kernels import Up
from .layers import Layers, channels_last, fitting_convolution, image_shape, output_layer


@checked
class Conv(Network):
    """Strided convolutions down and transposed ones up.

    The encoder is one convolution (padding `kernel_size // 2`) and activation per entry of
    `channels`, then a linear layer. The decoder is a linear layer, transposed convolutions without
    padding, and a last convolution that fits the size.

    Args:
        channels: of each convolution, from the data's side.
        kernel_size: height and width of the kernels.
        stride: steps of the kernels, by which the height and width are divided.
        activation: its name.
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
        image_channels, _, _ = image_shape(shape, "Conv")
        padding = self.kernel_size // 2
        convolutions: list[nn.Module] = []
        for inputs, outputs in pairwise((image_channels, *self.channels)):
            convolutions.append(nn.Conv2d(inputs, outputs, self.kernel_size, self.stride, padding))
            convolutions.append(self._activation())
        inner = math.prod(self._inner_shape(shape))
        last = output_layer(lambda width: nn.Linear(inner, width), features, heads)
        return channels_last(Layers(*convolutions, nn.Flatten(), last))

    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        image_channels, height, width = image_shape(shape, "Conv")
        inner_shape = self._inner_shape(shape)
        channels, inner_height, inner_width = inner_shape
        convolutions: list[nn.Module] = []
        for inputs, outputs in pairwise((channels, *reversed(self.channels))):
            convolutions.append(Up(inputs, outputs, self.kernel_size, self.stride))
            convolutions.append(self._activation())
        size = (self._size_after_up(inner_height), self._size_after_up(inner_width))

        def make_last(outputs: int) -> nn.Module:
            return fitting_convolution(self.channels[0], outputs, size, (height, width))

        last = output_layer(make_last, image_channels, heads)
        # The linear layer comes last here: the order of construction decides the initial weights.
        linear = nn.Linear(features, math.prod(inner_shape))
        layers = Layers(
            linear,
            self._activation(),
            nn.Unflatten(1, inner_shape),
            *convolutions,
            last,
        )
        return channels_last(layers)

    def _activation(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()

    def _inner_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Returns the shape of the encoder's last feature maps, for images of this shape."""
        _, height, width = shape
        return self.channels[-1], self._size_after_down(height), self._size_after_down(width)

    def _size_after_down(self, size: int) -> int:
        """Returns the height or width after all convolutions of the encoder."""
        padding = self.kernel_size // 2
        for _ in self.channels:
            size = (size + 2 * padding - self.kernel_size) // self.stride + 1
        return size

    def _size_after_up(self, size: int) -> int:
        """Returns the height or width after all transposed convolutions of the decoder."""
        for _ in self.channels:
            size = (size - 1) * self.stride + self.kernel_size
        return size
