"""Conditionals: modules whose `forward(context)` returns a `torch.distributions.Distribution`.

Encoder, decoder and the priors between levels all are networks whose output a family reads.
"""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..batch import Values
from ..errors import ConfigError
from ..families import Family, Place
from ..networks.base import Network
from ..networks.joining import Joined, JoinedRows, joined_shape
from ..noise import Noise, Noisy
from ..sparse import DeferredLinear


class Conditional(nn.Module):
    """A map from contexts (..., *context) to a distribution with batch shape (...).

    That of a conditional model is called with the numbers (B, E) that stand for the conditions too;
    without them nothing is known.

    Args:
        network: maps (N, *context) to (N, *family.features(event)); where the model is conditional,
            a `Joined` network, which takes conditions (N, E) too.
        family: makes a distribution of that, by its head or by reading it as parameters.
        context_dims: how many dimensions of the context are one example.
        event: shape of what is distributed.
        context: shape of the context of one example, for the head; None where it is not known.
    """

    def __init__(
        self,
        network: nn.Module,
        family: Family,
        context_dims: int,
        event: tuple[int, ...],
        context: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.family = family
        self.context_dims = context_dims
        self.event = event
        self.free: nn.Parameter | None = None
        if family.free:
            self.free = nn.Parameter(torch.zeros(family.free))
        self.head: nn.Module | None = family.head(Place(event, context))

    def forward(self, context: Values, given: Tensor | None = None) -> Distribution:
        return self._distribution(context, self.network, given)

    def clean(self, context: Values, given: Tensor | None = None) -> Distribution:
        """Returns the distribution without the random noise of the encoder.

        A prior that calls the posterior on inputs of its own, such as a VampPrior, wants it so.
        """
        if isinstance(self.network, Noisy):
            return self._distribution(context, self.network.clean, given)
        return self._distribution(context, self.network, given)

    def _distribution(
        self, context: Values, network: Callable[..., Any], given: Tensor | None
    ) -> Distribution:
        """Makes the distribution of what a network gives for contexts, with their batch shape."""
        batch_shape = context.shape[: context.dim() - self.context_dims]
        examples = context
        if isinstance(context, Tensor):
            examples = context.reshape(-1, *context.shape[len(batch_shape) :])
        if given is None:
            out = network(examples)
        else:
            width = given.shape[-1]
            out = network(examples, given.expand(*batch_shape, width).reshape(-1, width))
        if self.head is not None:
            return self.head(out.reshape(*batch_shape, *out.shape[1:]))
        shared: tuple[Tensor, ...] = ()
        if self.free is not None:
            shared = tuple(self.free)
        if isinstance(out, DeferredLinear):
            return self.family.of_rows(out.lead(*batch_shape), shared)
        values = [
            value.reshape(*batch_shape, *self.event)
            for value in out.chunk(self.family.parameters, dim=1)
        ]
        return self.family((*values, *shared), len(self.event))

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Sets the bias of the last layer so that it gives a mean.

        A network whose other weights say nothing then gives this mean, (*event).

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


def _heads(family: Family, separate: bool) -> int:
    """Returns how many output layers a network has: one, or one for each parameter."""
    if separate:
        return family.parameters
    return 1


def build_encoder(
    network: Network,
    family: Family,
    shape: tuple[int, ...],
    size: int,
    *,
    separate: bool = False,
    noise: Sequence[Noise] = (),
    sparse: bool = False,
    given: int = 0,
) -> Conditional:
    """Builds q(z | x): a vector of `size` given an event of `shape`.

    Args:
        network: what is between them.
        family: of the distribution.
        shape: of one example.
        size: number of dimensions of z.
        separate: each parameter comes from an output layer of its own, not all from one.
        noise: what happens to x before the network; conditions stay as they are.
        sparse: the examples are sparse rows.
        given: how many numbers stand for the conditions; 0 for a model that has none.
    """
    (features,) = family.features((size,))
    heads = _heads(family, separate)
    if sparse and given:
        _refuse_nothing_beside(network)
        rows = network.sparse_encoder(shape[0], features, heads, beside=given)
        body: nn.Module = JoinedRows(rows, given)
    elif sparse:
        body = network.sparse_encoder(shape[0], features, heads)
    elif given:
        seen = joined_shape(shape, given, network.flattens)
        body = Joined(network.encoder(seen, features, heads), given, network.flattens)
    else:
        body = network.encoder(shape, features, heads)
    if noise:
        body = Noisy(noise, body)
    return Conditional(body, family, len(shape), (size,), shape)


def _refuse_nothing_beside(network: Network) -> None:
    """Raises ConfigError for a network that takes sparse rows, and no conditions beside them."""
    if "beside" not in signature(network.sparse_encoder).parameters:
        raise ConfigError(
            f"model.network {type(network).__name__} takes no features of users (data.given): its "
            "sparse_encoder has no argument beside; allowed: MLP, DenseMLP"
        )


def build_decoder(
    network: Network,
    family: Family,
    size: int,
    shape: tuple[int, ...],
    *,
    separate: bool = False,
    sparse: bool = False,
    given: int = 0,
) -> Conditional:
    """Builds p(x | z): an event of `shape` given a vector of `size`; see `build_encoder`."""
    features = family.features(shape)
    heads = _heads(family, separate)
    if sparse and given:
        body: nn.Module = Joined(network.sparse_decoder(size + given, features[0], heads), given)
    elif sparse:
        body = network.sparse_decoder(size, features[0], heads)
    elif given:
        body = Joined(network.decoder(size + given, features, heads), given)
    else:
        body = network.decoder(size, features, heads)
    return Conditional(body, family, 1, shape, (size,))


def build_tied_decoder(
    network: Network, encoder: Conditional, family: Family, size: int, shape: tuple[int, ...]
) -> Conditional:
    """Builds p(x | z) with the transposed weights of the encoder of `network`.

    Raises:
        ConfigError: the likelihood has more than one parameter for each element, or the network
            cannot be tied.
    """
    if family.features(shape) != tuple(shape):
        raise ConfigError(
            f"a tied decoder gives one parameter for each element, but {type(family).__name__} "
            "needs more"
        )
    body = encoder.network
    if isinstance(body, Noisy):
        body = body.network
    return Conditional(network.tied_decoder(body, size, shape), family, 1, shape, (size,))
