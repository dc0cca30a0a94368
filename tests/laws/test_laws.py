"""The laws, over the whole catalogue: a new family, network, noise, prior, objective, schedule,
recommender or imputer is tested the day it exists. Trackers are in test_tracking.py, sources in
test_sources_law.py, topologies and heads in test_contracts.py.

A class is run with its defaults; the variants below add settings that take another path through its
code.
"""

import importlib.util
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowerbound import testing
from lowerbound.baselines import (
    KNN,
    Als,
    Baseline,
    Ease,
    FittedImputer,
    GaussianEM,
    Imputer,
    Iterative,
    Popularity,
)
from lowerbound.columns.families import (
    ColumnDistribution,
    ColumnFamily,
    CumulativeLogits,
    Gaussian,
    StudentT,
)
from lowerbound.families import (
    DiscretizedLogistic,
    Family,
    FlowPosterior,
    MixtureLogistic,
    Normal,
    base,
)
from lowerbound.networks import MLP, Conv, ResNet
from lowerbound.networks.base import Network
from lowerbound.networks.ladders import ConvLadder, Ladder, MLPLadder
from lowerbound.noise import Dropout, Noise
from lowerbound.objectives import Elbo, Objective
from lowerbound.priors import FlowPrior, Mixture, Prior, StandardNormal, VampPrior
from lowerbound.schedules import Constant, Cosine, Linear, OneCycle, Schedule
from lowerbound.sparse import SparseRows
from lowerbound.specs.registry import members
from lowerbound.testing.baselines import make_interactions

SHAPES = [(1, 28, 28), (1, 28, 20), (3, 33, 47), (3, 64, 64), (1, 5, 3)]


def everything(module, base, *variants):
    """All final classes of the catalogue with their defaults, and then the variants."""
    found = [cls() for cls in members(f"lowerbound.{module}", base).values()]
    assert found, f"lowerbound.{module} has no {base.__name__}"
    return pytest.mark.parametrize("part", [*found, *variants], ids=repr)


LIBRARIES = {Als: "implicit", FlowPosterior: "zuko", FlowPrior: "zuko"}
"""The optional libraries of some parts."""


def needs_its_library(part):
    library = LIBRARIES.get(type(part))
    if library is not None and importlib.util.find_spec(library) is None:
        pytest.skip(f"the library {library} is not installed")


@everything(
    "families",
    Family,
    Normal(variance="shared"),
    Normal(variance=0.5),
    Normal(mean="sigmoid"),
    DiscretizedLogistic(levels=2),
    DiscretizedLogistic(levels=5, mean="identity"),
    DiscretizedLogistic(scale="shared"),
    MixtureLogistic(components=1, levels=2),
    MixtureLogistic(components=3, levels=50),
    FlowPosterior("RealNVP"),
)
def test_family(part):
    needs_its_library(part)
    testing.check_family(part)


@everything(
    "columns.families",
    ColumnFamily,
    Gaussian(scale="shared"),
    StudentT(scale="shared"),
    CumulativeLogits(scale="learned"),
)
def test_column_family(part):
    testing.check_column_family(part)


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


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 7)], ids=str)
@everything(
    "networks.ladders",
    Ladder,
    MLPLadder(6, 2, "free", "tanh"),
    MLPLadder(6, 0, "precision"),
    ConvLadder(4, (1, 2), 1, 0, 1, "bottleneck"),
    ConvLadder((4, 6), (2, 1), 2, 1, 1, "basic", "free"),
    ConvLadder(4, (1,), 3, 0, 0, "basic", "precision"),
)
def test_ladder(part, shape):
    levels = sum(getattr(part, "grids", (1, 1)))
    testing.check_ladder(part, shape, (*range(1, levels + 1), 3))


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


@everything(
    "priors",
    Prior,
    Mixture(components=2, spread=4.0),
    VampPrior(components=3, start="noise", weights="learned"),
    FlowPrior("NSF"),
)
def test_prior(part):
    needs_its_library(part)
    testing.check_prior(part)


