"""What the latent variables carry: their rate by dimension, and their active units."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..latents import Level, code, rate_per_dimension
from ..model import VAE
from .batches import Batches, chunk_size, chunks, evaluating, positive

ACTIVE = 0.01
"""The variance over the data of a unit's posterior mean above which the unit counts as active.

(Burda et al. 2015, section 5.2.)
"""

DRAWS = 10
"""Draws of z for each example, unless somebody asks for another number.

The posterior means above the first level are means over draws of the level below: with two draws,
the active units of a chain differ from seed to seed.
"""


class LatentStatistics(NamedTuple):
    """What each level carries, the one next to the data first.

    Attributes:
        rate_per_dimension: mean rate of each dimension in nats, (d,), or None where the prior or
            the posterior does not factorise.
        variance_of_means: variance over examples of each dimension's posterior mean, (d,). Of a
            level whose prior and posterior have the same parents, as those of a ladder below the
            top, it is that of the mean's distance from the prior's, in scales of the prior: there
            the mean varies with the levels above also where it tells nothing of the example.
        active_units: how many dimensions have a variance of means above 0.01.
    """

    rate_per_dimension: tuple[Tensor | None, ...]
    variance_of_means: tuple[Tensor, ...]
    active_units: tuple[int, ...]


def own_means(level: Level) -> Tensor:
    """Returns what the posterior of a level tells by itself, of the batch shape of the posterior.

    It is its mean. Where prior and posterior have the same parents, as in a ladder below the top,
    it is the distance of the mean from that of the prior, in scales of the prior: the mean itself
    says what the levels above say, and does so where the level is dead.
    """
    mean = code(level.q)
    has_parents = len(level.p.batch_shape) > 0
    if level.shared and has_parents:
        return (mean - level.p.mean) / level.p.stddev
    return mean


def own_codes(model: VAE, examples: Batches) -> list[Tensor]:
    """Measures what each level tells of examples by itself, (N, d) each: `own_means` at the
    posterior means of all levels.
    """
    parts = []
    with evaluating(model, 0):
        for batch in chunks(model, examples, chunk_size(model)):
            zs = [mean.unsqueeze(0) for mean in model.encode(batch)]
            levels = model.at(batch, zs).levels
            parts.append([own_means(level).reshape(len(batch), -1).cpu() for level in levels])
    return [torch.cat(level) for level in zip(*parts, strict=True)]


def _posterior_means(level: Level) -> Tensor:
    """Returns the mean of `own_means` over all draws of an example twice, (2, B, d).

    Where the posterior depends on other levels the two come from two disjoint halves of their
    draws.
    """
    mean = own_means(level)
    if mean.dim() == 2:
        return mean.expand(2, *mean.shape)
    half = len(mean) // 2
    return torch.stack([mean[:half].mean(0), mean[half:].mean(0)])


def _variance(means: list[Tensor]) -> Tensor:
    """Estimates the variance over examples of E[z | x], (d,).

    It is the covariance of the halves, which holds none of their sampling noise.
    """
    first, second = torch.cat(means, dim=1).double()
    return (first * second).mean(0) - first.mean(0) * second.mean(0)


def _mean_over_examples(rates: list[Tensor | None]) -> Tensor | None:
    """Averages the rates by dimension of all chunks, (d,), or returns None where one has none."""
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return None
    return torch.cat(known).double().mean(0)


def latent_statistics(
    model: VAE, examples: Batches, *, samples: int = DRAWS, seed: int = 0
) -> LatentStatistics:
    """Measures the rate by dimension and the active units over `examples`.

    The draws are those of `likelihood.bound` with as many samples and the same seed, so that the
    rates by dimension add up to the rate of the bound.

    Args:
        model: put in evaluation mode for the while.
        examples: what to measure.
        samples: draws of z for each example, 2 or more.
        seed: of the draws.

    Raises:
        ConfigError: `samples` is below 2.
        DataError: there are no examples.
    """
    size = max(1, chunk_size(model) // positive(samples, 2))
    levels = range(len(model.latents.sizes))
    means: list[list[Tensor]] = [[] for _ in levels]
    rates: list[list[Tensor | None]] = [[] for _ in levels]
    with evaluating(model, seed):
        for batch in chunks(model, examples, size):
            for i, level in enumerate(model.infer(batch, samples).levels):
                means[i].append(_posterior_means(level).cpu())
                rate = rate_per_dimension(level)
                if rate is not None:
                    rate = rate.mean(0).cpu()
                rates[i].append(rate)
    variances = tuple(_variance(chunk_means) for chunk_means in means)
    active = tuple(int((variance > ACTIVE).sum()) for variance in variances)
    return LatentStatistics(tuple(map(_mean_over_examples, rates)), variances, active)
