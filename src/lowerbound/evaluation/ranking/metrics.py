"""Ranking metrics by name."""

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...errors import ConfigError, unknown

CUTS = (5, 10, 20, 50, 100)
"""The usual k."""


def cuts(items: int) -> tuple[int, ...]:
    """The usual k that a catalogue of this size has; of the smallest, its size."""
    return tuple(k for k in CUTS if k <= items) or (items,)


def _discounts(k: int) -> Tensor:
    """1 / log2(rank + 1) for the ranks 1 to k."""
    return 1 / torch.arange(2, k + 2, dtype=torch.float64).log2()


def _ranks(hits: Tensor) -> Tensor:
    return torch.arange(1, hits.shape[1] + 1, dtype=torch.float64)


def _ndcg(hits: Tensor, n: Tensor) -> Tensor:
    gains = _discounts(hits.shape[1])
    return hits @ gains / gains.cumsum(0)[n.clamp(max=len(gains)) - 1]


def _average_precision(hits: Tensor, n: Tensor) -> Tensor:
    return (hits * hits.cumsum(1) / _ranks(hits)).sum(1) / n.clamp(max=hits.shape[1])


METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "recall": lambda hits, n: hits.sum(1) / n,
    "recall_capped": lambda hits, n: hits.sum(1) / n.clamp(max=hits.shape[1]),
    "ndcg": _ndcg,
    "precision": lambda hits, n: hits.mean(1),
    "hit_rate": lambda hits, n: hits.amax(1),
    "mrr": lambda hits, n: (hits / _ranks(hits)).amax(1),
    "map": _average_precision,
}
"""Name -> the measure of each user (B,) float64, from the hits of a list of k (B, k) float64 and
the n targets (B,) int64.

A target is a non-zero; how large does not matter.

- recall: hits / n.
- recall_capped: hits / min(k, n), the "Recall@R" of Liang et al. 2018, section 4.2.
- ndcg: gains 1 / log2(rank + 1) of the hits, over those of min(k, n) hits at the top.
- precision: hits / k, also where fewer than k could be recommended.
- hit_rate: 1 where there is a hit.
- mrr: 1 / the rank of the first hit, 0 where there is none.
- map: precision at the ranks of the hits, summed, over min(k, n).
"""


def _cut(text: str) -> int:
    return int(text) if re.fullmatch(r"[1-9]\d*", text) else 0


def metrics_by_name(metrics: Sequence[str] | None, ks: Sequence[int]) -> dict[str, tuple[str, int]]:
    """Full names of metrics to (metric, k). A name without "@k" stands for all of `ks`.

    Raises:
        ConfigError: a metric is not known, or a k is not 1 or more.
    """
    found = {}
    for name in METRICS if metrics is None else metrics:
        kind, at, cut = name.partition("@")
        if kind not in METRICS:
            raise ConfigError(unknown("metric", kind, METRICS))
        for k in [_cut(cut)] if at else ks:
            if k < 1:
                raise ConfigError(
                    "a metric is cut at a k of 1 or more, as in recall@20, got "
                    f"{f'{kind}@{cut}' if at else k!r}"
                )
            found[f"{kind}@{k}"] = (kind, int(k))
    if not found:
        raise ConfigError("there is no metric to measure: name a metric and a k")
    return found
