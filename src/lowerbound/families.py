"""Families: parameters -> Distribution. Posteriors, likelihoods and the priors between levels are
all made of these.

A family says how many values it wants of a network for each element of the event (`parameters`),
and how many learned numbers it wants that belong to no example (`free`). Everything it returns
treats the event as one: `log_prob` has the shape of the batch, in nats.

To add one: a frozen dataclass below `Family` in this file. The catalogue, the recipes and the laws
find it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Bernoulli as _Bernoulli
from torch.distributions import (
    Distribution,
    Independent,
    OneHotCategorical,
    constraints,
    register_kl,
)
from torch.distributions import Normal as _Normal
from torch.distributions.utils import _standard_normal

from .distributed.processes import draw_shared
from .errors import ConfigError
from .sparse import DeferredLinear, Reduction, SparseRows
from .specs.checked import checked
from .specs.registry import part


class Family(ABC):
    """Parameters -> Distribution.

    Attributes:
        reparameterised: whether draws carry gradients, so that it can be a posterior.
        real_density: whether it is a density on all real numbers, so that it can be the prior of a
            level.
    """

    reparameterised: ClassVar[bool] = False
    real_density: ClassVar[bool] = False

    @property
    def parameters(self) -> int:
        """How many values a network must give for each element of the event."""
        return 1

    @property
    def free(self) -> int:
        """How many learned numbers are shared by all examples."""
        return 0

    @abstractmethod
    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        """The distribution with these parameters.

        Args:
            values: `parameters` tensors of shape (..., *event), then `free` scalars.
            event_dims: how many of the last dimensions are the event.
        """

    def of_rows(self, natural: DeferredLinear, free: Sequence[Tensor]) -> Distribution:
        """The distribution of sparse rows (..., I) with these parameters, one for each element.

        Raises:
            ConfigError: it would take a dense copy.
        """
        raise ConfigError(
            f"{type(self).__name__} with these settings has no likelihood for sparse rows; "
            "allowed: Multinomial, Bernoulli, Normal with a variance that is a number or 'shared' "
            "and the mean 'identity'"
        )

    def natural(self, mean: Tensor) -> Tensor | None:
        """What a network must say for this mean of the data, (*event), or None where that is not
        known.
        """
        return None

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        """Why data in [low, high] (on a grid of `levels` values, None for real numbers) cannot have
        this likelihood.
        """
        return None

    def caveat(self, low: float, high: float, levels: int | None) -> str | None:
        """What a report must say of this likelihood on such data, or None where it is a proper one."""
        return None


def bounded(log_scale: Tensor, limit: float = 20.0) -> Tensor:
    """The identity on [-limit, limit]; beyond, it grows like a logarithm: `exp` of it stays finite
    for any |x| < 1e15.

    Unlike a clamp its gradient never becomes 0: it falls like 1 / (distance to the limit).
    """
    inner = log_scale.clamp(-limit, limit)
    return inner + torch.asinh(log_scale - inner)


def _squash(mean: Tensor, how: str) -> Tensor:
    return torch.sigmoid(mean) if how == "sigmoid" else mean


def _outside_unit(name: str, low: float, high: float) -> str | None:
    if low < 0 or high > 1:
        return (
            f"{name} needs values in [0, 1], got [{low:g}, {high:g}]; Normal takes any real numbers"
        )
    return None


def _grid(levels: int | None) -> str | None:
    """The caveat of a density on values that lie on a grid: it can be raised without limit, and is
    no probability.
    """
    if levels is None:
        return None
    return f"a density on values that lie on a grid of {levels} levels; comparable only with densities on the same values"


class _Rows(Distribution):
    """A distribution of sparse rows x by its natural parameters l: log p(x) is a function of <x,
    l>, of a sum over l, and of x.

    Args:
        natural: l, (..., I).
        kind: the sum.
        log_prob: of <x, l>, the sum, and x.
        dense: the same distribution for dense rows, of l computed.
    """

    arg_constraints = {}  # noqa: RUF012

    def __init__(
        self,
        natural: DeferredLinear,
        kind: Reduction,
        log_prob: Callable[[Tensor, Tensor, SparseRows], Tensor],
        dense: Callable[[Tensor], Distribution],
    ) -> None:
        self.natural, self.kind, self.formula, self.dense = natural, kind, log_prob, dense
        super().__init__(natural.shape[:-1], natural.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor | SparseRows) -> Tensor:
        if isinstance(value, SparseRows):
            return self.formula(*self.natural.terms(value, self.kind), value)
        return self.dense(self.natural.tensor()).log_prob(value)

    @property
    def mean(self) -> Tensor:
        return self.dense(self.natural.tensor()).mean

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        return self.dense(self.natural.tensor()).sample(sample_shape)


class _Gaussian(_Normal):
    """The normal distribution by its log scale. That of torch takes the log of the scale again, and
    squares it, at each call.
    """

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc, self.log_scale, self.scale = (
            loc,
            log_scale,
            torch.exp(log_scale).expand(loc.shape),
        )
        Distribution.__init__(self, loc.shape, validate_args=False)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        noise = draw_shared(
            lambda whole: _standard_normal(whole.shape, whole.dtype, whole.device),
            self.loc.new_empty(shape),
            -2,
        )
        return self.loc + noise * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return torch.addcmul(-self.log_scale - math.log(2 * math.pi) / 2, z, z, value=-0.5)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "_Gaussian":
        return _Gaussian(self.loc.expand(batch_shape), self.log_scale)


@register_kl(_Gaussian, _Gaussian)
def _kl_gaussian(q: _Gaussian, p: _Gaussian) -> Tensor:
    difference, z = q.log_scale - p.log_scale, (q.loc - p.loc) / p.scale
    return torch.addcmul(torch.expm1(2 * difference), z, z) / 2 - difference


@checked
class Normal(Family):
    """Independent normal distributions.

    Args:
        variance: `"learned"` by the network for each element; `"shared"`, one learned number; or a
            fixed number (`variance=0.5` makes -log p(x) the squared error, up to a constant).
        mean: `"sigmoid"` keeps the mean in (0, 1).
    """

    reparameterised: ClassVar[bool] = True
    real_density: ClassVar[bool] = True

    variance: Literal["learned", "shared"] | float = "learned"
    mean: Literal["identity", "sigmoid"] = "identity"

    def __post_init__(self) -> None:
        if not isinstance(self.variance, str) and self.variance <= 0:
            raise ValueError(
                f"variance must be 'learned', 'shared' or a number above 0, got {self.variance:g}"
            )

    @property
    def parameters(self) -> int:
        return 2 if self.variance == "learned" else 1

    @property
    def free(self) -> int:
        return 1 if self.variance == "shared" else 0

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        mean = _squash(values[0], self.mean)
        return Independent(
            _Gaussian(mean, self._log_scale(values)), event_dims, validate_args=False
        )

    def of_rows(self, natural: DeferredLinear, free: Sequence[Tensor]) -> Distribution:
        if self.variance == "learned" or self.mean != "identity":
            return super().of_rows(natural, free)
        log_scale = self._log_scale((natural.bias, *free))

        def log_prob(inner: Tensor, squares: Tensor, x: SparseRows) -> Tensor:
            error = squares - 2 * inner + x.with_values(x.values.square()).sums()
            return -error / (2 * torch.exp(2 * log_scale)) - x.width * (
                log_scale + math.log(2 * math.pi) / 2
            )

        return _Rows(natural, "square", log_prob, lambda means: self((means, *free), 1))

    def natural(self, mean: Tensor) -> Tensor | None:
        return mean if self.mean == "identity" and self.variance != "learned" else None

    def _log_scale(self, values: Sequence[Tensor]) -> Tensor:
        """log sigma, from values[1] = log sigma^2 (Kingma & Welling 2013, appendix C) where it is
        learned.
        """
        if isinstance(self.variance, str):
            return bounded(values[1]) / 2
        return values[0].new_tensor(math.log(self.variance) / 2)

    def caveat(self, low: float, high: float, levels: int | None) -> str | None:
        return _grid(levels)


class _CrossEntropy(torch.autograd.Function):
    """(l, x) -> sum over the last dimension of x l - log(1 + exp(l)): a log-likelihood of Bernoulli
    variables from logits.

    By hand, because it is the largest elementwise work of a model of images: half the time of the
    general function, which gives each term by itself. log(1 + exp(l)) = max(l, 0) - log
    sigmoid(|l|) is exact to the precision of l in absolute terms.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        size = logits.abs()
        linear = size.sum(-1) / 2 + ((0.5 - x) * logits).sum(-1)  # max(l, 0) - x l
        return size.sigmoid_().log_().sum(-1) - linear

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, x = ctx.saved_tensors
        by = by.unsqueeze(-1)
        by_x = (by * logits).sum_to_size(x.shape) if ctx.needs_input_grad[1] else None
        return ((x - logits.sigmoid()) * by).sum_to_size(logits.shape), by_x


