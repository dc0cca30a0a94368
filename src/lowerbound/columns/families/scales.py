"""The scales of densities of standardised numbers, kept away from zero and from infinity."""

import torch
from torch import Tensor, nn

LEAST_LOG_SCALE = -7.0
"""The least log-scale of a density of standardised numbers: a thousandth of a standard deviation.

Without a limit, the density of a column of few distinct numbers can be raised for ever.
"""

MOST_LOG_SCALE = 4.0
"""The largest such log-scale."""


def bounded_log_scale(raw: Tensor) -> Tensor:
    """Maps a network's output smoothly to log-scales between the limits; 0 is mapped to about 0."""
    above = nn.functional.softplus(raw - LEAST_LOG_SCALE) + LEAST_LOG_SCALE
    return MOST_LOG_SCALE - nn.functional.softplus(MOST_LOG_SCALE - above)


class LogScale(nn.Module):
    """The log-scales of n columns: of a network for each row, or one learned number for each.

    Args:
        count: the number of columns, n.
        how: "learned" or "shared".
    """

    def __init__(self, count: int, how: str) -> None:
        super().__init__()
        self.shared: nn.Parameter | None = None
        if how == "shared":
            self.shared = nn.Parameter(torch.zeros(count))

    def forward(self, parameters: Tensor) -> Tensor:
        """Returns the log-scales of a network's output (..., n, P), of its second number."""
        if self.shared is None:
            return bounded_log_scale(parameters[..., 1])
        return bounded_log_scale(self.shared)
