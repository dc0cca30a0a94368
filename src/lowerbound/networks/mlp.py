"""The multilayer perceptron (systems R1, R3 and R4)."""

import math
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt
from torch import nn

from ..errors import ConfigError
from ..sparse import SparseLinear, Transposed, Uncomputed
from ..specs.checked import checked
from .base import ACTIVATIONS, Activation, Network
from .layers import Heads, WithLinearPath, output_layer


@checked
class MLP(Network):
    """Linear layers with an activation between them; the decoder mirrors the encoder.

    Args:
        hidden: widths of the hidden layers, from the data's side; empty makes it linear.
        activation: its name.
        init: distribution of the initial weights: "xavier" (Glorot & Bengio 2010, uniform), or the
            standard deviation of a normal distribution. With None the weights have PyTorch's own
            distribution, which the biases always have.
        linear_path: whether a linear map from the inputs to the outputs is added. A decoder with it
            contains factor analysis.
        activate_code: whether the encoder ends in the activation too, as in an autoencoder whose
            code is its last hidden layer.
    """

    flattens: ClassVar[bool] = True

    hidden: tuple[PositiveInt, ...] = (500,)
    activation: Activation = "relu"
    init: Literal["xavier"] | Annotated[float, Field(gt=0)] | None = None
    activate_code: bool = False
    linear_path: bool = False

    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        widths = (math.prod(shape), *self.hidden)
        layers = self._with_path(self._layers(widths, features, heads), widths[0], features)
        return nn.Sequential(nn.Flatten(), *layers, *self._code_activation())

    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        widths = (features, *reversed(self.hidden))
        outputs = math.prod(shape)
        layers = self._with_path(self._layers(widths, outputs, heads), features, outputs)
        return nn.Sequential(*layers, nn.Unflatten(1, shape))

    def _with_path(self, layers: list[nn.Module], inputs: int, outputs: int) -> list[nn.Module]:
        """Adds the linear path to layers, if there is one."""
        if not self.linear_path:
            return layers
        path = nn.Linear(inputs, outputs, bias=False)
        return [WithLinearPath(nn.Sequential(*layers), path)]

    def _refuse_linear_path(self) -> None:
        """Raises ConfigError if there is a linear path."""
        if self.linear_path:
            raise ConfigError(
                "an MLP with linear_path=true is for dense examples, and not tied; set it to false"
            )

    def sparse_encoder(
        self, width: int, features: int, heads: int = 1, beside: int = 0
    ) -> nn.Module:
        self._refuse_linear_path()
        widths = (width + beside, *self.hidden)
        first, *layers = self._layers(widths, features, heads)
        return nn.Sequential(_sparse(first, beside), *layers, *self._code_activation())

    def sparse_decoder(self, features: int, width: int, heads: int = 1) -> nn.Module:
        self._refuse_linear_path()
        widths = (features, *reversed(self.hidden))
        *layers, last = self._layers(widths, width, heads)
        return nn.Sequential(*layers, Uncomputed(last))

    def tied_decoder(self, encoder: nn.Module, features: int, shape: tuple[int, ...]) -> nn.Module:
        self._refuse_linear_path()
        encoder_layers = _linear_layers(encoder)
        if len(encoder_layers) != len(self.hidden) + 1:
            raise ConfigError(
                "a tied decoder needs an encoder that is an MLP with the same hidden layers"
            )
        layers: list[nn.Module] = []
        widths = (features, *reversed(self.hidden))
        for layer, inputs in zip(reversed(encoder_layers), widths, strict=True):
            layers.append(Transposed(layer, inputs))
            layers.append(ACTIVATIONS[self.activation]())
        # The last layer has no activation.
        *layers, last, _ = layers
        if isinstance(encoder_layers[0], SparseLinear):
            return nn.Sequential(*layers, Uncomputed(last))
        return nn.Sequential(*layers, last, nn.Unflatten(1, shape))

    def _code_activation(self) -> list[nn.Module]:
        """Makes the activation behind the encoder's last layer, if there is one."""
        if self.activate_code:
            return [ACTIVATIONS[self.activation]()]
        return []

    def _layers(self, widths: tuple[int, ...], outputs: int, heads: int) -> list[nn.Module]:
        """Makes the layers from `widths[0]` inputs through hidden layers to the outputs."""
        layers: list[nn.Module] = []
        for inputs, width in pairwise(widths):
            layers.append(self._linear(inputs, width))
            layers.append(ACTIVATIONS[self.activation]())
        last = output_layer(lambda width: self._linear(widths[-1], width), outputs, heads)
        return [*layers, last]

    def _linear(self, inputs: int, outputs: int) -> nn.Linear:
        layer = nn.Linear(inputs, outputs)
        if self.init == "xavier":
            nn.init.xavier_uniform_(layer.weight)
        elif self.init is not None:
            nn.init.normal_(layer.weight, std=self.init)
        return layer


def _sparse(layer: nn.Module, beside: int) -> nn.Module:
    """Makes the layer for sparse rows of a linear layer, or of several heads, with its weights.

    The last `beside` inputs of it are dense numbers.
    """
    if isinstance(layer, Heads):
        return Heads([_sparse(head, beside) for head in layer.layers])
    return SparseLinear(layer, beside)  # type: ignore[arg-type]


def _linear_layers(encoder: nn.Module) -> list[nn.Module]:
    """Returns the linear layers of an MLP's encoder in order; of several heads only the first."""
    linear_layers: list[nn.Module] = []
    for layer in encoder.children():
        if isinstance(layer, Heads):
            layer = layer.layers[0]
        if isinstance(layer, nn.Linear | SparseLinear):
            linear_layers.append(layer)
    return linear_layers
