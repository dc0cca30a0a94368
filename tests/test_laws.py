"""The laws, over the whole catalogue: a new family, network, noise, prior, objective or schedule is
tested the day it exists.

A class is run with its defaults; the variants below add settings that take another path through its
code.
"""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowerbound import testing
from lowerbound.families import DiscretizedLogistic, Family, Normal, base
from lowerbound.networks import MLP, Conv, ResNet
from lowerbound.networks.base import Network
from lowerbound.noise import Dropout, Noise
from lowerbound.objectives import Elbo, Objective
from lowerbound.priors import Mixture, Prior
from lowerbound.schedules import Constant, Cosine, Linear, OneCycle, Schedule
from lowerbound.specs.registry import members

SHAPES = [(1, 28, 28), (1, 28, 20), (3, 33, 47), (3, 64, 64), (1, 5, 3)]


def everything(module, base, *variants):
    """All final classes of the catalogue with their defaults, and then the variants."""
    found = [cls() for cls in members(f"lowerbound.{module}", base).values()]
    assert found, f"lowerbound.{module} has no {base.__name__}"
    return pytest.mark.parametrize("part", [*found, *variants], ids=repr)


@everything(
    "families",
    Family,
    Normal(variance="shared"),
    Normal(variance=0.5),
    Normal(mean="sigmoid"),
    DiscretizedLogistic(levels=2),
    DiscretizedLogistic(levels=5, mean="identity"),
)
def test_family(part):
    testing.check_family(part)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@everything(
    "networks",
    Network,
    MLP(()),
    MLP((20, 10), "tanh", init=0.1),
    Conv((4, 6, 8), 5),
    ResNet((4, 6, 8), 1, "elu"),
)
def test_network(part, shape):
    testing.check_network(part, shape)


@pytest.mark.parametrize("shape", [(1,), (7,), (4, 3)], ids=str)
@pytest.mark.parametrize("part", [MLP((6,), "tanh"), MLP(())], ids=repr)
def test_perceptrons_take_events_of_any_rank(part, shape):
    testing.check_network(part, shape)


sizes = st.integers(1, 12)


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 3), sizes, sizes),
    channels=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    kernel_size=st.integers(1, 6),
    stride=st.integers(1, 4),
)
def test_convolutions_fit_any_image_kernel_and_stride(shape, channels, kernel_size, stride):
    """R2's published code only works for 28x28. The smooth activation is there so that no unit can
    be dead.
    """
    testing.check_network(
        Conv(tuple(channels), kernel_size, min(stride, kernel_size), "softplus"), shape
    )