class _Bernoullis(Independent):
    """Independent Bernoulli variables as one event."""

    def log_prob(self, value: Tensor) -> Tensor:
        if not self.reinterpreted_batch_ndims:
            return super().log_prob(value)
        logits = self.base_dist.logits.flatten(-self.reinterpreted_batch_ndims)
        precise = logits if logits.dtype == torch.float64 else logits.float()
        return _CrossEntropy.apply(
            precise, value.flatten(-self.reinterpreted_batch_ndims).to(precise.dtype)
        )


@checked
class Bernoulli(Family):
    """Independent Bernoulli variables, from logits. On grey values in [0, 1] it is the cross
    entropy, not a likelihood.
    """

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        return _Bernoullis(
            _Bernoulli(logits=values[0], validate_args=False), event_dims, validate_args=False
        )

    def of_rows(self, natural: DeferredLinear, free: Sequence[Tensor]) -> Distribution:
        return _Rows(
            natural,
            "softplus",
            lambda inner, softplus, x: inner - softplus,
            lambda logits: self((logits,), 1),
        )

    def natural(self, mean: Tensor) -> Tensor | None:
        return torch.logit(mean, eps=1e-6)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return _outside_unit("Bernoulli", low, high)

    def caveat(self, low: float, high: float, levels: int | None) -> str | None:
        if levels == 2:
            return None
        return "Bernoulli on grey values is a cross entropy, not a likelihood; use data.binarize or ContinuousBernoulli"


