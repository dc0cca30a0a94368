"""The one model class and its description."""

import numpy as np
import pytest
import torch

from lowerbound.errors import ConfigError, ShapeError
from lowerbound.families import (
    Bernoulli,
    ContinuousBernoulli,
    Delta,
    DiscretizedLogistic,
    MixtureLogistic,
    Normal,
)
from lowerbound.model import Architecture
from lowerbound.networks import MLP, Conv
from lowerbound.noise import Dropout
from lowerbound.objectives import Elbo
from lowerbound.priors import Mixture
from lowerbound.testing import linear_gaussian

LIKELIHOODS = [
    Bernoulli(),
    ContinuousBernoulli(),
    DiscretizedLogistic(4),
    DiscretizedLogistic(4, scale="shared"),
    MixtureLogistic(2, 4),
    Normal(),
    Normal(variance="shared"),
    Normal(mean="sigmoid"),
]


@pytest.mark.parametrize("heads", ["joint", "separate"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_the_gradient_of_the_bound_reaches_every_parameter(likelihood, heads):
    """Of three levels with noise, a learned prior and any likelihood; what is not reached is not
    trained.
    """
    model = Architecture(
        (4, 3, 2),
        MLP((6,), "tanh"),
        level_network=MLP((5,), "tanh"),
        likelihood=likelihood,
        prior=Mixture(3),
        noise=(Dropout(0.1),),
        heads=heads,
    ).build((1, 3, 2))
    x = torch.randint(0, 2, (8, 1, 3, 2)).float()
    Elbo()(model(x, samples=2)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_terms_agree_with_each_other():
    """log_weight = log p(x|z) - sum of sampled rates, whatever the rates beside it are."""
    model = Architecture((3, 2), MLP((6,))).build((5,)).double()
    x = torch.rand(4, 5).round().double()
    levels = model.infer(x, 3)
    sampled = model.terms_of(levels, x, "sampled")
    for kl in ("valid", "everywhere"):
        terms = model.terms_of(levels, x, kl)
        torch.testing.assert_close(terms.log_weight, sampled.log_likelihood - sampled.rate.sum(-1))
        assert not torch.allclose(terms.rate, sampled.rate)


@pytest.mark.parametrize(
    "likelihood", [DiscretizedLogistic(4), MixtureLogistic(2, 4), Bernoulli()], ids=repr
)
def test_samples_and_means(likelihood):
    """Draws lie on the grid of the data; means lie inside, and are what the draws average to."""
    levels = getattr(likelihood, "levels", 2)
    model = Architecture((2,), MLP((6,)), likelihood=likelihood).build((1, 3, 2))
    drawn, mean = model.sample(300, mean=False), model.sample(300)
    assert drawn.shape == mean.shape == (300, 1, 3, 2)
    steps = drawn * (levels - 1)
    torch.testing.assert_close(steps, steps.round())
    assert len(drawn.unique()) == levels
    assert not drawn.requires_grad
    assert 0 < mean.min() < mean.max() < 1
    p = model.decode(torch.zeros(1, 2))
    off = (p.sample((4000,)).mean(0) - p.mean).abs()
    assert off.max() < 5 * 0.5 / 4000**0.5


def test_reconstruction_is_the_mean_at_the_mean():
    """By the matrices of a linear model: W (A x + a) + b."""
    truth = linear_gaussian(2)
    x = truth.sample(6)
    (weight, bias), (w, b) = (
        [p.detach().numpy() for p in m.parameters()]
        for m in (truth.model.latents.posteriors[0], truth.model.decoder)
    )
    expected = (x.numpy() @ weight[:2].T + bias[:2]) @ w.T + b
    np.testing.assert_allclose(truth.model.reconstruct(x).detach(), expected, rtol=1e-9)


def test_the_mirror_and_another_decoder():
    model = Architecture((2,), Conv((4,)), MLP((7,))).build((1, 6, 6))
    assert not any(
        isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d) for m in model.decoder.modules()
    )
    assert model.sample(2).shape == (2, 1, 6, 6)


@pytest.mark.parametrize("shape", [(5,), (4, 5, 1), (4,)], ids=str)
def test_a_batch_of_another_shape_is_refused(shape):
    """With the shape that the model takes and the one it got."""
    model = Architecture((2,), MLP((4,))).build((6,))
    for call in (model.terms, model.encode, model.reconstruct):
        with pytest.raises(ShapeError, match=r"takes batches of shape \(B, 6\), got"):
            call(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(), (0,), (1, -2, 3)], ids=str)
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(ConfigError, match="shape of an example must be positive"):
        Architecture().build(shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihood": Delta()}, "likelihood must have a density"),
        ({"latent": ()}, "latent"),
        ({"latent": (0,)}, "latent"),
        ({"heads": "double"}, "heads"),
        ({"network": "MLQ"}, "did you mean 'MLP'"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Architecture(**options)


@pytest.mark.parametrize(
    "posterior", [Bernoulli(), DiscretizedLogistic(), MixtureLogistic()], ids=repr
)
def test_a_posterior_without_reparameterised_draws_is_refused(posterior):
    """It could only fail later, in the first step of training, with an empty
    NotImplementedError.
    """
    with pytest.raises(ValueError, match="posterior"):
        Architecture((2,), MLP((4,)), posterior=posterior)


@pytest.mark.parametrize(
    "level_prior", [Bernoulli(), ContinuousBernoulli(), DiscretizedLogistic(), Delta()], ids=repr
)
def test_a_prior_between_levels_that_is_no_density_on_real_numbers_is_refused(level_prior):
    """z1 is any real number: the formula of these families gives a figure for it that looks fine
    and is no bound.
    """
    with pytest.raises(ValueError, match="level_prior"):
        Architecture((2, 2), MLP((4,)), level_prior=level_prior)
