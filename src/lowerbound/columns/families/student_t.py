"""Student's t-distributions of standardised numbers or logs."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...networks.limits import bounded
from ...specs.checked import checked
from ..schema import ColumnSchema
from .base import ColumnDistribution, ColumnFamily
from .factors import FollowedFactors
from .scales import LogScale
from .starts import middle_and_spread

LEAST_FREEDOM = 3.0
"""The least degrees of freedom: above 2 the variance is finite."""

THIRD_QUARTILE = 0.7466
"""The third quartile of a distribution with 3 + log 2 degrees of freedom, where training starts."""


class _StudentTs(ColumnDistribution):
    """Student's t-distributions, given by degrees of freedom, locations and log-scales."""

    def __init__(self, freedom: Tensor, location: Tensor, log_scale: Tensor) -> None:
        self.freedom = freedom.expand(location.shape)
        self.location = location
        self.log_scale = log_scale.expand(location.shape)
        super().__init__(location.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        deviation = (value - self.location) * torch.exp(-self.log_scale)
        half = self.freedom / 2
        power = half + 0.5
        tail = power * torch.log1p(deviation.square() / self.freedom)
        ratio = torch.lgamma(power) - torch.lgamma(half)
        norm = ratio - 0.5 * torch.log(self.freedom)
        return norm - 0.5 * math.log(math.pi) - self.log_scale - tail

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            noise = torch.randn(shape, dtype=self.location.dtype, device=self.location.device)
            half = (self.freedom / 2).expand(shape)
            narrowing = torch.sqrt(torch._standard_gamma(half) / half)
            return self.location + noise / narrowing * torch.exp(self.log_scale)

    @property
    def mean(self) -> Tensor:
        return self.location

    def mean_exponential(self, factor: Tensor) -> Tensor:
        """Returns exp(factor * location), the median of exp(factor * code).

        Its mean is infinite: what is distributed like this in its logarithm has no mean.
        """
        return torch.exp(factor * self.location)


class _StudentTHead(nn.Module):
    """Makes t-distributions of (..., n, 3), or of (..., n, 1) where the others are its own."""

    def __init__(self, columns: Sequence[ColumnSchema], scale: str) -> None:
        super().__init__()
        pairs = [middle_and_spread(column) for column in columns]
        # The start has the quartiles of the training values.
        ratio = NormalDist().inv_cdf(0.75) / THIRD_QUARTILE
        scales = [math.log(spread * ratio) for _, spread in pairs]
        middles = torch.tensor([middle for middle, _ in pairs])
        self.register_buffer("middle", middles, persistent=False)
        self.middle: Tensor
        self.log_scale: LogScale = LogScale(columns, scale, scales)
        self.shared: nn.Parameter | None = None
        if scale == "shared":
            self.shared = nn.Parameter(torch.zeros(len(columns)))

    def forward(self, parameters: Tensor) -> _StudentTs:
        if self.shared is None:
            raw = parameters[..., 2]
        else:
            raw = self.shared.to(parameters.dtype)
        freedom = LEAST_FREEDOM + softplus(bounded(raw))
        location = self.middle + parameters[..., 0]
        return _StudentTs(freedom, location, self.log_scale(parameters))


@checked
class StudentT(ColumnFamily):
    """Student's t-distributions of numbers, for columns with values far from the others.

    Positive numbers, whose codes are logs, have no mean under it: where one is asked for, their
    median stands for it.

    Args:
        scale: "learned" by the network for each row, as the degrees of freedom are then; or
            "shared": one learned number of each for each column.
    """

    kinds: ClassVar[tuple[str, ...]] = ("real", "positive", "datetime")

    scale: Literal["learned", "shared"] = "learned"

    def parameters(self, column: ColumnSchema) -> int:
        if self.scale == "learned":
            return 3
        return 1

    def head(self, columns: Sequence[ColumnSchema]) -> nn.Module:
        return _StudentTHead(columns, self.scale)

    def follow(
        self, column: ColumnSchema, followed: FollowedFactors
    ) -> tuple[np.ndarray, np.ndarray]:
        weights, biases = super().follow(column, followed)
        middle, spread = middle_and_spread(column)
        weights[0] = followed.loadings[0]
        biases[0] = followed.mean[0] - middle
        if self.scale == "learned":
            biases[1] = 0.5 * math.log(followed.noise[0]) - math.log(spread)
        return weights, biases
