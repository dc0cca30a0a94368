"""How far codes are from each other, and the nearest of many, found exactly."""

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from ..data import Split
from ..errors import ConfigError, unknown
from ..evaluation.batches import chunk_size, chunks, evaluating
from ..model import VAE

Metric = Literal["cosine", "euclidean", "mahalanobis"]
"""How codes are compared.

- `cosine`: of the angle at the origin; high is near.
- `euclidean`: the distance; low is near.
- `mahalanobis`: the distance in standard deviations of the posterior, the mean one of each
  dimension; low is near. A dimension that says nothing of an example counts for nothing, and one
  that the encoder is sure of counts for much.
"""

METRICS = get_args(Metric)
"""The names of the metrics."""

DRAWS = 8
"""Draws of z that tell the variance of a posterior."""

EXAMPLES_FOR_SPREADS = 2000
"""So many examples, at most, tell the mean variance of the posteriors."""

NUMBERS_AT_ONCE = 2**22
"""So many numbers of codes are compared in one go, at most."""


class Nearest(NamedTuple):
    """The nearest codes, the nearest first; of equally near ones the first comes first.

    Attributes:
        positions: of the codes among all, (k,).
        values: cosines or distances, (k,) float64.
    """

    positions: np.ndarray
    values: np.ndarray


def refuse_metric(metric: str) -> None:
    """Raises ConfigError for a metric that there is not."""
    if metric not in METRICS:
        raise ConfigError(unknown("metric", str(metric), METRICS))


def nearest(
    codes: Tensor, code: Tensor, k: int, metric: str, besides: int | None = None
) -> Nearest:
    """Finds the codes nearest to one, by comparing it with all of them in float64.

    Args:
        codes: (N, D); for `mahalanobis` divided by the spreads of the posteriors.
        code: (D,), likewise.
        k: how many, at most.
        metric: see `Metric`.
        besides: the position of a code that is left out, such as that of the example itself.

    Raises:
        ConfigError: there is no such metric.
    """
    refuse_metric(metric)
    values = _compare(codes, code.double(), metric)
    order = values
    if metric == "cosine":
        order = -values
    if besides is not None:
        order = order.clone()
        order[besides] = torch.inf
        k = min(k, len(codes) - 1)
    positions = torch.argsort(order, stable=True)[:k]
    return Nearest(positions.numpy(), values[positions].numpy())


def _compare(codes: Tensor, code: Tensor, metric: str) -> Tensor:
    """Compares one code (D,) with all (N, D), some of them at a time, (N,) float64."""
    values = []
    for part in codes.split(max(1, NUMBERS_AT_ONCE // max(codes.shape[1], 1))):
        if metric == "cosine":
            values.append(torch.cosine_similarity(part.double(), code[None], dim=1))
        else:
            values.append((part.double() - code).square().sum(1).sqrt())
    return torch.cat(values)


def spreads_of_posteriors(model: VAE, examples: Split, seed: int = 0) -> Tensor:
    """Measures the standard deviation of the posterior in each dimension of all levels, (D,): the
    square root of the mean variance over examples.

    Draws tell it, so that it is known of any posterior; at most `EXAMPLES_FOR_SPREADS` examples
    are looked at, evenly spaced.

    Raises:
        ConfigError: the posterior is a point in some dimension, as that of an autoencoder is.
    """
    rows = np.linspace(0, len(examples) - 1, min(len(examples), EXAMPLES_FOR_SPREADS)).round()
    some = examples.take(rows.astype(np.int64))
    total = torch.zeros(sum(model.latents.sizes), dtype=torch.float64)
    with evaluating(model, seed):
        for batch in chunks(model, some, max(1, chunk_size(model) // DRAWS)):
            levels = model.infer(batch, DRAWS).levels
            variances = [level.z.double().var(0) for level in levels]
            total += torch.cat(variances, -1).sum(0).cpu()
    spreads = (total / len(some)).sqrt()
    if not (spreads > 0).all():
        raise ConfigError(
            "metric mahalanobis needs a posterior with a spread, and that of this run is a point; "
            "allowed: cosine, euclidean"
        )
    return spreads
