"""Numbers that are known in closed form."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from ..evaluation import importance_log_likelihood
from ..families import ContinuousBernoulli, DiscretizedLogistic, Normal, Place
from ..latents import Chain
from ..model import VAE, conditionals
from ..networks import MLP
from ..objectives import Elbo, Iwae
from ..priors import StandardNormal
from .families import point_masses, quadrature

TOLERANCE = 1e-6
"""What `truths` may be off by, in nats: they are computed in float64."""


# Models whose log-likelihood is known
# ------------------------------------------------------------------------------


class Rows:
    """Rows of a tensor as examples that every measure of `lowerbound.evaluation` takes."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, index: slice, key: int = 0) -> Tensor:
        """The rows at `index`."""
        return self.values[index]


class LinearGaussian(NamedTuple):
    """A VAE that is a linear-Gaussian chain with its exact posteriors: x ~ N(mean, covariance) in
    closed form.
    """

    model: VAE
    mean: Tensor
    covariance: Tensor

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) of each row."""
        return MultivariateNormal(self.mean, self.covariance).log_prob(x)

    def sample(self, n: int) -> Tensor:
        """Rows of the marginal distribution."""
        return MultivariateNormal(self.mean, self.covariance).sample(torch.Size([n]))


def set_linear(module: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Give the only linear layer of `module` these weights."""
    (layer,) = (m for m in module.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def _posterior(inputs: int, weight: Tensor, bias: Tensor, variance: Tensor) -> nn.Module:
    """q = N(weight @ context + bias, diag(variance)), whatever the context."""
    size = len(bias)
    q = conditionals.encoder(MLP(()), Normal(), (inputs,), size).double()
    set_linear(q, torch.cat([weight, torch.zeros_like(weight)]), torch.cat([bias, variance.log()]))
    return q


def _linear(inputs: int, weight: Tensor, bias: Tensor, variance: float) -> nn.Module:
    """p = N(weight @ context + bias, variance I)."""
    p = conditionals.decoder(MLP(()), Normal(variance=variance), inputs, (len(bias),)).double()
    set_linear(p, weight, bias)
    return p


def linear_gaussian(
    levels: int = 1, size: int = 2, data: int = 5, noise: float = 0.3, seed: int = 0
) -> LinearGaussian:
    """A chain of `levels` whose dimensions do not mix, so that its exact posteriors are diagonal
    and can be written down.

    z_T ~ N(0, I), z_i = diag(a_i) z_{i+1} + b_i + N(0, v_i I), x = W z_1 + b + N(0, noise I) with
    orthogonal columns of W.
    """
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).double()

    slopes, shifts = (
        [draw(size) for _ in range(levels - 1)],
        [draw(size) for _ in range(levels - 1)],
    )
    variances = [0.3 + 0.4 * i for i in range(levels - 1)]
    means, spreads = (
        [torch.zeros(size).double()],
        [torch.ones(size).double()],
    )  # of p(z_i), from the top down
    for a, b, v in reversed(list(zip(slopes, shifts, variances, strict=True))):
        means.insert(0, a * means[0] + b)
        spreads.insert(0, a**2 * spreads[0] + v)
    w = torch.linalg.qr(draw(data, size))[0] * (1 + draw(size).abs())
    offset = draw(data)
    precision = 1 / spreads[0] + (w**2).sum(0) / noise
    posteriors = [
        _posterior(
            data,
            w.T / noise / precision[:, None],
            (means[0] / spreads[0] - w.T @ offset / noise) / precision,
            1 / precision,
        )
    ]
    for a, b, v, mean, spread in zip(
        slopes, shifts, variances, means[1:], spreads[1:], strict=True
    ):
        precision = 1 / spread + a**2 / v
        posteriors.append(
            _posterior(
                size,
                torch.diag(a / v / precision),
                (mean / spread - a * b / v) / precision,
                1 / precision,
            )
        )
    priors = [
        _linear(size, torch.diag(a), b, v)
        for a, b, v in zip(slopes, shifts, variances, strict=True)
    ]
    chain = Chain(
        posteriors, [*priors, StandardNormal().build(Place((size,))).double()], [size] * levels
    )
    model = VAE(chain, _linear(size, w, offset, noise), (data,))
    covariance = w @ torch.diag(spreads[0]) @ w.T + noise * torch.eye(data).double()
    return LinearGaussian(model, w @ means[0] + offset, covariance)


def _exact_posterior(levels: int) -> float:
    truth = linear_gaussian(levels)
    x = truth.sample(8)
    return float(
        (truth.model.terms(x, samples=5).log_weight - truth.log_evidence(x)).abs().max().detach()
    )


def _measured_log_likelihood() -> float:
    truth = linear_gaussian()
    x = truth.sample(8)
    return abs(
        importance_log_likelihood(truth.model, Rows(x), samples=3).log_likelihood.value
        - float(truth.log_evidence(x).mean())
    )


def _closed_form_kl() -> float:
    q = Normal()((torch.tensor([0.7]).double(), torch.tensor([-1.2]).double()), 1)
    p = Normal(variance=1.0)((torch.zeros(1).double(),), 1)
    points, weights = quadrature(q)
    log_q = q.log_prob(points)
    return float(
        (kl_divergence(q, p) - (log_q.exp() * (log_q - p.log_prob(points)) * weights).sum()).abs()
    )


def _sum_of_grid() -> float:
    d = DiscretizedLogistic()(
        (
            torch.tensor([-3.0, 0.0, 2.0]).double()[:, None],
            torch.tensor([-4.0, 0.0, 3.0]).double()[:, None],
        ),
        1,
    )
    return float((point_masses(d, 256, torch.float64)[1].sum(0) - 1).abs().max())


def _integral_of_grey() -> float:
    d = ContinuousBernoulli()((torch.tensor([-12.0, 0.0, 1e-4, 3.0]).double()[:, None],), 1)
    return float((point_masses(d, None, torch.float64)[1].sum(0) - 1).abs().max())


def _order_of_bounds() -> float:
    truth = linear_gaussian()
    set_linear(truth.model.get_submodule("latents.posteriors.0"), torch.zeros(4, 5), torch.zeros(4))
    terms = truth.model.terms(truth.sample(8), samples=16, kl="sampled")
    return float((Iwae()(terms) - Elbo(kl="sampled")(terms)).detach().clamp(min=0))


def _alone(truth: Callable[[], float]) -> Callable[[], float]:
    """The same number whenever it is asked for, and the caller's random stream untouched."""

    def measured() -> float:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return truth()

    return measured


def truths() -> dict[str, Callable[[], float]]:
    """What is known in closed form: a name -> a function that gives how far this installation is
    off, at most `TOLERANCE`.
    """
    found: dict[str, Callable[[], float]] = {
        "exact posterior: every log weight is log p(x)": lambda: _exact_posterior(1),
        "the same on a chain of three levels": lambda: _exact_posterior(3),
        "importance-sampled log p(x) of that model": _measured_log_likelihood,
        "closed-form KL against quadrature": _closed_form_kl,
        "DiscretizedLogistic sums to one": _sum_of_grid,
        "ContinuousBernoulli integrates to one": _integral_of_grey,
        "IWAE is not below the ELBO": _order_of_bounds,
    }
    return {name: _alone(truth) for name, truth in found.items()}
