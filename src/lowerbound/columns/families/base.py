"""The contract of the families of columns.

To add one, write a file in this package with a frozen dataclass below `ColumnFamily`. The registry,
the recipes and the laws find it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from ..schema import ColumnSchema
from .factors import FollowedFactors


class ColumnDistribution(Distribution, ABC):
    """The distributions of the codes of n columns.

    The batch shape is (..., n), the event shape (): `log_prob` of codes (..., n) has one value for
    each column, in nats. Codes are those of `columns.Coding`: standardised numbers or logs, counts,
    positions of levels.

    Attributes:
        knows_mean_exponential: whether `mean_exponential` is exact, and no number that stands for
            it.
    """

    knows_mean_exponential: ClassVar[bool] = False
    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """The mean of the codes of numbers, the most probable position of levels, (..., n)."""

    @property
    def data_mean(self) -> Tensor:
        """The mean of the values of numbers in the units of the data, the most probable position of
        levels, (..., n).
        """
        return self.mean

    @property
    def probabilities(self) -> Tensor | None:
        """The probabilities of the levels, (..., n, L), 0 where a column has fewer than L levels.

        None for numbers.
        """
        return None

    @property
    def jumps(self) -> Tensor | None:
        """The codes at which the densities jump, (n, J); None where they are continuous.

        An integral over a density is cut there.
        """
        return None

    def mean_exponential(self, factor: Tensor) -> Tensor:
        """Returns E[exp(factor * code)], (..., n): what makes a mean of numbers of one of logs.

        Where that is not known it is exp(factor * mean), which is right for a narrow distribution.

        Args:
            factor: (n,).
        """
        return (factor * self.mean).exp()


class ColumnFamily(ABC):
    """A family of distributions of the columns of some kinds.

    Attributes:
        kinds: the kinds of columns that it can be the likelihood of, see `columns.KINDS`.
    """

    kinds: ClassVar[tuple[str, ...]]

    @abstractmethod
    def parameters(self, column: ColumnSchema) -> int:
        """Returns how many numbers a network gives for this column.

        Columns with the same number of them are computed together.
        """

    @abstractmethod
    def head(self, columns: Sequence[ColumnSchema]) -> nn.Module:
        """Builds what makes distributions of a network's output, for n columns of one number P of
        parameters.

        Where the output is zero, the distributions had best be about those that the columns have
        in the training data, which `ColumnSchema` tells.

        Returns:
            A module (..., n, P) -> `ColumnDistribution` of batch shape (..., n).
        """

    def follow(
        self, column: ColumnSchema, followed: FollowedFactors
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns how what a network gives for a column depends on factors z, linearly.

        It is where a fit with `model.start="factors"` starts. A family that does not say it starts
        with distributions that do not depend on z.

        Args:
            column: the column.
            followed: how its number, its position or the indicators of its levels follow z (k,).

        Returns:
            Weights (P, k) and biases (P,).
        """
        count = self.parameters(column)
        return np.zeros((count, followed.loadings.shape[1])), np.zeros(count)
