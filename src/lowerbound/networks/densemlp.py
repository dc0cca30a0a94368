"""The densely connected multilayer perceptron of RecVAE."""

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..sparse import SparseLinear, SparseRows
from ..specs.checked import checked
from .base import ACTIVATIONS, Activation, Network
from .layers import elements, output


class _Body(nn.Module):
    """h_i = LayerNorm(activation(W_i h_{i-1} + h_1 + ... + h_{i-1})), from the first hidden layer
    h_1 on.
    """

    def __init__(self, first: nn.Module, spec: "DenseMLP", last: nn.Module) -> None:
        super().__init__()
        self.first, self.last, self.activation = first, last, ACTIVATIONS[spec.activation]()
        self.inner = nn.ModuleList(
            nn.Linear(spec.width, spec.width) for _ in range(spec.layers - 1)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(spec.width, eps=spec.epsilon) for _ in range(spec.layers)
        )

    def forward(self, x: Tensor | SparseRows) -> Tensor:
        total = h = self.norms[0](self.activation(self.first(x)))
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
        layers: how many.
        activation: its name; "silu" is the swish of the paper.
        epsilon: of the layer normalisation.
    """

    width: PositiveInt = 600
    layers: PositiveInt = 5
    activation: Activation = "silu"
    epsilon: float = Field(default=0.1, gt=0)

    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), self._body(nn.Linear(elements(shape), self.width), features, heads)
        )

    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        body = self._body(nn.Linear(features, self.width), elements(shape), heads)
        return nn.Sequential(body, nn.Unflatten(1, shape))

    def sparse_encoder(self, width: int, features: int, heads: int = 1) -> nn.Module:
        return self._body(SparseLinear(nn.Linear(width, self.width)), features, heads)

    def _body(self, first: nn.Module, features: int, heads: int) -> nn.Module:
        return _Body(
            first, self, output(lambda width: nn.Linear(self.width, width), features, heads)
        )
