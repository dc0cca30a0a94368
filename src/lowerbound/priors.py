"""Priors of the top level: specs whose `build(size)` gives a module with `forward(context=None) -> Distribution`."""

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from .catalogue import STRICT, part
from .families import Normal

_UNIT, _FREE = Normal(variance=1.0), Normal()  # made once: a part checks its fields whenever it is made


class Prior(ABC):
    """A frozen spec of p(z)."""

    @abstractmethod
    def build(self, size: int) -> nn.Module:
        """A module whose distribution has batch shape () and event shape (size,)."""


class _StandardNormal(nn.Module):
    location: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(size), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return _UNIT((self.location,), 1)


class _Mixture(nn.Module):
    def __init__(self, size: int, components: int, spread: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.location = nn.Parameter(spread * torch.randn(components, size))
        self.log_variance = nn.Parameter(torch.zeros(components, size))

    def forward(self, context: Tensor | None = None) -> Distribution:
        weights = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(weights, _FREE((self.location, self.log_variance), 1), validate_args=False)


@dataclass(frozen=True, config=STRICT)
class StandardNormal(Prior):
    """N(0, I)."""

    def build(self, size: int) -> nn.Module:
        return _StandardNormal(size)


@dataclass(frozen=True, config=STRICT)
class Mixture(Prior):
    """A learned mixture of diagonal normal distributions; its means start as N(0, spread^2). It has no closed-form KL."""

    components: int = Field(default=10, ge=1)
    spread: float = Field(default=1.0, gt=0)

    def build(self, size: int) -> nn.Module:
        return _Mixture(size, self.components, self.spread)


AnyPrior = Annotated[Prior, part(__name__, Prior)]
