"""The VampPrior: a mixture of the posteriors of learned pseudo-inputs."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    constraints,
)
from torch.distributions import Normal as _Normal

from ..batch import Values
from ..errors import ConfigError
from ..families import Family, FlowPosterior, Place
from ..sparse import SparseLinear, SparseRows
from ..specs.checked import checked
from ..system.tracing import is_exporting
from .base import Prior, StartsFromData

MARGIN = 0.02
"""Pseudo-inputs in [0, 1] start so far inside, where the logit is finite and the sigmoid not flat.

A pixel that starts at 0 or 1 starts at 0.02 or 0.98.
"""


class NormalMixture(Distribution):
    """A mixture of diagonal normal distributions with many components.

    Its density is two matrix products in float64, which take a fraction of the time and the memory
    of (..., C, d) differences. In float32 they would cancel: z^2 / sigma^2 is 1e5 and more where
    sigma is 0.01, and what is left of it is a few nats.

    Args:
        mean: (C, d).
        scale: standard deviations, (C, d).
        log_weights: logarithms of the weights, which sum to one, (C,).
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support: ClassVar[constraints.Constraint] = constraints.real_vector

    def __init__(self, mean: Tensor, scale: Tensor, log_weights: Tensor) -> None:
        self.means = mean
        self.scales = scale
        self.log_weights = log_weights
        super().__init__(torch.Size(), mean.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        if value.device.type == "mps":  # which has no float64
            log_densities = _by_differences(value, self.means, self.scales)
        else:
            log_densities = _by_products(value, self.means, self.scales)
        joint = log_densities + self.log_weights.to(log_densities.dtype)
        result = torch.logsumexp(joint, -1)
        return result.to(torch.promote_types(value.dtype, torch.float32))

    @torch.no_grad()
    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        shape = torch.Size(sample_shape)
        which = Categorical(logits=self.log_weights, validate_args=False).sample(shape)
        noise = torch.randn_like(self.means[which])
        return self.means[which] + noise * self.scales[which]

    def cooled(self, temperature: float) -> "NormalMixture":
        """Returns the mixture with all standard deviations multiplied by a temperature."""
        return NormalMixture(self.means, self.scales * temperature, self.log_weights)

    @property
    def mean(self) -> Tensor:
        return self.log_weights.exp() @ self.means

    @property
    def variance(self) -> Tensor:
        second = self.means.square() + self.scales.square()
        return self.log_weights.exp() @ second - self.mean.square()


def _by_products(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Computes log N(z; mean_c, scale_c^2) by matrix products in float64, (..., C)."""
    values = z.double()
    precision = scale.double().reciprocal().square()
    weighted_mean = mean.double() * precision
    squares = values.square() @ precision.T
    products = values @ weighted_mean.T
    constant = (mean.double() * weighted_mean).sum(-1) + 2 * _log_norm(scale.double())
    return products - (squares + constant) / 2


def _by_differences(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Computes log N(z; mean_c, scale_c^2) by differences in the type of z, (..., C)."""
    standard = (z.unsqueeze(-2) - mean) / scale
    return -standard.square().sum(-1) / 2 - _log_norm(scale)


def _log_norm(scale: Tensor) -> Tensor:
    """Computes the logarithm of what normalises each component, (C,)."""
    return scale.log().sum(-1) + scale.shape[-1] * math.log(2 * math.pi) / 2


@contextmanager
def _without_noise(module: nn.Module) -> Iterator[None]:
    """Puts a module in evaluation mode, so that its dropout is off."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


class _Kept(NamedTuple):
    """A mixture, and the state of all weights that it was made with."""

    state: tuple[Any, ...]
    mixture: Distribution


class _VampPrior(StartsFromData):
    """The mixture of the posteriors of the pseudo-inputs.

    Attributes:
        inputs: what the pseudo-inputs are made of, (C, *context): they themselves, or their logits.
        is_unit: whether the pseudo-inputs are in [0, 1], as the examples are that it started from.
        logits: of the weights, (C,), where they are learned.
    """

    is_unit: Tensor

    def __init__(self, spec: "VampPrior", posterior: nn.Module, context: tuple[int, ...]) -> None:
        super().__init__()
        self.examples_wanted = spec.components
        self.from_data = spec.start == "data"
        self.inputs = nn.Parameter(torch.randn(spec.components, *context))
        self.register_buffer("is_unit", torch.tensor(False))
        self.logits: nn.Parameter | None = None
        if spec.weights == "learned":
            self.logits = nn.Parameter(torch.zeros(spec.components))
        self._posterior = (posterior,)  # in a tuple, so that its weights are registered once
        self._kept: _Kept | None = None

    @torch.no_grad()
    def start_from(self, x: Values) -> None:
        """Learns the range of the examples, and starts at them if the pseudo-inputs are to.

        Pseudo-inputs for which there is no example stay noise.
        """
        if isinstance(x, SparseRows):
            raise ConfigError(_REFUSED_ROWS)
        self.is_unit.fill_(bool(x.min() >= 0) and bool(x.max() <= 1))
        if not self.from_data:
            return
        examples = x[: len(self.inputs)].to(self.inputs)
        if self.is_unit:
            examples = torch.logit(examples, eps=MARGIN)
        self.inputs[: len(examples)] = examples

    def train(self, mode: bool = True) -> "_VampPrior":
        """Sets the mode, and forgets the mixture that was kept."""
        self._kept = None
        return super().train(mode)

    def pseudo_inputs(self) -> Tensor:
        """Returns the pseudo-inputs, (C, *context), as the posterior sees them."""
        return torch.where(self.is_unit, torch.sigmoid(self.inputs), self.inputs)

    def forward(self, context: Any = None) -> Distribution:
        if self.training or torch.is_grad_enabled() or self.inputs.is_inference():
            return self._mixture()
        if is_exporting():
            return self._mixture_of_graph()
        # Many chunks of examples are measured with the same weights: they are encoded once.
        state = self._state()
        if self._kept is None or self._kept.state != state:
            self._kept = _Kept(state, self._mixture())
        return self._kept.mixture

    def _mixture_of_graph(self) -> Distribution:
        """Returns the mixture that is kept, which a graph then holds as numbers, if there is one.

        Whether it is that of the present weights cannot be asked: tensors that are traced have no
        state.
        """
        if self._kept is not None:
            return self._kept.mixture
        return self._mixture()

    def _state(self) -> tuple[Any, ...]:
        """Returns what changes whenever a weight does."""
        weights = [self.is_unit, *self.parameters(), *self._posterior[0].parameters()]
        places = [(weight.data_ptr(), weight._version, weight.dtype) for weight in weights]
        return (*places, torch.is_autocast_enabled(self.inputs.device.type))

    def _mixture(self) -> Distribution:
        """Encodes the pseudo-inputs without noise and mixes their posteriors."""
        posterior: Any = self._posterior[0]
        with _without_noise(posterior):
            components = posterior.clean(self.pseudo_inputs())
        logits = self.inputs.new_zeros(len(self.inputs))
        if self.logits is not None:
            logits = self.logits
        if isinstance(components, Independent) and isinstance(components.base_dist, _Normal):
            normal = components.base_dist
            return NormalMixture(normal.mean, normal.stddev, logits.log_softmax(-1))
        weights = Categorical(logits=logits, validate_args=False)
        return MixtureSameFamily(weights, components, validate_args=False)


_REFUSED_ROWS = (
    "a VampPrior is for images and tables, whose posterior takes dense examples; got sparse rows; "
    "for interactions set model.prior to StandardNormal, Mixture or Composite"
)


@checked
class VampPrior(Prior):
    """A mixture of the posteriors q(z | u) of learned pseudo-inputs u (Tomczak & Welling 2018).

    p(z) = sum_c w_c q(z | u_c), where q sees the pseudo-inputs without the noise of the encoder.
    They are what the posterior of the top level sees: images, the features of a table, or values of
    the level below. Where the examples are in [0, 1], so are they, by a sigmoid; elsewhere they
    are free. It has no closed-form KL.

    Args:
        components: number of pseudo-inputs. A step encodes them beside its batch.
        start: "data": each starts at a training example; "noise": at noise.
        weights: "uniform", or "learned".
    """

    components: int = Field(default=500, ge=1)
    start: Literal["data", "noise"] = "data"
    weights: Literal["uniform", "learned"] = "uniform"

    def build(self, place: Place) -> nn.Module:
        if place.posterior is None or place.context is None:
            raise ConfigError(
                "a VampPrior is built together with the posterior of its level, got none"
            )
        if any(isinstance(part, SparseLinear) for part in place.posterior.modules()):
            raise ConfigError(_REFUSED_ROWS)
        return _VampPrior(self, place.posterior, place.context)

    def refuses_posterior(self, family: Family) -> str | None:
        if not family.has_density:
            return f"a VampPrior needs a posterior with a density, got {type(family).__name__}"
        if isinstance(family, FlowPosterior) and family.flow == "IAF":
            return (
                "a VampPrior asks for the density of the posterior at any z, for which an IAF is "
                "inverted one dimension after the other; set model.posterior.flow='RealNVP'"
            )
        return None
