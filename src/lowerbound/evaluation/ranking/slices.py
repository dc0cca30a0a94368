"""Rankings by the activity of users and the popularity of items."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError, ShapeError
from ..statistics import Estimate, mean_ranks
from .rank import Holdout, Ranking, refuse_other_counts


class Slice(NamedTuple):
    """Users, or items, whose count (of the history, or of training users) is from `low` to `high`.

    Attributes:
        low: the least count that is there.
        high: the largest.
        size: how many users, or items, these are.
        metrics: means over users; those over no user at all are nan.
    """

    low: float
    high: float
    size: int
    metrics: dict[str, Estimate]


def _groups(counts: np.ndarray, groups: int | Sequence[float]) -> list[np.ndarray]:
    """Masks of the groups that are not empty: quantiles of the counts, or split at given counts
    (each opens a group).

    Equal counts are never parted, so that quantiles of few distinct counts may be fewer and of
    uneven size.

    Raises:
        ConfigError: there are fewer than one group.
    """
    if isinstance(groups, int) and groups < 1:
        raise ConfigError(f"groups must be 1 or more, got {groups}")
    if isinstance(groups, int):
        group = np.floor((mean_ranks(counts) - 0.5) * groups / len(counts))
    else:
        group = np.searchsorted(np.sort(np.asarray(groups, dtype=float)), counts, side="right")
    return [group == g for g in np.unique(group)]


def _slice(counts: np.ndarray, mask: np.ndarray, metrics: Mapping[str, Tensor]) -> Slice:
    means = {name: Estimate.of(values) for name, values in metrics.items()}
    return Slice(float(counts[mask].min()), float(counts[mask].max()), int(mask.sum()), means)


def by_activity(
    ranking: Ranking, holdout: Holdout, *, groups: int | Sequence[float] = 4
) -> tuple[Slice, ...]:
    """Every metric for the users ranked, apart by the size of their history: `groups` quantiles, or
    split at given sizes.

    Raises:
        ConfigError: there are fewer than one group.
    """
    counts = np.diff(holdout.matrix.indptr)[ranking.users.numpy()]
    masks = _groups(counts, groups)
    return tuple(
        _slice(counts, m, {name: v[torch.from_numpy(m)] for name, v in ranking.per_user.items()})
        for m in masks
    )


def _recall(ranking: Ranking, mask: Tensor, k: int) -> Tensor:
    """Of the targets under a mask, the fraction found among the first k, for each user that has
    one.
    """
    user = torch.repeat_interleave(ranking.targets)[mask]
    hits = ((ranking.places > 0) & (ranking.places <= k))[mask].double()
    n = torch.bincount(user, minlength=len(ranking.targets))
    return (torch.bincount(user, hits, minlength=len(n)) / n)[n > 0]


def by_item_popularity(
    ranking: Ranking, popularity: Tensor | np.ndarray, *, k: int, groups: int | Sequence[float] = 4
) -> tuple[Slice, ...]:
    """Recall of the targets that are among the least to the most popular items: `groups` quantiles
    of all items by count.

    The mean is over the users that have a target in the group.

    Raises:
        ConfigError: there are fewer than one group, or k is beyond the largest that was ranked.
        DataError: `popularity` has another shape than (I,).
    """
    if not 1 <= k <= max(ranking.coverage):
        raise ConfigError(
            f"k must be from 1 to {max(ranking.coverage)}, the longest list that was ranked, got "
            f"{k}"
        )
    width = len(popularity)
    if width <= int(ranking.columns.max()):
        raise ShapeError(f"popularity must have one count for each item, got {width}")
    counts = refuse_other_counts(popularity, width)
    masks = _groups(counts, groups)
    return tuple(
        _slice(
            counts, m, {f"recall@{k}": _recall(ranking, torch.from_numpy(m)[ranking.columns], k)}
        )
        for m in masks
    )
