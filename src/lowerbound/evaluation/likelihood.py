"""The evidence lower bound and the log-likelihood of held-out examples, in nats per example."""

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..batch import Batch, as_batch
from ..distributed.processes import ONE_PROCESS, Processes, noise_of
from ..latents import KL
from ..model import VAE, Terms
from ..system.machine import refuse_beyond_memory
from .batches import Batches, WholeBatch, chunk_size, chunks, evaluating, positive
from .proposal import DEFENSIVE, Proposal, Sampler, fitting, normals_of
from .statistics import Estimate, pareto_k, pareto_threshold

FLOATS_PER_WEIGHT = 4
"""The float32 numbers whose memory the weight of one sample takes at the peak.

The weights are joined, which copies them, and then doubled in precision.
"""

LIKELIHOOD_SAMPLES = 100
"""Importance samples for each example wherever log p(x) is estimated, unless somebody asks for
another number.

Pareto k needs 25 to be estimated at all. For 1,000 images of MNIST, 100 take 1 s of one core with
the network of `iwae-mnist`, and 13 s with that of `conv-mnist`; 20 take 0.3 s and 3 s.
"""

MOST_UNRELIABLE = 0.1
"""A log-likelihood is doubted where Pareto k is above its threshold for a larger part of the
examples than this.

With 100 draws of a posterior that is right it is above for none in a thousand.
"""

LEAST_PART = 0.5
"""The least part of the rise of a bound that the next doubling of its samples gives."""

MOST_PART = 0.75
"""The largest such part: all doublings to come give three times what the last one gave.

It is a limit on what a few examples of heavy tails can do to the estimate, and understates the bias
of a posterior that is several times too narrow in many dimensions.
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
    """An importance-sampled log-likelihood, and what tells how far it may be believed.

    Attributes:
        log_likelihood: mean over examples of log (1/K) sum_k p(x, z_k) / r(z_k | x), for draws of a
            proposal r: a lower bound of the mean of log p(x), in expectation.
        samples: K, the number drawn for each example.
        effective: (sum w)^2 / sum w^2 of each example, (N,); near 1 the estimate is a poor one.
        pareto_k: the shape of the tail of the weights of each example, (N,) (see
            `statistics.pareto_k`); nan where K is too small to tell.
        looseness: about how many nats the estimate is below the mean of log p(x), extrapolated from
            what half and a quarter of the samples give; nan for fewer than four.
        per_example: (N,).
    """

    log_likelihood: Estimate
    samples: int
    effective: Tensor
    pareto_k: Tensor
    looseness: float
    per_example: Tensor

    @property
    def effective_samples(self) -> float:
        """The mean over examples of the effective number of samples."""
        return self.effective.mean().item()

    @property
    def median_effective_samples(self) -> float:
        """The median over examples of the effective number of samples."""
        return self.effective.quantile(0.5).item()

    @property
    def least_effective_samples(self) -> float:
        """The effective number of samples of the example that has fewest."""
        return self.effective.min().item()

    @property
    def pareto_threshold(self) -> float:
        """The shape beyond which so few samples do not give a value to be relied on; nan where K is
        too small for the shape of any tail.
        """
        if self.unreliable is None:
            return math.nan
        return pareto_threshold(self.samples)

    @property
    def unreliable(self) -> float | None:
        """The part of the examples whose shape is beyond the threshold; None where K is too small
        to tell.
        """
        if self.pareto_k.isnan().all():
            return None
        reliable = self.pareto_k <= pareto_threshold(self.samples)
        return 1 - reliable.double().mean().item()

    @property
    def doubt(self) -> str | None:
        """Says that the estimate is not to be relied on for many of the examples, or None."""
        if self.unreliable is None or self.unreliable <= MOST_UNRELIABLE:
            return None
        return (
            f"the importance weights of {self.unreliable:.0%} of the examples have too heavy a "
            f"tail (Pareto k above {self.pareto_threshold:.2f}): log p(x) may be further below the "
            "truth than is told; take more samples"
        )

    def diagnosis(self) -> dict[str, Any]:
        """Returns what tells how far the estimate may be believed, as JSON has it."""
        return {
            "effective_samples": self.effective_samples,
            "effective_samples_median": self.median_effective_samples,
            "effective_samples_least": self.least_effective_samples,
            "pareto_k_threshold": _known(self.pareto_threshold),
            "pareto_k_above": self.unreliable,
            "log_likelihood_looseness": _known(self.looseness),
            "log_likelihood_doubt": self.doubt,
        }


def _known(number: float) -> float | None:
    """Returns a number as JSON has it: None for what is not known."""
    if math.isnan(number):
        return None
    return number


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
    shares_noise: bool = False,
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
        shares_noise: whether all examples have the same noise, see `importance_log_likelihood`.

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
    with evaluating(model, seed, shares_noise):
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


def importance_log_likelihood(
    model: VAE,
    examples: Batches,
    *,
    samples: int = LIKELIHOOD_SAMPLES,
    seed: int = 0,
    proposal: Proposal = DEFENSIVE,
    shares_noise: bool = False,
) -> Likelihood:
    """Estimates log p(x) of `examples` by importance sampling.

    Exactly `samples` draws are made for each example, in chunks that fit memory.

    Where examples share their noise, the estimate of each is a function of the example alone: the
    same in any batch, up to the rounding of sums (in float32 about 1e-6 of it, in float64 1e-14).
    The errors of the estimates are then not independent, so that the standard error of the mean
    leaves out what they have in common; independent draws are for means.

    Args:
        model: put in evaluation mode for the while.
        examples: what to measure.
        samples: draws of z for each example.
        seed: of the draws.
        proposal: what they are drawn from; the posterior alone where a posterior is no density on
            all real numbers (`proposal.fitting`). With `POSTERIOR_ALONE` it is the bound of Burda
            et al. (2015), eq. 8.
        shares_noise: whether all examples have the same noise, see `evaluating`.

    Raises:
        ConfigError: `samples` is below 1, or so many that their weights do not fit in memory.
        DataError: there are no examples.
    """
    samples = positive(samples)
    most = min(samples, chunk_size(model))
    examples_at_a_time = max(1, chunk_size(model) // most)
    weights_at_a_time = samples * (chunk_size(model) // most)
    refuse_beyond_memory(FLOATS_PER_WEIGHT * weights_at_a_time, f"{samples:,} samples")
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    with evaluating(model, seed, shares_noise):
        for batch in chunks(model, examples, examples_at_a_time):
            if not parts:
                fit = fitting(proposal, model, batch)
            sampler = Sampler(model, fit, samples, normals_of(fit, model, batch))
            parts.append(_weighed(_all_log_weights(sampler, batch, most)))
    log_likelihoods, effective, shapes = map(torch.cat, zip(*parts, strict=True))
    per_example, halves, quarters = log_likelihoods.T
    looseness = _remaining(per_example.mean().item(), halves.mean().item(), quarters.mean().item())
    estimate = Estimate.of(per_example)
    return Likelihood(estimate, samples, effective, shapes, looseness, per_example)


def log_likelihoods(
    model: VAE,
    examples: Batches | Batch | Tensor,
    *,
    samples: int = LIKELIHOOD_SAMPLES,
    seed: int = 0,
) -> Tensor:
    """Estimates log p(x) of each example as a function of the example alone.

    It is `importance_log_likelihood` with the same noise for all examples.

    Args:
        model: put in evaluation mode for the while.
        examples: what to measure; a bare batch is one of dense examples.
        samples: draws of z for each example.
        seed: of the draws.

    Returns:
        Nats, (N,) float64 on the CPU.
    """
    if isinstance(examples, Batch | Tensor):
        examples = WholeBatch(as_batch(examples))
    found = importance_log_likelihood(
        model, examples, samples=samples, seed=seed, shares_noise=True
    )
    return found.per_example


def _all_log_weights(sampler: Sampler, batch: Batch, most: int) -> Tensor:
    """Draws the log weights of a batch, (samples, B), at most `most` samples at a time."""
    portions = []
    for start in range(0, sampler.samples, most):
        draws = range(start, min(start + most, sampler.samples))
        portions.append(sampler.log_weights(batch, draws))
    return torch.cat(portions)


def _weighed(log_weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Computes what the log weights (samples, B) of examples say of each.

    Returns:
        log p(x) by all samples, by halves and by quarters of them, (B, 3); the effective number of
        samples, (B,); the shape of the tail of the weights, (B,).
    """
    log_likelihoods = torch.stack([_in_parts(log_weights, parts) for parts in (1, 2, 4)], 1)
    total = torch.logsumexp(log_weights, 0)
    effective = torch.exp(2 * total - torch.logsumexp(2 * log_weights, 0))
    return log_likelihoods, effective, pareto_k(log_weights)


