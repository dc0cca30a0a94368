"""Poisson distributions of counts."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...networks.limits import bounded
from ...specs.checked import checked
from ..schema import ColumnSchema
from .base import ColumnDistribution, ColumnFamily
from .counts import draw_poisson, log_poisson
from .starts import log_mean_of_counts


class _Poissons(ColumnDistribution):
    """Counts whose mean is their variance, given by its log."""

    def __init__(self, log_mean: Tensor) -> None:
        self.log_mean = log_mean
        super().__init__(log_mean.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return log_poisson(value, self.log_mean)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            return draw_poisson(self.log_mean.exp().expand(self._extended_shape(sample_shape)))

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()


class _PoissonHead(nn.Module):
    """Makes Poisson distributions of (..., n, 1)."""

    def __init__(self, columns: Sequence[ColumnSchema]) -> None:
        super().__init__()
        start = torch.tensor([log_mean_of_counts(column) for column in columns])
        self.register_buffer("start", start, persistent=False)
        self.start: Tensor

    def forward(self, parameters: Tensor) -> _Poissons:
        return _Poissons(self.start + bounded(parameters[..., 0]))


@checked
class Poisson(ColumnFamily):
    """Poisson distributions of counts: the variance is the mean.

    Most counts vary more than that, which `NegativeBinomial` allows.
    """

    kinds: ClassVar[tuple[str, ...]] = ("count",)

    def parameters(self, column: ColumnSchema) -> int:
        return 1

    def head(self, columns: Sequence[ColumnSchema]) -> nn.Module:
        return _PoissonHead(columns)
