"""Negative binomial distributions of counts."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ...networks.limits import bounded
from ...specs.checked import checked
from ..schema import ColumnSchema
from .base import ColumnDistribution, ColumnFamily
from .counts import draw_poisson, log_negative_binomial
from .factors import FollowedFactors
from .starts import log_mean_of_counts, log_size_of_counts

SIZE_LIMIT = 10.0
"""Log-sizes further than this from their start grow like a logarithm."""


class _NegativeBinomials(ColumnDistribution):
    """Counts with mean mu and variance mu + mu^2 / size, given by log mu and log size."""

    def __init__(self, log_mean: Tensor, log_size: Tensor) -> None:
        self.log_mean = log_mean
        self.log_size = log_size
        super().__init__(log_mean.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return log_negative_binomial(value, self.log_mean, self.log_size)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            size = self.log_size.exp().expand(self._extended_shape(sample_shape))
            return draw_poisson(torch._standard_gamma(size) / size * self.log_mean.exp())

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()


class _NegativeBinomialHead(nn.Module):
    """Makes negative binomial distributions of (..., n, 2)."""

    def __init__(self, columns: Sequence[ColumnSchema]) -> None:
        super().__init__()
        means = torch.tensor([log_mean_of_counts(column) for column in columns])
        sizes = torch.tensor([log_size_of_counts(column) for column in columns])
        self.register_buffer("start_mean", means, persistent=False)
        self.register_buffer("start_size", sizes, persistent=False)
        self.start_mean: Tensor
        self.start_size: Tensor

    def forward(self, parameters: Tensor) -> _NegativeBinomials:
        log_mean = self.start_mean + bounded(parameters[..., 0])
        log_size = self.start_size + bounded(parameters[..., 1], SIZE_LIMIT)
        return _NegativeBinomials(log_mean, log_size)


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

    def follow(
        self, column: ColumnSchema, followed: FollowedFactors
    ) -> tuple[np.ndarray, np.ndarray]:
        weights, biases = super().follow(column, followed)
        weights[0] = followed.loadings[0] * column.scale
        return weights, biases
