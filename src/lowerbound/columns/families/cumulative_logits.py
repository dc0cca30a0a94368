"""Probabilities of levels with an order, by thresholds on one line."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...networks.limits import bounded
from ...specs.checked import checked
from ..schema import ColumnSchema
from .base import ColumnFamily
from .factors import FollowedFactors
from .softmax import Levels
from .starts import shares_of_levels

SCALE_LIMIT = 3.0
"""Log-scales further than this from 0 grow like a logarithm."""

LOGISTIC_DEVIATION = math.pi / math.sqrt(3)
"""The deviation of a logistic distribution of scale 1."""


class _CumulativeLogitsHead(nn.Module):
    """Makes distributions of levels of locations (..., n, 1), or of locations and log-scales.

    A level is between two of the thresholds of its column, which rise: log P(level) is the log of a
    difference of two logistic functions, sigmoid(u) sigmoid(-l) (1 - exp(l - u)), which never
    cancels.

    Args:
        columns: the n columns, of L levels at most.
        scale: "shared" or "learned".
    """

    def __init__(self, columns: Sequence[ColumnSchema], scale: str) -> None:
        super().__init__()
        self.scale = scale
        most = max(len(column.levels) for column in columns)
        first = np.zeros(len(columns))
        steps = np.zeros((len(columns), max(most - 2, 0)))
        for row, column in enumerate(columns):
            below = shares_of_levels(column).cumsum()[:-1]
            thresholds = np.log(below) - np.log1p(-below)
            if len(thresholds):
                first[row] = thresholds[0]
            widths = np.diff(thresholds)
            steps[row, : len(widths)] = np.log(np.expm1(widths))
        self.first = nn.Parameter(torch.tensor(first, dtype=torch.get_default_dtype()))
        self.steps = nn.Parameter(torch.tensor(steps, dtype=torch.get_default_dtype()))
        counts = np.array([[len(column.levels)] for column in columns])
        places = np.arange(most)
        self._keep("is_level", places < counts)
        self._keep("is_last", places == counts - 1)

    def _keep(self, name: str, marks: np.ndarray) -> None:
        self.register_buffer(name, torch.tensor(marks.tolist()), persistent=False)

    def forward(self, parameters: Tensor) -> Levels:
        widths = F.softplus(bounded(self.steps))
        offsets = F.pad(widths.cumsum(-1), (1, 0))
        thresholds = self.first.unsqueeze(-1) + offsets - parameters[..., :1]
        if self.scale == "learned":
            narrowing = torch.exp(-bounded(parameters[..., 1:2], SCALE_LIMIT))
            thresholds = thresholds * narrowing
            widths = widths * narrowing
        # Of the first level nothing is below, of the last nothing above.
        is_last = self.get_buffer("is_last")
        below = F.pad(F.logsigmoid(-thresholds), (1, 0))
        above = F.pad(F.logsigmoid(thresholds), (0, 1))
        between = F.pad(torch.log(-torch.expm1(-widths)), (1, 1))
        levels = is_last.shape[-1]
        inner = above[..., :levels] + between[..., :levels]
        logs = below[..., :levels] + torch.where(is_last, 0, inner)
        return Levels(torch.where(self.get_buffer("is_level"), logs, -torch.inf))


@checked
class CumulativeLogits(ColumnFamily):
    """Probabilities of levels with an order: the proportional-odds model (McCullagh 1980).

    P(level <= k) = sigmoid((threshold_k - location) / scale). The thresholds are learned numbers of
    each column; the network gives a location. A column of many levels costs one number and not one
    for each level, and the probabilities of neighbouring levels rise and fall together.

    Args:
        scale: "shared": the thresholds say how far the levels are apart in all rows; or "learned"
            by the network for each row, which so says how sure it is.
    """

    kinds: ClassVar[tuple[str, ...]] = ("ordinal", "binary")

    scale: Literal["learned", "shared"] = "shared"

    def parameters(self, column: ColumnSchema) -> int:
        if self.scale == "learned":
            return 2
        return 1

    def head(self, columns: Sequence[ColumnSchema]) -> nn.Module:
        return _CumulativeLogitsHead(columns, self.scale)

    def follow(
        self, column: ColumnSchema, followed: FollowedFactors
    ) -> tuple[np.ndarray, np.ndarray]:
        weights, biases = super().follow(column, followed)
        # The thresholds start as those of a logistic distribution of all rows.
        loadings = followed.loadings[0]
        noise = followed.noise[0]
        variance = noise + loadings @ loadings
        if self.scale == "learned":
            weights[0] = loadings * LOGISTIC_DEVIATION / math.sqrt(variance)
            biases[1] = 0.5 * math.log(noise / variance)
        else:
            weights[0] = loadings * LOGISTIC_DEVIATION / math.sqrt(noise)
        return weights, biases
