"""Ranking metrics by name."""

import re
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from ...errors import ConfigError, unknown

CUTS = (5, 10, 20, 50, 100)
"""A report measures the lists of these lengths k."""


def cuts(items: int) -> tuple[int, ...]:
    """Returns the usual k that a catalogue of this size has; its size, if it is below them all."""
    usual = tuple(k for k in CUTS if k <= items)
    return usual or (items,)


def _ranks(hits: Tensor) -> Tensor:
    """The ranks 1 to k of a list."""
    return torch.arange(1, hits.shape[1] + 1, dtype=torch.float64)


def _recall(hits: Tensor, n: Tensor) -> Tensor:
    return hits.sum(1) / n


def _recall_capped(hits: Tensor, n: Tensor) -> Tensor:
    k = hits.shape[1]
    return hits.sum(1) / n.clamp(max=k)


def _ndcg(hits: Tensor, n: Tensor) -> Tensor:
    k = hits.shape[1]
    gains = 1 / torch.arange(2, k + 2, dtype=torch.float64).log2()
    ideal = gains.cumsum(0)[n.clamp(max=k) - 1]
    return hits @ gains / ideal


def _precision(hits: Tensor, n: Tensor) -> Tensor:
    return hits.mean(1)


def _hit_rate(hits: Tensor, n: Tensor) -> Tensor:
    return hits.amax(1)


def _reciprocal_rank(hits: Tensor, n: Tensor) -> Tensor:
    return (hits / _ranks(hits)).amax(1)


def _average_precision(hits: Tensor, n: Tensor) -> Tensor:
    k = hits.shape[1]
    precisions = hits * hits.cumsum(1) / _ranks(hits)
    return precisions.sum(1) / n.clamp(max=k)


METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "recall": _recall,
    "recall_capped": _recall_capped,
    "ndcg": _ndcg,
    "precision": _precision,
    "hit_rate": _hit_rate,
    "mrr": _reciprocal_rank,
    "map": _average_precision,
}
"""The functions that measure each user, (B,) float64, by name.

They take the hits of lists of length k, (B, k) float64, and the numbers n of targets, (B,) int64. A
target is a non-zero; how large it is does not matter.

- recall: hits / n.
- recall_capped: hits / min(k, n), the "Recall@R" of Liang et al. 2018, section 4.2.
- ndcg: gains 1 / log2(rank + 1) of the hits, over those of min(k, n) hits at the top.
- precision: hits / k, also where fewer than k could be recommended.
- hit_rate: 1 where there is a hit.
- mrr: 1 / the rank of the first hit, 0 where there is none.
- map: precision at the ranks of the hits, summed, over min(k, n).
"""


AREA = "auc"
"""The name of the area under the curve of all scores of a user, which has no k (see `area`)."""


def metrics_by_name(
    metrics: Sequence[str] | None, ks: Sequence[int], known: Collection[str] = tuple(METRICS)
) -> dict[str, tuple[str, int]]:
    """Maps the full names of metrics to pairs (metric, k).

    Args:
        metrics: names such as "recall@20"; a name without "@k" stands for all of `ks`, and None for
            all metrics.
        ks: the lengths of the lists.
        known: the names that are allowed; "auc" has the k 0.

    Raises:
        ConfigError: a metric is not known, or a k is not 1 or more.
    """
    if metrics is None:
        metrics = list(METRICS)
    pairs = {}
    for name in metrics:
        metric, at, cut = name.partition("@")
        if metric not in known:
            raise ConfigError(unknown("metric", metric, known))
        if metric == AREA and not at:
            pairs[AREA] = (AREA, 0)
            continue
        named_ks: Sequence[int] = ks
        if at:
            is_number = re.fullmatch(r"[1-9]\d*", cut)
            named_ks = [int(cut) if is_number else 0]
        for k in named_ks:
            if k < 1:
                got = f"{metric}@{cut}" if at else k
                raise ConfigError(
                    f"a metric is cut at a k of 1 or more, as in recall@20, got {got!r}"
                )
            pairs[f"{metric}@{k}"] = (metric, int(k))
    if not pairs:
        raise ConfigError("there is no metric to measure: name a metric and a k")
    return pairs
