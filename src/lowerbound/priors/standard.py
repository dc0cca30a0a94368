"""The standard normal prior."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..families import Normal
from ..specs.checked import checked
from .base import Prior

_UNIT = Normal(variance=1.0)
"""Made once: a part checks its fields whenever it is made."""


class _StandardNormal(nn.Module):
    location: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(size), persistent=False)

    def forward(self, context: Any = None) -> Distribution:
        return _UNIT((self.location,), 1)


@checked
class StandardNormal(Prior):
    """N(0, I)."""

    def build(self, size: int, posterior: nn.Module | None = None) -> nn.Module:
        return _StandardNormal(size)
