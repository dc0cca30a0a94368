"""The frozen spec that builds a model."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, PositiveInt
from torch import nn

from ..columns import ColumnSchema
from ..errors import ConfigError
from ..families import AnyFamily, Bernoulli, Family, Normal, Place
from ..latents import Chain, Latents, TopDown, TopPosterior
from ..networks import MLP, AnyNetwork
from ..networks.joining import Joined, joined_shape
from ..networks.ladders import AnyLadder, Ladder
from ..noise import AnyNoise, Noisy
from ..priors import AnyPrior, StandardNormal, sees_examples
from ..specs.checked import checked
from ..specs.keys import default_of
from ..specs.registry import values
from ..system.machine import refuse_beyond_memory
from .conditionals import Conditional, build_decoder, build_encoder, build_tied_decoder
from .given import Conditions, PriorGiven, Unconditional
from .inputs import TableFeatures
from .vae import VAE

OF_CHAINS = (
    "network",
    "decoder_network",
    "level_network",
    "level_prior",
    "heads",
    "start",
)
"""The settings of a chain, in whose place a ladder stands."""

OF_CONDITIONAL_PRIORS = ("level_network", "level_prior")
"""Those of them that a prior which sees conditions has a use for, on the top of a ladder too."""

LARGE_LAYER = 2**30
"""A model with more weights than this in one layer is compared with the memory of the machine."""


def _whole_numbers(described: Any) -> Iterator[int]:
    """Yields all whole numbers in the description of a part."""
    if isinstance(described, dict):
        described = list(described.values())
    if isinstance(described, list):
        for value in described:
            yield from _whole_numbers(value)
    elif isinstance(described, int):
        yield described


def _refuse_no_level(latent: tuple[int, ...]) -> tuple[int, ...]:
    """Refuses an empty list of levels."""
    if not latent:
        raise ValueError("must be the sizes of one level or more, such as [20], got none")
    return latent


@checked
class Architecture:
    """A VAE, described: `Architecture(latent=[2]).build((1, 28, 28))` is a module.

    Args:
        latent: number of dimensions of each level, the one next to the data first. With a ladder
            of feature maps, the number of channels of each level of maps.
        network: between the data and the first level.
        decoder_network: from the first level to the data: None is the mirror of `network`, "tied"
            the mirror with the transposed weights of the encoder itself (the part of them that
            gives the mean), or another network.
        level_network: between one level and the next, both ways.
        posterior: family of q(z_i | ...).
        likelihood: family of p(x | z1).
        prior: of the top level.
        level_prior: family of p(z_i | z_{i+1}) below the top.
        noise: what happens to x before the encoder, in order.
        output_bias: "data": the bias of the decoder starts so that it gives the mean of the
            training data.
        heads: "joint": the parameters of a distribution come from one linear layer; "separate":
            each from its own.
        start: "factors": the model of a table starts at the factor analysis of its training rows,
            see `model.factors`.
        ladder: the networks of a top-down hierarchy, in which each level is inferred from the data
            and from all levels above it. It takes the place of the networks above. None is a chain,
            whose levels are inferred one from the other; with one level it is the plain VAE.
        conditional_prior: of a model with conditions (`data.given`): the prior of the top level
            hangs on them too, as those between levels do. Its family is `level_prior`, its network
            `level_network`, on the top of a ladder too.
    """

    latent: Annotated[tuple[PositiveInt, ...], AfterValidator(_refuse_no_level)] = (20,)
    network: AnyNetwork = MLP()
    decoder_network: Literal["tied"] | AnyNetwork | None = None
    level_network: AnyNetwork = MLP((100,))
    posterior: AnyFamily = Normal()
    likelihood: AnyFamily = Bernoulli()
    prior: AnyPrior = StandardNormal()
    level_prior: AnyFamily = Normal()
    noise: tuple[AnyNoise, ...] = ()
    heads: Literal["joint", "separate"] = "joint"
    output_bias: Literal["random", "data"] = "random"
    start: Literal["random", "factors"] = "random"
    ladder: AnyLadder | None = None
    conditional_prior: bool = False

    def __post_init__(self) -> None:
        if not self.likelihood.has_density:
            name = type(self.likelihood).__name__
            raise ValueError(f"likelihood must have a density; {name} has none")
        if not self.posterior.reparameterised:
            raise ValueError(
                "posterior must have draws with gradients (Normal, Delta), got "
                f"{type(self.posterior).__name__}"
            )
        refusal = self.prior.refuses_posterior(self.posterior)
        if refusal is not None:
            raise ValueError(refusal)
        if not self.level_prior.real_density:
            raise ValueError(
                "level_prior must be a density on the real numbers (Normal), got "
                f"{type(self.level_prior).__name__}"
            )
        if self.ladder is not None:
            self._refuse_unused()

    @property
    def unused(self) -> tuple[str, ...]:
        """The names of the settings that have no meaning beside the ladder; empty for a chain."""
        if self.ladder is None:
            return ()
        if not self.conditional_prior:
            return OF_CHAINS
        return tuple(name for name in OF_CHAINS if name not in OF_CONDITIONAL_PRIORS)

    def _refuse_unused(self) -> None:
        """Refuses settings that have no meaning beside a ladder, and say that they have one."""
        for name in self.unused:
            if getattr(self, name) != default_of(Architecture, name):
                raise ValueError(
                    f"{name} is for a chain of levels, and model.ladder is "
                    f"{type(self.ladder).__name__}; set model.{name}=none, or model.ladder=none"
                )

    def build(
        self,
        shape: tuple[int, ...],
        sparse: bool = False,
        columns: Sequence[ColumnSchema] = (),
        given: Sequence[ColumnSchema] = (),
    ) -> VAE:
        """Builds a new model with random weights.

        Args:
            shape: of one example.
            sparse: the examples are sparse rows.
            columns: what is known of each column of a table with columns of several kinds.
            given: what is known of each condition of a conditional model.

        Raises:
            ConfigError: a part does not fit the others or the shape, or the weights do not fit in
                memory.
        """
        if not shape or min(shape) < 1:
            raise ConfigError(
                f"the shape of an example must be positive numbers, got {tuple(shape)}"
            )
        self._refuse_unfit_conditions(given)
        self._refuse_too_large(shape, sparse, columns, given)
        return self._build(shape, sparse, columns, given)

    def _refuse_unfit_conditions(self, given: Sequence[ColumnSchema]) -> None:
        """Refuses parts that take no conditions, and those that need some where there are none."""
        if self.conditional_prior and not given:
            raise ConfigError(
                "model.conditional_prior=true is for models with conditions: name them in "
                'data.given, such as ["label"], or set it to false'
            )
        if self.conditional_prior and not isinstance(self.prior, StandardNormal):
            raise ConfigError(
                "model.conditional_prior=true takes the place of model.prior, which must then be "
                f"StandardNormal, got {type(self.prior).__name__}"
            )
        if given and self.decoder_network == "tied":
            raise ConfigError(
                "model.decoder_network='tied' is for models without conditions (data.given); set "
                "it to none, or name no conditions"
            )
        if given and self.start == "factors":
            raise ConfigError(
                "model.start='factors' is for models without conditions (data.given); set it to "
                "'random', or name no conditions"
            )

    def _refuse_too_large(
        self,
        shape: tuple[int, ...],
        sparse: bool,
        columns: Sequence[ColumnSchema],
        given: Sequence[ColumnSchema],
    ) -> None:
        """Refuses a model whose weights are more than the memory of this machine.

        They are counted only where one layer may be large.
        """
        widest = max(_whole_numbers(values(self)))
        if widest * max(widest, math.prod(shape)) <= LARGE_LAYER:
            return
        refuse_beyond_memory(widest, f"{widest:,} weights and more")
        # On the meta device parameters have a shape alone: neither memory nor random numbers are
        # used. It is not always asked, because to load the device takes seconds.
        with torch.device("meta"):
            model = self._build(shape, sparse, columns, given)
            weights = sum(p.numel() for p in model.parameters())
        refuse_beyond_memory(weights, f"{weights:,} weights")

    def _build(
        self,
        shape: tuple[int, ...],
        sparse: bool,
        columns: Sequence[ColumnSchema],
        given: Sequence[ColumnSchema],
    ) -> VAE:
        """Builds the latents and the decoder."""
        likelihood = self.likelihood.of_columns(columns)
        features = None
        seen = shape
        if columns:
            features = TableFeatures(columns)
            seen = (features.width,)
        embedding = None
        conditions = None
        width = 0
        if given:
            embedding = Conditions(given)
            conditions = (len(given),)
            width = embedding.width
        # The order of construction is the order in which the weights are drawn.
        if self.ladder is not None:
            latents, decoder = self._build_ladder(
                self.ladder, likelihood, shape, seen, sparse, width
            )
        else:
            latents, decoder = self._build_chain(likelihood, shape, seen, sparse, width)
        return VAE(latents, decoder, shape, sparse, conditions, features, embedding)

    def _build_ladder(
        self,
        ladder: Ladder,
        likelihood: Family,
        shape: tuple[int, ...],
        seen: tuple[int, ...],
        sparse: bool,
        given: int,
    ) -> tuple[Latents, nn.Module]:
        """Builds a top-down hierarchy and its decoder.

        The way up sees the conditions beside the example, the first state beside the top level.

        Args:
            ladder: makes the networks.
            likelihood: of an example.
            shape: of an example.
            seen: shape of what the encoder sees of it.
            sparse: whether the examples are sparse rows.
            given: how many numbers stand for the conditions.

        Raises:
            ConfigError: the examples are sparse rows, or the ladder does not fit them.
        """
        if sparse:
            raise ConfigError(
                "model.ladder is for images and tables, and these examples are interactions; leave "
                "it out"
            )
        top_event = self.latent[-1:]
        (top_features,) = self.posterior.features(top_event)
        seen_with_conditions = seen
        if given:
            seen_with_conditions = joined_shape(seen, given, ladder.flattens)
        parts = ladder.build(seen_with_conditions, self.latent, top_features, given)
        head = Conditional(parts.top, self.posterior, len(parts.top_shape), top_event)
        bottom_up = parts.bottom_up
        start = parts.start
        if given:
            bottom_up = Joined(bottom_up, given, ladder.flattens)
            start = Joined(start, given)
        if self.noise:
            bottom_up = Noisy(self.noise, bottom_up)
        top = TopPosterior(bottom_up, head)
        prior = self._build_prior(Place(top_event, seen, top), sparse, given)
        latents = TopDown(replace(parts, start=start), top, prior, ladder.merge)
        decoder: nn.Module = Conditional(
            ladder.decoder(seen, likelihood.features(shape)),
            likelihood,
            len(parts.state_shape),
            shape,
            parts.state_shape,
        )
        if given:
            decoder = Unconditional(decoder)  # the state has seen them
        return latents, decoder

    def _build_chain(
        self,
        likelihood: Family,
        shape: tuple[int, ...],
        seen: tuple[int, ...],
        sparse: bool,
        width: int,
    ) -> tuple[Latents, nn.Module]:
        """Builds the posteriors, the priors and the decoder of a chain, in this order."""
        separate = self.heads == "separate"
        first = build_encoder(
            self.network,
            self.posterior,
            seen,
            self.latent[0],
            separate=separate,
            noise=self.noise,
            sparse=sparse,
            given=width,
        )
        pairs = list(pairwise(self.latent))
        posteriors = [first]
        for below, above in pairs:
            posterior = build_encoder(
                self.level_network,
                self.posterior,
                (below,),
                above,
                separate=separate,
                given=width,
            )
            posteriors.append(posterior)
        priors: list[nn.Module] = []
        for below, above in pairs:
            prior = build_decoder(
                self.level_network,
                self.level_prior,
                above,
                (below,),
                separate=separate,
                given=width,
            )
            priors.append(prior)
        seen_by_top = seen
        if len(self.latent) > 1:
            seen_by_top = self.latent[-2:-1]
        place = Place(self.latent[-1:], seen_by_top, posteriors[-1])
        priors.append(self._build_prior(place, sparse, width))
        latents = Chain(posteriors, priors, self.latent)
        decoder = self._build_decoder(first, likelihood, shape, sparse, width)
        return latents, decoder

    def _build_prior(self, place: Place, sparse: bool, given: int = 0) -> nn.Module:
        """Builds the prior of the top level, for conditions of so many numbers.

        Raises:
            ConfigError: it sees the examples, and these are images or rows of a table.
        """
        if self.conditional_prior:
            separate = self.heads == "separate"
            of_conditions = build_decoder(
                self.level_network, self.level_prior, given, place.event, separate=separate
            )
            return PriorGiven(of_conditions)
        prior = self.prior.build(place)
        if not sparse and sees_examples(prior, place):
            raise ConfigError(
                f"model.prior {type(self.prior).__name__} sees the examples: with it the bound is "
                "none on log p(x), and says nothing of what sample draws; it is for recipes on "
                "interactions (recvae). For images and tables set model.prior to one that does "
                "not, such as StandardNormal or Mixture"
            )
        if given and not getattr(prior, "takes_conditions", False):
            return Unconditional(prior)
        return prior

    def _build_decoder(
        self,
        encoder: Conditional,
        likelihood: Family,
        shape: tuple[int, ...],
        sparse: bool,
        given: int = 0,
    ) -> nn.Module:
        """Builds the decoder, by the weights of the encoder where they are tied."""
        size = self.latent[0]
        if self.decoder_network == "tied":
            return build_tied_decoder(self.network, encoder, likelihood, size, shape)
        network = self.decoder_network
        if network is None:
            network = self.network
        separate = self.heads == "separate"
        return build_decoder(
            network, likelihood, size, shape, separate=separate, sparse=sparse, given=given
        )
