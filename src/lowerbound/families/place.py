"""Where a part stands in a model: what a prior and the head of a family are built for."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Place:
    """The place of a distribution in a model.

    Attributes:
        event: shape of what is distributed, such as (d,) for a level of latent variables.
        context: shape of what it is conditioned on. The context of a prior is what the posterior of
            its level sees: an example for the first level, else the level below. None where nothing
            is known of it.
        posterior: the module of the posterior of the same level, for priors that are made of it.
            None where there is none.
    """

    event: tuple[int, ...]
    context: tuple[int, ...] | None = None
    posterior: nn.Module | None = None

    @property
    def size(self) -> int:
        """The number of dimensions of a vector that is distributed, d."""
        (size,) = self.event
        return size
