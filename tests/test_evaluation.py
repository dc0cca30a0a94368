"""The records that measures give, and what measures refuse; their values are in test_ground_truth and test_traps."""

import math

import numpy as np
import pytest
import torch

from lowerbound.errors import ConfigError, DataError
from lowerbound.evaluation import Estimate, bits_per_dimension, bound, importance_log_likelihood, latent_statistics
from lowerbound.testing import Rows, linear_gaussian

MEASURES = pytest.mark.parametrize("measure", [bound, importance_log_likelihood, latent_statistics], ids=lambda f: f.__name__)


def test_the_standard_error_of_a_mean():
    values = torch.randn(50)
    found = Estimate.of(values)
    assert found.value == pytest.approx(values.double().numpy().mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(values.double().numpy().std(ddof=1) / math.sqrt(50), rel=1e-12)


def test_one_example_has_no_standard_error():
    found = Estimate.of(torch.tensor([2.0]))
    assert found.value == 2
    assert math.isnan(found.standard_error)


def test_standard_errors_cover_the_truth():
    """95 % of intervals of 1.96 standard errors hold the true mean: 200 sets of 100 examples of a known model."""
    truth = linear_gaussian()
    expected = -(5 * math.log(2 * math.pi * math.e) + np.linalg.slogdet(truth.covariance)[1]) / 2  # minus the entropy of x
    inside = 0
    for seed in range(200):
        found = importance_log_likelihood(truth.model, Rows(truth.sample(100)), samples=1, seed=seed).log_likelihood
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
    with pytest.raises(ConfigError, match=f"samples must be [12] or more, got {samples}"):
        measure(truth.model, Rows(truth.sample(2)), samples=samples)


def test_units_that_carry_nothing_are_not_active():
    """A unit whose mean does not vary over the data is not counted, nor one that varies by less than a hundredth."""
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
