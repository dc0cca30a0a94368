"""Normal distributions of standardised numbers or logs."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ...specs.checked import checked
from ..schema import ColumnSchema
from .base import ColumnDistribution, ColumnFamily
from .factors import FollowedFactors
from .scales import LogScale


class _Gaussians(ColumnDistribution):
    """Normal distributions, given by their log-scales."""

    knows_mean_exponential: ClassVar[bool] = True

    def __init__(self, location: Tensor, log_scale: Tensor) -> None:
        self.location = location
        self.log_scale = log_scale.expand(location.shape)
        super().__init__(location.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        deviation = (value - self.location) * torch.exp(-self.log_scale)
        return -0.5 * deviation.square() - self.log_scale - math.log(2 * math.pi) / 2

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            noise = torch.randn(shape, dtype=self.location.dtype, device=self.location.device)
            return self.location + noise * torch.exp(self.log_scale)

    @property
    def mean(self) -> Tensor:
        return self.location

    def mean_exponential(self, factor: Tensor) -> Tensor:
        variance = torch.exp(2 * self.log_scale)
        return torch.exp(factor * self.location + factor.square() * variance / 2)


class _GaussianHead(nn.Module):
    """Makes normal distributions of (..., n, 2), or of (..., n, 1) with scales of its own."""

    def __init__(self, columns: Sequence[ColumnSchema], scale: str) -> None:
        super().__init__()
        self.log_scale: LogScale = LogScale(columns, scale)

    def forward(self, parameters: Tensor) -> _Gaussians:
        return _Gaussians(parameters[..., 0], self.log_scale(parameters))


@checked
class Gaussian(ColumnFamily):
    """Normal distributions of numbers; of positive numbers, whose codes are logs, log-normal ones.

    Args:
        scale: "learned" by the network for each row, or "shared": one learned number for each
            column, as in factor analysis.
    """

    kinds: ClassVar[tuple[str, ...]] = ("real", "positive", "datetime")

    scale: Literal["learned", "shared"] = "learned"

    def parameters(self, column: ColumnSchema) -> int:
        if self.scale == "learned":
            return 2
        return 1

    def head(self, columns: Sequence[ColumnSchema]) -> nn.Module:
        return _GaussianHead(columns, self.scale)

    def follow(
        self, column: ColumnSchema, followed: FollowedFactors
    ) -> tuple[np.ndarray, np.ndarray]:
        weights, biases = super().follow(column, followed)
        weights[0] = followed.loadings[0]
        biases[0] = followed.mean[0]
        if self.scale == "learned":
            biases[1] = 0.5 * math.log(followed.noise[0])
        return weights, biases
