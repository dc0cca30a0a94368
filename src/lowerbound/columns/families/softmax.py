"""Probabilities of levels."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ...specs.checked import checked
from ..schema import ColumnSchema
from .base import ColumnDistribution, ColumnFamily
from .factors import FollowedFactors, scores_of_levels, scores_of_numbers
from .starts import shares_of_levels


class Levels(ColumnDistribution):
    """Distributions of the positions of levels, given by log-probabilities (..., n, L).

    A column of fewer than L levels has -inf for the others.
    """

    def __init__(self, log_probabilities: Tensor) -> None:
        self.log_probabilities = log_probabilities
        super().__init__(log_probabilities.shape[:-1], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        positions = value.long().unsqueeze(-1)
        shape = torch.broadcast_shapes(positions.shape[:-1], self.batch_shape)
        table = self.log_probabilities.expand(*shape, self.log_probabilities.shape[-1])
        return table.gather(-1, positions.expand(*shape, 1)).squeeze(-1)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            count = self.log_probabilities.shape[-1]
            table = self.log_probabilities.exp().expand(*shape, count)
            drawn = torch.multinomial(table.reshape(-1, count), 1)
            return drawn.reshape(shape).to(self.log_probabilities.dtype)

    @property
    def mean(self) -> Tensor:
        most_probable = self.log_probabilities.argmax(-1)
        return most_probable.to(self.log_probabilities.dtype)

    @property
    def probabilities(self) -> Tensor:
        return self.log_probabilities.exp()


class SoftmaxHead(nn.Module):
    """Makes distributions of levels of scores (..., n, P), each score added to a log-share.

    Args:
        columns: the n columns.
        width: the number of scores of each, P.
    """

    def __init__(self, columns: Sequence[ColumnSchema], width: int) -> None:
        super().__init__()
        start = torch.full((len(columns), width), -torch.inf)
        for row, column in enumerate(columns):
            shares = shares_of_levels(column)
            start[row, : len(shares)] = torch.tensor(shares.tolist()).log()
        self.register_buffer("start", start, persistent=False)
        self.start: Tensor

    def forward(self, scores: Tensor) -> Levels:
        return Levels(torch.log_softmax(scores + self.start, dim=-1))


@checked
class Softmax(ColumnFamily):
    """Probabilities of levels, without an order between them."""

    kinds: ClassVar[tuple[str, ...]] = ("categorical", "binary", "ordinal")

    def parameters(self, column: ColumnSchema) -> int:
        """Returns the next power of two: columns of about as many levels are computed together."""
        return 1 << (len(column.levels) - 1).bit_length()

    def head(self, columns: Sequence[ColumnSchema]) -> nn.Module:
        width = max(self.parameters(column) for column in columns)
        return SoftmaxHead(columns, width)

    def follow(
        self, column: ColumnSchema, followed: FollowedFactors
    ) -> tuple[np.ndarray, np.ndarray]:
        count = self.parameters(column)
        if column.kind == "ordinal":
            return scores_of_numbers(np.arange(float(len(column.levels))), followed, count)
        return scores_of_levels(followed.mean, followed.loadings, count)
