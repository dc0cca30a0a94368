"""Counts of draws from one categorical variable."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical, constraints

from ..sparse import DeferredLinear
from ..specs.checked import checked
from .base import Family, RowsDistribution


class _Multinomial(Distribution):
    """One draw from I categories, as a vector of counts.

    `log_prob` takes the counts of any number of draws, in one given order.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.one_hot

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        split = logits.dim() - event_dims
        self.log_probabilities = logits.flatten(split).log_softmax(-1).view_as(logits)
        super().__init__(logits.shape[:split], logits.shape[split:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.log_probabilities).flatten(-len(self.event_shape)).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.log_probabilities.exp()

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        flat = self.mean.flatten(self.mean.dim() - len(self.event_shape))
        counts = OneHotCategorical(flat, validate_args=False).sample(sample_shape)
        return counts.view(self._extended_shape(sample_shape))


@checked
class Multinomial(Family):
    """Counts of draws from one categorical variable over the elements of the event, from logits
    (Liang et al. 2018, eq. 2).

    log p(x) = sum_i x_i log softmax_i is the log-probability of the draws in one given order: it
    has no multinomial coefficient.
    """

    over_places: ClassVar[bool] = True

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        return _Multinomial(values[0], event_dims)

    def of_rows(self, natural: DeferredLinear, free: Sequence[Tensor]) -> Distribution:
        return RowsDistribution(
            natural,
            "logsumexp",
            lambda inner, total, x: inner - x.sums() * total,
            lambda logits: self((logits,), 1),
        )

    def natural(self, mean: Tensor) -> Tensor | None:
        return torch.log(mean.clamp(min=1e-7 * mean.max()))

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        if low < 0:
            return f"Multinomial needs counts or weights of 0 or more, got [{low:g}, {high:g}]"
        return None
