"""A linear method beside a network: the product of two experts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError, one_line
from ..sparse import SparseRows
from .linear import LinearScorer

LOWEST_SCORE = 1e-4
"""Linear scores below it count as this much: a linear score may be 0 or negative, which has no
logarithm. Measured on validation data of Gowalla: from 1e-2 to 1e-5 it makes no difference.
"""

METADATA = "partner"
"""The name under which a file of tensors tells the method and the weight, as JSON."""


@dataclass(frozen=True, eq=False)
class Partner:
    """A fitted linear method whose scores join those of a network.

    Both are experts on the next item: the network with p(i) proportional to exp(natural parameter),
    the linear method with a probability proportional to its score s. Their weighted product has the
    logarithm natural + weight x log s, up to a constant of the user, and so this ranks the items.

    Attributes:
        method: the settings of the linear method, as a recipe has them.
        scorer: what was fitted by it.
        weight: of the linear method; 0 leaves the network alone.
    """

    method: Mapping[str, Any]
    scorer: LinearScorer
    weight: float

    def __call__(self, history: SparseRows) -> Tensor:
        """Returns what is added to the natural parameters, (B, I) float32 on the CPU."""
        return self.of_scores(self.scorer(history))

    def of_scores(self, scores: Tensor) -> Tensor:
        """Returns weight x log of linear scores, in place of them."""
        return scores.clamp_(min=LOWEST_SCORE).log_().mul_(self.weight)

    def metadata(self) -> dict[str, str]:
        """Returns what belongs beside the tensors of the scorer in a file."""
        told = {"method": dict(self.method), "weight": self.weight}
        return {METADATA: json.dumps(told)}

    @classmethod
    def of_file(
        cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], items: int
    ) -> "Partner":
        """Makes a partner of what a file holds.

        Args:
            tensors: of the scorer.
            metadata: see `metadata`.
            items: I.

        Raises:
            DataError: the file holds no partner for so many items.
        """
        try:
            told: Any = json.loads(metadata[METADATA])
            method = dict(told["method"])
            weight = float(told["weight"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"no linear method is told of: {one_line(error)}") from None
        if not 0 <= weight < torch.inf:
            raise DataError(f"the weight of a linear method must be 0 or more, got {weight:g}")
        return cls(method, LinearScorer.of_tensors(tensors, items), weight)
