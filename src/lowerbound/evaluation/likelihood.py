"""The evidence lower bound and the log-likelihood of held-out examples, in nats per example."""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..batch import Batch
from ..distributed.processes import ONE_PROCESS, Processes, noise_of
from ..latents import KL
from ..model import VAE, Terms
from ..system.machine import refuse_beyond_memory
from .batches import Batches, chunk_size, chunks, evaluating, positive
from .statistics import Estimate

FLOATS_PER_WEIGHT = 4
"""The float32 numbers whose memory the weight of one sample takes at the peak.

The weights are joined, which copies them, and then doubled in precision.
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


class _Parts:
    """The terms of chunks of examples, as they are measured by one of several processes."""

    def __init__(self) -> None:
        self.parts: list[Terms] = []

    def add(self, terms: Terms, count: int) -> None:
        """Adds the terms of the first `count` examples of a chunk, in float64 on the CPU.

        A process without any examples of a chunk has computed one that is another's.
        """
        self.parts.append(terms.map(lambda values: values[:, :count].cpu().double()))

    def join(self, at: Tensor, total: int, processes: Processes) -> Terms:
        """Returns the terms of all examples as those of one batch.

        Args:
            at: which of the examples this process has measured.
            total: how many examples there are.
            processes: that have measured the others.
        """

        def gather(values: Tensor) -> Tensor:
            by_example = processes.whole(values.transpose(0, 1), at, total)
            return by_example.transpose(0, 1)

        return Terms.join(self.parts).map(gather)


def _mean_loss(objective: Loss, terms: Terms, group: int) -> float:
    """Measures an objective on `group` draws of all examples at a time.

    Returns:
        The mean over all whole groups.
    """
    if group == len(terms.rate):
        return objective(terms).item()
    losses = []
    for start in range(0, len(terms.rate) - group + 1, group):
        losses.append(objective(terms.of_draws(slice(start, start + group))))
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
    """Measures the ELBO of `examples`, with closed-form rates exactly where they are valid.

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
    if model.sparse:
        processes = ONE_PROCESS  # a batch of sparse rows is not taken apart
    by_bound = _Parts()
    by_objective = by_bound
    if objective is not None and objective.kl != "valid":
        by_objective = _Parts()
    places = []
    start = 0
    with evaluating(model, seed):
        for batch in chunks(model, examples, size):
            share = processes.share(len(batch))
            part = batch
            if share.world > 1:
                part = batch.take(share.rows)
            with noise_of(share):
                inference = model.infer(part, samples)
            by_bound.add(model.terms_of(inference, part), share.size)
            if objective is not None and by_objective is not by_bound:
                by_objective.add(model.terms_of(inference, part, objective.kl), share.size)
            places.append(start + share.rows[: share.size])
            start += len(batch)
    at = torch.cat(places)
    terms = by_bound.join(at, len(examples), processes)
    loss = None
    if objective is not None:
        measured = terms
        if by_objective is not by_bound:
            measured = by_objective.join(at, len(examples), processes)
        loss = _mean_loss(objective, measured, group or samples)
    rate = tuple(terms.rate.mean((0, 1)).tolist())
    elbo = (terms.log_likelihood - terms.rate.sum(-1)).mean(0)
    log_likelihood = terms.log_likelihood.mean(0)
    mean = log_likelihood.mean().item()
    return Bound(Estimate.of(elbo), mean, rate, loss, elbo, log_likelihood)


def _log_weights(model: VAE, batch: Batch, samples: int, most: int) -> Tensor:
    """Draws the log weights of a batch, (samples, B), at most `most` samples at a time."""
    portions = []
    for start in range(0, samples, most):
        count = min(most, samples - start)
        portions.append(model.terms(batch, count, "sampled").log_weight.cpu())
    return torch.cat(portions).double()


def importance_log_likelihood(
    model: VAE, examples: Batches, *, samples: int = 100, seed: int = 0
) -> Likelihood:
    """Estimates log p(x) of `examples` by importance sampling from the posterior.

    (Burda et al. 2015, eq. 8 with many samples.) Exactly `samples` draws are made for each example,
    in chunks that fit memory.

    Raises:
        ConfigError: `samples` is below 1, or so many that their weights do not fit in memory.
        DataError: there are no examples.
    """
    samples = positive(samples)
    most = min(samples, chunk_size(model))
    examples_at_a_time = max(1, chunk_size(model) // most)
    weights_at_a_time = samples * (chunk_size(model) // most)
    refuse_beyond_memory(FLOATS_PER_WEIGHT * weights_at_a_time, f"{samples:,} samples")
    values = []
    effective = []
    with evaluating(model, seed):
        for batch in chunks(model, examples, examples_at_a_time):
            weights = _log_weights(model, batch, samples, most)
            total = torch.logsumexp(weights, 0)
            values.append(total - math.log(len(weights)))
            effective.append(torch.exp(2 * total - torch.logsumexp(2 * weights, 0)))
    per_example = torch.cat(values)
    effective_samples = torch.cat(effective).mean().item()
    return Likelihood(Estimate.of(per_example), samples, effective_samples, per_example)


def bits_per_dimension(log_likelihood: float, shape: tuple[int, ...]) -> float:
    """Returns -log_likelihood / (D log 2).

    It is in the units of the data as the model sees them (a probability for discrete data).
    """
    return -log_likelihood / (math.prod(shape) * math.log(2))
