"""Conditionals: modules whose `forward(context)` returns a `torch.distributions.Distribution`.

Encoder, decoder, the priors between levels: all are a network whose output a family reads as
parameters.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..errors import ConfigError
from ..families import Family
from ..networks.base import Network
from ..noise import Noise, Noisy
from ..sparse import DeferredLinear, SparseRows


class Conditional(nn.Module):
    """context (..., *context) -> a distribution with batch shape (...) and event shape `event`.

    Args:
        network: maps (N, *context) to (N, parameters * event[0], *event[1:]).
        family: reads that as parameters.
        context_dims: how many dimensions of the context are one example.
        event: shape of what is distributed.
    """

    def __init__(
        self, network: nn.Module, family: Family, context_dims: int, event: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.network, self.family, self.context_dims, self.event = (
            network,
            family,
            context_dims,
            event,
        )
        self.free = nn.Parameter(torch.zeros(family.free)) if family.free else None

    def forward(self, context: Tensor | SparseRows) -> Distribution:
        lead = context.shape[: context.dim() - self.context_dims]
        flat = (
            context
            if isinstance(context, SparseRows)
            else context.reshape(-1, *context.shape[len(lead) :])
        )
        out, shared = self.network(flat), () if self.free is None else tuple(self.free)
        if isinstance(out, DeferredLinear):
            return self.family.of_rows(out.lead(*lead), shared)
        values = [v.reshape(*lead, *self.event) for v in out.chunk(self.family.parameters, dim=1)]
        return self.family((*values, *shared), len(self.event))

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Sets the bias of the last layer so that a network that says nothing else gives this mean,
        (*event).

        Raises:
            ConfigError: the family or the network has no such bias.
        """
        natural = self.family.natural(mean)
        biases = [p for name, p in self.network.named_parameters() if name.endswith("bias")]
        if natural is None or biases[-1].numel() != natural.numel():
            raise ConfigError(
                f"model.output_bias='data' is not for {type(self.family).__name__} with this "
                "network; allowed: MLP"
            )
        biases[-1].copy_(natural.flatten())


def encoder(
    network: Network,
    family: Family,
    shape: tuple[int, ...],
    size: int,
    *,
    separate: bool = False,
    noise: Sequence[Noise] = (),
    sparse: bool = False,
) -> Conditional:
    """q(z | x): a vector of `size` given an event of `shape`, behind `noise`; one head for its
    parameters, or separate ones.
    """
    count = family.parameters
    width, heads = count * size, count if separate else 1
    body = (
        network.sparse_encoder(shape[0], width, heads)
        if sparse
        else network.encoder(shape, width, heads)
    )
    return Conditional(Noisy(noise, body) if noise else body, family, len(shape), (size,))


def decoder(
    network: Network,
    family: Family,
    size: int,
    shape: tuple[int, ...],
    *,
    separate: bool = False,
    sparse: bool = False,
) -> Conditional:
    """p(x | z): an event of `shape` given a vector of `size`."""
    count = family.parameters
    wide, heads = (count * shape[0], *shape[1:]), count if separate else 1
    body = (
        network.sparse_decoder(size, wide[0], heads)
        if sparse
        else network.decoder(size, wide, heads)
    )
    return Conditional(body, family, 1, shape)


def tied(
    network: Network, encoder: Conditional, family: Family, size: int, shape: tuple[int, ...]
) -> Conditional:
    """p(x | z) by the transposed weights of the encoder of `network`.

    Raises:
        ConfigError: the likelihood has more than one parameter for each element, or the network
            cannot be tied.
    """
    if family.parameters != 1:
        raise ConfigError(
            f"a tied decoder gives one parameter for each element, but {type(family).__name__} "
            "needs more"
        )
    body = encoder.network.network if isinstance(encoder.network, Noisy) else encoder.network
    return Conditional(network.tied_decoder(body, size, shape), family, 1, shape)
