"""The densely connected multilayer perceptron of RecVAE."""

import math
from typing import ClassVar

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..sparse import RowsBeside, SparseLinear, SparseRows
from ..specs.checked import checked
from .base import ACTIVATIONS, Activation, Network
from .layers import output_layer


class _Body(nn.Module):
    """All layers of a `DenseMLP`, from the first hidden one to the output.

    The hidden layers after the first one, h_1, compute
    h_i = LayerNorm(activation(W_i h_{i-1} + h_1 + ... + h_{i-1})).
    """

    def __init__(self, first: nn.Module, spec: "DenseMLP", last: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.last = last
        self.activation = ACTIVATIONS[spec.activation]()
        self.inner = nn.ModuleList()
        for _ in range(spec.layers - 1):
            self.inner.append(nn.Linear(spec.width, spec.width))
        self.norms = nn.ModuleList()
        for _ in range(spec.layers):
            self.norms.append(nn.LayerNorm(spec.width, eps=spec.epsilon))

    def forward(self, x: Tensor | SparseRows | RowsBeside) -> Tensor:
        h = self.norms[0](self.activation(self.first(x)))
        total = h
        for layer, norm in zip(self.inner, self.norms[1:], strict=True):
            h = norm(self.activation(layer(h) + total))
            total = total + h
        return self.last(h)


@checked
class DenseMLP(Network):
    """Hidden layers of one width, each fed with the sum of all before it (Shenbin et al. 2020,
    RecVAE, section 3.2).

    Args:
        width: of every hidden layer.
        layers: number of hidden layers.
        activation: its name; "silu" is the swish of the paper.
        epsilon: of the layer normalisation.
    """

    flattens: ClassVar[bool] = True

    width: PositiveInt = 600
    layers: PositiveInt = 5
    activation: Activation = "silu"
    epsilon: float = Field(default=0.1, gt=0)

    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        first = nn.Linear(math.prod(shape), self.width)
        body = self._body(first, features, heads)
        return nn.Sequential(nn.Flatten(), body)

    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        first = nn.Linear(features, self.width)
        body = self._body(first, math.prod(shape), heads)
        return nn.Sequential(body, nn.Unflatten(1, shape))

    def sparse_encoder(
        self, width: int, features: int, heads: int = 1, beside: int = 0
    ) -> nn.Module:
        first = SparseLinear(nn.Linear(width + beside, self.width), beside)
        return self._body(first, features, heads)

    def _body(self, first: nn.Module, features: int, heads: int) -> nn.Module:
        last = output_layer(lambda width: nn.Linear(self.width, width), features, heads)
        return _Body(first, self, last)
