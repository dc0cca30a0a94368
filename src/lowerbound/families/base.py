"""The contract of families: parameters -> Distribution, in nats, the event as one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..errors import ConfigError
from ..sparse import DeferredLinear, Reduction, SparseRows


class Family(ABC):
    """Parameters -> Distribution.

    Attributes:
        reparameterised: whether draws carry gradients, so that it can be a posterior.
        real_density: whether it is a density on all real numbers, so that it can be the prior of a
            level.
    """

    reparameterised: ClassVar[bool] = False
    real_density: ClassVar[bool] = False

    @property
    def parameters(self) -> int:
        """How many values a network must give for each element of the event."""
        return 1

    @property
    def free(self) -> int:
        """How many learned numbers are shared by all examples."""
        return 0

    @abstractmethod
    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        """The distribution with these parameters.

        Args:
            values: `parameters` tensors of shape (..., *event), then `free` scalars.
            event_dims: how many of the last dimensions are the event.
        """

    def of_rows(self, natural: DeferredLinear, free: Sequence[Tensor]) -> Distribution:
        """The distribution of sparse rows (..., I) with these parameters, one for each element.

        Raises:
            ConfigError: it would take a dense copy.
        """
        raise ConfigError(
            f"{type(self).__name__} with these settings has no likelihood for sparse rows; "
            "allowed: Multinomial, Bernoulli, Normal with a variance that is a number or 'shared' "
            "and the mean 'identity'"
        )

    def natural(self, mean: Tensor) -> Tensor | None:
        """What a network must say for this mean of the data, (*event), or None where that is not
        known.
        """
        return None

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        """Why data in [low, high] (on a grid of `levels` values, None for real numbers) cannot have
        this likelihood.
        """
        return None

    def caveat(self, low: float, high: float, levels: int | None) -> str | None:
        """What a report must say of this likelihood on such data, or None where it is a proper one."""
        return None


def bounded(log_scale: Tensor, limit: float = 20.0) -> Tensor:
    """The identity on [-limit, limit]; beyond, it grows like a logarithm: `exp` of it stays finite
    for any |x| < 1e15.

    Unlike a clamp its gradient never becomes 0: it falls like 1 / (distance to the limit).
    """
    inner = log_scale.clamp(-limit, limit)
    return inner + torch.asinh(log_scale - inner)


def squash(mean: Tensor, how: str) -> Tensor:
    return torch.sigmoid(mean) if how == "sigmoid" else mean


def outside_unit(name: str, low: float, high: float) -> str | None:
    if low < 0 or high > 1:
        return (
            f"{name} needs values in [0, 1], got [{low:g}, {high:g}]; Normal takes any real numbers"
        )
    return None


def grid_caveat(levels: int | None) -> str | None:
    """The caveat of a density on values that lie on a grid: it can be raised without limit, and is
    no probability.
    """
    if levels is None:
        return None
    return f"a density on values that lie on a grid of {levels} levels; comparable only with densities on the same values"


class RowsDistribution(Distribution):
    """A distribution of sparse rows x by its natural parameters l: log p(x) is a function of <x,
    l>, of a sum over l, and of x.

    Args:
        natural: l, (..., I).
        kind: the sum.
        log_prob: of <x, l>, the sum, and x.
        dense: the same distribution for dense rows, of l computed.
    """

    arg_constraints = {}  # noqa: RUF012

    def __init__(
        self,
        natural: DeferredLinear,
        kind: Reduction,
        log_prob: Callable[[Tensor, Tensor, SparseRows], Tensor],
        dense: Callable[[Tensor], Distribution],
    ) -> None:
        self.natural, self.kind, self.formula, self.dense = natural, kind, log_prob, dense
        super().__init__(natural.shape[:-1], natural.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor | SparseRows) -> Tensor:
        if isinstance(value, SparseRows):
            return self.formula(*self.natural.terms(value, self.kind), value)
        return self.dense(self.natural.tensor()).log_prob(value)

    @property
    def mean(self) -> Tensor:
        return self.dense(self.natural.tensor()).mean

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        return self.dense(self.natural.tensor()).sample(sample_shape)
