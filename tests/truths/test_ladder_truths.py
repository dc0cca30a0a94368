"""Top-down hierarchies against what is known exactly of them."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lowerbound.evaluation.likelihood import importance_log_likelihood
from lowerbound.evaluation.proposal import POSTERIOR_ALONE
from lowerbound.families import Bernoulli, Normal, Place
from lowerbound.latents import TopDown, TopPosterior
from lowerbound.model import VAE, Architecture
from lowerbound.model.conditionals import Conditional
from lowerbound.networks.ladders import ConvLadder, LadderParts, MLPLadder
from lowerbound.priors import StandardNormal
from lowerbound.testing import Rows

VALUES = 4
"""Dimensions of x in the linear ladders."""


class Affine(nn.Module):
    """x -> (W x + b, log variance), the parameters of normal distributions."""

    def __init__(self, weight, bias, variance):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(weight))
        self.bias = nn.Parameter(torch.as_tensor(bias))
        self.log_variance = nn.Parameter(torch.as_tensor(np.log(variance)))

    def forward(self, x):
        mean = x @ self.weight.T + self.bias
        return torch.cat([mean, self.log_variance.expand_as(mean)], -1)


class LinearRung(nn.Module):
    """A rung whose state is all z above it, each at its own place."""

    def __init__(self, level, prior, posterior):
        super().__init__()
        self.level = level
        self.prior_map = prior
        self.posterior_map = posterior

    def arrive(self, state):
        return state

    def prior(self, state):
        return self.prior_map(state).chunk(2, -1)

    def evidence(self, features):
        return features

    def posterior(self, evidence, state):
        return self.posterior_map(torch.cat([evidence, state], -1)).chunk(2, -1)

    def step(self, state, z):
        return torch.cat([state[:, : self.level], z, state[:, self.level + 1 :]], -1)


class Start(nn.Module):
    """The first state: z of the top at its place, zeros for the others."""

    def __init__(self, levels):
        super().__init__()
        self.levels = levels

    def forward(self, z):
        return torch.cat([z.new_zeros(len(z), self.levels - 1), z], -1)


class SameForAll(nn.Module):
    """The way up: each level sees x itself."""

    def __init__(self, levels):
        super().__init__()
        self.levels = levels

    def forward(self, x):
        return [x] * self.levels


def conditional(mean, covariance, of, given):
    """The normal distribution of one variable given others, as (weights, bias, variance)."""
    weights = np.linalg.solve(covariance[np.ix_(given, given)], covariance[given, of])
    variance = covariance[of, of] - weights @ covariance[given, of]
    return weights, mean[of] - weights @ mean[given], variance


def linear_ladder(levels, seed=0, error=0.0):
    """A ladder of scalar levels, linear and normal, with its exact posteriors moved by `error`.

    Returns:
        The model, and the mean and covariance of x.
    """
    rng = np.random.default_rng(seed)
    total = levels + VALUES
    # Variables 0 .. levels - 1 are z_1 .. z_L; those of x follow. Each depends on all z above.
    weights = np.zeros((total, total))
    bias = rng.normal(size=total)
    variance = rng.uniform(0.3, 1.2, size=total)
    for i in range(levels - 1):
        weights[i, i + 1 : levels] = rng.normal(size=levels - 1 - i)
    weights[levels:, :levels] = rng.normal(size=(VALUES, levels))
    bias[levels - 1] = 0
    variance[levels - 1] = 1
    inverse = np.linalg.inv(np.eye(total) - weights)
    mean = inverse @ bias
    covariance = inverse @ np.diag(variance) @ inverse.T

    xs = list(range(levels, total))
    rungs = []
    for level in range(levels - 1):
        above = list(range(level + 1, levels))
        w, b, v = conditional(mean, covariance, level, xs + above)
        seen = np.zeros(total)
        seen[:VALUES] = w[:VALUES]
        seen[VALUES + level + 1 :] = w[VALUES:]
        prior = Affine(weights[[level], :levels], bias[[level]], variance[[level]])
        posterior = Affine(seen[None], [b + error], np.array([v]))
        rungs.append(LinearRung(level, prior, posterior))
    w, b, v = conditional(mean, covariance, levels - 1, xs)
    head = Conditional(Affine(w[None], [b + error], np.array([v])), Normal(), 1, (1,))
    parts = LadderParts(
        SameForAll(levels),
        (VALUES,),
        head,
        Start(levels),
        tuple(rungs),
        sizes=(1,) * levels,
        state_shape=(levels,),
        widest=levels,
    )
    top = TopPosterior(parts.bottom_up, head)
    latents = TopDown(parts, top, StandardNormal().build(Place((1,))), "free")
    likelihood = Affine(weights[levels:, :levels], bias[levels:], variance[levels:])
    decoder = Conditional(likelihood, Normal(), 1, (VALUES,))
    return VAE(latents, decoder, (VALUES,)).double(), mean[levels:], covariance[levels:, levels:]


def log_density(x, mean, covariance):
    distribution = torch.distributions.MultivariateNormal(
        torch.as_tensor(mean), torch.as_tensor(covariance)
    )
    return distribution.log_prob(x)


@pytest.mark.parametrize("levels", [2, 3])
def test_exact_posteriors_make_every_weight_the_likelihood(levels):
    model, mean, covariance = linear_ladder(levels)
    x = model.sample(5, mean=False)
    terms = model.terms(x, 6)
    expected = log_density(x, mean, covariance)
    assert terms.log_weight.var(0).max() < 1e-20
    torch.testing.assert_close(terms.log_weight, expected.expand(6, 5))


@pytest.mark.parametrize("levels", [2, 3])
def test_wrong_posteriors_give_bounds_that_rise_with_the_samples(levels):
    model, mean, covariance = linear_ladder(levels, error=0.3)
    torch.manual_seed(0)
    x = model.sample(8, mean=False)
    with torch.no_grad():
        weights = model.terms(x, 8000).log_weight
    truth = log_density(x, mean, covariance)
    one = weights.mean(0)
    groups = weights.reshape(1000, 8, 8)
    eight = (torch.logsumexp(groups, 1) - math.log(8)).mean(0)
    all_samples = torch.logsumexp(weights, 0) - math.log(len(weights))
    assert (one < eight).all()
    assert (eight < truth).all()
    torch.testing.assert_close(all_samples, truth, atol=0.1, rtol=0)


def stirred(ladder, latent, shape, likelihood, seed=0):
    """A model of a ladder in which nothing is zero any more, in float64."""
    torch.manual_seed(seed)
    model = Architecture(latent=latent, ladder=ladder, likelihood=likelihood).build(shape).double()
    with torch.no_grad():
        for parameter in model.parameters():
            inputs = max(parameter[0].numel(), 1)
            parameter.add_(torch.randn_like(parameter) * 0.5 / math.sqrt(inputs))
    return model.eval()


@pytest.mark.parametrize("merge", ["residual", "free", "precision"])
@pytest.mark.parametrize(
    ("make", "latent", "shape"),
    [
        (lambda merge: MLPLadder(8, merge=merge), (3, 2, 2), (5,)),
        (lambda merge: ConvLadder(4, (1, 1), 2, merge=merge), (1, 2, 3), (1, 6, 5)),
    ],
    ids=["vectors", "maps"],
)
def test_rates_in_closed_form_are_those_of_the_draws_on_average(make, merge, latent, shape):
    """Prior and posterior share their parents at every level, which makes the closed form valid."""
    model = stirred(make(merge), latent, shape, Bernoulli())
    x = torch.bernoulli(torch.full((2, *shape), 0.5)).double()
    with torch.no_grad():
        inference = model.infer(x, 4000)
        closed = model.terms_of(inference, x, "valid").rate
        sampled = model.terms_of(inference, x, "sampled").rate
    difference = sampled - closed
    error = difference.std(0) / math.sqrt(len(difference))
    assert (closed.mean(0) > 0.01).all()
    assert (difference.mean(0).abs() < 4.5 * error).all()


@pytest.mark.parametrize("merge", ["residual", "free", "precision"])
def test_draws_together_are_the_draws_one_by_one(merge):
    model = stirred(MLPLadder(8, merge=merge), (3, 2, 2), (5,), Bernoulli())
    x = torch.rand(3, 5).double()
    together = model.infer(x, 4)
    for k in range(4):
        alone = model.at(x, [level.z[k : k + 1] for level in together.levels])
        torch.testing.assert_close(alone.context, together.context[k : k + 1])
        for one, all_draws in zip(alone.levels, together.levels, strict=True):
            log_q = all_draws.q.log_prob(all_draws.z)[k : k + 1]
            log_p = all_draws.p.log_prob(all_draws.z)[k : k + 1]
            torch.testing.assert_close(one.q.log_prob(one.z), log_q)
            torch.testing.assert_close(one.p.log_prob(one.z), log_p)


def test_the_merge_of_precisions_is_the_product_of_both_normals():
    model = stirred(MLPLadder(6, merge="precision"), (2, 2), (4,), Bernoulli())
    x = torch.rand(3, 4).double()
    level = model.infer(x, 1).levels[0]
    rung = model.latents.rungs[0]
    features = model.latents.top.bottom_up(x)
    mean, log_variance = rung.posterior(rung.evidence(features[0]), None)
    prior = level.p.base_dist
    precision = torch.exp(-log_variance) + prior.scale**-2
    expected = (mean * torch.exp(-log_variance) + prior.loc * prior.scale**-2) / precision
    torch.testing.assert_close(level.q.mean, expected)
    torch.testing.assert_close(level.q.base_dist.scale, precision**-0.5)


def test_importance_samples_of_two_scalar_levels_are_the_quadrature():
    model = stirred(MLPLadder(8), (1, 1), (3,), Bernoulli(), seed=1)
    x = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]).double()
    nodes = torch.linspace(-9, 9, 721).double()
    top, below = torch.meshgrid(nodes, nodes, indexing="ij")
    zs = [below.reshape(-1, 1, 1), top.reshape(-1, 1, 1)]
    with torch.no_grad():
        joint = torch.cat(
            [
                model.log_joint(x, [z.expand(-1, len(x), 1) for z in parts])
                for parts in zip(*(z.split(40_000) for z in zs), strict=True)
            ]
        )
    step = float(nodes[1] - nodes[0])
    truth = torch.logsumexp(joint, 0) + 2 * math.log(step)
    for proposal in (None, POSTERIOR_ALONE):
        options = {} if proposal is None else {"proposal": proposal}
        found = importance_log_likelihood(model, Rows(x), samples=20_000, **options)
        assert np.allclose(found.per_example, truth, atol=0.02)
