"""Noise and input treatment: layers of the encoder alone. The target of the likelihood stays clean.

Random noise is drawn in training only; a deterministic treatment such as `L2Normalize` is always
applied.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Annotated, TypeVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from .batch import Values
from .distributed.processes import draw_shared
from .sparse import SparseRows
from .specs.checked import checked
from .specs.registry import part

_Values = TypeVar("_Values", Tensor, SparseRows)


class Noise(ABC):
    """A treatment (B, *shape) -> (B, *shape) of dense examples or of sparse rows."""

    @abstractmethod
    def __call__(self, x: _Values, training: bool) -> _Values:
        """Returns what the encoder sees instead of `x`, of the same shape."""

    def refuses(self, low: float, high: float) -> str | None:
        """Says why data in [low, high] cannot be treated so, or returns None where they can."""
        return None


class _Elementwise(Noise):
    """Noise that treats each value by itself.

    Of sparse rows it changes the entries alone, so that what was not observed stays out.
    """

    @abstractmethod
    def values(self, x: Tensor, training: bool) -> Tensor:
        """Treats any number of values."""

    def __call__(self, x: _Values, training: bool) -> _Values:
        if isinstance(x, SparseRows):
            return x.with_values(self._treat(x.values, training, entries=True))
        return self._treat(x, training)

    def _treat(self, values: Tensor, training: bool, entries: bool = False) -> Tensor:
        treat = partial(self.values, training=training)
        if training:
            return draw_shared(treat, values, entries=entries)
        return treat(values)


@checked
class Dropout(_Elementwise):
    """Sets each value to 0 with `probability` and scales the rest up by 1 / (1 - probability).

    Args:
        probability: of a value to be set to 0.
    """

    probability: float = Field(default=0.5, ge=0, lt=1)

    def values(self, x: Tensor, training: bool) -> Tensor:
        return F.dropout(x, self.probability, training)


@checked
class GaussianNoise(_Elementwise):
    """Adds normal noise of this standard deviation; to sparse rows, at their entries.

    Args:
        scale: the standard deviation, in the units in which the model sees the values.
    """

    scale: float = Field(default=0.1, gt=0)

    def values(self, x: Tensor, training: bool) -> Tensor:
        if not training:
            return x
        return x + self.scale * torch.randn_like(x)


@checked
class Binarize(_Elementwise):
    """Draws each value in [0, 1] as a Bernoulli variable; rounds outside training."""

    def values(self, x: Tensor, training: bool) -> Tensor:
        if training:
            return torch.bernoulli(x)
        return (x > 0.5).to(x.dtype)

    def refuses(self, low: float, high: float) -> str | None:
        if low < 0 or high > 1:
            return f"Binarize needs values in [0, 1], got [{low:g}, {high:g}]"
        return None


@checked
class L2Normalize(Noise):
    """Divides each example by its Euclidean norm; an example of zeros stays as it is."""

    def __call__(self, x: _Values, training: bool) -> _Values:
        if isinstance(x, SparseRows):
            squares = x.with_values(x.values.square())
            norms = squares.sums().sqrt().clamp(min=1e-12)
            return x.with_values(x.values / norms[x.rows])
        return F.normalize(x.flatten(1), dim=1).view_as(x)


class Noisy(nn.Module):
    """A network behind its noise, which is applied in the order given."""

    def __init__(self, noise: Sequence[Noise], network: nn.Module) -> None:
        super().__init__()
        self.noise: tuple[Noise, ...] = tuple(noise)
        self.network = network

    def forward(self, x: Values, *given: Tensor) -> Tensor:
        """Applies the network behind its noise; conditions come to it as they are."""
        return self._run(x, self.training, given)

    def clean(self, x: Values, *given: Tensor) -> Tensor:
        """Applies the network without random noise; deterministic treatments stay."""
        return self._run(x, False, given)

    def _run(self, x: Values, training: bool, given: tuple[Tensor, ...]) -> Tensor:
        for layer in self.noise:
            x = layer(x, training)  # type: ignore[type-var]
        return self.network(x, *given)


AnyNoise = Annotated[Noise, part(__name__, Noise)]
