"""Models whose log-likelihood is known: every estimate is compared with a number that was not
computed by this package.
"""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from torch import nn

from lowerbound.evaluation import bound, importance_log_likelihood, latent_statistics
from lowerbound.evaluation.proposal import POSTERIOR_ALONE
from lowerbound.families import Bernoulli, Normal, Place
from lowerbound.latents import Chain, Inference, Level, rate
from lowerbound.model import VAE, Architecture
from lowerbound.model.conditionals import build_decoder, build_encoder
from lowerbound.networks import MLP
from lowerbound.objectives import Elbo, Iwae
from lowerbound.priors import Mixture, StandardNormal
from lowerbound.testing import Rows, linear_gaussian, set_linear

# Probabilistic PCA


class PPCA:
    """x = W z + b + N(0, s2 I): numbers in numpy, and the VAE with the same decoder and a diagonal
    posterior.

    The columns of W are not orthogonal, so that the true posterior, of covariance s2 inv(M) with M
    = W'W + s2 I, is not diagonal, and no diagonal posterior can be exact.
    """

    def __init__(self, variance, size=3, data=5, s2=0.4):
        random = np.random.default_rng(3)
        self.w, self.b, self.s2 = (
            random.normal(size=(data, size)) + 0.7 * random.normal(size=(data, 1)),
            random.normal(size=data),
            s2,
        )
        self.m = self.w.T @ self.w + s2 * np.eye(size)
        to_z = np.linalg.solve(self.m, self.w.T)
        q = build_encoder(MLP(()), Normal(), (data,), size).double()
        log_variance = np.log(s2 / np.diag(self.m))
        set_linear(
            q,
            torch.tensor(np.vstack([to_z, 0 * to_z])),
            torch.tensor(np.concatenate([-to_z @ self.b, log_variance])),
        )
        p = build_decoder(MLP(()), Normal(variance=variance), size, (data,)).double()
        set_linear(p, torch.tensor(self.w), torch.tensor(self.b))
        if p.free is not None:
            nn.init.constant_(p.free, math.log(s2))
        self.model = VAE(
            Chain([q], [StandardNormal().build(Place((size,))).double()], [size]), p, (data,)
        )

    def rows(self, n):
        random = np.random.default_rng(4)
        z = random.normal(size=(n, self.w.shape[1]))
        return z @ self.w.T + self.b + random.normal(size=(n, len(self.b))) * math.sqrt(self.s2)

    def log_evidence(self, x):
        return multivariate_normal(
            self.b, self.w @ self.w.T + self.s2 * np.eye(len(self.b))
        ).logpdf(x)

    def gap(self):
        """KL of the best diagonal posterior from the true one: 1/2 [sum log M_ii - log det M],
        whatever x is.
        """
        return (np.log(np.diag(self.m)).sum() - np.linalg.slogdet(self.m)[1]) / 2


@pytest.fixture(params=[0.4, "shared"])
def ppca(request):
    return PPCA(request.param)


def at_sigma_points(inference):
    """Draws whose equally weighted mean is exactly the expectation of any quadratic under q: mean
    +- sqrt(d) sigma_i e_i.
    """
    (level,) = inference.levels
    mean, spread = level.q.mean, level.q.variance.sqrt()
    d = mean.shape[-1]
    steps = math.sqrt(d) * torch.cat([torch.eye(d), -torch.eye(d)]).to(mean)
    z = mean + steps.unsqueeze(1) * spread
    return Inference([level._replace(z=z)], z)


def test_the_gap_of_the_best_diagonal_posterior(ppca):
    """ELBO = log p(x) - gap for every x. The integrand is quadratic, so the expectation is exact,
    without Monte Carlo.
    """
    x = ppca.rows(6)
    inference = at_sigma_points(ppca.model.infer(torch.tensor(x)))
    terms = ppca.model.terms_of(inference, torch.tensor(x))
    expected = ppca.log_evidence(x) - ppca.gap()
    assert ppca.gap() > 0.1
    np.testing.assert_allclose(
        (terms.log_likelihood - terms.rate.sum(-1)).mean(0).detach(), expected, rtol=1e-9
    )
    np.testing.assert_allclose(terms.log_weight.mean(0).detach(), expected, rtol=1e-9)
    np.testing.assert_allclose(-Elbo()(terms).item(), expected.mean(), rtol=1e-9)


