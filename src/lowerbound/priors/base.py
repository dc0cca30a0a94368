"""The contract of priors: a frozen spec builds a module that gives p(z).

The context of the module is what the posterior of its level sees; most priors have no use for it.
A prior that has is another distribution for each example, and no prior of a bound on log p(x): it
is for models that rank items, and is refused for images and tables (`sees_examples`).

To add one, write a file in this package with a frozen dataclass below `Prior`. The registry, the
recipes and the laws find it.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn

from ..batch import Values
from ..families import Family, Place


class Prior(ABC):
    """A frozen spec of p(z) of the top level."""

    @abstractmethod
    def build(self, place: Place) -> nn.Module:
        """Builds a module with `forward(context=None) -> Distribution`.

        The event shape of the distribution is `place.event`, (d,). Its batch shape is () where the
        module has no use for the context. That of a conditional model is called without the
        conditions, unless it says `takes_conditions = True`: then they are its second argument.

        Args:
            place: the event, what the posterior of the level sees, and that posterior.
        """

    def refuses_posterior(self, family: Family) -> str | None:
        """Says why a posterior of this family cannot go with the prior, or returns None."""
        return None


def sees_examples(module: nn.Module, place: Place) -> bool:
    """Says whether the module of a prior is another distribution for each example.

    It is asked, not told: a prior that has no use for its context has no batch shape, and another
    one has that of the context. A draft without memory is not asked.

    Args:
        module: that a prior has just built.
        place: where it was built for, with a context.
    """
    assert place.context is not None
    context = torch.zeros(2, *place.context)
    if context.is_meta:
        return False
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        return len(module(context).batch_shape) > 0


class Snapshot(nn.Module, ABC):
    """A module that keeps an earlier state of another."""

    @abstractmethod
    def refresh(self) -> None:
        """Takes the present state for the earlier one; called between phases of training."""


class StartsFromData(nn.Module, ABC):
    """A module whose parameters start from examples, such as the pseudo-inputs of a VampPrior.

    Attributes:
        examples_wanted: how many examples it starts from.
    """

    examples_wanted: int

    @abstractmethod
    def start_from(self, x: Values) -> None:
        """Sets the parameters from training examples (N, *context), N <= `examples_wanted`.

        They are as the posterior of the level sees them: of a table the features of its rows, above
        the first level draws of the one below. It is called once, before training; not where a run
        is resumed or loaded.
        """
