"""What is particular to each family: its published density, and the data that it takes."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from lowerbound.families import (
    Bernoulli,
    ContinuousBernoulli,
    Delta,
    DiscretizedLogistic,
    MixtureLogistic,
    Normal,
)
from lowerbound.networks.limits import bounded


def log_prob(family, values, x):
    """log_prob of scalar events, one for each x."""
    tensors = [
        torch.full((len(x), 1), float(v), dtype=torch.float64) for v in values[: family.parameters]
    ]
    tensors += [torch.tensor(float(v), dtype=torch.float64) for v in values[family.parameters :]]
    return family(tensors, 1).log_prob(torch.tensor(x, dtype=torch.float64).unsqueeze(-1)).numpy()


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


@pytest.mark.parametrize(
    ("family", "values", "mean", "scale"),
    [
        (Normal(), (0.3, -1.4), 0.3, math.exp(-0.7)),
        (Normal(mean="sigmoid"), (0.3, 1.0), sigmoid(0.3), math.exp(0.5)),
        (Normal(variance="shared"), (0.3, -1.4), 0.3, math.exp(-0.7)),
        (Normal(variance=0.25), (0.3,), 0.3, 0.5),
    ],
)
def test_normal(family, values, mean, scale):
    """The second parameter is the log of sigma squared, also where it is shared; a fixed number is
    the variance.
    """
    x = [-2.0, 0.1, 3.0]
    np.testing.assert_allclose(
        log_prob(family, values, x), stats.norm(mean, scale).logpdf(x), rtol=1e-12
    )


def test_half_a_variance_is_the_squared_error():
    x = np.array([-2.0, 0.1, 3.0])
    expected = -((x - 0.7) ** 2) - math.log(math.pi) / 2
    np.testing.assert_allclose(log_prob(Normal(variance=0.5), (0.7,), x), expected, rtol=1e-12)


def test_bernoulli():
    np.testing.assert_allclose(
        log_prob(Bernoulli(), (1.3,), [1.0, 0.0]),
        stats.bernoulli(sigmoid(1.3)).logpmf([1, 0]),
        rtol=1e-12,
    )
    p = sigmoid(1.3)
    np.testing.assert_allclose(
        log_prob(Bernoulli(), (1.3,), [0.25]),
        0.25 * math.log(p) + 0.75 * math.log(1 - p),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    "logit", [-200.0, -40.0, -17.0, -3.0, -1e-3, 0.0, 1e-6, 0.5, 17.0, 40.0, 200.0]
)
def test_continuous_bernoulli(logit):
    """On [0, 1] it is an exponential density: log p(x) = a x - log((e^a - 1) / a), for any logit a.

    Grey pictures have pixels that are always black, whose logit a network drives far below -20.
    """
    x = np.array([0.0, 0.2, 0.9, 1.0])
    a = abs(logit)
    log_norm = 0.0 if a == 0 else a + math.log(-math.expm1(-a)) - math.log(a)
    expected = a * (x if logit >= 0 else 1 - x) - log_norm
    np.testing.assert_allclose(
        log_prob(ContinuousBernoulli(), (logit,), x), expected, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("log_scale", [-6.0, -2.0, 1.0])
@pytest.mark.parametrize("levels", [2, 16, 256])
def test_discretized_logistic(levels, log_scale):
    """The logistic distribution's mass of each cell, the outer ones open to both sides."""
    family, location = DiscretizedLogistic(levels, "identity"), 0.4
    edges = np.concatenate([[-np.inf], (np.arange(levels - 1) + 0.5) / (levels - 1), [np.inf]])
    logistic = stats.logistic(location, math.exp(log_scale))
    grid = np.arange(levels) / (levels - 1)
    got = np.exp(log_prob(family, (location, log_scale), grid))
    np.testing.assert_allclose(
        got, logistic.cdf(edges[1:]) - logistic.cdf(edges[:-1]), rtol=1e-6, atol=1e-14
    )
    drawn = family([torch.full((2000, 1), v).double() for v in (location, log_scale)], 1).sample()
    assert ((drawn * (levels - 1)).round() / (levels - 1) - drawn).abs().max() < 1e-12


def test_a_shared_scale_starts_at_that_of_pixels_and_is_that_of_all():
    """Its one number is added to -2, the log of a scale in [0, 1]."""
    x = [0.0, 0.4, 1.0]
    shared = log_prob(DiscretizedLogistic(11, scale="shared"), (0.3, -0.7), x)
    learned = log_prob(DiscretizedLogistic(11), (0.3, -2.7), x)
    np.testing.assert_allclose(shared, learned, rtol=1e-12)


def test_discretized_logistic_far_from_its_location():
    """The logarithm of a tiny mass is exact: no floor at 1e-12, as where two sigmoids are
    subtracted.
    """
    got = log_prob(DiscretizedLogistic(256, "identity"), (0.0, -5.0), [200 / 255])
    scale = math.exp(-5)
    expected = -(200 / 255) / scale + math.log(
        2 * math.sinh(0.5 / 255 / scale)
    )  # the tail of a logistic is exponential
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_bounded_is_the_identity_inside_and_finite_outside():
    x = torch.tensor([-1e14, -25.0, -20.0, -1.0, 0.0, 19.0, 1e14])
    y = bounded(x)
    assert torch.equal(y[2:6], x[2:6])
    assert torch.exp(y).isfinite().all()
    assert (torch.exp(y) > 0).all()
    assert (y.diff() > 0).all()