def _in_parts(log_weights: Tensor, parts: int) -> Tensor:
    """Estimates log p(x) from each part of the samples, and averages these estimates, (B,).

    Draws of one component of the proposal are next to each other, so that each part, of every
    second or fourth, has as many of each as the others. Fewer samples than parts give nan.
    """
    if len(log_weights) < parts:
        return torch.full_like(log_weights[0], math.nan)
    estimates = []
    for first in range(parts):
        part = log_weights[first::parts]
        estimates.append(torch.logsumexp(part, 0) - math.log(len(part)))
    return torch.stack(estimates).mean(0)


def _remaining(whole: float, halves: float, quarters: float) -> float:
    """Estimates by how much a bound is below the truth, from those with half and a quarter of its
    samples.

    If each doubling of the samples raises it by the same part of what the one before did, all that
    are to come raise it by a geometric series (Aitken's extrapolation). That part is a half where
    the bias falls like 1 / K, as it does in the end, and more where the weights have a heavy tail.
    """
    last = whole - halves
    before = halves - quarters
    if math.isnan(before):
        return math.nan
    if last <= 0:
        return 0.0
    part = MOST_PART
    if before > 0:
        part = min(max(last / before, LEAST_PART), MOST_PART)
    return last * part / (1 - part)


def bits_per_dimension(log_likelihood: float, shape: tuple[int, ...]) -> float:
    """Returns -log_likelihood / (D log 2).

    It is in the units of the data as the model sees them (a probability for discrete data).
    """
    return -log_likelihood / (math.prod(shape) * math.log(2))
