"""A learned mixture of normal distributions as a prior."""

from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from ..families import Normal, Place
from ..specs.checked import checked
from .base import Prior

_DIAGONAL_NORMAL = Normal()
"""Made once, because a part checks its fields whenever it is made."""


class _Mixture(nn.Module):
    """The mixture with its learned weights, means and variances."""

    def __init__(self, size: int, components: int, spread: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.location = nn.Parameter(spread * torch.randn(components, size))
        self.log_variance = nn.Parameter(torch.zeros(components, size))

    def forward(self, context: Any = None) -> Distribution:
        weights = Categorical(logits=self.logits, validate_args=False)
        components = _DIAGONAL_NORMAL((self.location, self.log_variance), 1)
        return MixtureSameFamily(weights, components, validate_args=False)


@checked
class Mixture(Prior):
    """A learned mixture of diagonal normal distributions; its means start as N(0, spread^2). It has
    no closed-form KL.

    Args:
        components: number of normal distributions.
        spread: standard deviation of their means before the fit.
    """

    components: int = Field(default=10, ge=1)
    spread: float = Field(default=1.0, gt=0)

    def build(self, place: Place) -> nn.Module:
        return _Mixture(place.size, self.components, self.spread)
