"""A residual convolutional network, for images of any height, width and number of channels."""

import math
from itertools import pairwise

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..specs.checked import checked
from .base import ACTIVATIONS, Activation, Network
from .kernels import Up
from .layers import (
    Layers,
    Recomputed,
    channels_last,
    fitting_convolution,
    image_shape,
    output_layer,
)


class Residual(Recomputed):
    """A residual block: x + convolution(activation(convolution(activation(x)))).

    This is the pre-activation block of He et al. 2016, without batch statistics.
    """

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.body: nn.Sequential = nn.Sequential(
            ACTIVATIONS[activation](),
            nn.Conv2d(channels, channels, 3, padding=1),
            ACTIVATIONS[activation](),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def compute(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@checked
class ResNet(Network):
    """Stages of `blocks` residual blocks; each stage halves the height and width (the decoder
    doubles them).

    There is no batch normalisation: the bound of an example must not depend on the others in its
    batch.

    Args:
        channels: of each stage, from the data's side.
        blocks: residual blocks in a stage.
        activation: its name.
    """

    channels: tuple[PositiveInt, ...] = Field(default=(32, 64), min_length=1)
    blocks: PositiveInt = 2
    activation: Activation = "silu"

    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        image_channels, _, _ = image_shape(shape, "ResNet")
        stages: list[nn.Module] = []
        for inputs, outputs in pairwise((image_channels, *self.channels)):
            stages.append(nn.Conv2d(inputs, outputs, 3, 2, 1))
            stages += self._residual_blocks(outputs)
        inner = math.prod(self._inner_shape(shape))
        last = output_layer(lambda width: nn.Linear(inner, width), features, heads)
        return channels_last(Layers(*stages, self._activation(), nn.Flatten(), last))

    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        image_channels, height, width = image_shape(shape, "ResNet")
        inner_shape = self._inner_shape(shape)
        channels, inner_height, inner_width = inner_shape
        stages: list[nn.Module] = []
        for inputs, outputs in pairwise((channels, *reversed(self.channels))):
            stages.append(Up(inputs, outputs, 4, 2, 1))
            stages += self._residual_blocks(outputs)
        scale = 2 ** len(self.channels)
        size = (inner_height * scale, inner_width * scale)

        def make_last(outputs: int) -> nn.Module:
            return fitting_convolution(self.channels[0], outputs, size, (height, width))

        last = output_layer(make_last, image_channels, heads)
        # The linear layer comes last here: the order of construction decides the initial weights.
        linear = nn.Linear(features, math.prod(inner_shape))
        layers = Layers(
            linear,
            nn.Unflatten(1, inner_shape),
            *stages,
            self._activation(),
            last,
        )
        return channels_last(layers)

    def _activation(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()

    def _residual_blocks(self, channels: int) -> list[nn.Module]:
        return [Residual(channels, self.activation) for _ in range(self.blocks)]

    def _inner_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Returns the shape of the encoder's last feature maps, for images of this shape."""
        _, height, width = shape
        scale = 2 ** len(self.channels)
        # Each size is divided by the scale and rounded up.
        return self.channels[-1], -(-height // scale), -(-width // scale)
