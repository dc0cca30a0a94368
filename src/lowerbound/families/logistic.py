"""The logistic distribution on a grid of levels."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints

from ..networks.limits import bounded
from ..specs.checked import checked
from .base import Family, squash


class _DiscretizedLogistic(Distribution):
    """A logistic variable, rounded to the grid {0, 1/(levels-1), ..., 1}.

    Both tails belong to the ends of the grid.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.unit_interval

    def __init__(self, mean: Tensor, scale: Tensor, levels: int) -> None:
        self.location = mean
        self.scale = scale
        self.levels = levels
        self.step = 1 / (levels - 1)
        super().__init__(mean.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)), which never cancels.
        upper = F.logsigmoid((value - self.location + self.step / 2) / self.scale)
        lower = F.logsigmoid((self.location - value + self.step / 2) / self.scale)
        width = torch.log(-torch.expm1(-self.step / self.scale))
        is_first = value < self.step / 2
        is_last = value > 1 - self.step / 2
        not_first = torch.where(is_last, lower, upper + lower + width)
        return torch.where(is_first, upper, not_first)

    @property
    def mean(self) -> Tensor:
        # E[X] = step * the sum over the edges of the cells of P(X > edge)
        total = torch.zeros_like(self.location)
        for cell in range(self.levels - 1):
            edge = (cell + 0.5) * self.step
            total += torch.sigmoid((self.location - edge) / self.scale)
        return total * self.step

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            uniform = torch.rand(
                self._extended_shape(sample_shape),
                dtype=self.location.dtype,
                device=self.location.device,
            )
            standard = torch.logit(uniform, eps=torch.finfo(uniform.dtype).tiny)
            value = self.location + self.scale * standard
            cell = (value / self.step).round().clamp(0, self.levels - 1)
            return cell * self.step


@checked
class DiscretizedLogistic(Family):
    """A true probability for pixels of `levels` values: the logistic distribution, rounded (Kingma
    et al. 2016).

    Args:
        levels: number of values that a pixel can have, 256 for pictures of 8 bits.
        mean: link function of the mean: "sigmoid" keeps it in (0, 1).
    """

    levels: int = Field(default=256, ge=2)
    mean: Literal["identity", "sigmoid"] = "sigmoid"

    @property
    def parameters(self) -> int:
        return 2

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        mean = squash(values[0], self.mean)
        scale = torch.exp(bounded(values[1], 7.0))
        variables = _DiscretizedLogistic(mean, scale, self.levels)
        return Independent(variables, event_dims, validate_args=False)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        if levels == self.levels:
            return None
        got = "real numbers"
        if levels is not None:
            got = f"{levels} levels"
        advice = "set model.likelihood=Normal"
        if levels is not None:
            advice = f"set model.likelihood.levels={levels}"
        return (
            f"DiscretizedLogistic(levels={self.levels}) needs values on a grid of {self.levels} "
            f"levels, got {got}; {advice}"
        )
