"""What the importance samples of log p(x) are drawn from: a mixture around the posterior.

Where q(z | x) is narrower than the true posterior, few of many draws have nearly all the weight,
and the estimate is low by an amount that depends on the encoder. A mixture of q with wider
distributions is nowhere much smaller than any of them, so that no draw weighs much more than the
others (defensive importance sampling: Hesterberg 1995). Each component has a fixed number of the
draws, and every draw is weighted by the density of the mixture (the balance heuristic: Veach and
Guibas 1995; Owen and Zhou 2000): the weights have the mean p(x), for any number of draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ..batch import Batch
from ..distributed.processes import seed_of_common_noise
from ..latents import Level, code, log_posterior, stretched
from ..model import VAE
from .batches import device_of, restart, streams_kept
from .laplace import Normals, find_modes


class Stretch(NamedTuple):
    """The posterior, stretched about its mean.

    Attributes:
        share: the part of the draws that are from it.
        width: in d dimensions it is stretched by 1 + width / sqrt(d), so that its divergence from
            the posterior does not grow with d; shrunk by 1 + |width| / sqrt(d) where it is below 0.
    """

    share: float
    width: float

    def factor(self, dimensions: int) -> float:
        """Returns the factor by which distances from the mean grow."""
        factor = 1 + abs(self.width) / math.sqrt(dimensions)
        if self.width < 0:
            return 1 / factor
        return factor


class Proposal(NamedTuple):
    """A mixture that importance samples are drawn from.

    Attributes:
        stretches: posteriors that are wider or narrower than q(z | x).
        prior: the part of the draws that are from p(z). All other draws are from q(z | x).
        modes: normal distributions about the mode of p(z | x) of each example, wider or narrower
            than the curvature there says (`laplace`).
    """

    stretches: tuple[Stretch, ...] = ()
    prior: float = 0.0
    modes: tuple[Stretch, ...] = ()


POSTERIOR_ALONE = Proposal()
"""Every draw is from q(z | x), as in Burda et al. (2015)."""

DEFENSIVE = Proposal(
    (Stretch(0.2, 2.0), Stretch(0.1, 5.0), Stretch(0.1, 10.0), Stretch(0.1, -2.0)), 0.1
)
"""The mixture that log p(x) is measured by.

