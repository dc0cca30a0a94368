"""Numbers that are known in closed form, and a model whose log-likelihood is."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from ..evaluation import importance_log_likelihood
from ..evaluation.proposal import POSTERIOR_ALONE
from ..families import ContinuousBernoulli, DiscretizedLogistic, MixtureLogistic, Normal, Place
from ..latents import Chain
from ..model import VAE
from ..model.conditionals import build_decoder, build_encoder
from ..networks import MLP
from ..objectives import Elbo, Iwae
from ..priors import StandardNormal
from .quadrature import point_masses, quadrature

TOLERANCE = 1e-6
"""The most that `truths` may be off by, in nats: they are computed in float64."""


class Rows:
    """Rows of a tensor as examples that every measure of `lowerbound.evaluation` takes."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, index: slice, key: int = 0) -> Tensor:
        """Returns the rows at `index`."""
        return self.values[index]


class LinearGaussian(NamedTuple):
    """A VAE that is a linear-Gaussian chain with its exact posteriors.

    Attributes:
        model: the VAE.
        mean: mean of its marginal distribution of x, which is normal, (data,).
        covariance: covariance of that distribution, (data, data).
    """

    model: VAE
    mean: Tensor
    covariance: Tensor

    def log_evidence(self, x: Tensor) -> Tensor:
        """Computes log p(x) of each row, in nats."""
        return MultivariateNormal(self.mean, self.covariance).log_prob(x)

    def sample(self, n: int) -> Tensor:
        """Draws `n` rows of the marginal distribution."""
        return MultivariateNormal(self.mean, self.covariance).sample(torch.Size([n]))


