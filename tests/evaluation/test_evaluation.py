"""The records that measures give, and what measures refuse; their values are in test_ground_truth
and test_traps.
"""

import math

import numpy as np
import pytest
import torch

from lowerbound.errors import ConfigError, DataError
from lowerbound.evaluation import (
    Estimate,
    bits_per_dimension,
    bound,
    importance_log_likelihood,
    latent_statistics,
)
from lowerbound.objectives import Elbo
from lowerbound.testing import Rows, linear_gaussian

MEASURES = pytest.mark.parametrize(
    "measure", [bound, importance_log_likelihood, latent_statistics], ids=lambda f: f.__name__
)


def test_the_standard_error_of_a_mean():
    values = torch.randn(50)
    found = Estimate.of(values)
    assert found.value == pytest.approx(values.double().numpy().mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(
        values.double().numpy().std(ddof=1) / math.sqrt(50), rel=1e-12
    )


def test_one_example_has_no_standard_error():
    found = Estimate.of(torch.tensor([2.0]))
    assert found.value == 2
    assert math.isnan(found.standard_error)


def test_standard_errors_cover_the_truth():
    """95 % of intervals of 1.96 standard errors hold the true mean: 200 sets of 100 examples of a
    known model.
    """
    truth = linear_gaussian()
    expected = (
        -(5 * math.log(2 * math.pi * math.e) + np.linalg.slogdet(truth.covariance)[1]) / 2
    )  # minus the entropy of x
    inside = 0
    for seed in range(200):
        found = importance_log_likelihood(
            truth.model, Rows(truth.sample(100)), samples=1, seed=seed
        ).log_likelihood
        inside += abs(found.value - expected) < 1.96 * found.standard_error
    assert abs(inside / 200 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 200)


def test_bits_per_dimension():
    """A uniform choice among 256 levels costs eight bits, whatever the shape."""
    assert bits_per_dimension(-3 * 32 * 32 * math.log(256), (3, 32, 32)) == pytest.approx(8)


@MEASURES
def test_no_examples_are_refused(measure):
    truth = linear_gaussian()
    with pytest.raises(DataError, match="no examples"):
        measure(truth.model, Rows(torch.zeros(0, 5).double()))


@MEASURES
@pytest.mark.parametrize("samples", [0, -3])
def test_too_few_samples_are_refused(measure, samples):
    truth = linear_gaussian()
    least = (
        2 if measure is latent_statistics else 1
    )  # variances above the first level come from two halves of the draws
    with pytest.raises(ConfigError, match=f"samples must be {least} or more, got {samples}"):
        measure(truth.model, Rows(truth.sample(2)), samples=samples)


@MEASURES
@pytest.mark.parametrize("samples", [1.5, True, "3", None])
def test_samples_are_whole_numbers(measure, samples):
    truth = linear_gaussian()
    with pytest.raises(ConfigError, match=f"samples must be a whole number, got {samples}"):
        measure(truth.model, Rows(truth.sample(2)), samples=samples)


@MEASURES
@pytest.mark.parametrize("seed", [-1, 2**63, 0.5])
def test_a_seed_that_starts_no_stream_is_refused(measure, seed):
    truth = linear_gaussian()
    with pytest.raises(ConfigError, match=rf"from 0 to 2\^63 - 1, got {seed}"):
        measure(truth.model, Rows(truth.sample(2)), seed=seed)


def test_more_samples_than_memory_are_refused_at_once():
    truth = linear_gaussian()
    for samples in (10**13, 10**23, 10**400):
        with pytest.raises(ConfigError, match="GiB, more memory than this machine has"):
            importance_log_likelihood(truth.model, Rows(truth.sample(2)), samples=samples)


def test_one_draw_is_too_few_for_latent_statistics():
    truth = linear_gaussian()
    with pytest.raises(ConfigError, match="samples must be 2 or more, got 1"):
        latent_statistics(truth.model, Rows(truth.sample(2)), samples=1)


def test_units_that_carry_nothing_are_not_active():
    """A unit whose mean does not vary over the data is not counted, nor one that varies by less
    than a hundredth.
    """
    truth = linear_gaussian(1, size=3)
    x = truth.sample(500)
    (layer,) = (m for m in truth.model.latents.modules() if isinstance(m, torch.nn.Linear))
    with torch.no_grad():
        layer.weight[0] = 0
        layer.weight[1] *= math.sqrt(0.009 / (x @ layer.weight[1]).var(correction=0))
        layer.weight[2] *= math.sqrt(0.011 / (x @ layer.weight[2]).var(correction=0))
    found = latent_statistics(truth.model, Rows(x))
    np.testing.assert_allclose(found.variance_of_means[0], [0, 0.009, 0.011], rtol=1e-6, atol=1e-12)
    assert found.active_units == (1,)


def test_active_units_above_the_first_level_do_not_count_sampling_noise():
    """q(z2 | z1) copies z1, whose posterior ignores x: E[z2 | x] is constant, however much z1
    varies.
    """
    truth = linear_gaussian(2, size=1)
    first, second = truth.model.latents.posteriors
    with torch.no_grad():
        for layer in (m for m in first.modules() if isinstance(m, torch.nn.Linear)):
            layer.weight.zero_()
    assert any(p.abs().max() > 0 for p in second.parameters())
    found = latent_statistics(truth.model, Rows(truth.sample(4000)))
    noise = torch.cat(
        [level.q.mean for level in truth.model.infer(truth.sample(4000), 2).levels[1:]]
    ).var()
    assert noise > 0.02
    assert found.variance_of_means[1].abs().max() < 0.2 * noise


def test_an_objective_with_free_bits_is_measured_on_all_examples_at_once():
    """Free bits act on a mean over examples: a chunk at a time would measure something else."""
    truth = linear_gaussian(1, size=2)
    x = truth.sample(5000)
    levels = bound(truth.model, Rows(x)).rate
    objective = Elbo(free_bits=levels[0] + 0.01)
    found = bound(truth.model, Rows(x), objective=objective)
    assert found.objective == pytest.approx(-found.log_likelihood_term + levels[0] + 0.01, rel=1e-9)
