"""The continuous Bernoulli, a density on [0, 1]."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints

from ..specs.checked import checked
from .base import Family, grid_caveat, outside_unit


class _ContinuousBernoulli(Distribution):
    """The density p(x) = t exp(t x) / (exp(t) - 1) on [0, 1] with logit t.

    That of torch clamps the probability, so that its density does not integrate to one at |t| > 15,
    where black pixels are.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        # For small logits both parts of the closed forms go to infinity: series take their place.
        self.small = logits.abs() < 1e-2
        self.t = torch.where(self.small, 1.0, logits)
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        size = self.t.abs()
        log_norm = F.relu(self.t) + torch.log(-torch.expm1(-size) / size)
        series = self.logits / 2 + self.logits**2 / 24
        return self.logits * value - torch.where(self.small, series, log_norm)

    @property
    def mean(self) -> Tensor:
        series = 0.5 + self.logits / 12
        closed_form = -1 / torch.expm1(-self.t) - 1 / self.t
        return torch.where(self.small, series, closed_form)

    @property
    def variance(self) -> Tensor:
        series = 1 / 12 - self.logits**2 / 240
        closed_form = 1 / self.t**2 - 1 / (4 * torch.sinh(self.t / 2) ** 2)
        return torch.where(self.small, series, closed_form)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        u = torch.rand(shape, dtype=self.t.dtype, device=self.t.device)
        # The inverse of the distribution function for t > 0; for t < 0 it is mirrored.
        size = self.t.abs()
        x = (1 + torch.log(u + (1 - u) * torch.exp(-size)) / size).clamp(0, 1)
        mirrored = torch.where(self.t > 0, x, 1 - x)
        return torch.where(self.small, u, mirrored)


@checked
class ContinuousBernoulli(Family):
    """The continuous Bernoulli, the density on [0, 1] that grey values want (Loaiza-Ganem &
    Cunningham 2019).
    """

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        return Independent(_ContinuousBernoulli(values[0]), event_dims, validate_args=False)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return outside_unit("ContinuousBernoulli", low, high)

    def caveat(self, low: float, high: float, levels: int | None) -> str | None:
        return grid_caveat(levels)
