"""The one model class, and the frozen spec that builds it.

An autoencoder is a VAE with a `Delta` posterior, a denoising one has noise, a three-level VAE is a
list of three sizes.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import AfterValidator, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution

from . import conditionals
from .errors import ConfigError, DataError, ShapeError
from .families import AnyFamily, Bernoulli, Delta, Normal
from .latents import KL, Chain, Latents, Level, rates
from .networks import MLP, AnyNetwork
from .noise import AnyNoise, Batch
from .priors import AnyPrior, Composite, Remembering, StandardNormal
from .sparse import DeferredLinear, SparseRows
from .specs.checked import checked
from .specs.registry import values
from .system.machine import refuse_beyond_memory

LARGE = 2**30
"""Weights in one layer from which on it is asked whether the memory is enough."""


class Terms(NamedTuple):
    """What an objective or an estimator needs of a batch, in nats.

    Attributes:
        log_likelihood: log p(x | z), (K, B).
        rate: KL(q || p) of each level or its one-sample estimates, (K, B, levels).
        log_weight: log p(x, z) - log q(z | x) at the drawn z, (K, B); its mean estimates the ELBO,
        whatever the `rate`.
        entries: of sparse rows, how many each has, (1, B); None for dense examples.
    """

    log_likelihood: Tensor
    rate: Tensor
    log_weight: Tensor
    entries: Tensor | None = None


class VAE(nn.Module):
    """A variational autoencoder: latent variables and a decoder.

    Args:
        latents: the levels of z, with their posteriors and priors.
        decoder: p(x | z1).
        shape: shape of one example.
        sparse: whether examples are sparse rows.
    """

    def __init__(
        self, latents: Latents, decoder: nn.Module, shape: tuple[int, ...], sparse: bool = False
    ) -> None:
        super().__init__()
        self.latents, self.decoder, self.shape, self.sparse = latents, decoder, tuple(shape), sparse

    def infer(self, x: Batch, samples: int = 1) -> list[Level]:
        """The latent levels of a batch x (B, *shape), with `samples` draws of each."""
        if samples < 1:
            raise ConfigError(f"samples must be 1 or more, got {samples}")
        return self.latents.infer(self._checked(x), samples)

    def renew(self) -> None:
        """Lets the parts that remember an earlier state of the model take the present one, between
        phases of training.
        """
        for part in self.latents.modules():
            if isinstance(part, Remembering):
                part.renew()

    def terms(self, x: Batch, samples: int = 1, kl: KL = "valid") -> Terms:
        """The terms of every objective for a batch x (B, *shape)."""
        return self.score(self.infer(x, samples), x, kl)

    def score(self, levels: list[Level], x: Batch, kl: KL = "valid") -> Terms:
        """The terms of x (B, *shape) under latent variables that were inferred already."""
        log_likelihood = self.decode(levels[0].z).log_prob(x)  # type: ignore[arg-type]
        pairs = [rates(level, kl) for level in levels]
        rate, sampled = (torch.stack(each, dim=-1) for each in zip(*pairs, strict=True))
        entries = x.counts.unsqueeze(0) if isinstance(x, SparseRows) else None
        return Terms(log_likelihood, rate, log_likelihood - sampled.sum(-1), entries)

    # A wrapper for several processes or for compilation sees only calls of the module itself.
    forward = terms

    def encode(self, x: Batch) -> list[Tensor]:
        """The posterior mean of each level for x (B, *shape), (B, d) each, the one next to the data
        first.
        """
        return self.latents.means(self._checked(x))

    def decode(self, z: Tensor) -> Distribution:
        """p(x | z1) for z1 (..., d). ShapeError for another d."""
        self.refuse_latents(z)
        return self.decoder(z)

    def refuse_latents(self, z: object, level: int = 0) -> None:
        """ShapeError for what are no values (..., d) of a level."""
        size = self.latents.sizes[level]
        if not isinstance(z, Tensor) or z.shape[-1:] != (size,):
            where, got = (
                f" at level {level}" if level else "",
                tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__,
            )
            raise ShapeError(f"this model decodes latents of shape (..., {size}){where}, got {got}")

    def reconstruct(self, x: Batch) -> Tensor:
        """The mean of p(x | z1) at the posterior mean of z1, (B, *shape)."""
        return self.decode(self.encode(x)[0]).mean

    def start_at(self, mean: Tensor) -> None:
        """Sets the bias of the decoder's last layer so that, saying nothing else, it gives this
        mean, (*shape).

        Raises:
            ConfigError: it has no such bias.
        """
        if not isinstance(self.decoder, conditionals.Conditional):
            raise ConfigError(
                "model.output_bias='data' is for decoders of recipes, got "
                f"{type(self.decoder).__name__}"
            )
        self.decoder.start_at(mean)

    def rank(self, history: SparseRows) -> Tensor:
        """A score of each column for each sparse row of a batch, (B, I), which ranks the columns as
        the mean of p(x | z1) does.

        It is the natural parameter of p(x | z1) at the posterior mean.

        Raises:
            ConfigError: this is not a model of sparse rows.
        """
        p = self.decode(self.encode(history)[0])
        if not isinstance(natural := getattr(p, "natural", None), DeferredLinear):
            raise ConfigError(
                "only a model of interactions ranks items; this one was built for dense examples"
            )
        return natural.tensor()

    @torch.no_grad()
    def sample(self, n: int, mean: bool = True) -> Tensor:
        """`n` draws of z by ancestral sampling, decoded: the means of p(x | z1), or draws from it;
        (n, *shape).
        """
        p = self.decode(self.latents.generate(n)[0])
        return p.mean if mean else p.sample()

    def _checked(self, x: Batch) -> Batch:
        if isinstance(as_batch(x), SparseRows) and not self.sparse:
            raise DataError("this model takes dense batches, got sparse rows")
        if tuple(x.shape[1:]) != self.shape:
            raise ShapeError(
                f"this model takes batches of shape (B, {', '.join(map(str, self.shape))}), got "
                f"{tuple(x.shape)}"
            )
        if isinstance(x, Tensor) and not x.is_floating_point():
            raise DataError(f"this model takes batches of floating-point numbers, got {x.dtype}")
        return x


def as_batch(x: object) -> Batch:
    """The batch itself. DataError for what is none, such as an array of NumPy."""
    if not isinstance(x, Tensor | SparseRows):
        raise DataError(
            f"this model takes batches as tensors or sparse rows, got {type(x).__name__}"
        )
    return x


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
        if (widest := max(_sizes(values(self)))) * max(widest, math.prod(shape)) > LARGE:
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


__all__ = ["VAE", "Architecture", "Terms"]
