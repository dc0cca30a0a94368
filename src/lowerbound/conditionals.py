"""Conditionals: modules whose `forward(context)` returns a `torch.distributions.Distribution`.

Encoder, decoder, the priors between levels: all are a network whose output a family reads as parameters.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .families import Family
from .networks import Network
from .noise import Noise, Noisy


class Conditional(nn.Module):
    """context (..., *context) -> a distribution with batch shape (...) and event shape `event`.

    Args:
        network: maps (N, *context) to (N, parameters * event[0], *event[1:]).
        family: reads that as parameters.
        context_dims: how many dimensions of the context are one example.
        event: shape of what is distributed.
    """

    def __init__(self, network: nn.Module, family: Family, context_dims: int, event: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.family, self.context_dims, self.event = network, family, context_dims, event
        self.free = nn.Parameter(torch.zeros(family.free)) if family.free else None

    def forward(self, context: Tensor) -> Distribution:
        lead = context.shape[: context.dim() - self.context_dims]
        out = self.network(context.reshape(-1, *context.shape[len(lead) :]))
        values = [v.reshape(*lead, *self.event) for v in out.chunk(self.family.parameters, dim=1)]
        shared = () if self.free is None else tuple(self.free)
        return self.family((*values, *shared), len(self.event))


def encoder(
    network: Network,
    family: Family,
    shape: tuple[int, ...],
    size: int,
    *,
    separate: bool = False,
    noise: Sequence[Noise] = (),
) -> Conditional:
    """q(z | x): a vector of `size` given an event of `shape`, behind `noise`; one head for its parameters, or separate ones."""
    count = family.parameters
    body = network.encoder(shape, count * size, heads=count if separate else 1)
    return Conditional(Noisy(noise, body) if noise else body, family, len(shape), (size,))


def decoder(network: Network, family: Family, size: int, shape: tuple[int, ...], *, separate: bool = False) -> Conditional:
    """p(x | z): an event of `shape` given a vector of `size`."""
    count = family.parameters
    body = network.decoder(size, (count * shape[0], *shape[1:]), heads=count if separate else 1)
    return Conditional(body, family, 1, shape)
