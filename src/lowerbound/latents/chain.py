"""A chain of levels, Markov both ways."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..batch import Batch, Values
from ..errors import ConfigError
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


class Chain(Latents):
    """Levels x -> z1 -> ... -> zT bottom-up and zT -> ... -> z1 -> x top-down.

    One level is the plain VAE. The decoder sees z1. Below the top, q(z_i | z_{i-1}) and
    p(z_i | z_{i+1}) have different parents: only the top level is `shared`.

    Args:
        posteriors: q(z_i | z_{i-1}), from the data up.
        priors: p(z_i | z_{i+1}), from the data up; the last is the prior p(z_T).
        sizes: number of dimensions of each level.
    """

    def __init__(
        self, posteriors: Sequence[nn.Module], priors: Sequence[nn.Module], sizes: Sequence[int]
    ) -> None:
        super().__init__()
        if not len(posteriors) == len(priors) == len(sizes) > 0:
            raise ConfigError(
                "a chain needs as many posteriors as priors and sizes, got "
                f"{len(posteriors)}, {len(priors)}, {len(sizes)}"
            )
        self.posteriors: nn.ModuleList = nn.ModuleList(posteriors)
        self.priors: nn.ModuleList = nn.ModuleList(priors)
        self.sizes: tuple[int, ...] = tuple(sizes)
        self.context_shape: tuple[int, ...] = self.sizes[:1]

    def infer(self, batch: Batch, samples: int) -> Inference:
        posteriors: list[Distribution] = []
        zs: list[Tensor] = []
        log_qs: list[Tensor | None] = []
        below: Values = batch.x
        shape = torch.Size([samples])
        for part in self.posteriors:
            q = apply_conditional(part, below, batch.given)
            z, log_q = draw(q, shape)
            posteriors.append(q)
            zs.append(z)
            log_qs.append(log_q)
            below = z
            shape = torch.Size()  # above the first level, each draw below has one of its own
        return self._join_levels(batch, posteriors, zs, log_qs)

    def draw_below_top(self, batch: Batch) -> Values:
        if len(self.sizes) == 1:
            return batch.x
        return self.infer(batch, 1).levels[-2].z[0]

    def at(self, batch: Batch, zs: Sequence[Tensor]) -> Inference:
        below = [batch.x, *zs[:-1]]
        pairs = zip(self.posteriors, below, strict=True)
        posteriors = [apply_conditional(part, values, batch.given) for part, values in pairs]
        return self._join_levels(batch, posteriors, zs, [None] * len(zs))

    def _join_levels(
        self,
        batch: Batch,
        posteriors: Sequence[Distribution],
        zs: Sequence[Tensor],
        log_qs: Sequence[Tensor | None],
    ) -> Inference:
        """Joins values and posteriors with the priors at these values, level by level."""
        priors = self.priors_at(zs, batch)
        levels = []
        parts = zip(zs, posteriors, priors.distributions, log_qs, strict=True)
        for i, (z, q, p, log_q) in enumerate(parts):
            is_top = i == len(zs) - 1
            levels.append(Level(z, q, p, is_top, log_q))
        return Inference(levels, priors.context)

    def priors_at(self, zs: Sequence[Tensor], batch: Batch | None = None) -> Priors:
        given = None
        below_top: Values | None = None  # what the posterior of the top level sees
        if batch is not None:
            given = batch.given
            below_top = batch.x
        if len(zs) > 1:
            below_top = zs[-2]
        contexts = [*zs[1:], below_top]
        pairs = zip(self.priors, contexts, strict=True)
        distributions = [apply_conditional(part, context, given) for part, context in pairs]
        return Priors(distributions, zs[0])

    def means(self, batch: Batch, lowest: int = 0) -> LatentValues:
        means: list[Tensor] = []
        below: Values = batch.x
        for part in self.posteriors:
            mean = code(apply_conditional(part, below, batch.given))
            means.append(mean)
            below = mean
        for level in reversed(range(lowest)):
            means[level] = apply_conditional(self.priors[level], means[level + 1], batch.given).mean
        return LatentValues(means, means[0])

    def generate(
        self,
        n: int,
        top: Tensor | None = None,
        given: Tensor | None = None,
        temperature: float = 1.0,
    ) -> LatentValues:
        if top is None:
            top = draw_top(self.priors[-1], n, given, temperature)
        zs = [top]
        for part in reversed(self.priors[:-1]):
            p = cooled(apply_conditional(part, zs[0], given), temperature)
            zs.insert(0, sample(p))
        return LatentValues(zs, zs[0])

    def descend(self, z: Tensor, level: int, given: Tensor | None = None) -> Tensor:
        for part in reversed(self.priors[:level]):
            z = apply_conditional(part, z, given).mean
        return z

    def vary(self, level: int, groups: int, draws: int, given: Tensor | None = None) -> Tensor:
        if given is not None:
            given = given.repeat_interleave(draws, 0)
        if level == len(self.sizes) - 1:
            top = self.generate(groups * draws, given=given).zs[level]
            return self.descend(top, level, given)
        group_conditions = given
        if given is not None:
            group_conditions = given[::draws]
        values = self.generate(groups, given=group_conditions)
        above = values.zs[level + 1].repeat_interleave(draws, 0)
        z = sample(apply_conditional(self.priors[level], above, given))
        return self.descend(z, level, given)
