"""The multilayer perceptron (systems R1, R3 and R4)."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from torch import nn

from ..errors import ConfigError
from ..sparse import SparseLinear, Transposed, Uncomputed
from ..specs.checked import checked
from .base import ACTIVATIONS, Activation, Network
from .layers import Heads, elements, output


@checked
class MLP(Network):
    """Linear layers with an activation between them; the decoder mirrors the encoder.

    Args:
        hidden: widths of the hidden layers, from the data's side; empty makes it linear.
        activation: its name.
        init: of the weights: "xavier" (Glorot & Bengio 2010, uniform), or the standard deviation of
            a normal distribution; None, and the biases always, have PyTorch's own distribution.
        activate_code: the encoder ends in the activation too, as an autoencoder whose code is its
            last hidden layer does.
    """

    hidden: tuple[PositiveInt, ...] = (500,)
    activation: Activation = "relu"
    init: Literal["xavier"] | Annotated[float, Field(gt=0)] | None = None
    activate_code: bool = False

    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(),
            *self._layers((elements(shape), *self.hidden), features, heads),
            *self._end(),
        )

    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        layers = self._layers((features, *reversed(self.hidden)), elements(shape), heads)
        return nn.Sequential(*layers, nn.Unflatten(1, shape))

    def sparse_encoder(self, width: int, features: int, heads: int = 1) -> nn.Module:
        layers = self._layers((width, *self.hidden), features, heads)
        first = layers[0].layers if isinstance(layers[0], Heads) else [layers[0]]
        sparse = [SparseLinear(layer) for layer in first if isinstance(layer, nn.Linear)]
        return nn.Sequential(
            Heads(list(sparse)) if len(sparse) > 1 else sparse[0], *layers[1:], *self._end()
        )

    def sparse_decoder(self, features: int, width: int, heads: int = 1) -> nn.Module:
        *layers, last = self._layers((features, *reversed(self.hidden)), width, heads)
        return nn.Sequential(*layers, Uncomputed(last))

    def tied_decoder(self, encoder: nn.Module, features: int, shape: tuple[int, ...]) -> nn.Module:
        layers = [m.layers[0] if isinstance(m, Heads) else m for m in encoder.children()]
        linear = [m for m in reversed(layers) if isinstance(m, nn.Linear | SparseLinear)]
        if len(linear) != len(self.hidden) + 1:
            raise ConfigError(
                "a tied decoder needs an encoder that is an MLP with the same hidden layers"
            )
        *inner, last = [
            Transposed(m, size)
            for m, size in zip(linear, (features, *reversed(self.hidden)), strict=True)
        ]
        hidden = [m for layer in inner for m in (layer, ACTIVATIONS[self.activation]())]
        sparse = isinstance(linear[-1], SparseLinear)
        return nn.Sequential(
            *hidden, *([Uncomputed(last)] if sparse else [last, nn.Unflatten(1, shape)])
        )

    def _end(self) -> list[nn.Module]:
        return [ACTIVATIONS[self.activation]()] if self.activate_code else []

    def _layers(self, widths: tuple[int, ...], out: int, heads: int) -> list[nn.Module]:
        hidden = [
            m
            for a, b in pairwise(widths)
            for m in (self._linear(a, b), ACTIVATIONS[self.activation]())
        ]
        return [*hidden, output(lambda width: self._linear(widths[-1], width), out, heads)]

    def _linear(self, inputs: int, outputs: int) -> nn.Linear:
        layer = nn.Linear(inputs, outputs)
        if self.init == "xavier":
            nn.init.xavier_uniform_(layer.weight)
        elif self.init is not None:
            nn.init.normal_(layer.weight, std=self.init)
        return layer