@settings(max_examples=15)
@given(
    shape=st.tuples(st.integers(1, 3), sizes, sizes),
    channels=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_residual_networks_fit_any_image(shape, channels):
    testing.check_network(ResNet(tuple(channels), 1, "softplus"), shape)


@everything("noise", Noise, Dropout(0.0))
def test_noise(part):
    testing.check_noise(part)


@everything("priors", Prior, Mixture(components=2, spread=4.0))
def test_prior(part):
    testing.check_prior(part)


@everything(
    "objectives",
    Objective,
    Elbo(beta=4.0),
    Elbo(beta=Linear(stop=0.2)),
    Elbo(free_bits=1.7),
    Elbo(kl="sampled"),
    Elbo(beta=0.0),
)
def test_objective(part):
    testing.check_objective(part)


@everything(
    "schedules",
    Schedule,
    Constant(0.3),
    Linear(1.0, 0.0, 7),
    Cosine(0.1, 0.2, 0.05),
    OneCycle(0.1, 0.0, 0.0),
)
def test_schedule(part):
    testing.check_schedule(part)


@pytest.mark.parametrize("name", testing.truths())
def test_truth(name):
    """What the command `doctor` asks of an installation holds here, and asking leaves the random
    stream alone.
    """
    before = torch.get_rng_state()
    assert testing.truths()[name]() <= testing.TOLERANCE
    assert torch.equal(before, torch.get_rng_state())


# A check that nothing can fail is no check: parts with one fault each must be refused, with the
# fault named.


@dataclass(frozen=True)
class Wrong(base.Family):
    """A Normal with one of the faults found in real code."""

    fault: str

    @property
    def parameters(self):
        return 2

    def __call__(self, values, event_dims):
        mean, log_variance = values
        if self.fault == "dead gradient":
            log_variance = log_variance.clamp(-7, 7)
        if self.fault == "constant":
            log_variance = log_variance * 0
        d = Normal()((mean, log_variance), 0 if self.fault == "event" else event_dims)
        if self.fault == "density":
            return _Scaled(d, 1.0, 0.5)
        return _Scaled(d, 2.0, 1.0) if self.fault == "samples" else d


class _Scaled(torch.distributions.Distribution):
    def __init__(self, d, samples, density):
        self.d, self.samples, self.density = d, samples, density
        self.has_rsample = True
        self.support, self.mean = d.support, d.mean
        super().__init__(d.batch_shape, d.event_shape, validate_args=False)

    support = mean = None

    def rsample(self, shape=()):
        return self.samples * self.d.rsample(shape)

    def log_prob(self, value):
        return self.density * self.d.log_prob(value)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("dead gradient", "gradient of parameter 1 is dead"),
        ("constant", "no gradient reaches parameter 1"),
        ("event", "batch"),
        ("density", "probability of everything|moment"),
        ("samples", "moment"),
    ],
)
def test_a_faulty_family_is_refused(fault, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_family(Wrong(fault))


@dataclass(frozen=True)
class MeanOverPixels(Objective):
    """A loss that averages over samples and examples but adds a term that grows with the batch."""

    def __call__(self, terms, step=float("inf"), total=1):
        return -terms.log_likelihood.mean() + terms.rate.sum()


@dataclass(frozen=True)
class WrongSign(Objective):
    """Minimises the likelihood."""

    def __call__(self, terms, step=float("inf"), total=1):
        return terms.log_likelihood.mean()


@pytest.mark.parametrize(
    ("part", "message"),
    [(MeanOverPixels(), "twice the same batch"), (WrongSign(), "must lower the loss")],
)
def test_a_faulty_objective_is_refused(part, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_objective(part)


@dataclass(frozen=True)
class Loud(Noise):
    """Noise that is also there in evaluation."""

    def __call__(self, x, training):
        return x + torch.randn_like(x)


@dataclass(frozen=True)
class InPlace(Noise):
    """Noise that also spoils the target."""

    def __call__(self, x, training):
        return x.mul_(0.5)


@pytest.mark.parametrize(
    ("part", "message"), [(Loud(), "outside training"), (InPlace(), "wrote on its input")]
)
def test_a_faulty_noise_is_refused(part, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_noise(part)


class Centred(torch.nn.Module):
    """Subtracts the mean of the batch."""

    def forward(self, x):
        return x - x.mean(0)


@dataclass(frozen=True)
class FaultyNetwork(Network):
    """A network in which the examples of a batch see each other, or one that ignores a parameter it
    has.
    """

    layer: str

    def encoder(self, shape, features, heads=1):
        module = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(torch.Size(shape).numel(), features)
        )
        if self.layer == "centred":
            module.append(Centred())
        else:
            module[1].register_parameter("extra", torch.nn.Parameter(torch.zeros(2)))
        return module

    def decoder(self, features, shape, heads=1):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("layer", "message"),
    [("centred", "depends on the others"), ("unused", "no gradient reaches 1.extra")],
)
def test_a_faulty_network_is_refused(layer, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_network(FaultyNetwork(layer), (3, 4))


@dataclass
class Thawed(Schedule):
    """A schedule that is not frozen."""

    __hash__ = object.__hash__
    value: float = 1.0

    def __call__(self, step, total):
        return self.value


def test_a_spec_that_can_change_is_refused():
    with pytest.raises(AssertionError, match="Thawed"):
        testing.check_schedule(Thawed())
