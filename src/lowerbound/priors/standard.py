"""The standard normal prior."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..families import Normal, Place
from ..specs.checked import checked
from .base import Prior

_UNIT_NORMAL = Normal(variance=1.0)
"""N(mean, I). It is made once, because a part checks its fields whenever it is made."""


class _StandardNormal(nn.Module):
    """N(0, I) on the device and in the precision of its model."""

    location: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(size), persistent=False)

    def forward(self, context: Any = None) -> Distribution:
        return _UNIT_NORMAL((self.location,), 1)


@checked
class StandardNormal(Prior):
    """N(0, I)."""

    def build(self, place: Place) -> nn.Module:
        return _StandardNormal(place.size)