class _Multinomial(Distribution):
    """One draw from I categories, as a vector of counts; `log_prob` takes the counts of any number
    of draws, in one order.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.one_hot

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        split = logits.dim() - event_dims
        self.log_probabilities = logits.flatten(split).log_softmax(-1).view_as(logits)
        super().__init__(logits.shape[:split], logits.shape[split:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.log_probabilities).flatten(-len(self.event_shape)).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.log_probabilities.exp()

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        flat = self.mean.flatten(self.mean.dim() - len(self.event_shape))
        drawn = OneHotCategorical(flat, validate_args=False).sample(sample_shape)
        return drawn.view(self._extended_shape(sample_shape))


@checked
class Multinomial(Family):
    """Counts of draws from one categorical variable over the elements of the event, from logits
    (Liang et al. 2018, eq. 2).

    log p(x) = sum_i x_i log softmax_i is the log-probability of the draws in one given order: it
    has no multinomial coefficient.
    """

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        return _Multinomial(values[0], event_dims)

    def of_rows(self, natural: DeferredLinear, free: Sequence[Tensor]) -> Distribution:
        return _Rows(
            natural,
            "logsumexp",
            lambda inner, total, x: inner - x.sums() * total,
            lambda logits: self((logits,), 1),
        )

    def natural(self, mean: Tensor) -> Tensor | None:
        return torch.log(mean.clamp(min=1e-7 * mean.max()))

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return (
            f"Multinomial needs counts or weights of 0 or more, got [{low:g}, {high:g}]"
            if low < 0
            else None
        )


class _ContinuousBernoulli(Distribution):
    """p(x) = t exp(t x) / (exp(t) - 1) on [0, 1] with logit t.

    That of torch clamps the probability, so that its density does not integrate to one at |t| > 15,
    where black pixels are.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.small = (
            logits.abs() < 1e-2
        )  # there, by series: both parts of the closed forms go to infinity
        self.t = torch.where(self.small, 1.0, logits)
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        size = self.t.abs()
        log_norm = F.relu(self.t) + torch.log(-torch.expm1(-size) / size)
        series = self.logits / 2 + self.logits**2 / 24
        return self.logits * value - torch.where(self.small, series, log_norm)

    @property
    def mean(self) -> Tensor:
        return torch.where(
            self.small, 0.5 + self.logits / 12, -1 / torch.expm1(-self.t) - 1 / self.t
        )

    @property
    def variance(self) -> Tensor:
        large = 1 / self.t**2 - 1 / (4 * torch.sinh(self.t / 2) ** 2)
        return torch.where(self.small, 1 / 12 - self.logits**2 / 240, large)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        u = torch.rand(self._extended_shape(sample_shape), dtype=self.t.dtype, device=self.t.device)
        size = (
            self.t.abs()
        )  # the inverse of the distribution function for t > 0; for t < 0 mirrored
        x = (1 + torch.log(u + (1 - u) * torch.exp(-size)) / size).clamp(0, 1)
        return torch.where(self.small, u, torch.where(self.t > 0, x, 1 - x))


