"""A top-down hierarchy with deterministic state: bidirectional inference (ladders)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..batch import Batch, Values
from ..families import Normal
from ..networks.ladders import LadderParts, Merge, Rung
from ..networks.limits import bounded_above
from .levels import (
    Inference,
    Latents,
    LatentValues,
    Level,
    Priors,
    apply_conditional,
    code,
    cooled,
    draw,
    draw_top,
    sample,
)

_NORMAL = Normal()
"""Made once, because a part checks its fields whenever it is made."""

MOST_LOG_VARIANCE = 5.0
"""Log variances below the top grow like a logarithm beyond this number.

An exponential of what a deep network gives now and then is so large that one batch has a loss of
many millions of nats. The scale of z is free, so that nothing is lost (NVAE clamps the log of
scales at 5).
"""

Choice = Callable[[int, Distribution | None, Distribution], tuple[Tensor, Tensor | None]]
"""Chooses the values (..., d) of a level below the top, and log q of them where it is known.

It is called with the number of the level, its posterior (None where nothing was inferred) and its
prior.
"""


class Descent(NamedTuple):
    """What a walk from the top down has met, the level next to the data first, the top left out.

    Attributes:
        zs: values of each level, (..., d).
        log_qs: log q of them, where it was computed with them.
        posteriors: of each level; empty where nothing was inferred.
        priors: of each level.
        context: the last state, (..., *state), which the decoder sees.
    """

    zs: list[Tensor]
    log_qs: list[Tensor | None]
    posteriors: list[Distribution]
    priors: list[Distribution]
    context: Tensor


class TopPosterior(nn.Module):
    """q(z of the top level | x), and the features of x on which the levels below look.

    Args:
        bottom_up: examples -> features of each level. The noise of the encoder stands before it.
        head: a conditional, from the features of the top level to the posterior.
    """

    def __init__(self, bottom_up: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.bottom_up = bottom_up
        self.head = head

    def forward(self, x: Tensor, given: Tensor | None = None) -> Distribution:
        return self.head(apply_conditional(self.bottom_up, x, given)[-1])

    def clean(self, x: Tensor, given: Tensor | None = None) -> Distribution:
        """Returns the posterior without the random noise of the encoder."""
        bottom_up: Any = getattr(self.bottom_up, "clean", self.bottom_up)
        return self.head(apply_conditional(bottom_up, x, given)[-1])


class TopDown(Latents):
    """Levels z_L -> ... -> z_1 -> x, inferred from the top down as they are generated.

    p(x, z) = p(z_L) prod_i p(z_i | s_i) p(x | s): each state s is computed of all levels above it.
    The posterior q(z_i | x, s_i) sees the same state, so that prior and posterior share all parents
    and the KL divergence of each level, at the drawn parents, is its rate (Sonderby et al. 2016;
    Vahdat & Kautz 2020; Child 2021). The levels below the top are normal distributions.

    Args:
        parts: the networks.
        top: q(z_L | x).
        prior: p(z_L).
        merge: how each posterior below the top is made, see `ladders.Merge`.
    """

    def __init__(
        self, parts: LadderParts, top: TopPosterior, prior: nn.Module, merge: Merge = "residual"
    ) -> None:
        super().__init__()
        self.top = top
        self.start: nn.Module = parts.start
        self.rungs: nn.ModuleList = nn.ModuleList(parts.rungs)
        self.prior = prior
        self.merge: Merge = merge
        self.sizes: tuple[int, ...] = parts.sizes
        self.context_shape: tuple[int, ...] = parts.state_shape
        self.widest: int = parts.widest
        self.markov: bool = False

    def infer(self, batch: Batch, samples: int) -> Inference:
        def draw_level(
            level: int, q: Distribution | None, p: Distribution
        ) -> tuple[Tensor, Tensor | None]:
            return draw(q)

        features = self._features(batch)
        q_top = self.top.head(features[-1])
        z_top, log_q_top = draw(q_top, torch.Size([samples]))
        descent = self._descend(z_top, draw_level, batch.given, features)
        return self._join_levels(batch, descent, Level(z_top, q_top, q_top, True, log_q_top))

    def at(self, batch: Batch, zs: Sequence[Tensor]) -> Inference:
        features = self._features(batch)
        q_top = self.top.head(features[-1])
        descent = self._descend(zs[-1], _given_values(zs), batch.given, features)
        return self._join_levels(batch, descent, Level(zs[-1], q_top, q_top, True))

    def _join_levels(self, batch: Batch, descent: Descent, top: Level) -> Inference:
        """Joins the levels that a walk has met with the top one, whose prior is put in."""
        levels = []
        parts = zip(descent.zs, descent.posteriors, descent.priors, descent.log_qs, strict=True)
        for z, q, p, log_q in parts:
            levels.append(Level(z, q, p, True, log_q))
        levels.append(top._replace(p=self._top_prior(batch)))
        return Inference(levels, descent.context)

    def priors_at(self, zs: Sequence[Tensor], batch: Batch | None = None) -> Priors:
        given = None
        if batch is not None:
            given = batch.given
        descent = self._descend(zs[-1], _given_values(zs), given)
        return Priors([*descent.priors, self._top_prior(batch)], descent.context)

    def means(self, batch: Batch, lowest: int = 0) -> LatentValues:
        def choose(
            level: int, q: Distribution | None, p: Distribution
        ) -> tuple[Tensor, Tensor | None]:
            if level < lowest:
                return p.mean, None
            return code(q), None

        features = self._features(batch)
        top = code(self.top.head(features[-1]))
        descent = self._descend(top, choose, batch.given, features)
        return LatentValues([*descent.zs, top], descent.context)

    def generate(
        self,
        n: int,
        top: Tensor | None = None,
        given: Tensor | None = None,
        temperature: float = 1.0,
    ) -> LatentValues:
        def draw_level(
            level: int, q: Distribution | None, p: Distribution
        ) -> tuple[Tensor, Tensor | None]:
            return sample(cooled(p, temperature)), None

        if top is None:
            top = draw_top(self.prior, n, given, temperature)
        descent = self._descend(top, draw_level, given)
        return LatentValues([*descent.zs, top], descent.context)

    def descend(self, z: Tensor, level: int, given: Tensor | None = None) -> Tensor:
        top = z
        if level < len(self.rungs):
            top = code(apply_conditional(self.prior, None, given)).expand(z.shape[0], -1)
        return self._descend(top, _mean_but(z, level), given).context

    def vary(self, level: int, groups: int, draws: int, given: Tensor | None = None) -> Tensor:
        repeated = given
        if given is not None:
            repeated = given.repeat_interleave(draws, 0)
        if level == len(self.rungs):
            top = draw_top(self.prior, groups * draws, repeated)
            return self.descend(top, level, repeated)
        above = self.generate(groups, given=given).zs

        def choose(i: int, q: Distribution | None, p: Distribution) -> tuple[Tensor, Tensor | None]:
            if i > level:
                return above[i].repeat_interleave(draws, 0), None
            if i == level:
                return sample(p), None
            return p.mean, None

        top = above[-1].repeat_interleave(draws, 0)
        return self._descend(top, choose, repeated).context

    def _features(self, batch: Batch) -> list[Tensor]:
        """Returns the features of the data for each level, (B, *grid)."""
        return apply_conditional(self.top.bottom_up, batch.x, batch.given)

    def _top_prior(self, batch: Batch | None) -> Distribution:
        """Returns the prior of the top level, of batch shape ()."""
        x: Values | None = None
        given = None
        if batch is not None:
            x = batch.x
            given = batch.given
        return apply_conditional(self.prior, x, given)

    def _descend(
        self,
        top: Tensor,
        choose: Choice,
        given: Tensor | None,
        features: Sequence[Tensor] | None = None,
    ) -> Descent:
        """Walks from values of the top level (..., d) down to the data.

        Args:
            top: the values.
            choose: gives the values of each level below.
            given: the numbers of the conditions, (B, E) or (..., E); None where there are none.
            features: of the data, (B, *grid) for each level, where B is the last of the leading
                dimensions of `top`. Without them there are no posteriors.
        """
        lead = top.shape[:-1]
        if given is not None:
            width = given.shape[-1]
            given = given.expand(*lead, width).reshape(-1, width)
        state = apply_conditional(self.start, top.reshape(-1, top.shape[-1]), given)
        descent = Descent([], [], [], [], state)
        for level in reversed(range(len(self.rungs))):
            rung: Any = self.rungs[level]
            state = rung.arrive(state)
            mean, log_variance = rung.prior(state)
            p = _normal(mean, log_variance, lead)
            q = None
            if features is not None:
                q = self._posterior(rung, features[level], state, p, lead)
                descent.posteriors.insert(0, q)
            z, log_q = choose(level, q, p)
            state = rung.step(state, z.reshape(-1, z.shape[-1]))
            descent.zs.insert(0, z)
            descent.log_qs.insert(0, log_q)
            descent.priors.insert(0, p)
        return descent._replace(context=state.reshape(*lead, *state.shape[1:]))

    def _posterior(
        self, rung: Rung, features: Tensor, state: Tensor, p: Distribution, lead: torch.Size
    ) -> Distribution:
        """Makes the posterior of a level below the top, of batch shape `lead`."""
        evidence = rung.evidence(features)
        evidence = evidence.expand(*lead[:-1], *evidence.shape).reshape(-1, *evidence.shape[1:])
        first, second = rung.posterior(evidence, state)
        if self.merge == "free":
            return _normal(first, second, lead)
        prior: Any = p.base_dist  # type: ignore[attr-defined]
        mean = first.reshape(*lead, -1)
        log_variance = second.reshape(*lead, -1)
        if self.merge == "residual":
            mean = torch.addcmul(prior.loc, prior.scale, mean)
            relative = bounded_above(log_variance, MOST_LOG_VARIANCE)
            return _NORMAL((mean, 2 * prior.log_scale + relative), 1)
        return _product(mean, log_variance, prior)


def _normal(mean: Tensor, log_variance: Tensor, lead: torch.Size) -> Distribution:
    """Makes normal distributions of batch shape `lead` of parameters (N, d)."""
    bounded = bounded_above(log_variance, MOST_LOG_VARIANCE)
    return _NORMAL((mean.reshape(*lead, -1), bounded.reshape(*lead, -1)), 1)


def _product(mean: Tensor, log_variance: Tensor, prior: Any) -> Distribution:
    """Makes the normal distribution that is the product of two, up to a factor.

    Precisions add up, and the mean is that of both means, weighted by precision (Sonderby et al.
    2016, eq. 12 to 14).
    """
    log_precision = torch.logaddexp(-log_variance, -2 * prior.log_scale)
    share_of_prior = torch.exp(-2 * prior.log_scale - log_precision)
    return _NORMAL((torch.lerp(mean, prior.loc, share_of_prior), -log_precision), 1)


def _given_values(zs: Sequence[Tensor]) -> Choice:
    """Chooses values (..., d) that are given for each level."""

    def choose(level: int, q: Distribution | None, p: Distribution) -> tuple[Tensor, Tensor | None]:
        return zs[level], None

    return choose


def _mean_but(z: Tensor, given_level: int) -> Choice:
    """Chooses values (..., d) that are given for one level, and the prior mean of the others."""

    def choose(level: int, q: Distribution | None, p: Distribution) -> tuple[Tensor, Tensor | None]:
        if level == given_level:
            return z, None
        return p.mean, None

    return choose
