"""The scales of densities of standardised numbers, kept away from zero and from infinity."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...networks.limits import bounded
from ..schema import ColumnSchema
from .starts import middle_and_spread

LEAST_LOG_SCALE = -7.0
"""The least log-scale, beside that of the column itself: a thousandth of its deviation.

Without a limit, the density of a column of few distinct numbers can be raised for ever.
"""

LEAST_SPREAD = 1e-6
"""The quartiles of a column count as so many deviations apart, however far its outliers are."""

MOST_LOG_SCALE = 4.0
"""The largest such log-scale."""

MOST_LEAST = -1.0
"""The least log-scale of a column is at most this, however coarse its numbers are."""


def least_log_scale(column: ColumnSchema) -> float:
    """Returns the least log-scale of the codes of a column.

    It is a thousandth of the deviation, as the quartiles tell it, which outliers do not widen.

    Numbers that have so many decimals lie on a grid. A normal density of this scale is one over a
    step of the grid at its highest, so that no number gets more than a probability of one. A higher
    density would be no better model, but would win over all other columns. The step of a logarithm
    is that at the mean of the logarithms.
    """
    decimals = column.decimals
    if column.type == "date":
        decimals = 0
    spread = min(max(middle_and_spread(column)[1], LEAST_SPREAD), 1.0)
    least = LEAST_LOG_SCALE + math.log(spread)
    if decimals is None:
        return least
    log_step = -decimals * math.log(10) - math.log(column.scale)
    if column.kind == "positive":
        log_step -= column.mean
    log_scale = log_step - 0.5 * math.log(2 * math.pi)
    return min(max(log_scale, least), MOST_LEAST)


class LogScale(nn.Module):
    """The log-scales of n columns: of a network for each row, or one learned number for each.

    They rise smoothly with what the network gives, between the limits of each column.

    Args:
        columns: the n columns.
        how: "learned" or "shared".
        start: the log-scale of each column where the network gives 0; None: 0.
    """

    def __init__(
        self, columns: Sequence[ColumnSchema], how: str, start: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if start is None:
            start = [0.0] * len(columns)
        self.shared: nn.Parameter | None = None
        if how == "shared":
            self.shared = nn.Parameter(torch.zeros(len(columns)))
        least = [least_log_scale(column) for column in columns]
        offsets = [_offset(*pair) for pair in zip(start, least, strict=True)]
        self.register_buffer("least", torch.tensor(least), persistent=False)
        self.register_buffer("offset", torch.tensor(offsets), persistent=False)
        self.least: Tensor
        self.offset: Tensor

    def forward(self, parameters: Tensor) -> Tensor:
        """Returns the log-scales of a network's output (..., n, P), of its second number."""
        if self.shared is None:
            raw = parameters[..., 1]
        else:
            raw = self.shared.to(parameters.dtype)
        above = softplus(bounded(raw) + self.offset - self.least) + self.least
        return MOST_LOG_SCALE - softplus(MOST_LOG_SCALE - above)

    @torch.no_grad()
    def start_at(self, log_scales: Sequence[float]) -> None:
        """Sets the learned numbers so that these are the log-scales (n,); a network's stay."""
        if self.shared is not None:
            pairs = zip(log_scales, self.least.tolist(), strict=True)
            wanted = torch.tensor([_offset(*pair) for pair in pairs])
            self.shared.copy_(wanted - self.offset)


def _offset(start: float, least: float) -> float:
    """Returns what is added to a network's output, so that 0 gives the log-scale `start`."""
    start = min(max(start, least + 0.1), MOST_LOG_SCALE - 0.1)
    above = MOST_LOG_SCALE - _inverse_softplus(MOST_LOG_SCALE - start)
    return _inverse_softplus(max(above - least, 1e-3)) + least


def _inverse_softplus(number: float) -> float:
    return number + math.log(-math.expm1(-number))
