"""What a model is conditioned on: from the codes of conditions to the numbers that networks see.

A conditional model is q(z | x, y), p(x | z, y) and p(z) or p(z | y) (Sohn, Lee & Yan 2015,
"Learning Structured Output Representation using Deep Conditional Generative Models"; Kingma et al.
2014, arXiv 1406.5298, model M2 with known labels).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..columns import ColumnSchema
from .inputs import TableFeatures

WIDEST = 64
"""Conditions of more features are embedded in so many numbers."""


class Conditions(nn.Module):
    """Makes the numbers (B, E) that stand for the conditions of examples, of their codes (B, G).

    A level has an indicator, a number its standardised value and whether it is known
    (`TableFeatures`). What is not known, NaN, is 0 everywhere. The first layer of each network
    embeds them; of more than `WIDEST` features it is an embedding that all networks share.

    Args:
        columns: the G conditions.

    Attributes:
        width: how many numbers there are, E.
    """

    def __init__(self, columns: Sequence[ColumnSchema]) -> None:
        super().__init__()
        self.features: TableFeatures = TableFeatures(columns)
        self.width: int = min(self.features.width, WIDEST)
        self.embedding: nn.Module = nn.Identity()
        if self.features.width > WIDEST:
            # Without a bias, so that zeros still stand for what is not known.
            embedding = nn.Linear(self.features.width, WIDEST, bias=False)
            nn.init.normal_(embedding.weight, std=1 / math.sqrt(len(columns)))
            self.embedding = embedding

    def forward(self, codes: Tensor) -> Tensor:
        """Returns the numbers (B, E) of codes (B, G)."""
        observed = ~codes.isnan()
        known = torch.where(observed, codes, 0)
        return self.embedding(self.features(known, observed))


class Unconditional(nn.Module):
    """A conditional that has no use for the conditions, such as N(0, I) as the prior.

    Args:
        conditional: is called with the context alone.
    """

    def __init__(self, conditional: nn.Module) -> None:
        super().__init__()
        self.conditional = conditional

    def forward(self, context: Any = None, given: Tensor | None = None) -> Distribution:
        return self.conditional(context)


class PriorGiven(nn.Module):
    """A prior of the top level that hangs on the conditions: p(z | y).

    Args:
        conditional: gives a distribution for the numbers (B, E) that stand for the conditions.
    """

    def __init__(self, conditional: nn.Module) -> None:
        super().__init__()
        self.conditional = conditional

    def forward(self, context: Any, given: Tensor) -> Distribution:
        return self.conditional(given)