@everything(
    "objectives",
    Objective,
    Elbo(beta=4.0),
    Elbo(beta=Linear(stop=0.2)),
    Elbo(free_bits=1.7),
    Elbo(free_bits=Linear(2.0, 0.0, 20)),
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


@everything("baselines", Baseline, Ease(l2=0.5), Als(factors=4, alpha=3.0))
def test_baseline(part):
    needs_its_library(part)
    testing.check_baseline(part)


@pytest.mark.parametrize("part", [Popularity(), Ease(l2=20.0)], ids=repr)
def test_the_order_of_training_users_is_nothing_to_a_closed_form(part):
    matrix = make_interactions()
    rows = SparseRows.of(matrix)
    scores = part.fit(matrix)(rows)
    torch.testing.assert_close(part.fit(matrix[::-1])(rows), scores, atol=1e-5, rtol=0)


@everything(
    "baselines",
    Imputer,
    GaussianEM(ridge=0.1),
    KNN(1),
    KNN(5, weights="distance"),
    Iterative("trees", rounds=2, trees=5),
    Iterative("trees", rounds=2, trees=5, candidates="all", leaf=3),
)
def test_imputer(part):
    testing.check_imputer(part)


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


class FaultyNormal(torch.nn.Module):
    """A standard normal prior with one fault."""

    def __init__(self, size, fault):
        super().__init__()
        self.fault = fault
        self.location = torch.nn.Parameter(torch.zeros(size))
        self.calls = 0

    def forward(self, context=None):
        location = self.location
        if self.fault == "forward" and context is None:
            self.calls += 1
            location = location + self.calls
        if self.fault == "batch":
            location = location.unsqueeze(0)
        if self.fault == "dead weight":
            location = location.detach()
        d = Normal(variance=1.0)((location,), 1)
        scales = {"density": (1.0, 0.5), "samples": (2.0, 1.0)}
        if self.fault in scales:
            return _Scaled(d, *scales[self.fault])
        return d


@dataclass(frozen=True)
class FaultyPrior(Prior):
    """A prior with one fault."""

    fault: str

    def build(self, place):
        module = FaultyNormal(place.size, self.fault)
        if self.fault == "unsaved":
            module.location = None
            shift = torch.randn(place.size)
            module.forward = lambda context=None: Normal(variance=1.0)((shift.double(),), 1)
        return module


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("batch", "batch"),
        ("forward", "differ"),
        ("dead weight", "no gradient reaches parameter 1"),
        ("unsaved", "after saving and loading"),
        ("density", "integral of the density"),
        ("samples", "moment"),
    ],
)
def test_a_faulty_prior_is_refused(fault, message):
    testing.check_prior(StandardNormal())
    with pytest.raises(AssertionError, match=message):
        testing.check_prior(FaultyPrior(fault))


class FaultyScorer:
    """Scores of popularity with one fault."""

    def __init__(self, fault, counts):
        self.fault = fault
        self.counts = counts
        self.calls = 0

    def __call__(self, history):
        self.calls += 1
        scores = self.counts.repeat(len(history), 1)
        if self.fault == "type":
            return scores.double()
        if self.fault == "shape":
            return scores[:1]
        if self.fault == "not finite":
            return scores / history.dense().sum(1, keepdim=True)
        if self.fault == "one tensor":
            if self.calls == 1:
                self.first = scores
            return self.first
        if self.fault == "another call":
            return scores + self.calls
        if self.fault == "histories":
            history.values.mul_(2)
        if self.fault == "order":
            return scores + torch.arange(len(history)).unsqueeze(1)
        if self.fault == "batch":
            return scores * len(history)
        return scores


@dataclass(frozen=True)
class FaultyBaseline(Baseline):
    """A baseline with one fault."""

    fault: str

    def fit(self, matrix):
        counts = torch.from_numpy(np.asarray(matrix.sum(0), dtype=np.float32).ravel())
        if self.fault == "matrix":
            matrix.data[:] = 2
        if self.fault == "another fit":
            counts = counts + torch.rand(1)
        return FaultyScorer(self.fault, counts)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("matrix", "fit changed its matrix"),
        ("another fit", "two fits to the same matrix differ"),
        ("type", "of torch.float64"),
        ("shape", r"gave scores \(1, 12\)"),
        ("not finite", "scores that are not finite"),
        ("one tensor", "two calls give the same tensor"),
        ("another call", "two calls with the same histories differ"),
        ("histories", "scoring changed the histories"),
        ("order", "the order of users matters"),
        ("batch", "depend on others in the batch"),
    ],
)
def test_a_faulty_baseline_is_refused(fault, message):
    testing.check_baseline(FaultyBaseline("none"))
    with pytest.raises(AssertionError, match=message):
        testing.check_baseline(FaultyBaseline(fault))


