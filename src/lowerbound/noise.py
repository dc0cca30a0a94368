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

from .distributed.processes import draw_shared
from .sparse import SparseRows
from .specs.checked import checked
from .specs.registry import part

Batch = Tensor | SparseRows
"""A batch of dense examples (B, *shape), or of sparse rows (B, I)."""

_Batch = TypeVar("_Batch", Tensor, SparseRows)


class Noise(ABC):
    """(B, *shape) -> (B, *shape), dense or sparse rows."""

    @abstractmethod
    def __call__(self, x: _Batch, training: bool) -> _Batch:
        """What the encoder sees instead of `x`, of the same shape."""

    def refuses(self, low: float, high: float) -> str | None:
        """Why data in [low, high] cannot be treated so."""
        return None


class _Elementwise(Noise):
    """Each value by itself. Of sparse rows only the entries are changed, so that what was not
    observed stays out.
    """

    @abstractmethod
    def values(self, x: Tensor, training: bool) -> Tensor:
        """Any number of values."""

    def __call__(self, x: _Batch, training: bool) -> _Batch:
        if isinstance(x, SparseRows):
            return x.with_values(self._of(x.values, training, entries=True))
        return self._of(x, training)

    def _of(self, values: Tensor, training: bool, entries: bool = False) -> Tensor:
        draw = partial(self.values, training=training)
        return draw_shared(draw, values, entries=entries) if training else draw(values)


@checked
class Dropout(_Elementwise):
    """Sets each value to 0 with `probability` and scales the rest up by 1 / (1 - probability)."""

    probability: float = Field(default=0.5, ge=0, lt=1)

    def values(self, x: Tensor, training: bool) -> Tensor:
        return F.dropout(x, self.probability, training)


@checked
class GaussianNoise(_Elementwise):
    """Adds normal noise of this standard deviation; to sparse rows, at their entries."""

    scale: float = Field(default=0.1, gt=0)

    def values(self, x: Tensor, training: bool) -> Tensor:
        return x + self.scale * torch.randn_like(x) if training else x


@checked
class Binarize(_Elementwise):
    """Draws each value in [0, 1] as a Bernoulli variable; rounds outside training."""

    def values(self, x: Tensor, training: bool) -> Tensor:
        return torch.bernoulli(x) if training else (x > 0.5).to(x.dtype)

    def refuses(self, low: float, high: float) -> str | None:
        return (
            f"Binarize needs values in [0, 1], got [{low:g}, {high:g}]"
            if low < 0 or high > 1
            else None
        )


@checked
class L2Normalize(Noise):
    """Divides each example by its Euclidean norm; an example of zeros stays as it is."""

    def __call__(self, x: _Batch, training: bool) -> _Batch:
        if isinstance(x, SparseRows):
            norms = x.with_values(x.values.square()).sums().sqrt().clamp(min=1e-12)
            return x.with_values(x.values / norms[x.rows])
        return F.normalize(x.flatten(1), dim=1).view_as(x)


class Noisy(nn.Module):
    """A network behind its noise, applied in the order given."""

    def __init__(self, noise: Sequence[Noise], network: nn.Module) -> None:
        super().__init__()
        self.noise, self.network = tuple(noise), network

    def forward(self, x: Batch) -> Tensor:
        for layer in self.noise:
            x = layer(x, self.training)  # type: ignore[type-var]
        return self.network(x)


AnyNoise = Annotated[Noise, part(__name__, Noise)]
