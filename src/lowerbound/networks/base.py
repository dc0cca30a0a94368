"""The contract of networks, and the activations by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

from torch import nn

from ..errors import ConfigError

Activation = Literal["relu", "tanh", "sigmoid", "elu", "gelu", "silu", "leaky_relu", "softplus"]
"""The names of the activations."""

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
"""The modules of the activations by name."""


class Network(ABC):
    """A frozen spec of a network, which makes encoders and decoders.

    With `heads > 1` the last layer is replaced by that many separate ones, which are together as
    wide as the one.

    Attributes:
        flattens: whether an image is a vector to it, so that conditions stand beside this vector.
            Other networks see them as planes of the image.
    """

    flattens: ClassVar[bool] = False

    @abstractmethod
    def encoder(self, shape: tuple[int, ...], features: int, heads: int = 1) -> nn.Module:
        """Makes a module (N, *shape) -> (N, features)."""

    @abstractmethod
    def decoder(self, features: int, shape: tuple[int, ...], heads: int = 1) -> nn.Module:
        """Makes a module (N, features) -> (N, *shape)."""

    def sparse_encoder(
        self, width: int, features: int, heads: int = 1, beside: int = 0
    ) -> nn.Module:
        """Makes a module from sparse rows (N, width) to (N, features).

        With `beside` it takes `RowsBeside`: so many dense numbers, the conditions of each example,
        stand beside its row. Its first layer, a `SparseLinear`, adds a linear map of them.

        Raises:
            ConfigError: this network takes no sparse rows.
        """
        raise ConfigError(
            f"{type(self).__name__} does not take sparse rows; allowed: MLP, DenseMLP"
        )

    def sparse_decoder(self, features: int, width: int, heads: int = 1) -> nn.Module:
        """Makes a module (N, features) -> `DeferredLinear` (N, width).

        Raises:
            ConfigError: this network gives no sparse rows.
        """
        raise ConfigError(f"{type(self).__name__} does not give sparse rows; allowed: MLP")

    def tied_decoder(self, encoder: nn.Module, features: int, shape: tuple[int, ...]) -> nn.Module:
        """Makes the decoder with the transposed weights of an encoder of this network.

        Raises:
            ConfigError: this network cannot be tied.
        """
        raise ConfigError(f"{type(self).__name__} cannot be tied; allowed: MLP")
