"""The multilayer perceptron (systems R1, R3 and R4)."""

from itertools import pairwise

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn

from ..catalogue import STRICT
from .layers import ACTIVATIONS, Activation, Network, elements, output


@dataclass(frozen=True, config=STRICT)
class MLP(Network):
    """Linear layers with an activation between them; the decoder mirrors the encoder.

    Args:
        hidden: widths of the hidden layers, from the data's side; empty makes it linear.
        activation: its name.
        init: standard deviation of normally distributed weights; None, and the biases always, have PyTorch's own distribution.
    """

    hidden: tuple[PositiveInt, ...] = (500,)
    activation: Activation = "relu"
    init: float | None = Field(default=None, gt=0)

    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        return nn.Sequential(nn.Flatten(), *self._layers((elements(shape), *self.hidden), features, heads))

    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        layers = self._layers((features, *reversed(self.hidden)), elements(shape), heads)
        return nn.Sequential(*layers, nn.Unflatten(1, shape))

    def _layers(self, widths: tuple[int, ...], out: int, heads: int) -> list[nn.Module]:
        hidden = [m for a, b in pairwise(widths) for m in (self._linear(a, b), ACTIVATIONS[self.activation]())]
        return [*hidden, output(lambda width: self._linear(widths[-1], width), out, heads)]

    def _linear(self, inputs: int, outputs: int) -> nn.Linear:
        layer = nn.Linear(inputs, outputs)
        if self.init is not None:
            nn.init.normal_(layer.weight, std=self.init)
        return layer
