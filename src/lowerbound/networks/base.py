"""The contract of networks, and the activations by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

from torch import nn

from ..errors import ConfigError

Activation = Literal["relu", "tanh", "sigmoid", "elu", "gelu", "silu", "leaky_relu", "softplus"]


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
    "softplus": nn.Softplus,
}


class Network(ABC):
    """A frozen spec. `heads > 1` gives that many separate output layers instead of one that is as
    wide as all of them.
    """

    @abstractmethod
    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        """A module (N, *shape) -> (N, features)."""

    @abstractmethod
    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        """A module (N, features) -> (N, *shape)."""

    def sparse_encoder(self, width: int, features: int, heads: int = 1) -> nn.Module:
        """A module from sparse rows (N, width) to (N, features). ConfigError where this network has
        none.
        """
        raise ConfigError(
            f"{type(self).__name__} does not take sparse rows; allowed: MLP, DenseMLP"
        )

    def sparse_decoder(self, features: int, width: int, heads: int = 1) -> nn.Module:
        """A module (N, features) -> `Affine` (N, width). ConfigError where this network has none."""
        raise ConfigError(f"{type(self).__name__} does not give sparse rows; allowed: MLP")

    def tied_decoder(self, encoder: nn.Module, features: int, shape: tuple[int, ...]) -> nn.Module:
        """The decoder that has the transposed weights of an encoder of this network. ConfigError
        where it has none.
        """
        raise ConfigError(f"{type(self).__name__} cannot be tied; allowed: MLP")
