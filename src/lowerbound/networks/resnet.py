"""A residual convolutional network, for images of any height, width and number of channels."""

from itertools import pairwise

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..specs.checked import checked
from .base import ACTIVATIONS, Activation, Network
from .kernels import Up
from .layers import Layers, channels_last, elements, fit, image, output


class Residual(nn.Module):
    """x + convolution(activation(convolution(activation(x)))) (He et al. 2016, pre-activation,
    without batch statistics).
    """

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        layers = [ACTIVATIONS[activation](), nn.Conv2d(channels, channels, 3, padding=1)]
        again = [ACTIVATIONS[activation](), nn.Conv2d(channels, channels, 3, padding=1)]
        self.body = nn.Sequential(*layers, *again)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@checked
class ResNet(Network):
    """Stages of `blocks` residual blocks; each stage halves the height and width (the decoder
    doubles them).

    There is no batch normalisation: the bound of an example must not depend on the others in its
    batch.
    """

    channels: tuple[PositiveInt, ...] = Field(default=(32, 64), min_length=1)
    blocks: PositiveInt = 2
    activation: Activation = "silu"

    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        channels = (image(shape, "ResNet")[0], *self.channels)
        stages = [
            m for a, b in pairwise(channels) for m in (nn.Conv2d(a, b, 3, 2, 1), *self._blocks(b))
        ]
        inner = elements(self._inner(shape))
        head = output(lambda width: nn.Linear(inner, width), features, heads)
        return channels_last(Layers(*stages, ACTIVATIONS[self.activation](), nn.Flatten(), head))

    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        out, height, width = image(shape, "ResNet")
        inner = self._inner(shape)
        channels = (inner[0], *reversed(self.channels))
        stages = [m for a, b in pairwise(channels) for m in (Up(a, b, 4, 2, 1), *self._blocks(b))]
        size = (inner[1] * 2 ** len(self.channels), inner[2] * 2 ** len(self.channels))
        last = output(lambda c: fit(channels[-1], c, size, (height, width)), out, heads)
        start = (nn.Linear(features, elements(inner)), nn.Unflatten(1, inner))
        return channels_last(Layers(*start, *stages, ACTIVATIONS[self.activation](), last))

    def _blocks(self, channels: int) -> list[nn.Module]:
        return [Residual(channels, self.activation) for _ in range(self.blocks)]

    def _inner(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        half = 2 ** len(self.channels)
        return self.channels[-1], -(-shape[1] // half), -(-shape[2] // half)