@checked
class ContinuousBernoulli(Family):
    """The continuous Bernoulli, the density on [0, 1] that grey values want (Loaiza-Ganem &
    Cunningham 2019).
    """

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        return Independent(_ContinuousBernoulli(values[0]), event_dims, validate_args=False)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return _outside_unit("ContinuousBernoulli", low, high)

    def caveat(self, low: float, high: float, levels: int | None) -> str | None:
        return _grid(levels)


class _Delta(Distribution):
    """All mass at one point. Against any density its KL divergence is infinite: an autoencoder has
    no bound.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.real
    has_rsample = True

    def __init__(self, point: Tensor, event_dims: int) -> None:
        self.point = point
        split = point.dim() - event_dims
        super().__init__(point.shape[:split], point.shape[split:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.point

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.point)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        return self.point.expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        at_point = (value == self.point).flatten(value.dim() - len(self.event_shape)).all(-1)
        return torch.where(at_point, math.inf, -math.inf).to(value.dtype)


@register_kl(_Delta, Distribution)
def _kl_delta(q: _Delta, p: Distribution) -> Tensor:
    shape = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    return q.point.new_full(shape, math.inf)


@checked
class Delta(Family):
    """A single point: the posterior of a plain autoencoder. It goes with the objective
    `Reconstruction`.
    """

    reparameterised: ClassVar[bool] = True

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        return _Delta(values[0], event_dims)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return "Delta has no density: it can be a posterior, not a likelihood; use Normal(variance=0.5) for squared error"


class _DiscretizedLogistic(Distribution):
    """A logistic variable rounded to the grid {0, 1/(levels-1), ..., 1}; both tails belong to the
    ends of the grid.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.unit_interval

    def __init__(self, mean: Tensor, scale: Tensor, levels: int) -> None:
        self.location, self.scale, self.levels, self.step = mean, scale, levels, 1 / (levels - 1)
        super().__init__(mean.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)), which never cancels.
        upper = F.logsigmoid((value - self.location + self.step / 2) / self.scale)
        lower = F.logsigmoid((self.location - value + self.step / 2) / self.scale)
        width = torch.log(-torch.expm1(-self.step / self.scale))
        first, last = value < self.step / 2, value > 1 - self.step / 2
        return torch.where(first, upper, torch.where(last, lower, upper + lower + width))

    @property
    def mean(self) -> Tensor:
        edges = ((k + 0.5) * self.step for k in range(self.levels - 1))
        total = torch.zeros_like(self.location)
        for edge in edges:  # E[X] = step * sum over edges of P(X > edge)
            total += torch.sigmoid((self.location - edge) / self.scale)
        return total * self.step

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            uniform = torch.rand(
                self._extended_shape(sample_shape),
                dtype=self.location.dtype,
                device=self.location.device,
            )
            value = self.location + self.scale * torch.logit(
                uniform, eps=torch.finfo(uniform.dtype).tiny
            )
            return (value / self.step).round().clamp(0, self.levels - 1) * self.step


@checked
class DiscretizedLogistic(Family):
    """A true probability for pixels of `levels` values: the logistic distribution, rounded (Kingma
    et al. 2016).
    """

    levels: int = Field(default=256, ge=2)
    mean: Literal["identity", "sigmoid"] = "sigmoid"

    @property
    def parameters(self) -> int:
        return 2

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        mean, scale = _squash(values[0], self.mean), torch.exp(bounded(values[1], 7.0))
        return Independent(
            _DiscretizedLogistic(mean, scale, self.levels), event_dims, validate_args=False
        )

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        if levels == self.levels:
            return None
        got = "real numbers" if levels is None else f"{levels} levels"
        return f"DiscretizedLogistic(levels={self.levels}) needs values on a grid of {self.levels} levels, got {got}"


AnyFamily = Annotated[Family, part(__name__, Family)]