def test_that_posterior_is_a_stationary_point_of_the_bound(ppca):
    """No gradient is left in the encoder, nor in E[ELBO] anywhere: the bound is tightest where the
    theory says.
    """
    x = torch.tensor(ppca.rows(20))
    terms = ppca.model.terms_of(at_sigma_points(ppca.model.infer(x)), x)
    Elbo()(terms).backward()
    for parameter in ppca.model.latents.parameters():
        assert parameter.grad.abs().max() < 1e-9


def test_estimates_of_the_gap_and_of_log_p(ppca):
    """By sampling: the measured bound lies one gap below log p(x), and importance sampling closes
    it.
    """
    x = ppca.rows(400)
    rows, truth = Rows(torch.tensor(x)), ppca.log_evidence(x)
    measured = bound(ppca.model, rows, samples=50)
    error = (measured.per_example.numpy() - (truth - ppca.gap())).std() / math.sqrt(len(x))
    assert abs(measured.elbo.value - (truth.mean() - ppca.gap())) < 5 * error
    found = importance_log_likelihood(ppca.model, rows, samples=2000)
    off = found.per_example.numpy() - truth
    assert abs(off.mean()) < ppca.gap() / 50
    assert (
        truth.mean() - importance_log_likelihood(ppca.model, rows, samples=1).log_likelihood.value
        > ppca.gap() / 2
    )


# Chains with their exact posteriors


@pytest.fixture(params=[1, 2, 3], ids=lambda n: f"{n} level(s)")
def chain(request):
    return linear_gaussian(request.param)


def test_exact_posteriors_make_every_log_weight_the_evidence(chain):
    """Then ELBO = IWAE_K = log p(x), with no noise at all. The evidence is scipy's, from the
    covariance by hand below.
    """
    x = chain.sample(7)
    truth = multivariate_normal(chain.mean.numpy(), chain.covariance.numpy()).logpdf(x.numpy())
    terms = chain.model.terms(x, samples=6)
    np.testing.assert_allclose(terms.log_weight.detach(), np.tile(truth, (6, 1)), rtol=1e-9)
    sampled = chain.model.terms(x, samples=6, kl="sampled")
    np.testing.assert_allclose(-Elbo(kl="sampled")(sampled).item(), truth.mean(), rtol=1e-9)
    np.testing.assert_allclose(-Iwae()(terms).item(), truth.mean(), rtol=1e-9)
    found = importance_log_likelihood(chain.model, Rows(x), samples=5, proposal=POSTERIOR_ALONE)
    np.testing.assert_allclose(found.per_example, truth, rtol=1e-9)
    np.testing.assert_allclose(found.effective_samples, 5, rtol=1e-9)


def test_the_marginal_of_the_chain_is_what_ancestral_sampling_gives(chain):
    """`linear_gaussian` writes its covariance down; draws from the decoder must have it, or the
    truth above is none.
    """
    n = 40_000
    drawn = chain.model.sample(n, mean=False).numpy()
    mean, covariance = chain.mean.numpy(), chain.covariance.numpy()
    spread = np.sqrt(np.diag(covariance))
    assert (np.abs(drawn.mean(0) - mean) < 5 * spread / math.sqrt(n)).all()
    # The variance of a sample covariance of normal variables: (c_ii c_jj + c_ij^2) / n.
    error = np.sqrt((np.outer(spread**2, spread**2) + covariance**2) / n)
    assert (np.abs(np.cov(drawn.T) - covariance) < 5 * error).all()