def set_linear(module: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Gives the only linear layer of `module` these weights."""
    (layer,) = (part for part in module.modules() if isinstance(part, nn.Linear))
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


class _Step(NamedTuple):
    """One step down a chain: z_i = slope * z_{i+1} + shift + N(0, variance I)."""

    slope: Tensor
    shift: Tensor
    variance: float


def _build_posterior(inputs: int, weight: Tensor, bias: Tensor, variance: Tensor) -> nn.Module:
    """Builds q = N(weight @ context + bias, diag(variance))."""
    size = len(bias)
    q = build_encoder(MLP(()), Normal(), (inputs,), size).double()
    set_linear(q, torch.cat([weight, torch.zeros_like(weight)]), torch.cat([bias, variance.log()]))
    return q


def _build_decoder(inputs: int, weight: Tensor, bias: Tensor, variance: float) -> nn.Module:
    """Builds p = N(weight @ context + bias, variance I)."""
    p = build_decoder(MLP(()), Normal(variance=variance), inputs, (len(bias),)).double()
    set_linear(p, weight, bias)
    return p


def linear_gaussian(
    levels: int = 1, size: int = 2, data: int = 5, noise: float = 0.3, seed: int = 0
) -> LinearGaussian:
    """Builds a chain of `levels` with its exact posteriors.

    Its dimensions do not mix, so that the posteriors are diagonal and can be written down:
    z_T ~ N(0, I), z_i = diag(a_i) z_{i+1} + b_i + N(0, v_i I), x = W z_1 + b + N(0, noise I) with
    orthogonal columns of W.
    """
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).double()

    slopes = [draw(size) for _ in range(levels - 1)]
    shifts = [draw(size) for _ in range(levels - 1)]
    steps = []
    for i, (slope, shift) in enumerate(zip(slopes, shifts, strict=True)):
        steps.append(_Step(slope, shift, 0.3 + 0.4 * i))
    weight = torch.linalg.qr(draw(data, size))[0] * (1 + draw(size).abs())
    offset = draw(data)

    # The marginal distribution of each level, N(means[i], diag(variances[i])), from the top down.
    means = [torch.zeros(size).double()]
    variances = [torch.ones(size).double()]
    for step in reversed(steps):
        means.insert(0, step.slope * means[0] + step.shift)
        variances.insert(0, step.slope**2 * variances[0] + step.variance)

    # Each posterior by the rule of Bayes: precisions add, and means weighted by them.
    precision = 1 / variances[0] + (weight**2).sum(0) / noise
    gain = weight.T / noise / precision[:, None]
    bias = (means[0] / variances[0] - weight.T @ offset / noise) / precision
    posteriors = [_build_posterior(data, gain, bias, 1 / precision)]
    for step, mean, variance in zip(steps, means[1:], variances[1:], strict=True):
        precision = 1 / variance + step.slope**2 / step.variance
        gain = torch.diag(step.slope / step.variance / precision)
        bias = (mean / variance - step.slope * step.shift / step.variance) / precision
        posteriors.append(_build_posterior(size, gain, bias, 1 / precision))

    priors = []
    for step in steps:
        priors.append(_build_decoder(size, torch.diag(step.slope), step.shift, step.variance))
    priors.append(StandardNormal().build(Place((size,))).double())
    chain = Chain(posteriors, priors, [size] * levels)
    model = VAE(chain, _build_decoder(size, weight, offset, noise), (data,))
    covariance = weight @ torch.diag(variances[0]) @ weight.T
    covariance = covariance + noise * torch.eye(data).double()
    return LinearGaussian(model, weight @ means[0] + offset, covariance)


def _exact_posterior(levels: int) -> float:
    """Compares each log weight of a model with exact posteriors with log p(x)."""
    truth = linear_gaussian(levels)
    x = truth.sample(8)
    log_weight = truth.model.terms(x, samples=5).log_weight
    return float((log_weight - truth.log_evidence(x)).abs().max().detach())


def _measured_log_likelihood() -> float:
    """Compares the importance-sampled log-likelihood with log p(x)."""
    truth = linear_gaussian()
    x = truth.sample(8)
    measured = importance_log_likelihood(truth.model, Rows(x), samples=3, proposal=POSTERIOR_ALONE)
    return abs(measured.log_likelihood.value - float(truth.log_evidence(x).mean()))


def _closed_form_kl() -> float:
    """Compares the closed-form KL of two normal distributions with its integral."""
    mean = torch.tensor([0.7]).double()
    log_variance = torch.tensor([-1.2]).double()
    q = Normal()((mean, log_variance), 1)
    p = Normal(variance=1.0)((torch.zeros(1).double(),), 1)
    points, weights = quadrature(q)
    log_q = q.log_prob(points)
    integral = (log_q.exp() * (log_q - p.log_prob(points)) * weights).sum()
    return float((kl_divergence(q, p) - integral).abs())


def _sum_of_grid() -> float:
    """Sums the probabilities of the 256 values of a discretised logistic distribution."""
    mean = torch.tensor([-3.0, 0.0, 2.0]).double()[:, None]
    log_scale = torch.tensor([-4.0, 0.0, 3.0]).double()[:, None]
    d = DiscretizedLogistic()((mean, log_scale), 1)
    masses = point_masses(d, 256, torch.float64)[1]
    return float((masses.sum(0) - 1).abs().max())


def _sum_of_colours() -> float:
    """Sums the probabilities of the 64 colours of three channels of 4 levels under mixtures."""
    event = (3, 1, 1)
    family = MixtureLogistic(components=3, levels=4)
    head = family.head(Place(event)).double()
    d = head(3 * torch.randn(5, *family.features(event)).double())
    level = torch.arange(4).double() / 3
    colours = torch.cartesian_prod(level, level, level).reshape(64, 1, *event)
    return float((d.log_prob(colours).exp().sum(0) - 1).abs().max())


def _integral_of_grey() -> float:
    """Integrates the density of a continuous Bernoulli distribution."""
    logits = torch.tensor([-12.0, 0.0, 1e-4, 3.0]).double()[:, None]
    d = ContinuousBernoulli()((logits,), 1)
    masses = point_masses(d, None, torch.float64)[1]
    return float((masses.sum(0) - 1).abs().max())


def _order_of_bounds() -> float:
    """Returns by how much the ELBO of a poor posterior is above its IWAE bound: never at all."""
    truth = linear_gaussian()
    posterior = truth.model.get_submodule("latents.posteriors.0")
    set_linear(posterior, torch.zeros(4, 5), torch.zeros(4))
    terms = truth.model.terms(truth.sample(8), samples=16, kl="sampled")
    excess = Iwae()(terms) - Elbo(kl="sampled")(terms)
    return float(excess.detach().clamp(min=0))


def _with_own_seed(truth: Callable[[], float]) -> Callable[[], float]:
    """Makes a truth give the same number each time and leave the caller's random stream alone."""

    def measure() -> float:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return truth()

    return measure


def truths() -> dict[str, Callable[[], float]]:
    """Returns what is known in closed form.

    Returns:
        A name -> a function that gives by how much this installation is off, at most `TOLERANCE`.
    """
    measures: dict[str, Callable[[], float]] = {
        "exact posterior: every log weight is log p(x)": lambda: _exact_posterior(1),
        "the same on a chain of three levels": lambda: _exact_posterior(3),
        "importance-sampled log p(x) of that model": _measured_log_likelihood,
        "closed-form KL against quadrature": _closed_form_kl,
        "DiscretizedLogistic sums to one": _sum_of_grid,
        "MixtureLogistic sums to one over colours": _sum_of_colours,
        "ContinuousBernoulli integrates to one": _integral_of_grey,
        "IWAE is not below the ELBO": _order_of_bounds,
    }
    return {name: _with_own_seed(truth) for name, truth in measures.items()}
