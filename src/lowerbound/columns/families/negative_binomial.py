"""Negative binomial distributions of counts."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...specs.checked import checked
from ..schema import ColumnSchema
from .base import ColumnDistribution, ColumnFamily


class _NegativeBinomials(ColumnDistribution):
    """Counts with mean mu and variance mu + mu^2 / size, given by log mu and log size."""

    def __init__(self, log_mean: Tensor, log_size: Tensor) -> None:
        self.log_mean = log_mean
        self.log_size = log_size
        super().__init__(log_mean.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        size = self.log_size.exp()
        total = torch.logaddexp(self.log_mean, self.log_size)
        combinations = torch.lgamma(value + size) - torch.lgamma(size) - torch.lgamma(value + 1)
        return combinations + size * (self.log_size - total) + value * (self.log_mean - total)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            size = self.log_size.exp().expand(shape)
            rate = torch._standard_gamma(size) / size * self.log_mean.exp()
            return torch.poisson(rate)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()


class _NegativeBinomialHead(nn.Module):
    """Makes negative binomial distributions of (..., n, 2)."""

    def __init__(self, columns: Sequence[ColumnSchema]) -> None:
        super().__init__()
        logs = [math.log(max(math.expm1(column.mean), 1e-2)) for column in columns]
        self.register_buffer("start", torch.tensor(logs), persistent=False)
        self.start: Tensor

    def forward(self, parameters: Tensor) -> _NegativeBinomials:
        log_mean = self.start + parameters[..., 0].clamp(-20, 20)
        return _NegativeBinomials(log_mean, parameters[..., 1].clamp(-15, 15))


@checked
class NegativeBinomial(ColumnFamily):
    """Negative binomial distributions of counts, by their mean and their size.

    The variance is mean + mean^2 / size, so that a large size gives a Poisson distribution.
    """

    kinds: ClassVar[tuple[str, ...]] = ("count",)

    def parameters(self, column: ColumnSchema) -> int:
        return 2

    def head(self, columns: Sequence[ColumnSchema]) -> nn.Module:
        return _NegativeBinomialHead(columns)
