"""The proposal of the importance samples, on models whose p(x) is known: no encoder makes log p(x)
another number.
"""

import math

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import nn

from lowerbound.batch import Batch
from lowerbound.evaluation import batches, importance_log_likelihood
from lowerbound.evaluation.measure import DenseMeasures, MeasureSettings
from lowerbound.evaluation.proposal import (
    ABOUT_MODES,
    DEFENSIVE,
    POSTERIOR_ALONE,
    Proposal,
    Sampler,
    Stretch,
    fitting,
)
from lowerbound.families import Delta, Normal, Place
from lowerbound.latents import Chain
from lowerbound.model import VAE, Architecture
from lowerbound.model.conditionals import build_decoder, build_encoder
from lowerbound.networks import MLP
from lowerbound.priors import StandardNormal
from lowerbound.sparse import SparseRows
from lowerbound.testing import Rows, linear_gaussian


def with_scale(scale, levels=1, size=2, seed=0):
    """A model with its exact posteriors, stretched: p(x) stays what it is."""
    truth = linear_gaussian(levels, size=size, data=size + 3, seed=seed)
    for posterior in truth.model.latents.posteriors:
        (layer,) = (part for part in posterior.modules() if isinstance(part, nn.Linear))
        with torch.no_grad():
            layer.bias[len(layer.bias) // 2 :] += 2 * math.log(scale)
    return truth


def estimate(truth, x, samples, proposal=DEFENSIVE, seed=0):
    return importance_log_likelihood(
        truth.model, Rows(x), samples=samples, proposal=proposal, seed=seed
    )


# What it is ------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 2, 3, 7, 10, 30, 101])
def test_every_draw_is_of_one_component(samples):
    sampler = Sampler(linear_gaussian().model, DEFENSIVE, samples)
    assert sum(part.draws for part in sampler.components) == samples
    assert sampler.components[0].factor == 1


def test_the_components_of_a_hundred_draws_in_four_dimensions():
    """What the documentation of `DEFENSIVE` says: 1 + width / sqrt(d), and 1 over it."""
    sampler = Sampler(linear_gaussian(size=4).model, DEFENSIVE, 100)
    counts = [(part.draws, part.factor) for part in sampler.components]
    assert counts == [(40, 1.0), (20, 2.0), (10, 3.5), (10, 6.0), (10, 0.5), (10, None)]


def test_the_dimensions_of_all_levels_count():
    sampler = Sampler(linear_gaussian(2, size=2).model, DEFENSIVE, 100)
    assert sampler.components[1].factor == 2.0


# One with the posterior --------------------------------------------------------------------------

WITH_ANOTHER = {
    "wide": Proposal((Stretch(0.5, 2.0),)),
    "very wide": Proposal((Stretch(0.5, 10.0),)),
    "narrow": Proposal((Stretch(0.5, -2.0),)),
    "prior": Proposal((), 0.5),
    "modes": Proposal((), 0.0, (Stretch(0.3, 0.0), Stretch(0.3, 3.0))),
    "all": DEFENSIVE,
    "all about modes": ABOUT_MODES,
}


def check_agrees(found, log_evidence, samples, largest_error=0.03):
    """Each example within five standard errors by the delta method (Owen 2013, section 9.2)."""
    error = torch.sqrt((1 / found.effective - 1 / samples).clamp(min=0))
    assert error.max() < largest_error
    assert ((found.per_example - log_evidence).abs() < 5 * error + 1e-9).all()


@pytest.mark.parametrize("name", WITH_ANOTHER)
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_mean_weight_is_the_evidence(name, levels):
    """It would not be if the draws of a component were not of the density that it is given, or a
    level had been drawn given other parents than those of its density.
    """
    truth = with_scale(0.7, levels)
    x = truth.sample(5)
    found = estimate(truth, x, 30_000, WITH_ANOTHER[name])
    check_agrees(found, truth.log_evidence(x), 30_000, 0.1)


def test_it_has_no_bias_for_any_number_of_draws():
    """The mean of many estimates of p(x) from five draws each is p(x): the parts of the draws are
    those of the density.
    """
    truth = with_scale(0.6)
    x = truth.sample(1).expand(40_000, -1)
    for samples in (5, 11):
        found = estimate(truth, x, samples)
        ratio = torch.exp(found.per_example - truth.log_evidence(x[:1]))
        assert abs(ratio.mean() - 1) < 5 * ratio.std() / math.sqrt(len(x))


def test_the_prior_is_that_of_the_conditions_of_each_example():
    model, batch = conditional()
    samples = 20_000
    sampler = Sampler(model, Proposal((), 1.0), samples)
    torch.manual_seed(0)
    with torch.no_grad():
        (z,) = sampler._draw(batch, range(samples))
        prior = model.latents.priors[0](None, batch.given)
    assert z.shape == (samples, 4, 2)
    error = prior.variance.sqrt() / math.sqrt(samples)
    assert ((z.mean(0) - prior.mean).abs() < 5 * error).all()
    assert (prior.mean.std(0) > 20 * error.max()).any()
    found = importance_log_likelihood(model, Conditioned(batch), samples=100)
    assert found.per_example.isfinite().all()


class Conditioned:
    """Batches with conditions."""

    def __init__(self, whole):
        self.whole = whole

    def __len__(self):
        return len(self.whole)

    def batch(self, index, key=0):
        given = self.whole.given
        if given is not None:
            given = given[index]
        return Batch(self.whole.x[index], given)


class Seeing(nn.Module):
    """A conditional on its context and the conditions beside it."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, context, given):
        if context is None:
            context = torch.zeros(*given.shape[:-1], 0).double()
        given = given.expand(*context.shape[:-1], -1)
        return self.part(torch.cat([context, given], -1))


class PriorOfConditions(Seeing):
    def forward(self, context, given):
        return super().forward(None, given)


def conditional():
    torch.manual_seed(0)
    posterior = Seeing(build_encoder(MLP((6,)), Normal(), (7,), 2).double())
    prior = PriorOfConditions(build_encoder(MLP((6,)), Normal(), (2,), 2).double())
    decoder = Seeing(build_decoder(MLP((6,)), Normal(), 4, (5,)).double())
    model = VAE(Chain([posterior], [prior], [2]), decoder, (5,), conditions=(2,))
    given = 5 * torch.randn(4, 2).double()
    return model, Batch(torch.rand(4, 5).double(), given)


def test_draws_of_several_chunks_are_of_the_same_mixture(monkeypatch):
    """Chunks of seven events: each draw is made once, and none is like another."""
    monkeypatch.setattr(batches, "CHUNK_NUMBERS", 7 * 512)
    truth = with_scale(0.6)
    weights = []
    joint = truth.model.joint_of

    def spy(inference, batch):
        found = joint(inference, batch)
        weights.append(found.log_prob)
        return found

    monkeypatch.setattr(truth.model, "joint_of", spy)
    x = truth.sample(3)
    found = estimate(truth, x, 1_000)
    drawn = torch.cat([part.flatten() for part in weights])
    assert len(drawn) == 3_000
    assert len(drawn.unique()) == 3_000
    assert max(part.numel() for part in weights) <= 7
    check_agrees(found, truth.log_evidence(x), 1_000, 0.1)


# What it is for ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 8, 50])
@pytest.mark.parametrize("scale", [0.6, 0.8, 1.25])
def test_an_encoder_of_another_variance_has_the_same_log_likelihood(size, scale):
    """The bias of 100 draws is below 0.05 nats, where that of q alone is up to 4.2 nats."""
    truth = with_scale(scale, size=size)
    x = truth.sample(300)
    found = estimate(truth, x, 100)
    assert abs(found.log_likelihood.value - truth.log_evidence(x).mean()) < 0.05
    if scale < 1:
        alone = estimate(truth, x, 100, POSTERIOR_ALONE)
        assert (alone.per_example - truth.log_evidence(x)).mean() < 1e-2


class Split(Rows):
    """Rows that some can be taken of, as of a split."""

    def take(self, index):
        return Split(self.values[index])


def measured(truth, x):
    return DenseMeasures(truth.model, Split(x), MeasureSettings())


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("scales", [(0.5, 1.0), (1.0, 1.5), (0.4, 0.7)])
@pytest.mark.parametrize("size", [2, 40])
def test_no_difference_is_found_where_the_likelihood_is_the_same(levels, scales, size):
    """Two encoders of one model: their differences of log p(x) are of the estimates alone. With the
    draws of q they looked like nats, many standard errors from none.
    """
    first, second = (with_scale(scale, levels, size) for scale in scales)
    x = first.sample(200)
    difference = measured(second, x).difference(measured(first, x), "log_likelihood")
    assert abs(difference.value) < 3 * difference.standard_error


def test_the_posterior_alone_finds_a_difference_that_is_not_there():
    """So the test above does not pass in vain."""
    first, second = (with_scale(scale, size=10) for scale in (0.5, 1.0))
    x = first.sample(500)
    one, other = (estimate(truth, x, 100, POSTERIOR_ALONE) for truth in (first, second))
    difference = other.per_example - one.per_example
    assert difference.mean() > 1
    assert difference.mean() > 10 * difference.std() / math.sqrt(500)


@pytest.mark.parametrize(
    ("scale", "size", "proposal"),
    [
        (1.5, 50, DEFENSIVE),
        (0.8, 50, POSTERIOR_ALONE),
        (0.6, 8, POSTERIOR_ALONE),
    ],
)
def test_the_looseness_is_about_the_bias(scale, size, proposal):
    """Of 0.2 and 0.3 nats, where the bias falls like 1 / K and where it falls more slowly."""
    truth = with_scale(scale, size=size)
    x = truth.sample(500)
    found = estimate(truth, x, 100, proposal)
    bias = truth.log_evidence(x).mean() - found.log_likelihood.value
    assert bias > 0.1
    assert bias / 2 < found.looseness < 2 * bias


@pytest.mark.parametrize("samples", [1, 3])
def test_few_draws_have_no_looseness(samples):
    truth = with_scale(0.6)
    assert math.isnan(estimate(truth, truth.sample(3), samples).looseness)


# Pareto k ----------------------------------------------------------------------------------------


def test_pareto_k_sees_what_the_effective_samples_do_not():
    """Of a posterior that is too narrow: half of the examples have ten effective samples and more,
    and nearly all weights have a tail that is too heavy; of the mixture none has.
    """
    truth = with_scale(0.5, size=4)
    x = truth.sample(300)
    alone = estimate(truth, x, 100, POSTERIOR_ALONE)
    assert alone.median_effective_samples > 10
    assert alone.least_effective_samples < 2
    assert alone.unreliable > 0.5
    assert "of the examples have too heavy a tail" in alone.doubt
    mixed = estimate(truth, x, 100)
    assert mixed.unreliable < 0.01
    assert mixed.doubt is None


def test_an_exact_posterior_has_no_tail():
    truth = with_scale(1.0)
    found = estimate(truth, truth.sample(50), 100, POSTERIOR_ALONE)
    assert (found.pareto_k == -math.inf).all()
    assert found.unreliable == 0


def test_few_draws_have_no_pareto_k():
    truth = with_scale(0.6)
    found = estimate(truth, truth.sample(5), 20)
    assert found.pareto_k.isnan().all()
    assert found.unreliable is None
    assert found.doubt is None


# Where it cannot be ------------------------------------------------------------------------------


class Interval(Normal):
    """A posterior on (0, 1), which has no density at other draws."""

    def __call__(self, values, event_dims):
        concentration = [value.exp() for value in values]
        beta = torch.distributions.Beta(*concentration, validate_args=True)
        return torch.distributions.Independent(beta, event_dims)


@pytest.mark.parametrize("posterior", [Delta(), Interval()], ids=lambda p: type(p).__name__)
def test_a_posterior_that_cannot_be_stretched_is_left_alone(posterior):
    model = Architecture((2,), MLP((4,)), posterior=posterior, likelihood=Normal())
    model = model.build((5,)).double()
    x = torch.rand(3, 5).double()
    assert fitting(DEFENSIVE, model, Batch(x)) == POSTERIOR_ALONE
    usual = importance_log_likelihood(model, Rows(x), samples=50)
    assert not usual.per_example.isnan().any()


def test_sparse_rows_have_the_posterior_alone():
    model = Architecture((2,), MLP((4,)), likelihood=Normal(variance=1.0)).build((5,), sparse=True)
    rows = SparseRows.of(scipy.sparse.eye(5))
    assert fitting(DEFENSIVE, model, Batch(rows)) == POSTERIOR_ALONE


def test_the_usual_proposal_fits_a_normal_posterior():
    truth = with_scale(1.0)
    assert fitting(DEFENSIVE, truth.model, Batch(truth.sample(3))) == DEFENSIVE


def test_a_level_that_is_nearly_a_point_does_not_lose_precision():
    """In float32 the density of q at a draw of the prior is tens of thousands of nats below that of
    the prior: no difference of the two is ever taken.
    """
    posterior = build_encoder(MLP(()), Normal(variance=1e-6), (2,), 2)
    prior = StandardNormal().build(Place((2,)))
    decoder = build_decoder(MLP(()), Normal(variance=1.0), 2, (2,))
    model = VAE(Chain([posterior], [prior], [2]), decoder, (2,))
    doubled = VAE(Chain([posterior], [prior], [2]), decoder, (2,)).double()
    x = torch.rand(5, 2)
    single = importance_log_likelihood(model.float(), Rows(x), samples=100).per_example
    double = importance_log_likelihood(doubled.double(), Rows(x.double()), samples=100).per_example
    np.testing.assert_allclose(single, double, atol=1)