Chosen by `benchmarks/proposals.py`, on models whose p(x) is known. With 100 draws in 50 dimensions
and a posterior whose scale is 0.4, 0.6, 0.8, 1 or 1.5 of the true one, the estimate is 0.01, 0.00,
0.01, 0.00 and 0.25 nats too low; with q alone 16.9, 4.3, 0.3, 0 and 1.7; with half q, 0.3 of three
times its scale and 0.2 of the prior 0.2, 4.5, 0.4, 0 and 2.1: what is three times too wide in each
of 50 dimensions is nowhere near. The price is that two draws in five are from q: where q is right,
100 draws are worth 50 to 60.
"""

ABOUT_MODES = Proposal(
    (Stretch(0.08, 2.0), Stretch(0.04, 5.0), Stretch(0.04, 10.0), Stretch(0.04, -2.0)),
    0.05,
    (Stretch(0.4, 0.0), Stretch(0.2, 2.0)),
)
"""The mixture that gaps are filled by: six draws in ten are about the mode of p(z | x_obs)."""

STARTS = 16
"""So many draws are looked at for the place where the search for a mode starts."""


def support_of(d: Distribution) -> Any:
    """Returns the support of one value; a distribution that has none is taken for a real one."""
    try:
        support: Any = d.support
    except NotImplementedError:
        return constraints.real
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support


def fitting(proposal: Proposal, model: VAE, batch: Batch) -> Proposal:
    """Returns the proposal, or the posterior alone for a model that has no use for another.

    A posterior that is no density on all real numbers, as a point mass is not, cannot be stretched,
    and has no density at draws from elsewhere; the density of one that is `only_own_draws`, as an
    inverse autoregressive flow is, takes too long there. The prior of sparse rows may be another
    one for each of them (`priors.sees_examples`), and is then none to draw from.
    """
    if proposal == POSTERIOR_ALONE or model.sparse:
        return POSTERIOR_ALONE
    # Kept, so that it is no part of the draws.
    with streams_kept(device_of(model)):
        levels = model.infer(batch).levels
    for level in levels:
        if getattr(level.q, "only_own_draws", False):
            return POSTERIOR_ALONE
        is_real = support_of(level.q) is constraints.real
        if not is_real or not _has_density(level):
            return POSTERIOR_ALONE
    return proposal


def _has_density(level: Level) -> bool:
    """Says whether the posterior of a level has a density at what was drawn from it.

    That of one example may overflow. Where the proposal of an example is to be the same whatever
    stands beside it, this example alone does not tell.
    """
    is_finite = level.q.log_prob(level.z).isfinite()
    if seed_of_common_noise() is not None:
        return bool(is_finite.any())
    return bool(is_finite.all())


def normals_of(proposal: Proposal, model: VAE, batch: Batch) -> Normals | None:
    """Finds the normals about the modes of p(z | x) that a proposal needs; None if it needs none.

    Args:
        proposal: as `fitting` gives it.
        model: in evaluation mode.
        batch: B examples.
    """
    if not proposal.modes:
        return None
    starting = Sampler(model, proposal._replace(modes=()), STARTS)
    return find_modes(model, batch, starting.draws(batch, range(STARTS)).zs)


class Draws(NamedTuple):
    """Weighted draws of the latent variables of B examples.

    Attributes:
        zs: values of each level, (K, B, d).
        log_weights: log p(x, z) - log of the density of the proposal, nats in float64, (K, B).
        likelihood: p(x | z) at these values.
    """

    zs: list[Tensor]
    log_weights: Tensor
    likelihood: Distribution


class _Component(NamedTuple):
    """One part of the mixture.

    Attributes:
        draws: so many of all draws are from it.
        factor: by which distances from the mean of the posterior grow; None is the prior.
        about_mode: whether it is about the modes that were found, and not about the posterior.
    """

    draws: int
    factor: float | None
    about_mode: bool = False


@dataclass(frozen=True)
class Sampler:
    """Draws of a proposal for batches of a model, a fixed number for each example.

    Attributes:
        model: the model.
        proposal: the mixture.
        samples: K, the number of draws for each example.
        normals: about the modes of p(z | x) of the examples of the batch that is drawn for; needed
            where the proposal has modes.
    """

    model: VAE
    proposal: Proposal
    samples: int
    normals: Normals | None = None

    @property
    def components(self) -> list[_Component]:
        """The parts of the mixture in the order of their draws, q(z | x) first."""
        dimensions = sum(self.model.latents.sizes)
        others = []
        for stretch in self.proposal.modes:
            count = math.floor(stretch.share * self.samples)
            others.append(_Component(count, stretch.factor(dimensions), about_mode=True))
        for stretch in self.proposal.stretches:
            count = math.floor(stretch.share * self.samples)
            others.append(_Component(count, stretch.factor(dimensions)))
        others.append(_Component(math.floor(self.proposal.prior * self.samples), None))
        rest = self.samples - sum(part.draws for part in others)
        return [part for part in (_Component(rest, 1.0), *others) if part.draws]

    def log_weights(self, batch: Batch, draws: range) -> Tensor:
        """Draws log p(x, z) - log of the density of the mixture for some of the K draws.

        Args:
            batch: B examples.
            draws: which of the K draws, in their order.

        Returns:
            Nats in float64 on the CPU, (len(draws), B).
        """
        if self._is_posterior:
            terms = self.model.terms(batch, len(draws), "sampled")
            return terms.log_weight.cpu().double()
        return self.draws(batch, draws).log_weights.cpu()

    @property
    def _is_posterior(self) -> bool:
        """Whether all draws are from q(z | x), and come with its density."""
        return self.components == [_Component(self.samples, 1.0)]

    def draws(self, batch: Batch, draws: range) -> Draws:
        """Draws values of the levels for some of the K draws, with their weights.

        Args:
            batch: B examples.
            draws: which of the K draws, in their order.
        """
        if self._is_posterior:
            inference = self.model.infer(batch, len(draws))
            log_densities = [log_posterior(level).double() for level in inference.levels]
            log_proposal = reduce(add, log_densities)
        else:
            inference = self.model.at(batch, self._draw(batch, draws))
            log_proposal = self._log_mixture(inference.levels)
        zs = [level.z for level in inference.levels]
        joint = self.model.joint_of(inference, batch)
        return Draws(zs, joint.log_prob.double() - log_proposal, joint.likelihood)

    def _log_mixture(self, levels: Sequence[Level]) -> Tensor:
        """Computes the log density of the mixture at the values of the levels, (K, B)."""
        log_densities = []
        for part in self.components:
            log_share = math.log(part.draws / self.samples)
            log_densities.append(self._log_density(levels, part) + log_share)
        return torch.logsumexp(torch.stack(log_densities), 0)

    def _log_density(self, levels: Sequence[Level], part: _Component) -> Tensor:
        """Computes the log density of one component at the values of the levels, (K, B)."""
        if not part.about_mode:
            return _log_density(levels, part.factor)
        assert self.normals is not None
        assert part.factor is not None
        z = torch.cat([level.z for level in levels], -1)
        return self.normals.log_prob(z, part.factor)

    def _draw(self, batch: Batch, draws: range) -> list[Tensor]:
        """Draws values of each level, (len(draws), B, d)."""
        parts = []
        first = 0
        for part in self.components:
            end = first + part.draws
            count = min(end, draws.stop) - max(first, draws.start)
            if count > 0:
                parts.append(self._draw_from(part, batch, count))
            first = end
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    def _draw_from(self, part: _Component, batch: Batch, count: int) -> list[Tensor]:
        """Draws values of each level from one component, (count, B, d)."""
        if part.factor is None:
            return self._draw_prior(batch, count)
        if part.about_mode:
            assert self.normals is not None
            drawn = self.normals.draw(count, part.factor)
            return list(drawn.split(self.model.latents.sizes, -1))
        if part.factor == 1:
            return [level.z for level in self.model.infer(batch, count).levels]
        return self._draw_stretched(batch, count, part.factor)

    def _draw_prior(self, batch: Batch, count: int) -> list[Tensor]:
        """Draws values of each level from the top down, other ones for each example."""
        given = self.model.embed(batch.given)
        if seed_of_common_noise() is not None:
            return self._draw_prior_for_all(len(batch), given, count)
        if given is not None:
            given = given.repeat(count, *[1] * (given.dim() - 1))
        zs = self.model.latents.generate(count * len(batch), given=given).zs
        return [z.reshape(count, len(batch), -1) for z in zs]

    def _draw_prior_for_all(self, size: int, given: Tensor | None, count: int) -> list[Tensor]:
        """Draws values of each level from the top down, by the same noise for all examples.

        Each call gives all its samples the same noise, and so draws one value for each example.
        """
        draws = [self.model.latents.generate(size, given=given).zs for _ in range(count)]
        return [torch.stack(level) for level in zip(*draws, strict=True)]

    def _draw_stretched(self, batch: Batch, count: int, factor: float) -> list[Tensor]:
        """Draws values of each level from the stretched posteriors, whatever the topology.

        A posterior may depend on the values of other levels, in an order that only the topology
        knows. One that makes its draws by `latents.draw` makes them stretched.
        """
        if len(self.model.latents.sizes) > 1:
            with stretched(factor) as stretching:
                levels = self.model.infer(batch, count).levels
            if stretching.levels == len(levels):
                return [level.z for level in levels]
        return self._draw_stretched_again(batch, count, factor)

    def _draw_stretched_again(self, batch: Batch, count: int, factor: float) -> list[Tensor]:
        """Draws values of each level from the stretched posteriors, one level after the other.

        All levels are drawn again with the same noise, given the values of the time before: the
        n-th time the first n levels, in the order of the topology, are right, and stay as they are.
        """
        levels = self.model.infer(batch, count).levels
        seed = self._new_seed()
        zs = _stretched_draws(levels, count, factor, seed)
        for _ in levels[1:]:
            levels = self.model.at(batch, zs).levels
            zs = _stretched_draws(levels, count, factor, seed)
        return zs

    def _new_seed(self) -> int:
        """Draws a seed from the present random stream."""
        return int(torch.randint(2**62, ()))


def _stretched_draws(levels: Sequence[Level], count: int, factor: float, seed: int) -> list[Tensor]:
    """Draws each level from its stretched posterior by the noise of a seed, (count, B, d)."""
    zs = []
    device = levels[0].z.device
    with streams_kept(device):
        restart(seed, device)
        for level in levels:
            shape = torch.Size()
            if len(level.q.batch_shape) == 1:  # the level that is inferred first
                shape = torch.Size([count])
            centre = code(level.q)
            zs.append(centre + factor * (level.q.rsample(shape) - centre))
    return zs


def _log_density(levels: Sequence[Level], factor: float | None) -> Tensor:
    """Computes the log density of a component at the values of the levels in float64, (K, B)."""
    if factor is None:
        log_densities = [level.p.log_prob(level.z) for level in levels]
    else:
        log_densities = [_log_stretched(level, factor) for level in levels]
    return reduce(add, [log_density.double() for log_density in log_densities])


def _log_stretched(level: Level, factor: float) -> Tensor:
    """Computes the log density of a stretched posterior by the change of variables, (K, B)."""
    if factor == 1:
        return level.q.log_prob(level.z)
    centre = code(level.q)
    z = centre + (level.z - centre) / factor
    return level.q.log_prob(z) - level.z.shape[-1] * math.log(factor)