class FaultyFitted(FittedImputer):
    """Fills gaps with the least value of a column, with one fault."""

    def __init__(self, fault, table, kinds):
        self.fault = fault
        self.kinds = kinds
        self.fillings = np.nanmin(table, axis=0)
        if fault == "another fit":
            self.fillings[0] += np.random.default_rng().random()
        if fault == "unit":
            self.fillings[0] = 1.0

    def impute(self, values):
        filled = np.where(np.isnan(values), self.fillings, values)
        if self.fault == "table":
            values[:] = 0
        if self.fault == "shape":
            return filled[1:]
        if self.fault == "type":
            return filled.astype(np.float32)
        if self.fault == "gaps":
            return np.array(values)
        if self.fault == "known":
            return np.nextafter(filled, 1e9)
        if self.fault == "levels":
            filled[np.isnan(values)] = 0.5
        if self.fault == "complete" and not np.isnan(values).any():
            return np.array(filled[::-1])
        if self.fault == "order":
            filled[np.isnan(values)] = np.isnan(values[0]).any()
        if self.fault == "batch" and len(values) == 1:
            filled[np.isnan(values)] = 0.0
        return filled

    def _complete(self, table):
        raise NotImplementedError


@dataclass(frozen=True)
class FaultyImputer(Imputer):
    """An imputer with one fault."""

    fault: str

    def fit(self, values, kinds=None):
        fitted = FaultyFitted(self.fault, values, kinds)
        if self.fault == "fit":
            values[:] = 0
        return fitted

    def _fit(self, table, kinds):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("fit", "fit changed its table"),
        ("table", "impute changed its table"),
        ("shape", r"gave \(59, 5\)"),
        ("type", "of float32"),
        ("gaps", "left gaps"),
        ("known", "changed values that are known"),
        ("levels", "with none of its levels"),
        ("complete", "without gaps was changed"),
        ("another fit", "two fits to the same table differ"),
        ("order", "the order of rows matters"),
        ("batch", "depends on the other rows"),
        ("unit", "the unit of a column matters"),
    ],
)
def test_a_faulty_imputer_is_refused(fault, message):
    testing.check_imputer(FaultyImputer("none"))
    with pytest.raises(AssertionError, match=message):
        testing.check_imputer(FaultyImputer(fault))


class FaultyColumns(ColumnDistribution):
    """Distributions of columns with one fault."""

    def __init__(self, inner, fault):
        self.inner = inner
        self.fault = fault
        super().__init__(inner.batch_shape, validate_args=False)

    def log_prob(self, value):
        log_prob = self.inner.log_prob(value)
        if self.fault == "density":
            return log_prob + 0.1
        if self.fault == "clipped":
            return log_prob.clamp(min=-1e4).double() * (
                1 + 1e-3 * (log_prob.dtype == torch.float32)
            )
        if self.fault == "event":
            return log_prob.sum(-1)
        if self.fault == "not finite":
            return torch.where(log_prob < -1e4, -torch.inf, log_prob)
        return log_prob

    def sample(self, sample_shape=()):
        samples = self.inner.sample(torch.Size(sample_shape))
        if self.fault == "samples":
            return samples + 0.5
        return samples

    @property
    def mean(self):
        if self.fault == "mean":
            return self.inner.mean + 0.1
        return self.inner.mean

    @property
    def probabilities(self):
        if self.fault == "levels":
            return self.inner.mean.unsqueeze(-1)
        return None


class FaultyHead(torch.nn.Module):
    """Makes distributions with one fault."""

    def __init__(self, inner, fault):
        super().__init__()
        self.inner = inner
        self.fault = fault

    def forward(self, parameters):
        if self.fault == "dead weight":
            parameters = torch.cat([parameters[..., :1], 0 * parameters[..., 1:]], dim=-1)
        if self.fault == "start":
            parameters = torch.cat([parameters[..., :1] + 3, parameters[..., 1:]], dim=-1)
        return FaultyColumns(self.inner(parameters), self.fault)


@dataclass(frozen=True)
class FaultyColumnFamily(ColumnFamily):
    """A family of real columns with one fault."""

    kinds = ("real",)
    fault: str

    def parameters(self, column):
        return 2

    def head(self, columns):
        return FaultyHead(Gaussian().head(columns), self.fault)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("density", r"probabilities sum to 1\.1"),
        ("clipped", "does not keep the type"),
        ("event", "log_prob has shape"),
        ("not finite", "log_prob is not finite"),
        ("samples", "frequencies of samples differ"),
        ("mean", "mean against log_prob"),
        ("levels", "probabilities are for levels"),
        ("dead weight", "no gradient reaches parameter 1"),
        ("start", "the median at the start"),
    ],
)
def test_a_faulty_family_of_columns_is_refused(fault, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_column_family(FaultyColumnFamily(fault))
