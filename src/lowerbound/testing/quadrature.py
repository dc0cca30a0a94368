"""Sums and integrals over the values of a distribution of one number."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ..evaluation.proposal import support_of
from .spec import require, require_close

MOST_ERRORS = 5
"""A moment of samples may be off by at most this number of standard errors."""


def quadrature(d: Distribution, levels: int | None = None) -> tuple[Tensor, Tensor]:
    """Makes a rule that sums or integrates over the support of scalar events (1,).

    Args:
        d: the distribution, whose support and quartiles place the points.
        levels: number of the values of its grid on [0, 1]; None: as its support says.

    Returns:
        Points (n, *batch, 1) and weights (n, *batch), both float64.
    """
    support = support_of(d)
    shape = (-1, *[1] * len(d.batch_shape))
    if levels is not None or getattr(support, "is_discrete", False):
        is_known = levels is not None or type(support) is type(constraints.boolean)
        require(is_known, f"no sum over the support {support} is known")
        points = torch.linspace(0, 1, levels or 2, dtype=torch.float64)
        weights = torch.ones_like(points)
    elif type(support) is type(constraints.real):
        return _real_line(d, shape)
    else:
        is_known = hasattr(support, "lower_bound")
        require(is_known, f"no quadrature over the support {support} is known")
        points, weights = _gauss_legendre(float(support.lower_bound), float(support.upper_bound))
    full = (len(points), *d.batch_shape)
    points = points.reshape(shape).expand(full)
    weights = weights.reshape(shape).expand(full)
    return points.unsqueeze(-1), weights


def _real_line(d: Distribution, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Makes the trapezoidal rule in t, where x = median + (distance of quartiles) sinh(t)."""
    t = torch.linspace(-8, 8, 6001, dtype=torch.float64).reshape(shape)
    samples = d.sample(torch.Size([1001])).double().squeeze(-1)
    quartiles = samples.quantile(torch.tensor([0.25, 0.5, 0.75]).double(), dim=0)
    spread = quartiles[2] - quartiles[0]
    points = quartiles[1] + spread * t.sinh()
    weights = spread * t.cosh() * (16 / 6000)
    return points.unsqueeze(-1), weights


def _gauss_legendre(
    low: float, high: float, panels: int = 40, order: int = 20
) -> tuple[Tensor, Tensor]:
    """Makes the nodes and weights of a Gauss-Legendre rule on each of many panels."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    width = (high - low) / panels
    left_edges = low + width * np.arange(panels)
    points = left_edges[:, None] + width * (nodes + 1) / 2
    scaled = weights * width / 2
    return torch.from_numpy(points.ravel()), torch.from_numpy(np.tile(scaled, panels))


def point_masses(d: Distribution, levels: int | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Returns points (n, *batch) of a scalar event and the probability that belongs to each.

    Args:
        d: the distribution, of events (1,).
        levels: see `quadrature`.
        dtype: the type in which `d` computes its density.
    """
    points, weights = quadrature(d, levels)
    log_density = d.log_prob(points.to(dtype))
    return points.squeeze(-1), log_density.double().exp() * weights


def check_total(what: str, masses: Tensor, tolerance: float) -> None:
    """Checks that the probabilities (n, *batch) of all points sum to one.

    Raises:
        AssertionError: `what` is off by more than the tolerance.
    """
    total = masses.sum(0)
    require_close(total, torch.ones_like(total), tolerance, what)


def check_moments(name: str, samples: Tensor, points: Tensor, masses: Tensor) -> None:
    """Checks that samples (s, *batch) have the moments of points (n, *batch) with these masses.

    Raises:
        AssertionError: the first or the second moment is `MOST_ERRORS` standard errors off.
    """
    for power in (1, 2):
        expected = (points**power * masses).sum(0)
        square = (points ** (2 * power) * masses).sum(0)
        variance = (square - expected**2).clamp(min=0)
        standard_error = variance.sqrt() / math.sqrt(len(samples))
        difference = ((samples**power).mean(0) - expected).abs()
        errors = (difference / standard_error.clamp(min=1e-9)).max()
        require(
            errors < MOST_ERRORS,
            f"{name}: moment {power} of the samples is {errors:.1f} standard errors from "
            "log_prob's",
        )