@pytest.mark.parametrize("levels", [2, 3])
def test_the_closed_form_everywhere_is_not_the_bound(levels):
    """Below the top q and p do not share parents (R3's second error): "valid" and "sampled" give
    log p(x), this does not.
    """
    chain = linear_gaussian(levels)
    x = chain.sample(1).expand(40_000, -1)
    truth = float(chain.log_evidence(x[:1]))
    found = {}
    for kl in ("valid", "sampled", "everywhere"):
        terms = chain.model.terms(x, samples=1, kl=kl)
        each = (terms.log_likelihood - terms.rate.sum(-1))[0].detach()
        found[kl] = (float(each.mean()) - truth) / max(float(each.std()) / math.sqrt(len(x)), 1e-12)
    assert abs(found["sampled"]) < 1e3  # in units of 1e-12: exact
    assert abs(found["valid"]) < 5
    assert abs(found["everywhere"]) > 20


def test_only_the_top_level_shares_parents():
    levels = linear_gaussian(3).model.infer(torch.zeros(2, 5).double(), 4).levels
    assert [level.shared for level in levels] == [False, False, True]
    assert [tuple(level.z.shape) for level in levels] == [(4, 2, 2)] * 3


# A real decoder, by quadrature


def weights_of(module):
    """Weights and biases of the linear layers, in numpy, in order."""
    return [
        (m.weight.detach().numpy(), m.bias.detach().numpy())
        for m in module.modules()
        if isinstance(m, nn.Linear)
    ]


def by_quadrature(model, x, size):
    """log p(x) = log of the integral of p(x|z) N(z; 0, I) over a grid of [-8, 8]^size, with the
    decoder in numpy.
    """
    count = 2001 if size == 1 else 301
    line = np.linspace(-8, 8, count)
    z = np.stack(np.meshgrid(*[line] * size), -1).reshape(-1, size)
    (w1, b1), (w2, b2) = weights_of(model.decoder)
    logits = np.tanh(z @ w1.T + b1) @ w2.T + b2
    log_p = (
        -np.logaddexp(0, -logits) @ x.T
        - np.logaddexp(0, logits) @ (1 - x).T
        + norm.logpdf(z).sum(-1)[:, None]
    )
    return np.logaddexp.reduce(log_p, axis=0) + size * math.log(line[1] - line[0])


@pytest.fixture(params=[1, 2], ids=lambda d: f"{d}-D latent")
def curved(request):
    """A tanh decoder with large random weights, whose posterior is far from normal, and eight
    binary examples.
    """
    torch.manual_seed(5)
    size = request.param
    model = (
        Architecture(latent=(size,), network=MLP((6,), "tanh", init=1.2), likelihood=Bernoulli())
        .build((5,))
        .double()
    )
    with (
        torch.no_grad()
    ):  # a posterior close to the prior: its importance weights have a variance that can be trusted
        for parameter in model.latents.parameters():
            parameter *= 0.1
    x = (torch.rand(8, 5) < 0.5).double()
    return model, x, by_quadrature(model, x.numpy(), size)


def test_importance_sampling_agrees_with_quadrature(curved):
    """Within five standard errors, each by the delta method from its own weights: var(w) / (K
    mean(w)^2).
    """
    model, x, truth = curved
    samples = 20_000
    for i in range(len(x)):
        found = importance_log_likelihood(model, Rows(x[i : i + 1]), samples=samples, seed=i)
        error = math.sqrt(max(1 / found.effective_samples - 1 / samples, 0))
        assert found.effective_samples > 100, "the proposal is too poor for the comparison"
        assert abs(found.log_likelihood.value - truth[i]) < 5 * error + 1e-9
        assert error < 0.1


