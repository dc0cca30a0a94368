"""Chains of levels: shapes, ancestral sampling, means, and what they refuse."""

import math

import numpy as np
import pytest
import torch

from lowerbound.errors import ConfigError
from lowerbound.families import Place
from lowerbound.latents import Chain, rate, rate_per_dimension
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.priors import Mixture, StandardNormal
from lowerbound.testing import linear_gaussian


def weights(module):
    return [p.detach().numpy() for p in module.parameters()]


def test_shapes_of_a_chain_with_levels_of_different_size():
    model = Architecture((4, 3, 2), MLP((5,))).build((6,))
    levels = model.infer(torch.rand(7, 6), 8).levels
    assert [tuple(level.z.shape) for level in levels] == [(8, 7, 4), (8, 7, 3), (8, 7, 2)]
    assert [tuple(level.q.batch_shape) for level in levels] == [(7,), (8, 7), (8, 7)]
    assert [tuple(level.p.batch_shape) for level in levels] == [(8, 7), (8, 7), ()]
    assert [rate(level).shape for level in levels] == [(8, 7)] * 3
    assert [tuple(rate_per_dimension(level).shape) for level in levels] == [
        (8, 7, 4),
        (8, 7, 3),
        (8, 7, 2),
    ]
    assert [tuple(z.shape) for z in model.latents.generate(9).zs] == [(9, 4), (9, 3), (9, 2)]
    assert [tuple(m.shape) for m in model.encode(torch.rand(7, 6))] == [(7, 4), (7, 3), (7, 2)]


def test_ancestral_sampling_of_a_linear_chain():
    """z1 = a z2 + b + N(0, 0.3 I) with z2 ~ N(0, I): mean b, variance a^2 + 0.3, covariance with z2
    a, dimension by dimension.
    """
    n = 40_000
    chain = linear_gaussian(2).model.latents
    weight, b = weights(chain.priors[0])
    a = np.diag(weight)
    with torch.no_grad():
        low, top = (z.numpy() for z in chain.generate(n).zs)
    variance = a**2 + 0.3
    assert (np.abs(low.mean(0) - b) < 5 * np.sqrt(variance / n)).all()
    assert (np.abs(low.var(0) - variance) < 5 * variance * math.sqrt(2 / n)).all()
    covariance = ((low - b) * top).mean(0)
    assert (np.abs(covariance - a) < 5 * np.sqrt((variance + a**2) / n)).all()
    assert (np.abs(top.var(0) - 1) < 5 * math.sqrt(2 / n)).all()


def test_a_given_top_level_is_kept():
    chain = linear_gaussian(3).model.latents
    given = torch.randn(4, 2).double()
    *_, top = chain.generate(4, given).zs
    assert torch.equal(top, given)
    assert chain.generate(4, given).zs[1].shape == (4, 2)


def test_means_go_up_by_means():
    """Each level's mean is the posterior's at the mean below it, without any draw."""
    truth = linear_gaussian(3)
    x = truth.sample(5)
    below, state = x, torch.get_rng_state()
    for posterior, mean in zip(truth.model.latents.posteriors, truth.model.encode(x), strict=True):
        weight, b = (w[:2] for w in weights(posterior))
        below = below @ torch.tensor(weight).T + torch.tensor(b)
        torch.testing.assert_close(mean, below)
    assert torch.equal(state, torch.get_rng_state())


def test_each_level_is_drawn_from_the_draw_below():
    """q(z2 | z1) is conditioned on each draw of z1, not on its mean."""
    levels = linear_gaussian(2).model.infer(torch.zeros(3, 5).double(), 4).levels
    posterior = linear_gaussian(2).model.latents.posteriors[1]
    torch.testing.assert_close(levels[1].q.mean, posterior(levels[0].z).mean)
    assert levels[1].q.mean.std(0).min() > 0


def test_everywhere_needs_a_closed_form():
    model = Architecture((2,), MLP((4,)), prior=Mixture(3)).build((5,))
    with pytest.raises(ConfigError, match="kl='everywhere' needs a closed-form KL"):
        model.terms(torch.zeros(2, 5), kl="everywhere")


def test_a_mixture_does_not_factorise_over_dimensions():
    model = Architecture((2,), MLP((4,)), prior=Mixture(3)).build((5,))
    assert rate_per_dimension(model.infer(torch.zeros(2, 5)).levels[0]) is None


@pytest.mark.parametrize(("posteriors", "priors", "sizes"), [(0, 0, 0), (1, 0, 1), (1, 1, 2)])
def test_a_chain_that_does_not_fit_is_refused(posteriors, priors, sizes):
    part = StandardNormal().build(Place((2,)))
    with pytest.raises(ConfigError, match="as many posteriors as priors and sizes"):
        Chain([part] * posteriors, [part] * priors, [2] * sizes)


def test_going_down_by_means_is_what_the_priors_say():
    """z1 for given values of each level: the mean of p(z1 | z2) at the mean of p(z2 | z3)."""
    chain = linear_gaussian(3).model.latents
    (a, first), (c, second) = weights(chain.priors[0]), weights(chain.priors[1])
    z = torch.randn(5, 2).double()
    with torch.no_grad():
        assert torch.equal(chain.descend(z, 0), z)
        assert np.allclose(chain.descend(z, 1).numpy(), z.numpy() @ a.T + first)
        assert np.allclose(chain.descend(z, 2).numpy(), (z.numpy() @ c.T + second) @ a.T + first)


def test_one_level_varies_while_those_above_it_are_fixed():
    """In a group z1 has the variance of p(z1 | z2) alone, 0.3; over groups that of p(z1); at the
    top every sample is new.
    """
    chain = linear_gaussian(2).model.latents
    a = np.diag(weights(chain.priors[0])[0])
    with torch.no_grad():
        low = chain.vary(0, 3000, 20).numpy().reshape(3000, 20, 2)
        top = chain.vary(1, 3000, 20).numpy().reshape(3000, 20, 2)
    assert low.var(1, ddof=1).mean(0) == pytest.approx([0.3, 0.3], rel=0.03)
    assert low.mean(1).var(0) == pytest.approx(a**2 + 0.3 / 20, rel=0.15)
    assert top.var(1, ddof=1).mean(0) == pytest.approx(
        a**2, rel=0.03
    )  # below it the mean, without its 0.3
