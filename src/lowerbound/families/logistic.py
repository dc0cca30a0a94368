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
from ..system.tracing import is_exporting
from .base import Family, squash

NEAREST_EDGES = 20
"""Edges of cells on either side of the location of a variable, whose scale is at most a step.

The next ones are passed with a probability that is 0 or 1 to the precision of float32.
"""

LARGEST_LOG_SCALE = 7.0
"""The size of a log-scale beyond which `networks.limits.bounded` holds it back."""

SHARED_LOG_SCALE = -2.0
"""Where training starts the log of a scale that all pixels share, with pixels in [0, 1]."""


def rounded(value: Tensor, levels: int) -> Tensor:
    """Rounds values to the grid {0, 1/(levels-1), ..., 1}; those beyond its ends go to the ends."""
    step = 1 / (levels - 1)
    cell = (value / step).round().clamp(0, levels - 1)
    return cell * step


def standard_logistic(like: Tensor, shape: torch.Size) -> Tensor:
    """Draws standard logistic variables of a shape, of the type and on the device of a tensor."""
    uniform = torch.rand(shape, dtype=like.dtype, device=like.device)
    return torch.logit(uniform, eps=torch.finfo(uniform.dtype).tiny)


def ends_of_grid(value: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Says which values are the first level, and which the last.

    A value counts as one where it is less than half a step from it, whatever the number of levels:
    a constant such as 0.99 would take level 254 of 256 for the last one.
    """
    half_step = 1 / (levels - 1) / 2
    return value < half_step, value > 1 - half_step


def not_on_grid(family: Family, wanted: int, levels: int | None) -> str | None:
    """Says that a family needs values on a grid of so many levels, where those of the data are not.

    Args:
        family: whose name is told.
        wanted: the levels that it needs.
        levels: those of the data; None for real numbers.
    """
    if levels == wanted:
        return None
    got = "real numbers"
    advice = "set model.likelihood=Normal"
    if levels is not None:
        got = f"{levels} levels"
        advice = f"set model.likelihood.levels={levels}"
    return (
        f"{type(family).__name__}(levels={wanted}) needs values on a grid of {wanted} levels, got "
        f"{got}; {advice}"
    )


def mean_of_rounded(location: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Computes the mean of logistic variables that are rounded to the grid, at any scale.

    It is a step times the expected number of edges between cells that a variable is above, which is
    a sum of sigmoids over all edges. Of many edges it is summed up where the sigmoid is steep, and
    elsewhere by the formula of Euler and Maclaurin for midpoints; both are right to 1e-6 of a step.

    Args:
        location: of the variables before they are rounded, any shape.
        scale: of the variables, the same shape.
        levels: number of values of the grid.
    """
    edges = levels - 1
    location = location * edges
    scale = scale * edges
    if edges <= 2 * NEAREST_EDGES + 1:
        return _sum_over_edges(location, scale, 0, edges) / edges
    passed = _smooth_sum_over_edges(location, scale.clamp(min=1), edges)
    is_steep = scale < 1
    if is_exporting():  # a graph computes both, whatever the scales
        steep = _sum_over_nearest_edges(location, scale.clamp(max=1), edges)
        return torch.where(is_steep, steep, passed) / edges
    if is_steep.any():
        steep = _sum_over_nearest_edges(location[is_steep], scale[is_steep], edges)
        passed = passed.masked_scatter(is_steep, steep)
    return passed / edges


def _sum_over_edges(location: Tensor, scale: Tensor, first: Tensor | int, count: int) -> Tensor:
    """Sums the probabilities that variables are above each of `count` edges, in units of steps."""
    total = torch.zeros_like(location)
    for number in range(count):
        edge = first + number + 0.5
        total = total + torch.sigmoid((location - edge) / scale)
    return total


def _sum_over_nearest_edges(location: Tensor, scale: Tensor, edges: int) -> Tensor:
    """Sums the same over all edges, of which only those near the location are computed."""
    width = 2 * NEAREST_EDGES + 1
    first = location.detach().floor() - NEAREST_EDGES
    first = first.clamp(0, edges - width)  # a variable is above all edges before the first
    return first + _sum_over_edges(location, scale, first, width)


def _smooth_sum_over_edges(location: Tensor, scale: Tensor, edges: int) -> Tensor:
    """Sums the same over all edges, for scales of one step or more.

    The sum of f over the midpoints of cells of width 1 is the integral of f and a correction at
    either end.
    """
    above_first = location / scale
    above_last = (location - edges) / scale
    # The integral is scale * (softplus(above_first) - softplus(above_last)), which cancels for a
    # large scale; log1p does not, and it needs a scale that is not small.
    large = scale.clamp(min=edges)
    small = scale.clamp(max=edges)
    ratio = torch.sigmoid(above_first) * torch.expm1(-edges / large)
    difference = F.softplus(above_first) - F.softplus(above_last)
    integral = torch.where(scale > edges, -large * torch.log1p(ratio), small * difference)
    return integral + _end_correction(above_last, scale) - _end_correction(above_first, scale)


def _end_correction(distance: Tensor, scale: Tensor) -> Tensor:
    """Computes the correction of a sum of f(x) = sigmoid((location - x) / scale) at an end x.

    It is -f' / 24 + 7 f(3) / 5760 - 31 f(5) / 967680, where f(n) is the n-th derivative. Those of
    the sigmoid are polynomials in v = sigmoid (1 - sigmoid).

    Args:
        distance: (location - x) / scale.
        scale: in units of steps.
    """
    y = torch.sigmoid(distance)
    v = y * (1 - y)
    third = v * (1 - 6 * v)
    fifth = v * (1 - 30 * v + 120 * v**2)
    return v / scale / 24 - 7 / 5760 * third / scale**3 + 31 / 967680 * fifth / scale**5


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
        is_first, is_last = ends_of_grid(value, self.levels)
        not_first = torch.where(is_last, lower, upper + lower + width)
        return torch.where(is_first, upper, not_first)

    @property
    def mean(self) -> Tensor:
        return mean_of_rounded(self.location, self.scale, self.levels)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            standard = standard_logistic(self.location, self._extended_shape(sample_shape))
            return rounded(self.location + self.scale * standard, self.levels)


@checked
class DiscretizedLogistic(Family):
    """A true probability for pixels of `levels` values: the logistic distribution, rounded (Kingma
    et al. 2016).

    Args:
        levels: number of values that a pixel can have, 256 for pictures of 8 bits.
        mean: link function of the mean: "sigmoid" keeps it in (0, 1).
        scale: "learned" by the network for each value; "shared", one learned number for all of
            them: the reconstructions then are all that the network can be better by.
    """

    levels: int = Field(default=256, ge=2)
    mean: Literal["identity", "sigmoid"] = "sigmoid"
    scale: Literal["learned", "shared"] = "learned"

    @property
    def parameters(self) -> int:
        if self.scale == "learned":
            return 2
        return 1

    @property
    def free(self) -> int:
        if self.scale == "shared":
            return 1
        return 0

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        mean = squash(values[0], self.mean)
        log_scale = values[1]
        if self.scale == "shared":
            log_scale = log_scale + SHARED_LOG_SCALE
        scale = torch.exp(bounded(log_scale, LARGEST_LOG_SCALE)).expand(mean.shape)
        variables = _DiscretizedLogistic(mean, scale, self.levels)
        return Independent(variables, event_dims, validate_args=False)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return not_on_grid(self, self.levels, levels)
