"""One level of latent variables, its rate, and the contract of topologies."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    TransformedDistribution,
    kl_divergence,
)

from ..batch import Batch, Values
from ..distributed.precision import Float32Draws
from ..distributed.processes import seed_of_common_noise
from ..errors import ConfigError

KL = Literal["valid", "sampled", "everywhere"]
"""How a rate is estimated.

- `valid`: in closed form exactly where that is the rate (q and p share their parents, and the pair
  has one), from the draws elsewhere.
- `sampled`: log q(z) - log p(z) at the drawn z, at every level.
- `everywhere`: the closed form at every level, also where it is not the right term of the joint
  bound (the published R3 loss).
"""


class Level(NamedTuple):
    """One level of latent variables, as inferred for a batch.

    Attributes:
        z: what was drawn from q, (K, B, d).
        q: the posterior. Its batch shape is (B,) at the level that is inferred first (the lowest of
            a chain, the top of a ladder), and (K, B) at the others.
        p: the prior given its parents, batch shape (K, B); batch shape () at the top.
        shared: whether q and p have the same parents, so that their KL divergence is the rate.
        log_q: log q(z), (K, B), where it was computed with the draw. A flow computes it on the way,
            and would have to be inverted to compute it again. None: `log_posterior` computes it.
    """

    z: Tensor
    q: Distribution
    p: Distribution
    shared: bool
    log_q: Tensor | None = None


class Inference(NamedTuple):
    """What was inferred for a batch.

    Attributes:
        levels: the levels, the one next to the data first.
        context: what the decoder sees, (K, B, *context): z1 of a chain, or features of any shape.
        extra: an additive term of the loss in nats, (K, B), or None: see `Terms.extra`.
    """

    levels: list[Level]
    context: Tensor
    extra: Tensor | None = None


class LatentValues(NamedTuple):
    """Values of all levels, and what the decoder sees of them.

    Attributes:
        zs: the values of each level, (N, d), the one next to the data first.
        context: what the decoder sees, (N, *context).
    """

    zs: list[Tensor]
    context: Tensor


class Priors(NamedTuple):
    """The generative side of a model at given values of its latent variables.

    Attributes:
        distributions: the prior of each level given its parents, the one next to the data first.
        context: what the decoder sees, (..., *context).
    """

    distributions: list[Distribution]
    context: Tensor


@dataclass
class Stretching:
    """How far draws are moved from the centre of their posterior.

    Attributes:
        factor: by which the distance grows.
        levels: how many levels were drawn so.
    """

    factor: float
    levels: int = 0


_stretching: ContextVar[Stretching | None] = ContextVar("stretching", default=None)


@contextmanager
def stretched(factor: float) -> Iterator[Stretching]:
    """Lets `draw` move each draw away from the centre of its posterior, within a block.

    So each level is drawn from a wider or narrower posterior, given draws of its parents that are
    such draws too, whatever the topology.
    """
    stretching = Stretching(factor)
    token = _stretching.set(stretching)
    try:
        yield stretching
    finally:
        _stretching.reset(token)


def draw(q: Any, shape: torch.Size = torch.Size()) -> tuple[Tensor, Tensor | None]:  # noqa: B008
    """Draws from a posterior.

    Returns:
        The values, (*shape, *batch, d), with gradients, and log q of them where the distribution
        computes both in one go (`rsample_and_log_prob`, as flows do), else None. Within a block of
        `stretched` the values are moved, and there is no log q.
    """
    stretching = _stretching.get()
    if stretching is not None:
        stretching.levels += 1
        centre = code(q)
        return centre + stretching.factor * (q.rsample(shape) - centre), None
    if hasattr(q, "rsample_and_log_prob"):
        return q.rsample_and_log_prob(shape)
    return q.rsample(shape), None


def sample(p: Any, shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
    """Draws values (*shape, *batch, d) from a prior, without gradients.

    Within a block of `processes.common_noise` all of them are drawn by the same noise. A prior that
    is one for all then gives one value, and one that differs between examples must draw by
    `processes.draw_shared`, as normal distributions do.
    """
    if seed_of_common_noise() is None:
        return p.sample(shape)
    if not p.batch_shape:
        with Float32Draws():
            value = p.sample(torch.Size([1])).squeeze(0)
        return value.expand(*shape, *value.shape)
    with torch.no_grad():
        return p.rsample(shape)


def code(q: Any) -> Tensor:
    """Returns the point that stands for a posterior, (..., d).

    It is the mean where the distribution has one. Of a transformed distribution, such as a flow, it
    is the image of the mean of its base.

    Raises:
        ConfigError: the distribution has neither.
    """
    try:
        return q.mean
    except (NotImplementedError, AttributeError):
        pass
    if isinstance(q, TransformedDistribution):
        z = code(q.base_dist)
        for transform in q.transforms:
            z = transform(z)
        return z
    if hasattr(q, "base") and hasattr(q, "transform"):  # a flow of zuko maps values to its base
        return q.transform.inv(code(q.base))
    raise ConfigError(f"{type(q).__name__} has no mean, and no base whose mean could stand for it")


def log_posterior(level: Level) -> Tensor:
    """Returns log q(z) of the drawn z, (K, B)."""
    if level.log_q is not None:
        return level.log_q
    return level.q.log_prob(level.z)


def rates(level: Level, kl: KL = "valid") -> tuple[Tensor, Tensor]:
    """Estimates the rate KL(q || p) of one level, in nats.

    Returns:
        The rate, (K, B), estimated as `kl` says, and its one-sample estimates log q(z) - log p(z),
        (K, B).

    Raises:
        ConfigError: `kl` is "everywhere" and the pair of distributions has no closed form.
    """
    sampled = log_posterior(level) - level.p.log_prob(level.z)
    if kl == "sampled" or (kl == "valid" and not level.shared):
        return sampled, sampled
    try:
        closed_form = kl_divergence(level.q, level.p).expand(level.z.shape[:-1])
    except NotImplementedError:
        if kl == "everywhere":
            raise ConfigError(
                "kl='everywhere' needs a closed-form KL at every level; got a prior that has none"
            ) from None
        return sampled, sampled
    return closed_form, sampled


def rate(level: Level, kl: KL = "valid") -> Tensor:
    """Returns the first of `rates`: the rate KL(q || p) of one level in nats, (K, B)."""
    return rates(level, kl)[0]


def rate_per_dimension(level: Level) -> Tensor | None:
    """Returns the terms of `rate(level)` by dimension, (K, B, d).

    Returns:
        None where q or p does not factorise over dimensions.
    """
    if not isinstance(level.q, Independent) or not isinstance(level.p, Independent):
        return None
    q = level.q.base_dist
    p = level.p.base_dist
    if level.shared:
        try:
            return kl_divergence(q, p).expand(level.z.shape)
        except NotImplementedError:
            pass  # the draws estimate it, as in `rates`
    return q.log_prob(level.z) - p.log_prob(level.z)


def apply_conditional(part: Any, context: Values | None, given: Tensor | None) -> Any:
    """Calls a conditional, or a network, on its context; that of a conditional model takes the
    conditions too.
    """
    if given is None:
        return part(context)
    return part(context, given)


def cooled(p: Any, temperature: float) -> Distribution:
    """Returns a distribution of a smaller or greater spread around the same places.

    The scale of a normal distribution is multiplied by the temperature; so is that of each
    component of a mixture, and that of the base of a flow; another distribution may say what it
    becomes by a method `cooled`. At 1 it is the distribution itself.
    Below 1 samples are more typical and less diverse (Kingma & Dhariwal 2018; Vahdat & Kautz 2020,
    section 4.2; Child 2021).

    Raises:
        ConfigError: the distribution is of another kind.
    """
    if temperature == 1:
        return p
    if hasattr(p, "cooled"):
        return p.cooled(temperature)
    if isinstance(p, Independent):
        return Independent(
            cooled(p.base_dist, temperature), p.reinterpreted_batch_ndims, validate_args=False
        )
    if isinstance(p, Normal):
        return Normal(p.loc, p.scale * temperature, validate_args=False)
    if isinstance(p, MixtureSameFamily):
        components = cooled(p.component_distribution, temperature)
        return MixtureSameFamily(p.mixture_distribution, components, validate_args=False)
    if isinstance(p, TransformedDistribution):
        base = cooled(p.base_dist, temperature)
        return TransformedDistribution(base, p.transforms, validate_args=False)
    if hasattr(p, "base") and hasattr(p, "transform"):  # a flow of zuko maps values to its base
        return type(p)(p.transform, cooled(p.base, temperature))
    raise ConfigError(
        f"a temperature is for priors that have a scale, got {type(p).__name__}; 1 leaves it as it "
        "is"
    )


def draw_top(
    prior: nn.Module, n: int, given: Tensor | None = None, temperature: float = 1.0
) -> Tensor:
    """Draws `n` samples, (n, d), from the prior of the top level.

    Args:
        prior: the module of the prior, which has no parents.
        n: how many.
        given: conditions (n, ...) of a conditional model.
        temperature: see `cooled`.
    """
    p = cooled(apply_conditional(prior, None, given), temperature)
    if len(p.batch_shape):  # conditions gave each sample a prior of its own
        return sample(p)
    return sample(p, torch.Size([n]))


class Latents(nn.Module, ABC):
    """A topology of levels: `infer` goes from the data up, `generate` from the prior down.

    Attributes:
        sizes: the number of dimensions of each level, the one next to the data first.
        context_shape: shape of what the decoder sees of one example.
        widest: how many numbers the widest features of one example have, where measures are to
            count them when they choose how many examples fit in memory.
        markov: whether what lies below a level depends on that level alone, as in a chain, and not
            also on those above it.
    """

    sizes: tuple[int, ...]
    context_shape: tuple[int, ...]
    widest: int = 0
    markov: bool = True

    @abstractmethod
    def infer(self, batch: Batch, samples: int) -> Inference:
        """Draws the levels of a batch (B, *shape), with `samples` draws of each."""

    def draw_below_top(self, batch: Batch) -> Values:
        """Draws what the posterior of the top level sees of a batch, (B, *context).

        It is the examples, unless there are levels between them and the top.
        """
        return batch.x

    @abstractmethod
    def at(self, batch: Batch, zs: Sequence[Tensor]) -> Inference:
        """Returns the levels of a batch at given values (K, B, d) of each; nothing is drawn."""

    @abstractmethod
    def priors_at(self, zs: Sequence[Tensor], batch: Batch | None = None) -> Priors:
        """Returns the priors at given values (..., d) of each level; nothing is inferred or drawn.

        Args:
            zs: values of each level, the one next to the data first.
            batch: the examples, for priors that look at them and for conditions; None: no examples.
        """

    @abstractmethod
    def means(self, batch: Batch, lowest: int = 0) -> LatentValues:
        """Returns the posterior mean of each level, (B, d), each given the means of its parents.

        Args:
            batch: the examples.
            lowest: the lowest level that is inferred. Those below it are at their prior means, so
                that the context shows what the levels from it up know of the examples.
        """

    @abstractmethod
    def generate(
        self,
        n: int,
        top: Tensor | None = None,
        given: Tensor | None = None,
        temperature: float = 1.0,
    ) -> LatentValues:
        """Draws `n` ancestral samples of each level, (n, d).

        Args:
            n: how many.
            top: values (n, d) of the top level, which are then not drawn.
            given: conditions (n, ...) of a conditional model.
            temperature: by which the scale of the prior of each level is multiplied, see `cooled`.

        Raises:
            ConfigError: the temperature is another one than 1, and a prior has no scale.
        """

    @abstractmethod
    def descend(self, z: Tensor, level: int, given: Tensor | None = None) -> Tensor:
        """Returns what the decoder sees, (n, *context), for given values (n, d) of one level.

        The levels below it are at their prior means, and so are those above it where what the
        decoder sees depends on them. Level 0 is the one next to the data.
        """

    @abstractmethod
    def vary(self, level: int, groups: int, draws: int, given: Tensor | None = None) -> Tensor:
        """Returns what the decoder sees of groups * draws samples in which one level varies.

        Each of the `groups` has one sample of all levels above the one that varies, and `draws`
        draws of that one. The levels below it are at their prior means. The samples of a group
        stand together.
        """
