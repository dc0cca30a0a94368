"""Normals about modes: exact where p(x, z) is normal, and a mode wherever they were looked for."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from lowerbound.batch import Batch
from lowerbound.evaluation import importance_log_likelihood
from lowerbound.evaluation.laplace import LEAST_CURVATURE, Normals, find_modes, log_joint
from lowerbound.evaluation.proposal import ABOUT_MODES, POSTERIOR_ALONE, Proposal, Stretch
from lowerbound.testing import Rows, linear_gaussian


def misled(truth, shift=4.0, scale=0.2):
    """The same model with posteriors that are far off and far too narrow."""
    for posterior in truth.model.latents.posteriors:
        (layer,) = (part for part in posterior.modules() if isinstance(part, nn.Linear))
        with torch.no_grad():
            layer.bias[: len(layer.bias) // 2] += shift
            layer.bias[len(layer.bias) // 2 :] += 2 * math.log(scale)
    return truth


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_of_a_normal_joint_they_are_the_posterior(levels):
    """log p(x, z) - log N(z) is log p(x) at every z, however far off the search started."""
    truth = linear_gaussian(levels)
    x = truth.sample(6)
    starts = [5 * torch.randn(1, 6, size, dtype=x.dtype) for size in truth.model.latents.sizes]
    with torch.no_grad():
        normals = find_modes(truth.model, Batch(x), starts)
        z = normals.draw(7)
        log_evidence = log_joint(truth.model, Batch(x), z) - normals.log_prob(z)
    assert (log_evidence - truth.log_evidence(x)).abs().max() < 1e-3


def test_an_encoder_that_is_wrong_costs_little():
    """With the posterior alone the same draws are worth next to nothing."""
    truth = misled(linear_gaussian())
    x = truth.sample(20)
    found = {}
    for name, proposal in {"alone": POSTERIOR_ALONE, "modes": ABOUT_MODES}.items():
        found[name] = importance_log_likelihood(
            truth.model, Rows(x), samples=500, proposal=proposal
        )
    assert found["alone"].effective.median() < 20
    assert found["modes"].effective.min() > 200
    error = (found["modes"].per_example - truth.log_evidence(x)).abs()
    assert error.max() < 0.25


def test_draws_and_densities_are_of_one_normal():
    torch.manual_seed(0)
    root = torch.randn(3, 4, 4, dtype=torch.float64)
    covariance = root @ root.mT + 0.1 * torch.eye(4)
    curvature, directions = torch.linalg.eigh(covariance.inverse())
    mean = torch.randn(3, 4, dtype=torch.float64)
    normals = Normals(mean, curvature, directions)
    drawn = normals.draw(50_000, factor=1.5)
    z = drawn[:10]
    expected = torch.distributions.MultivariateNormal(mean, 1.5**2 * covariance)
    assert (normals.log_prob(z, 1.5) - expected.log_prob(z)).abs().max() < 1e-6
    whitened = torch.linalg.solve_triangular(
        expected.scale_tril, (drawn - mean).unsqueeze(-1), upper=False
    ).squeeze(-1)
    assert whitened.mean(0).abs().max() < 5 / math.sqrt(50_000)
    for row in range(3):
        error = (whitened[:, row].T.cov() - torch.eye(4)).abs()
        assert error.max() < 5 * math.sqrt(2 / 50_000)
    some = normals.take(slice(1, 2)).log_prob(z[:, 1:2])
    assert torch.equal(some, normals.log_prob(z)[:, 1:2])


class TwoHills(nn.Module):
    """p(x | z) of two modes: x is about z squared, so that between them the density is convex."""

    def forward(self, z):
        mean = z.square()
        return Independent(Normal(mean, torch.full_like(mean, 0.5)), 1)


def two_hills():
    truth = linear_gaussian(size=2, data=2)
    truth.model.decoder = TwoHills()
    return truth.model


def test_the_search_ends_at_a_mode_where_the_density_is_convex():
    """Newton's method without absolute curvatures would stay on the saddle near zero."""
    model = two_hills()
    x = torch.full((5, 2), 4.0)
    starts = [0.05 + 0.1 * torch.rand(1, 5, 2)]
    with torch.no_grad():
        normals = find_modes(model, Batch(x), starts)
    # The derivative of -(4 - z^2)^2 / (2 * 0.25) - z^2 / 2 is zero there.
    wanted = math.sqrt(4 - 0.25 / 2)
    assert (normals.mean - wanted).abs().max() < 0.01
    assert normals.curvature.min() > 10 * LEAST_CURVATURE


def test_what_is_not_finite_is_left_where_it_was():
    model = two_hills()
    x = torch.tensor([[4.0, 4.0], [torch.inf, 4.0]])
    starts = [torch.ones(1, 2, 2)]
    with torch.no_grad():
        normals = find_modes(model, Batch(x), starts)
    assert torch.equal(normals.mean[1], torch.ones(2))
    assert normals.curvature.isfinite().all()
    assert (normals.mean[0] - 2).abs().max() < 0.1


def test_modes_alone_are_a_proposal():
    truth = linear_gaussian()
    x = truth.sample(4)
    proposal = Proposal((), 0.0, (Stretch(1.0, 0.0),))
    found = importance_log_likelihood(truth.model, Rows(x), samples=50, proposal=proposal)
    assert (found.per_example - truth.log_evidence(x)).abs().max() < 1e-3
