"""Densities of codes -> densities in the units of the data."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..schema import ColumnSchema
from .base import ColumnDistribution


class _DataUnits(ColumnDistribution):
    """Distributions of codes whose `log_prob` is that of the values themselves.

    log p(value) = log p(code) + log |d code / d value|: the second term is -log scale of a
    standardised value, and -log scale - log value of a standardised log.

    Args:
        codes: the distributions of the codes.
        mean: what is subtracted of each value or log, (n,).
        scale: what each is divided by, (n,).
        log_scale: the logarithm of it, (n,).
        is_log: whether the code of a column is one of logs, (n,).
    """

    def __init__(
        self,
        codes: ColumnDistribution,
        mean: Tensor,
        scale: Tensor,
        log_scale: Tensor,
        is_log: Tensor,
    ) -> None:
        self.codes = codes
        self.offset = mean
        self.scale = scale
        self.log_scale = log_scale
        self.is_log = is_log
        super().__init__(codes.batch_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        log_value = torch.where(self.is_log, value * self.scale + self.offset, 0)
        return self.codes.log_prob(value) - self.log_scale - log_value

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        return self.codes.sample(torch.Size(sample_shape))

    @property
    def mean(self) -> Tensor:
        return self.codes.mean

    @property
    def data_mean(self) -> Tensor:
        mean = self.codes.mean * self.scale + self.offset
        of_logs = self.offset.exp() * self.codes.mean_exponential(self.scale)
        return torch.where(self.is_log, of_logs, mean)


class InDataUnits(nn.Module):
    """Makes distributions whose densities are those of the values, of a head's of codes.

    Args:
        head: makes distributions of codes.
        columns: the n columns, which have densities.
    """

    def __init__(self, head: nn.Module, columns: Sequence[ColumnSchema]) -> None:
        super().__init__()
        self.head = head
        mean = torch.tensor([column.mean for column in columns])
        scale = torch.tensor([column.scale for column in columns])
        # Its logarithm is finite where the scale itself is beyond float32.
        log_scale = torch.tensor([math.log(column.scale) for column in columns])
        is_log = torch.tensor([column.kind == "positive" for column in columns])
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("log_scale", log_scale, persistent=False)
        self.register_buffer("is_log", is_log, persistent=False)
        self.mean: Tensor
        self.scale: Tensor
        self.log_scale: Tensor
        self.is_log: Tensor

    def forward(self, parameters: Tensor) -> ColumnDistribution:
        return _DataUnits(self.head(parameters), self.mean, self.scale, self.log_scale, self.is_log)
