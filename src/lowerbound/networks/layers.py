"""What the networks share: their contract, the activations by name, output heads, and sizes that
fit exactly.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor, nn

from ..affine import Affine, times
from ..errors import ConfigError, ShapeError
from ..sparse import SparseRows
from .convolutions import Last

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


class Reader(nn.Module):
    """A module that uses the weights of others without calling them.

    Attributes:
        reads: those modules; in a tuple, so that no weight is registered twice.
    """

    reads: tuple[nn.Module, ...]


class SparseLinear(nn.Module):
    """The linear layer for sparse rows (N, inputs); its weight is stored by inputs, (inputs,
    outputs).

    `sparse_gradient`: the gradient of the weight is a sparse tensor, for optimisers that leave the
    other rows alone.
    """

    sparse_gradient = False

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(linear.weight.detach().T.contiguous()), linear.bias

    def forward(self, x: SparseRows | Tensor) -> Tensor:
        product = (
            times(x, self.weight, self.sparse_gradient)
            if isinstance(x, SparseRows)
            else x @ self.weight
        )
        return product + self.bias


class Uncomputed(Reader):
    """A linear layer that gives its output as an `Affine`, to be computed tile by tile."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.reads = (linear,)

    def forward(self, h: Tensor) -> Affine:
        return Affine(h, self.linear.weight, self.linear.bias)  # type: ignore[arg-type]


class Transposed(Reader):
    """The linear layer with the transposed weight of another layer, which owns it, and a bias of
    its own.

    Args:
        of: a linear layer whose outputs become the inputs here, the first `inputs` of them.
        inputs: how many.
    """

    def __init__(self, of: nn.Module, inputs: int) -> None:
        super().__init__()
        self.reads, self._inputs = (of,), inputs
        width = of.weight.shape[0 if isinstance(of, SparseLinear) else 1]  # type: ignore[index]
        self.bias = nn.Parameter(torch.zeros(width))  # type: ignore[arg-type]

    @property
    def weight(self) -> Tensor:
        """(outputs, inputs)."""
        (of,) = self.reads
        weight = of.weight if isinstance(of, SparseLinear) else of.weight.T
        return weight[:, : self._inputs]  # type: ignore[index]

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.linear(h, self.weight, self.bias)


class Heads(nn.Module):
    """Separate layers on the same input, their outputs side by side: the same functions as one wide
    layer.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x) for layer in self.layers], dim=1)


def output(layer: Callable[[int], nn.Module], width: int, heads: int) -> nn.Module:
    """One layer of this width, or `heads` layers that share it equally."""
    if width % heads:
        raise ConfigError(f"{heads} heads cannot share {width} features equally")
    return layer(width) if heads == 1 else Heads([layer(width // heads) for _ in range(heads)])


def image(shape: tuple[int, ...], network: str) -> tuple[int, int, int]:
    """The shape as (channels, height, width).

    Raises:
        ShapeError: the event is not an image.
    """
    if len(shape) != 3:
        raise ShapeError(
            f"{network} needs images (channels, height, width), got an event of shape {shape}; use "
            "MLP for vectors"
        )
    return shape[0], shape[1], shape[2]


def elements(shape: tuple[int, ...]) -> int:
    """How many numbers an event of this shape has."""
    return math.prod(shape)


def fit(
    channels_in: int, channels_out: int, size: tuple[int, int], target: tuple[int, int]
) -> Last:
    """A convolution of stride 1 whose output has exactly the `target` height and width.

    Where the input is larger its kernel has the surplus; where it is smaller it is padded to the
    full, which makes it a transposed convolution of stride 1.
    """
    kernel = tuple(abs(s - t) + 1 for s, t in zip(size, target, strict=True))
    padding = tuple(k - 1 if s < t else 0 for k, s, t in zip(kernel, size, target, strict=True))
    return Last(channels_in, channels_out, kernel, padding=padding)  # type: ignore[arg-type]


PIECE = 32
"""Images that go through convolutions at a time where no gradients are wanted."""


class Layers(nn.Sequential):
    """Layers in a row. Without gradients the layers between two linear ones see a large batch in
    pieces.

    Each example is convolved by itself, so the numbers are the same, and the feature maps of a
    piece stay in the cache, where those of a batch of a thousand images take hundreds of megabytes.
    Linear layers see the batch whole: a matrix product adds up in another order for another number
    of rows.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training or torch.is_grad_enabled() or x.device.type != "cpu":
            return super().forward(x)
        for linear, layers in groupby(self, _linear):
            step = nn.Sequential(*layers)
            x = step(x) if linear else torch.cat([step(piece) for piece in x.split(PIECE)])
        return x


def _linear(layer: nn.Module) -> bool:
    return any(isinstance(part, nn.Linear) for part in layer.modules())


def channels_last(module: nn.Module) -> nn.Module:
    """The same module with its weights laid out channels last: the same function, in the order that
    CPUs convolve in.
    """
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
