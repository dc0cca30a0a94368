"""Log-probabilities of counts that keep their digits at any size, in float32 too.

The textbook forms subtract logarithms of factorials, which for a count of a million are 10^7: a
float32 has no digits left for the difference. The forms here are those of Loader (2000, "Fast and
accurate computation of binomial probabilities"), on which R computes: each factorial is Stirling's
formula and a small correction, and all large terms meet in a deviance, which is computed as such.
"""

import math

import torch
from torch import Tensor

LARGEST_DIRECT = 15.0
"""Up to here Stirling's correction is computed from its definition, above by its series."""

LARGEST_DRAWN = 2.0**30
"""The largest rate of a Poisson distribution that counts are drawn with."""


def stirling_correction(number: Tensor) -> Tensor:
    """Computes log Gamma(x + 1) - log(sqrt(2 pi x) (x / e)^x) of numbers x > 0."""
    small = number.clamp(max=LARGEST_DIRECT)
    formula = (small + 0.5) * small.log() - small + 0.5 * math.log(2 * math.pi)
    direct = torch.lgamma(small + 1) - formula
    inverse = 1 / number.clamp(min=LARGEST_DIRECT)
    square = inverse.square()
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    return torch.where(number <= LARGEST_DIRECT, direct, series)


def _deviance(number: Tensor, log_ratio: Tensor) -> Tensor:
    """Computes x (r - 1 - log r), which is 0 where the ratio r is 1 and above 0 elsewhere."""
    return number * (torch.expm1(log_ratio) - log_ratio)


def log_poisson(value: Tensor, log_mean: Tensor) -> Tensor:
    """Computes the log-probability of counts under Poisson distributions."""
    count = value.clamp(min=1)
    log_count = count.log()
    formula = 0.5 * (log_count + math.log(2 * math.pi)) + stirling_correction(count)
    of_some = -_deviance(count, log_mean - log_count) - formula
    return torch.where(value > 0, of_some, -log_mean.exp())


def log_negative_binomial(value: Tensor, log_mean: Tensor, log_size: Tensor) -> Tensor:
    """Computes the log-probability of counts under negative binomial distributions, whose variance
    is mean + mean^2 / size.
    """
    count = value.clamp(min=1)
    log_count = count.log()
    size = log_size.exp()
    log_sum = torch.logaddexp(log_size, log_count)
    # With n = size + count trials, of which size are expected to be n size / (size + mean).
    log_ratio = log_sum - torch.logaddexp(log_size, log_mean)
    deviance = _deviance(size, log_ratio) + _deviance(count, log_ratio + log_mean - log_count)
    corrections = stirling_correction(size + count) - stirling_correction(size)
    corrections = corrections - stirling_correction(count)
    width = 0.5 * (log_size - log_sum - log_count - math.log(2 * math.pi))
    of_some = width + corrections - deviance
    of_none = -size * torch.nn.functional.softplus(log_mean - log_size)
    return torch.where(value > 0, of_some, of_none)


def draw_poisson(rate: Tensor) -> Tensor:
    """Draws counts from Poisson distributions."""
    return torch.poisson(rate.clamp(max=LARGEST_DRAWN))
