"""What the latent variables carry: rate by dimension and active units."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..latents import Level, rate_per_dimension
from ..model import VAE
from .batches import Batches, chunk_size, chunks, evaluating, positive

ACTIVE = 0.01
"""Variance over the data of a unit's posterior mean above which it counts as active (Burda et al.
2015, section 5.2).
"""


class LatentStatistics(NamedTuple):
    """One entry per level, the one next to the data first.

    Attributes:
        rate_per_dimension: mean rate of each dimension in nats, (d,), or None where the prior does
        not factorise.
        variance_of_means: variance over examples of each dimension's posterior mean, (d,).
        active_units: how many dimensions have a variance of means above 0.01.
    """

    rate_per_dimension: tuple[Tensor | None, ...]
    variance_of_means: tuple[Tensor, ...]
    active_units: tuple[int, ...]


def _posterior_means(level: Level) -> Tensor:
    """(2, B, d): E[z | x] twice. Above the first level from two disjoint halves of the draws of the
    level below.
    """
    mean = level.q.mean
    if mean.dim() == 2:
        return mean.expand(2, *mean.shape)
    half = len(mean) // 2
    return torch.stack([mean[:half].mean(0), mean[half:].mean(0)])


def _variance(means: list[Tensor]) -> Tensor:
    """Variance over examples of E[z | x], (d,): the covariance of the halves, which holds none of
    their sampling noise.
    """
    a, b = torch.cat(means, dim=1).double()
    return (a * b).mean(0) - a.mean(0) * b.mean(0)


def _rates(level: Level) -> Tensor | None:
    each = rate_per_dimension(level)
    return None if each is None else each.mean(0)


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    return (
        None
        if any(p is None for p in parts)
        else torch.cat([p for p in parts if p is not None]).double().mean(0)
    )


def latent_statistics(
    model: VAE, examples: Batches, *, samples: int = 2, seed: int = 0
) -> LatentStatistics:
    """Rate by dimension and active units over `examples`, with `samples` (2 or more) draws of each.

    Raises:
        ConfigError: `samples` is below 2.
        DataError: there are no examples.
    """
    means: list[list[Tensor]] = []
    rates: list[list[Tensor | None]] = []
    with evaluating(model, seed):
        for x in chunks(model, examples, max(1, chunk_size(model) // positive(samples, 2))):
            levels = model.infer(x, samples)
            means.append([_posterior_means(level).cpu() for level in levels])
            rates.append([r if r is None else r.cpu() for r in map(_rates, levels)])
    variances = tuple(_variance(list(m)) for m in zip(*means, strict=True))
    by_dimension = tuple(_joined(list(r)) for r in zip(*rates, strict=True))
    return LatentStatistics(
        by_dimension, variances, tuple(int((v > ACTIVE).sum()) for v in variances)
    )
