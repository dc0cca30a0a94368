"""The logistic distribution on a grid of levels."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints

from ..specs.checked import checked
from .base import Family, bounded, squash


class _DiscretizedLogistic(Distribution):
    """A logistic variable rounded to the grid {0, 1/(levels-1), ..., 1}; both tails belong to the
    ends of the grid.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.unit_interval

    def __init__(self, mean: Tensor, scale: Tensor, levels: int) -> None:
        self.location, self.scale, self.levels, self.step = mean, scale, levels, 1 / (levels - 1)
        super().__init__(mean.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)), which never cancels.
        upper = F.logsigmoid((value - self.location + self.step / 2) / self.scale)
        lower = F.logsigmoid((self.location - value + self.step / 2) / self.scale)
        width = torch.log(-torch.expm1(-self.step / self.scale))
        first, last = value < self.step / 2, value > 1 - self.step / 2
        return torch.where(first, upper, torch.where(last, lower, upper + lower + width))

    @property
    def mean(self) -> Tensor:
        edges = ((k + 0.5) * self.step for k in range(self.levels - 1))
        total = torch.zeros_like(self.location)
        for edge in edges:  # E[X] = step * sum over edges of P(X > edge)
            total += torch.sigmoid((self.location - edge) / self.scale)
        return total * self.step

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            uniform = torch.rand(
                self._extended_shape(sample_shape),
                dtype=self.location.dtype,
                device=self.location.device,
            )
            value = self.location + self.scale * torch.logit(
                uniform, eps=torch.finfo(uniform.dtype).tiny
            )
            return (value / self.step).round().clamp(0, self.levels - 1) * self.step


@checked
class DiscretizedLogistic(Family):
    """A true probability for pixels of `levels` values: the logistic distribution, rounded (Kingma
    et al. 2016).
    """

    levels: int = Field(default=256, ge=2)
    mean: Literal["identity", "sigmoid"] = "sigmoid"

    @property
    def parameters(self) -> int:
        return 2

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        mean, scale = squash(values[0], self.mean), torch.exp(bounded(values[1], 7.0))
        return Independent(
            _DiscretizedLogistic(mean, scale, self.levels), event_dims, validate_args=False
        )

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        if levels == self.levels:
            return None
        got = "real numbers" if levels is None else f"{levels} levels"
        return f"DiscretizedLogistic(levels={self.levels}) needs values on a grid of {self.levels} levels, got {got}"
