"""A chain of levels, Markov both ways."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..errors import ConfigError
from ..noise import Batch
from .levels import Latents, Level


class Chain(Latents):
    """Markov both ways: x -> z1 -> ... -> zT bottom-up, zT -> ... -> z1 -> x top-down; one level is
    the plain VAE.

    Below the top, q(z_i | z_{i-1}) and p(z_i | z_{i+1}) have different parents: only the top level
    is `shared`.

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
                f"a chain needs as many posteriors as priors and sizes, got {len(posteriors)}, "
                f"{len(priors)}, {len(sizes)}"
            )
        self.posteriors, self.priors = nn.ModuleList(posteriors), nn.ModuleList(priors)
        self.sizes = tuple(sizes)

    def infer(self, x: Batch, samples: int) -> list[Level]:
        qs: list[Distribution] = []
        zs: list[Tensor] = []
        for posterior in self.posteriors:
            q = posterior(zs[-1] if zs else x)
            qs.append(q)
            zs.append(q.rsample() if len(zs) else q.rsample(torch.Size([samples])))
        below = (
            zs[-2] if len(zs) > 1 else x
        )  # what the posterior of the top level saw, for a prior that looks at it
        ps = [prior(given) for prior, given in zip(self.priors, [*zs[1:], below], strict=True)]
        top = len(zs) - 1
        return [
            Level(z, q, p, i == top) for i, (z, q, p) in enumerate(zip(zs, qs, ps, strict=True))
        ]

    def means(self, x: Batch) -> list[Tensor]:
        found: list[Tensor] = []
        for posterior in self.posteriors:
            found.append(posterior(found[-1] if found else x).mean)
        return found

    def generate(self, n: int, given: Tensor | None = None) -> list[Tensor]:
        zs = [self.priors[-1](None).sample(torch.Size([n])) if given is None else given]
        for prior in reversed(self.priors[:-1]):
            zs.insert(0, prior(zs[0]).sample())
        return zs

    def descend(self, z: Tensor, level: int) -> Tensor:
        for prior in reversed(self.priors[:level]):
            z = prior(z).mean
        return z

    def vary(self, level: int, groups: int, draws: int) -> Tensor:
        if level == len(self.sizes) - 1:
            return self.descend(self.generate(groups * draws)[level], level)
        above = self.generate(groups)[level + 1].repeat_interleave(draws, 0)
        return self.descend(self.priors[level](above).sample(), level)