@pytest.mark.parametrize(
    ("family", "data", "refused"),
    [
        (Normal(), (-5, 5, None), False),
        (Bernoulli(), (0, 1, 2), False),
        (Bernoulli(), (0, 1, 256), False),
        (Bernoulli(), (-1, 1, None), True),
        (Bernoulli(), (0, 255, 256), True),
        (ContinuousBernoulli(), (0, 1, None), False),
        (ContinuousBernoulli(), (0, 1.5, None), True),
        (DiscretizedLogistic(256), (0, 1, 256), False),
        (DiscretizedLogistic(256), (0, 1, None), True),
        (DiscretizedLogistic(256), (0, 1, 2), True),
        (MixtureLogistic(), (0, 1, 256), False),
        (MixtureLogistic(), (0, 1, None), True),
        (MixtureLogistic(), (0, 1, 1024), True),
        (Delta(), (0, 1, None), True),
    ],
)
def test_data_that_a_family_takes(family, data, refused):
    """A refusal is one line that names the family; other data get none."""
    reason = family.refuses(*data)
    assert (reason is not None) == refused
    assert reason is None or (type(family).__name__ in reason and "\n" not in reason)


@pytest.mark.parametrize(
    "family",
    [
        Normal(),
        Normal(variance="shared"),
        Normal(variance=2.0),
        Bernoulli(),
        Delta(),
        DiscretizedLogistic(),
        DiscretizedLogistic(scale="shared"),
    ],
)
def test_counts_of_parameters(family):
    expected = {
        "Normal": (1, 0),
        "Bernoulli": (1, 0),
        "Delta": (1, 0),
        "DiscretizedLogistic": (2, 0),
    }[type(family).__name__]
    if family == Normal():
        expected = (2, 0)
    if family in (Normal(variance="shared"), DiscretizedLogistic(scale="shared")):
        expected = (1, 1)
    assert (family.parameters, family.free) == expected


@pytest.mark.parametrize("variance", [0, -1.0, math.nan, math.inf, "learnt"])
def test_a_variance_that_is_none_is_refused(variance):
    with pytest.raises(ValueError, match="variance"):
        Normal(variance=variance)


def test_too_few_levels_are_refused():
    with pytest.raises(ValueError, match="levels"):
        DiscretizedLogistic(levels=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_log_likelihood_of_bernoulli_variables_is_minus_the_cross_entropy(dtype):
    torch.manual_seed(0)
    logits, x = (
        (8 * torch.randn(3, 5, 2, 4, 4, dtype=dtype)).requires_grad_(),
        torch.rand(5, 2, 4, 4, dtype=dtype),
    )
    weights, found = torch.randn(3, 5, dtype=dtype), []
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, x.expand_as(logits), reduction="none"
    )
    for values in (Bernoulli()((logits,), 3).log_prob(x), -entropy.sum((-1, -2, -3))):
        found.append((values, torch.autograd.grad((values * weights).sum(), logits)[0]))
    for got, wanted in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_the_log_likelihood_of_bernoulli_variables_has_gradients_by_both_and_broadcasts():
    torch.manual_seed(0)
    logits, x = (
        torch.randn(*shape, 4, dtype=torch.float64, requires_grad=True) for shape in ((3, 5), (5,))
    )
    both = lambda a, b: Bernoulli()((a,), 1).log_prob(b.sigmoid())  # noqa: E731
    assert torch.autograd.gradcheck(both, (logits, x))
    assert torch.autograd.gradcheck(both, (x, logits))


@pytest.mark.parametrize("logit", [1e4, 88.0, 20.0, 0.0, -20.0, -88.0, -1e4])
def test_the_log_likelihood_of_bernoulli_variables_is_finite_at_any_logit(logit):
    x = torch.tensor([[0.0], [1.0]])
    found = Bernoulli()((torch.full((2, 1), logit),), 1).log_prob(x)
    torch.testing.assert_close(
        found, -torch.nn.functional.softplus(torch.tensor([logit, -logit])), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize(
    ("levels", "named"),
    [
        (256, "use model.likelihood=DiscretizedLogistic, ContinuousBernoulli or data.binarize"),
        (17, "use model.likelihood=DiscretizedLogistic with model.likelihood.levels=17, "),
        (None, "use ContinuousBernoulli or data.binarize"),
    ],
)
def test_the_caveat_on_grey_pixels_names_a_likelihood_that_fits_first(levels, named):
    """Where the pixels are on a grid: that of the grid, which is their true probability."""
    caveat = Bernoulli().caveat(0.0, 1.0, levels)
    assert caveat is not None
    assert named in caveat
    if levels is not None:
        fitting = DiscretizedLogistic(levels=levels)
        assert fitting.refuses(0.0, 1.0, levels) is None
        assert fitting.caveat(0.0, 1.0, levels) is None


def test_levels_that_do_not_fit_are_named_with_the_key_to_set():
    refusal = DiscretizedLogistic().refuses(0.0, 1.0, 17)
    assert refusal is not None
    assert refusal.endswith("got 17 levels; set model.likelihood.levels=17")
    refusal = DiscretizedLogistic().refuses(0.0, 1.0, None)
    assert refusal is not None
    assert refusal.endswith("got real numbers; set model.likelihood=Normal")
