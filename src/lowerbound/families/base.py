"""The contract of families: what a network gives -> a distribution, in nats, the event as one.

To add one, write a file in this package with a frozen dataclass below `Family` (or below
`FamilyWithHead`, if it owns modules). The registry, the recipes and the laws find it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from ..columns import ColumnSchema
from ..errors import ConfigError
from ..sparse import DeferredLinear, Reduction, SparseRows
from .place import Place


class Family(ABC):
    """A family of distributions: parameters -> Distribution.

    A network gives `parameters` values for each element of the event; `free` learned numbers belong
    to no example. Everything that a family returns treats the event as one: `log_prob` has the
    shape of the batch, in nats.

    Attributes:
        reparameterised: whether draws carry gradients, so that it can be a posterior.
        real_density: whether it is a density on all real numbers, so that it can be the prior of a
            level.
        has_density: whether it has a density or a probability at all, so that it can be a
            likelihood, and a posterior with it has a bound. A point mass has none.
        over_places: whether it distributes one thing over the places of the event, and not a value
            at each place: its figures are of another kind than those of all other likelihoods.
    """

    reparameterised: ClassVar[bool] = False
    real_density: ClassVar[bool] = False
    has_density: ClassVar[bool] = True
    over_places: ClassVar[bool] = False

    @property
    def parameters(self) -> int:
        """The number of values that a network gives for each element of the event."""
        return 1

    @property
    def free(self) -> int:
        """The number of learned numbers that all examples share."""
        return 0

    def features(self, event: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape of what a network gives for one event of this shape."""
        return (self.parameters * event[0], *event[1:])

    def head(self, place: Place) -> nn.Module | None:
        """Builds what makes a distribution of a network's output, if the family owns modules.

        Returns:
            None for a family whose parameters are read off the output; see `FamilyWithHead`.
        """
        return None

    @abstractmethod
    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        """Makes the distribution with these parameters.

        Args:
            values: `parameters` tensors of shape (..., *event), then `free` scalars.
            event_dims: how many of the last dimensions are the event.
        """

    def of_rows(self, natural: DeferredLinear, free: Sequence[Tensor]) -> Distribution:
        """Makes the distribution of sparse rows (..., I) with one parameter for each element.

        Raises:
            ConfigError: it would take a dense copy.
        """
        raise ConfigError(
            f"{type(self).__name__} with these settings has no likelihood for sparse rows; "
            "allowed: Multinomial, Bernoulli, Normal with a variance that is a number or 'shared' "
            "and the mean 'identity'"
        )

    def natural(self, mean: Tensor) -> Tensor | None:
        """Returns what a network must give for this mean of the data, (*event).

        Returns:
            None where that is not known.
        """
        return None

    def of_columns(self, columns: Sequence[ColumnSchema]) -> "Family":
        """Returns the likelihood of the codes of a table with these columns.

        Args:
            columns: what is known of each column; none of a table that is only standardised, and of
                all other data.

        Raises:
            ConfigError: a column cannot have this likelihood.
        """
        for column in columns:
            if not column.has_density or column.atoms:
                raise ConfigError(
                    f"model.likelihood {type(self).__name__} is for real numbers, and the column "
                    f"{column.name!r} is of kind {column.kind}; allowed for tables with columns of "
                    "several kinds: Columns"
                )
        return self

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        """Says why data cannot have this likelihood, or returns None where they can.

        Args:
            low: least value of the data.
            high: greatest value of the data.
            levels: number of the values of the grid on which they lie; None for real numbers.
        """
        return None

    def caveat(self, low: float, high: float, levels: int | None) -> str | None:
        """Says what a report must say of this likelihood on such data.

        Returns:
            None where it is a proper likelihood.
        """
        return None


class FamilyWithHead(Family):
    """A family that owns modules, such as a flow, a mixture or a table of columns.

    Its network may give any number of features (`features`); its head, a module, makes a
    distribution of them.
    """

    @abstractmethod
    def head(self, place: Place) -> nn.Module:
        """Builds a module (..., *features) -> Distribution of batch shape (...).

        The event shape of the distribution is `place.event`.
        """

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        """Refuses to make a distribution without a head.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"{type(self).__name__} makes its distributions by its head: build one with head(place)"
        )


def squash(mean: Tensor, how: str) -> Tensor:
    """Applies the link function of a mean: "sigmoid", or "identity"."""
    if how == "sigmoid":
        return torch.sigmoid(mean)
    return mean


def outside_unit(name: str, low: float, high: float) -> str | None:
    """Says that a family needs values in [0, 1], where those of the data are not."""
    if low < 0 or high > 1:
        return (
            f"{name} needs values in [0, 1], got [{low:g}, {high:g}]; Normal takes any real numbers"
        )
    return None


def grid_caveat(levels: int | None) -> str | None:
    """Says that densities on a grid compare with densities on the same values alone.

    Such a density can be raised without limit, and is no probability.

    Returns:
        None for data on no grid.
    """
    if levels is None:
        return None
    return (
        f"a density on values that lie on a grid of {levels} levels; comparable only with "
        "densities on the same values"
    )


class RowsDistribution(Distribution):
    """A distribution of sparse rows x with natural parameters l.

    Its log p(x) is a function of <x, l>, of a sum over l, and of x.

    Args:
        natural: l, (..., I), not yet computed.
        kind: the sum over l.
        log_prob: log p(x) from <x, l>, the sum, and x.
        dense: makes the same distribution for dense rows, from l computed.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(
        self,
        natural: DeferredLinear,
        kind: Reduction,
        log_prob: Callable[[Tensor, Tensor, SparseRows], Tensor],
        dense: Callable[[Tensor], Distribution],
    ) -> None:
        self.natural = natural
        self.kind = kind
        self.formula = log_prob
        self.dense = dense
        super().__init__(natural.shape[:-1], natural.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor | SparseRows) -> Tensor:
        if isinstance(value, SparseRows):
            inner_product, total = self.natural.terms(value, self.kind)
            return self.formula(inner_product, total, value)
        return self.dense(self.natural.tensor()).log_prob(value)

    @property
    def mean(self) -> Tensor:
        return self.dense(self.natural.tensor()).mean

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        return self.dense(self.natural.tensor()).sample(sample_shape)
