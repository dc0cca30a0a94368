"""The priors against their densities written out by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from scipy.stats import norm

from lowerbound.families import Place
from lowerbound.priors import Mixture, StandardNormal


def test_standard_normal():
    z = torch.randn(5, 4, 3).double()
    got = StandardNormal().build(Place((3,))).double()(None).log_prob(z)
    np.testing.assert_allclose(got, norm.logpdf(z).sum(-1), rtol=1e-12)


def test_standard_normal_is_not_learned():
    """It adds nothing to a model's parameters, nor to its saved weights."""
    module = StandardNormal().build(Place((3,)))
    assert list(module.parameters()) == []
    assert module.state_dict() == {}


def test_mixture():
    """log sum_c w_c N(z; mu_c, diag(sigma_c^2)), with weights that are not equal."""
    module = Mixture(components=4).build(Place((3,))).double()
    with torch.no_grad():
        module.logits.copy_(torch.randn(4))
        module.log_variance.copy_(torch.randn(4, 3))
    z = torch.randn(7, 3).double()
    weights = softmax(module.logits.detach().numpy())
    mean, scale = module.location.detach().numpy(), np.exp(module.log_variance.detach().numpy() / 2)
    each = norm.logpdf(z.numpy()[:, None], mean, scale).sum(-1)
    np.testing.assert_allclose(
        module(None).log_prob(z).detach(), logsumexp(each + np.log(weights), axis=1), rtol=1e-12
    )


def test_the_means_of_a_mixture_start_with_its_spread():
    location = Mixture(components=200, spread=3.0).build(Place((20,))).location
    assert location.std().item() == pytest.approx(3.0, rel=5 / math.sqrt(2 * location.numel()))


@pytest.mark.parametrize("make", [lambda: Mixture(components=0), lambda: Mixture(spread=0.0)])
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match="should be"):
        make()
