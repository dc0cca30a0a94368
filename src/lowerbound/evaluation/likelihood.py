"""The evidence lower bound and the log-likelihood of held-out examples, in nats per example."""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..distributed.processes import ONE_PROCESS, Processes, noise_of
from ..latents import KL
from ..model import VAE, Terms
from ..noise import Batch
from ..system.machine import refuse_beyond_memory
from .batches import Batches, chunk_size, chunks, evaluating, positive
from .statistics import Estimate

FLOATS_PER_WEIGHT = 4
"""Float32 that the weight of a sample takes at a time: it is put beside the others, and doubled in
precision.
"""


class Loss(Protocol):
    """What a training objective is to a measure."""

    @property
    def kl(self) -> KL: ...

    def __call__(self, terms: Terms) -> Tensor: ...


class Bound(NamedTuple):
    """The ELBO of a set of examples and what it is made of.

    Attributes:
        elbo: mean over examples of log_likelihood_term - sum of rate.
        log_likelihood_term: mean of E_q[log p(x|z)].
        rate: mean of each level's KL term.
        objective: the training objective at the end of its schedules, if one was given.
        per_example: the ELBO of each example, (N,).
        terms: the log_likelihood_term of each example, (N,).
    """

    elbo: Estimate
    log_likelihood_term: float
    rate: tuple[float, ...]
    objective: float | None
    per_example: Tensor
    terms: Tensor


class Likelihood(NamedTuple):
    """An importance-sampled log-likelihood.

    Attributes:
        log_likelihood: mean over examples of log (1/K) sum_k p(x, z_k) / q(z_k | x), a lower bound
        in expectation.
        samples: K, the number drawn for each example.
        effective_samples: mean over examples of (sum w)^2 / sum w^2; near 1 the estimate is a poor
        one.
        per_example: (N,).
    """

    log_likelihood: Estimate
    samples: int
    effective_samples: float
    per_example: Tensor


def _joined(parts: list[Terms]) -> Terms:
    """The terms of all chunks as those of one batch, in float64 on the CPU."""

    def join(field: Iterable[Tensor]) -> Tensor:
        return torch.cat([part.cpu().double() for part in field], dim=1)

    likelihoods, rates, weights, entries = zip(*parts, strict=True)
    counted = [e for e in entries if e is not None]
    return Terms(join(likelihoods), join(rates), join(weights), join(counted) if counted else None)


def _own(terms: Terms, count: int) -> Terms:
    """The terms of the first `count` examples: a process without any computes one that is
    another's.
    """
    return Terms(*(None if each is None else each[:, :count] for each in terms))  # type: ignore[arg-type]


def _whole(terms: Terms, at: Tensor, total: int, processes: Processes) -> Terms:
    """The terms of all examples, of which this process has those `at`."""
    found = (
        None if each is None else processes.whole(each.transpose(0, 1), at, total).transpose(0, 1)
        for each in terms
    )
    return Terms(*found)  # type: ignore[arg-type]


def _mean_loss(objective: Loss, terms: Terms, group: int) -> float:
    """Measures an objective on `group` draws of all examples at a time: the mean over all whole
    groups.
    """
    losses = []
    for start in range(0, len(terms.rate) - group + 1, group):
        part = slice(start, start + group)
        losses.append(
            objective(
                Terms(
                    terms.log_likelihood[part],
                    terms.rate[part],
                    terms.log_weight[part],
                    terms.entries,
                )
            )
        )
    return torch.stack(losses).mean().item()


def bound(
    model: VAE,
    examples: Batches,
    *,
    samples: int = 1,
    objective: Loss | None = None,
    group: int | None = None,
    seed: int = 0,
    processes: Processes = ONE_PROCESS,
) -> Bound:
    """The ELBO of `examples`, with closed-form rates exactly where they are valid.

    Args:
        model: put in evaluation mode for the while, so that dropout and noise are off.
        examples: what to measure.
        samples: draws of z for each example.
        objective: also measured, on the same draws, with the estimate of the rates that it asks
        for.
        group: draws that the objective takes at a time, at most `samples`; the mean over all whole
            groups is measured. None takes all draws at once.
        seed: of the draws; the same seed gives the same figures, however many processes there are.
        processes: that share the work: each example is measured by exactly one of them, and all
            have the result.

    Raises:
        ConfigError: `samples` is below 1.
        DataError: there are no examples.
    """
    size = max(1, chunk_size(model) // positive(samples))
    parts, wanted, places = [], [], []
    processes = (
        ONE_PROCESS if model.sparse else processes
    )  # a batch of sparse rows is not taken apart
    with evaluating(model, seed):
        for start, x in zip(itertools.count(0, size), chunks(model, examples, size), strict=False):
            share = processes.share(len(x))
            mine = x[share.rows.to(x.device)] if isinstance(x, Tensor) and share.world > 1 else x
            with noise_of(share):
                levels = model.infer(mine, samples)
            parts.append(_own(model.terms_of(levels, mine), share.size))
            if objective is not None and objective.kl != "valid":
                wanted.append(_own(model.terms_of(levels, mine, objective.kl), share.size))
            places.append(start + share.rows[: share.size])
    terms, measured = (
        _whole(_joined(p), torch.cat(places), len(examples), processes)
        for p in (parts, wanted or parts)
    )
    loss = None
    if objective is not None:
        loss = _mean_loss(objective, measured, group or samples)
    rate = terms.rate.mean((0, 1)).tolist()
    elbo = (terms.log_likelihood - terms.rate.sum(-1)).mean(0)
    each = terms.log_likelihood.mean(0)
    return Bound(Estimate.of(elbo), each.mean().item(), tuple(rate), loss, elbo, each)


def _split(samples: int, most: int) -> Iterator[int]:
    """`samples` as a sum of numbers of at most `most`."""
    return (min(most, samples - start) for start in range(0, samples, most))


def _log_weights(model: VAE, x: Batch, samples: int, most: int) -> Tensor:
    """(samples, B), a chunk at a time."""
    return torch.cat(
        [model.terms(x, k, "sampled").log_weight.cpu() for k in _split(samples, most)]
    ).double()


def importance_log_likelihood(
    model: VAE, examples: Batches, *, samples: int = 100, seed: int = 0
) -> Likelihood:
    """log p(x) of `examples` by importance sampling from the posterior (Burda et al. 2015, eq. 8
    with many samples).

    Exactly `samples` draws are made for each example, in chunks that fit memory.

    Raises:
        ConfigError: `samples` is below 1, or so many that their weights do not fit in memory.
        DataError: there are no examples.
    """
    samples = positive(samples)
    most = min(samples, chunk_size(model))
    refuse_beyond_memory(
        FLOATS_PER_WEIGHT * samples * (chunk_size(model) // most), f"{samples:,} samples"
    )
    values, effective = [], []
    with evaluating(model, seed):
        for x in chunks(model, examples, max(1, chunk_size(model) // most)):
            weights = _log_weights(model, x, samples, most)
            total = torch.logsumexp(weights, 0)
            values.append(total - math.log(len(weights)))
            effective.append(torch.exp(2 * total - torch.logsumexp(2 * weights, 0)))
    each = torch.cat(values)
    return Likelihood(Estimate.of(each), samples, torch.cat(effective).mean().item(), each)


def bits_per_dimension(log_likelihood: float, shape: tuple[int, ...]) -> float:
    """-log_likelihood / (D log 2), in the units of the data as the model sees them (a probability
    for discrete data).
    """
    return -log_likelihood / (math.prod(shape) * math.log(2))