def test_bounds_are_ordered_and_rise_with_k(curved):
    """ELBO = IWAE_1 <= IWAE_5 <= IWAE_50 <= log p(x) (Burda et al. 2015, theorem 1), all of them
    estimated apart.
    """
    model, x, truth = curved
    many = x.repeat(500, 1)
    values, errors = [], []
    with torch.no_grad():
        elbo = model.terms(many)
        elbo = (elbo.log_likelihood - elbo.rate.sum(-1))[0]
        for k in (1, 5, 50):
            each = torch.stack([-Iwae()(model.terms(row, samples=k)) for row in many.split(8)])
            values.append(float(each.mean()))
            errors.append(float(each.std()) / math.sqrt(len(each)))
    assert abs(float(elbo.mean()) - values[0]) < 5 * math.hypot(
        errors[0], float(elbo.std()) / math.sqrt(len(elbo))
    )
    for (low, high), (a, b) in zip(
        [(values[0], values[1]), (values[1], values[2]), (values[2], truth.mean())],
        [(errors[0], errors[1]), (errors[1], errors[2]), (errors[2], 0)],
        strict=True,
    ):
        assert low < high + 3 * math.hypot(a, b)
    assert values[1] > values[0] + 0.05, "with these weights five samples must help"
    assert values[2] > values[1]


# KL divergences

POSTERIORS = [Normal(), Normal(variance="shared"), Normal(variance=0.3), Normal(mean="sigmoid")]


def one_level(family, prior, size=3):
    """A level of 20,000 draws for each of 4 random posteriors, against a standard normal prior or a
    mixture.
    """
    values = [torch.randn(4, size).double() for _ in range(family.parameters)]
    q = family([*values, *(torch.tensor(-0.7).double() for _ in range(family.free))], 1)
    return Level(
        q.rsample(torch.Size([20_000])), q, prior.build(Place((size,))).double()(None), True
    )


@pytest.mark.parametrize("family", POSTERIORS, ids=repr)
def test_closed_form_kl_against_monte_carlo(family):
    level = one_level(family, StandardNormal())
    drawn = rate(level, "sampled")
    error = drawn.std(0) / math.sqrt(len(drawn))
    assert ((rate(level, "valid").mean(0) - drawn.mean(0)).abs() < 5 * error).all()
    torch.testing.assert_close(rate(level, "valid"), rate(level, "everywhere"))
    assert rate(level).std(0).max() < 1e-12, "a closed form does not vary with the draw"


def test_kl_of_a_normal_is_the_published_formula():
    """-1/2 sum (1 + log sigma^2 - mu^2 - sigma^2) (Kingma & Welling 2013, appendix B), with its
    factor 1/2.
    """
    mean, log_variance = torch.randn(4, 3).double(), torch.randn(4, 3).double()
    q = Normal()((mean, log_variance), 1)
    level = Level(
        q.rsample(torch.Size([2])), q, StandardNormal().build(Place((3,))).double()(None), True
    )
    expected = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(-1)
    torch.testing.assert_close(rate(level), expected.expand(2, 4), rtol=1e-12, atol=0)


def test_a_prior_without_a_closed_form_is_sampled():
    level = one_level(Normal(), Mixture(components=3))
    torch.testing.assert_close(
        rate(level, "valid"), level.q.log_prob(level.z) - level.p.log_prob(level.z)
    )


# What the latents carry


def test_latent_statistics_of_a_model_that_is_known():
    """Variance over the data of the exact posterior means is the variance of the encoder's linear
    map of the data.
    """
    truth = linear_gaussian(1)
    x = truth.sample(300)
    with torch.no_grad():
        q = truth.model.latents.posteriors[0](x)
        level_rate = 0.5 * (q.mean**2 + q.variance - 1 - q.variance.log())
    found = latent_statistics(truth.model, Rows(x), samples=3)
    np.testing.assert_allclose(found.variance_of_means[0], q.mean.numpy().var(0), rtol=1e-9)
    np.testing.assert_allclose(found.rate_per_dimension[0], level_rate.mean(0), rtol=1e-9)
    assert found.active_units == (2,)


def test_rates_by_dimension_add_up_to_the_rate():
    truth = linear_gaussian(2)
    x = Rows(truth.sample(50))
    statistics, measured = (
        latent_statistics(truth.model, x, samples=4),
        bound(truth.model, x, samples=4),
    )
    for each, total in zip(statistics.rate_per_dimension, measured.rate, strict=True):
        np.testing.assert_allclose(each.sum(), total, rtol=1e-9)
