"""The records that measures give, and what measures refuse; their values are in test_ground_truth
and test_traps.
"""

import math

import numpy as np
import pytest
import torch
from scipy.stats import genpareto

from lowerbound.errors import ConfigError, DataError
from lowerbound.evaluation import (
    Estimate,
    bits_per_dimension,
    bound,
    importance_log_likelihood,
    latent_statistics,
)
from lowerbound.evaluation.likelihood import Likelihood
from lowerbound.evaluation.statistics import pareto_k, pareto_shape, pareto_threshold
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


# The tail of importance weights ------------------------------------------------------------------


@pytest.mark.parametrize("shape", [-0.5, 0.0, 0.3, 0.7, 1.0, 1.5])
def test_the_shape_of_a_generalised_pareto_distribution(shape):
    """Draws of a known k: the mean of 100 estimates from 2,000 values each is k, but for the prior
    of ten values; one estimate is that of maximum likelihood by SciPy, within a standard error of
    it.
    """
    draws = genpareto(shape).rvs((2_000, 100), random_state=0)
    found = pareto_shape(torch.tensor(draws))
    expected = (2_000 * shape + 10 * 0.5) / 2_010
    assert abs(found.mean() - expected) < 4 * found.std() / math.sqrt(100) + 0.01
    theirs = genpareto.fit(draws[:, 0], floc=0)[0]
    assert abs(found[0] - theirs) < (1 + max(shape, 0)) / math.sqrt(2_000)
    torch.testing.assert_close(pareto_shape(torch.tensor(draws) * 7), found)


def test_the_shape_of_importance_weights():
    """p = N(0, 1) and q = N(0, s^2): the weights have the tail k = 1 - s^2, for s^2 < 1 (their
    moments of order above 1 / k are infinite), and none where q is wider.
    """
    torch.manual_seed(0)
    for variance, expected in ((0.5, 0.5), (0.25, 0.75), (2.0, -1.0)):
        z = math.sqrt(variance) * torch.randn(100_000, 40).double()
        log_weights = z**2 / (2 * variance) - z**2 / 2
        found = pareto_k(log_weights)
        if expected > 0:
            assert abs(found.mean() - expected) < 0.12
        else:
            assert found.mean() < 0


def test_the_tail_is_the_largest_weights():
    """3 sqrt(S) of them, where that is less than a fifth."""
    torch.manual_seed(0)
    log_weights = 3 * torch.randn(400, 5).double()
    top = log_weights.sort(0, descending=True).values
    weights = torch.exp(top - top[0])
    expected = pareto_shape(weights[:60] - weights[60])
    torch.testing.assert_close(pareto_k(log_weights), expected)
    torch.testing.assert_close(pareto_k(log_weights - 5_000), expected)


def test_degenerate_weights_have_a_shape_that_says_so():
    one = torch.full((100, 1), -2_000.0)
    one[3] = 0
    assert pareto_k(one).item() == math.inf
    assert pareto_k(torch.zeros(100, 1)).item() == -math.inf
    assert pareto_k(1e-6 * torch.randn(100, 1)).item() == -math.inf
    assert math.isnan(pareto_k(torch.full((100, 1), -math.inf)).item())
    assert math.isnan(pareto_k(torch.randn(24, 1)).item()) == (math.ceil(24 / 5) < 5)


@pytest.mark.parametrize(("samples", "threshold"), [(100, 0.5), (1_000, 2 / 3), (10**6, 0.7)])
def test_the_threshold_of_pareto_k(samples, threshold):
    assert pareto_threshold(samples) == pytest.approx(threshold)


def test_an_estimate_is_widened_by_other_errors():
    assert Estimate(1.0, 3.0).widened(4.0, 0.0) == Estimate(1.0, 5.0)
    assert math.isnan(Estimate(1.0, 3.0).widened(math.nan).standard_error)


# Active units ------------------------------------------------------------------------------------


def test_active_units_above_the_first_level_do_not_hang_on_the_seed():
    """A unit of level 2 whose variance is a fifth above, or below, the limit is counted, or not,
    with every seed, though most of what varies is noise of level 1.
    """
    truth = linear_gaussian(2, size=2)
    x = truth.sample(400)
    first, second = (
        next(m for m in part.modules() if isinstance(m, torch.nn.Linear))
        for part in truth.model.latents.posteriors
    )
    with torch.no_grad():
        means = truth.model.encode(x)[0]
        second.weight.zero_()
        for unit, variance in ((0, 0.012), (1, 0.008)):
            second.weight[unit, unit] = math.sqrt(variance / means[:, unit].var(correction=0))
        first.bias[2:] = math.log(0.5)
    counts = [
        latent_statistics(truth.model, Rows(x), seed=seed).active_units[1] for seed in range(20)
    ]
    assert counts == [1] * 20


def test_so_few_samples_that_have_no_tail_have_no_threshold():
    unknown = torch.full((3,), math.nan)
    found = Likelihood(Estimate(-1.0, 0.1), 2, torch.ones(3), unknown, math.nan, torch.zeros(3))
    assert found.diagnosis()["pareto_k_threshold"] is None
    assert found.diagnosis()["pareto_k_above"] is None
    assert found.doubt is None
