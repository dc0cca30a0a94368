"""One level of latent variables, its rate, and the contract of topologies."""

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from ..errors import ConfigError
from ..noise import Batch

KL = Literal["valid", "sampled", "everywhere"]
"""How a rate is estimated.

`valid`: in closed form exactly where that is the rate (q and p share their parents, and the pair
has one), sampled elsewhere. `sampled`: log q(z) - log p(z) at the drawn z, at every level.
`everywhere`: the closed form at every level, also where it is not the right term of the joint bound
(the published R3 loss).
"""


class Level(NamedTuple):
    """One level of latent variables, as inferred for a batch.

    Attributes:
        z: what was drawn from q, (K, B, d).
        q: the posterior, batch shape (B,) at the first level and (K, B) above it.
        p: the prior given the level above, batch shape (K, B); batch shape () at the top.
        shared: whether q and p have the same parents, so that their KL divergence is the rate.
    """

    z: Tensor
    q: Distribution
    p: Distribution
    shared: bool


def _sampled(level: Level) -> Tensor:
    return level.q.log_prob(level.z) - level.p.log_prob(level.z)


def _closed(level: Level) -> Tensor:
    return kl_divergence(level.q, level.p).expand(level.z.shape[:-1])


def rates(level: Level, kl: KL = "valid") -> tuple[Tensor, Tensor]:
    """KL(q || p) of one level in nats, (K, B), as `kl` says, and its one-sample estimates log q(z)
    - log p(z), (K, B).

    Raises:
        ConfigError: `kl` is "everywhere" and the pair of distributions has no closed form.
    """
    sampled = _sampled(level)
    if kl == "sampled" or (kl == "valid" and not level.shared):
        return sampled, sampled
    try:
        return _closed(level), sampled
    except NotImplementedError:
        if kl == "everywhere":
            raise ConfigError(
                "kl='everywhere' needs a closed-form KL at every level; got a prior that has none"
            ) from None
        return sampled, sampled


def rate(level: Level, kl: KL = "valid") -> Tensor:
    """The first of `rates`: KL(q || p) of one level in nats, (K, B), or its one-sample estimates."""
    return rates(level, kl)[0]


def rate_per_dimension(level: Level) -> Tensor | None:
    """The terms of `rate(level)` by dimension, (K, B, d), or None where p does not factorise over
    dimensions.
    """
    if not (isinstance(level.q, Independent) and isinstance(level.p, Independent)):
        return None
    q, p = level.q.base_dist, level.p.base_dist
    try:
        if level.shared:
            return kl_divergence(q, p).expand(level.z.shape)
    except NotImplementedError:
        pass  # as in `rates`
    return q.log_prob(level.z) - p.log_prob(level.z)


class Latents(nn.Module, ABC):
    """A topology of levels: `infer` goes from the data up, `generate` from the prior down."""

    sizes: tuple[int, ...]

    @abstractmethod
    def infer(self, x: Batch, samples: int) -> list[Level]:
        """The levels for a batch x (B, *shape), the one next to the data first."""

    @abstractmethod
    def means(self, x: Batch) -> list[Tensor]:
        """The posterior mean of each level, (B, d), each given the mean below it."""

    @abstractmethod
    def generate(self, n: int, given: Tensor | None = None) -> list[Tensor]:
        """Ancestral samples of each level, (n, d), the one next to the data first; `given` fixes
        the top level.
        """

    @abstractmethod
    def descend(self, z: Tensor, level: int) -> Tensor:
        """z1 (n, d) for given values (n, d) of a level, 0 for z1 itself; the levels between are at
        their prior means.
        """

    @abstractmethod
    def vary(self, level: int, groups: int, draws: int) -> Tensor:
        """z1 of groups * draws samples: `draws` of one level for each of `groups` samples of all
        levels above it, those below it at their prior means; the samples of a group stand together."""
