"""The one model class, and the frozen spec that builds it.

An autoencoder is a VAE with a `Delta` posterior, a denoising one has noise, a three-level VAE is a list of three sizes.
"""

from typing import Literal, NamedTuple

import torch
from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.distributions import Distribution

from . import conditionals
from .catalogue import STRICT
from .errors import ConfigError, ShapeError
from .families import AnyFamily, Bernoulli, Delta, Family, Normal
from .latents import KL, Chain, Latents, Level, rates
from .networks import MLP, AnyNetwork, Network
from .noise import AnyNoise, Noise
from .priors import AnyPrior, Prior, StandardNormal


class Terms(NamedTuple):
    """What an objective or an estimator needs of a batch, in nats.

    Attributes:
        log_likelihood: log p(x | z), (K, B).
        rate: KL(q || p) of each level or its one-sample estimates, (K, B, levels).
        log_weight: log p(x, z) - log q(z | x) at the drawn z, (K, B); its mean estimates the ELBO, whatever the `rate`.
    """

    log_likelihood: Tensor
    rate: Tensor
    log_weight: Tensor


class VAE(nn.Module):
    """A variational autoencoder: latent variables and a decoder.

    Args:
        latents: the levels of z, with their posteriors and priors.
        decoder: p(x | z1).
        shape: shape of one example.
    """

    def __init__(self, latents: Latents, decoder: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.latents, self.decoder, self.shape = latents, decoder, tuple(shape)

    def infer(self, x: Tensor, samples: int = 1) -> list[Level]:
        """The latent levels of a batch x (B, *shape), with `samples` draws of each."""
        if samples < 1:
            raise ConfigError(f"samples must be 1 or more, got {samples}")
        return self.latents.infer(self._checked(x), samples)

    def terms(self, x: Tensor, samples: int = 1, kl: KL = "valid") -> Terms:
        """The terms of every objective for a batch x (B, *shape)."""
        return self.score(self.infer(x, samples), x, kl)

    def score(self, levels: list[Level], x: Tensor, kl: KL = "valid") -> Terms:
        """The terms of x (B, *shape) under latent variables that were inferred already."""
        log_likelihood = self.decode(levels[0].z).log_prob(x)
        pairs = [rates(level, kl) for level in levels]
        rate, sampled = (torch.stack(each, dim=-1) for each in zip(*pairs, strict=True))
        return Terms(log_likelihood, rate, log_likelihood - sampled.sum(-1))

    # A wrapper for several processes or for compilation sees only calls of the module itself.
    forward = terms

    def encode(self, x: Tensor) -> list[Tensor]:
        """The posterior mean of each level for x (B, *shape), (B, d) each, the one next to the data first."""
        return self.latents.means(self._checked(x))

    def decode(self, z: Tensor) -> Distribution:
        """p(x | z1) for z1 (..., d)."""
        return self.decoder(z)

    def reconstruct(self, x: Tensor) -> Tensor:
        """The mean of p(x | z1) at the posterior mean of z1, (B, *shape)."""
        return self.decode(self.encode(x)[0]).mean

    @torch.no_grad()
    def sample(self, n: int, mean: bool = True) -> Tensor:
        """`n` draws of z by ancestral sampling, decoded: the means of p(x | z1), or draws from it; (n, *shape)."""
        p = self.decode(self.latents.generate(n)[0])
        return p.mean if mean else p.sample()

    def _checked(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.shape:
            raise ShapeError(f"this model takes batches of shape (B, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}")
        return x


@dataclass(frozen=True, config=STRICT)
class Architecture:
    """A VAE, described: `Architecture(latent=[2]).build((1, 28, 28))` is a module.

    Args:
        latent: number of dimensions of each level, the one next to the data first.
        network: between the data and the first level.
        decoder_network: from the first level to the data, if it is not the mirror of `network`.
        level_network: between one level and the next, both ways.
        posterior: family of q(z_i | ...).
        likelihood: family of p(x | z1).
        prior: of the top level.
        level_prior: family of p(z_i | z_{i+1}) below the top.
        noise: what happens to x before the encoder, in order.
        heads: "joint": the parameters of a distribution come from one linear layer; "separate": each from its own.
    """

    latent: tuple[PositiveInt, ...] = Field(default=(20,), min_length=1)
    network: AnyNetwork = MLP()
    decoder_network: AnyNetwork | None = None
    level_network: AnyNetwork = MLP((100,))
    posterior: AnyFamily = Normal()
    likelihood: AnyFamily = Bernoulli()
    prior: AnyPrior = StandardNormal()
    level_prior: AnyFamily = Normal()
    noise: tuple[AnyNoise, ...] = ()
    heads: Literal["joint", "separate"] = "joint"

    def __post_init__(self) -> None:
        if isinstance(self.likelihood, Delta):
            raise ValueError("likelihood must have a density; Delta has none")
        if not self.posterior.reparameterised:
            raise ValueError(f"posterior must have draws with gradients (Normal, Delta), got {type(self.posterior).__name__}")
        if not self.level_prior.real_density:
            raise ValueError(f"level_prior must be a density on the real numbers (Normal), got {type(self.level_prior).__name__}")

    def build(self, shape: tuple[int, ...]) -> VAE:
        """A new model for examples of this shape, with random weights."""
        if not shape or min(shape) < 1:
            raise ConfigError(f"the shape of an example must be positive numbers, got {tuple(shape)}")
        separate = self.heads == "separate"
        first = conditionals.encoder(self.network, self.posterior, shape, self.latent[0], separate=separate, noise=self.noise)
        pairs = list(zip(self.latent[:-1], self.latent[1:], strict=True))
        posteriors = [conditionals.encoder(self.level_network, self.posterior, (a,), b, separate=separate) for a, b in pairs]
        priors = [conditionals.decoder(self.level_network, self.level_prior, b, (a,), separate=separate) for a, b in pairs]
        chain = Chain([first, *posteriors], [*priors, self.prior.build(self.latent[-1])], self.latent)
        network = self.decoder_network or self.network
        return VAE(chain, conditionals.decoder(network, self.likelihood, self.latent[0], shape, separate=separate), shape)


__all__ = ["VAE", "Architecture", "Family", "Network", "Noise", "Prior", "Terms"]
