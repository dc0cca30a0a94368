"""The frozen spec that builds a model."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, PositiveInt
from torch import nn

from ..errors import ConfigError
from ..families import AnyFamily, Bernoulli, Delta, Normal
from ..latents import Chain
from ..networks import MLP, AnyNetwork
from ..noise import AnyNoise
from ..priors import AnyPrior, Composite, StandardNormal
from ..specs.checked import checked
from ..specs.registry import values
from ..system.machine import refuse_beyond_memory
from . import conditionals
from .vae import VAE

LARGE_LAYER = 2**30
"""Weights in one layer from which on it is asked whether the memory is enough."""


def _sizes(described: Any) -> Iterator[int]:
    """All whole numbers in the description of a part."""
    if isinstance(described, dict | list):
        for value in described.values() if isinstance(described, dict) else described:
            yield from _sizes(value)
    elif isinstance(described, int):
        yield described


def _levels(latent: tuple[int, ...]) -> tuple[int, ...]:
    if not latent:
        raise ValueError("must be the sizes of one level or more, such as [20], got none")
    return latent


@checked
class Architecture:
    """A VAE, described: `Architecture(latent=[2]).build((1, 28, 28))` is a module.

    Args:
        latent: number of dimensions of each level, the one next to the data first.
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
        output_bias: "data": that of the decoder starts so that it gives the mean of the training
        data.
        heads: "joint": the parameters of a distribution come from one linear layer; "separate":
            each from its own.
    """

    latent: Annotated[tuple[PositiveInt, ...], AfterValidator(_levels)] = (20,)
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

    def __post_init__(self) -> None:
        if isinstance(self.likelihood, Delta):
            raise ValueError("likelihood must have a density; Delta has none")
        if not self.posterior.reparameterised:
            raise ValueError(
                "posterior must have draws with gradients (Normal, Delta), got "
                f"{type(self.posterior).__name__}"
            )
        if isinstance(self.prior, Composite) and not isinstance(self.posterior, Normal):
            raise ValueError(
                f"a Composite prior needs the posterior Normal, got {type(self.posterior).__name__}"
            )
        if not self.level_prior.real_density:
            raise ValueError(
                "level_prior must be a density on the real numbers (Normal), got "
                f"{type(self.level_prior).__name__}"
            )

    def build(self, shape: tuple[int, ...], sparse: bool = False) -> VAE:
        """A new model for examples of this shape, with random weights; `sparse` for sparse rows.

        Raises:
            ConfigError: a part does not fit the others or the shape, or the weights do not fit in
                memory.
        """
        if not shape or min(shape) < 1:
            raise ConfigError(
                f"the shape of an example must be positive numbers, got {tuple(shape)}"
            )
        if (widest := max(_sizes(values(self)))) * max(widest, math.prod(shape)) > LARGE_LAYER:
            self._refuse_too_large(widest, shape, sparse)
        return self._built(shape, sparse)

    def _refuse_too_large(self, widest: int, shape: tuple[int, ...], sparse: bool) -> None:
        refuse_beyond_memory(widest, f"{widest:,} weights and more")
        with torch.device(
            "meta"
        ):  # shapes alone: neither memory nor random numbers are used, but to load it takes seconds
            weights = sum(p.numel() for p in self._built(shape, sparse).parameters())
        refuse_beyond_memory(weights, f"{weights:,} weights")

    def _built(self, shape: tuple[int, ...], sparse: bool) -> VAE:
        separate = self.heads == "separate"
        first = conditionals.encoder(
            self.network,
            self.posterior,
            shape,
            self.latent[0],
            separate=separate,
            noise=self.noise,
            sparse=sparse,
        )
        pairs = list(zip(self.latent[:-1], self.latent[1:], strict=True))
        posteriors = [
            conditionals.encoder(self.level_network, self.posterior, (a,), b, separate=separate)
            for a, b in pairs
        ]
        priors = [
            conditionals.decoder(self.level_network, self.level_prior, b, (a,), separate=separate)
            for a, b in pairs
        ]
        top = self.prior.build(self.latent[-1], [first, *posteriors][-1])
        chain = Chain([first, *posteriors], [*priors, top], self.latent)
        return VAE(chain, self._decoder(first, shape, separate, sparse), shape, sparse)

    def _decoder(
        self,
        encoder: conditionals.Conditional,
        shape: tuple[int, ...],
        separate: bool,
        sparse: bool,
    ) -> nn.Module:
        if self.decoder_network == "tied":
            return conditionals.tied(self.network, encoder, self.likelihood, self.latent[0], shape)
        network = self.decoder_network or self.network
        return conditionals.decoder(
            network, self.likelihood, self.latent[0], shape, separate=separate, sparse=sparse
        )
