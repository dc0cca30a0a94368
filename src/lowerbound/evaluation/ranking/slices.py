"""Rankings by the activity of users and the popularity of items."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError, ShapeError
from ..statistics import Estimate, mean_ranks
from .rank import Holdout, Ranking, item_counts, mean_over_users


class Slice(NamedTuple):
    """Users, or items, whose count is from `low` to `high`.

    The count of a user is the size of the history, that of an item the number of training users.

    Attributes:
        low: the least count in the slice.
        high: the largest count in the slice.
        size: the number of its users, or items.
        metrics: means over users; those over no user at all are nan.
    """

    low: float
    high: float
    size: int
    metrics: dict[str, Estimate]


def _group_masks(counts: np.ndarray, groups: int | Sequence[float]) -> list[np.ndarray]:
    """Groups counts (n,), and returns the mask of each group that is not empty.

    A number of groups means quantiles of the counts. A list of counts splits at these; each opens a
    group. Equal counts are never parted, so that quantiles of few distinct counts may be fewer and
    of uneven size.

    Raises:
        ConfigError: there are fewer than one group.
    """
    if isinstance(groups, int):
        if groups < 1:
            raise ConfigError(f"groups must be 1 or more, got {groups}")
        quantiles = (mean_ranks(counts) - 0.5) * groups / len(counts)
        group = np.floor(quantiles)
    else:
        edges = np.sort(np.asarray(groups, dtype=float))
        group = np.searchsorted(edges, counts, side="right")
    return [group == number for number in np.unique(group)]


def _make_slice(counts: np.ndarray, metrics: dict[str, Tensor]) -> Slice:
    """Makes the slice of these counts from measures of each user."""
    means = {name: mean_over_users(values) for name, values in metrics.items()}
    low = float(counts.min())
    high = float(counts.max())
    return Slice(low, high, len(counts), means)


def by_activity(
    ranking: Ranking, holdout: Holdout, *, groups: int | Sequence[float] = 4
) -> tuple[Slice, ...]:
    """Slices every metric by the size of the users' histories.

    Args:
        ranking: the measures of the users ranked.
        holdout: the histories.
        groups: a number of quantiles, or the sizes to split at.

    Raises:
        ConfigError: there are fewer than one group.
    """
    sizes = np.diff(holdout.matrix.indptr)[ranking.users.numpy()]
    slices = []
    for mask in _group_masks(sizes, groups):
        rows = torch.from_numpy(mask)
        metrics = {name: values[rows] for name, values in ranking.per_user.items()}
        slices.append(_make_slice(sizes[mask], metrics))
    return tuple(slices)


def _recall_of_targets(ranking: Ranking, mask: Tensor, k: int) -> Tensor:
    """Measures the recall of the targets under a mask, for each user that has one.

    It is the fraction of these targets that stands among the first k.
    """
    user_of_target = torch.repeat_interleave(ranking.targets)[mask]
    is_hit = (ranking.places > 0) & (ranking.places <= k)
    hits = is_hit[mask].double()
    users = len(ranking.targets)
    targets_of_user = torch.bincount(user_of_target, minlength=users)
    hits_of_user = torch.bincount(user_of_target, hits, minlength=users)
    recall = hits_of_user / targets_of_user
    return recall[targets_of_user > 0]


def by_item_popularity(
    ranking: Ranking, popularity: Tensor | np.ndarray, *, k: int, groups: int | Sequence[float] = 4
) -> tuple[Slice, ...]:
    """Slices the recall by the popularity of the targets, from the least to the most popular items.

    The mean of a slice is over the users that have a target in it.

    Args:
        ranking: the measures of the users ranked.
        popularity: how many users of the training set have each item, (I,).
        k: the recall is that of the first k of each list.
        groups: a number of quantiles of all items, or the counts to split at.

    Raises:
        ConfigError: there are fewer than one group, or k is beyond the largest that was ranked.
        ShapeError: `popularity` has another shape than (I,).
    """
    longest = max(ranking.coverage)
    if not 1 <= k <= longest:
        raise ConfigError(
            f"k must be from 1 to {longest}, the longest list that was ranked, got {k}"
        )
    width = len(popularity)
    if width <= int(ranking.columns.max()):
        raise ShapeError(f"popularity must have one count for each item, got {width}")
    counts = item_counts(popularity, width)
    slices = []
    for mask in _group_masks(counts, groups):
        is_in_group = torch.from_numpy(mask)[ranking.columns]
        metrics = {f"recall@{k}": _recall_of_targets(ranking, is_in_group, k)}
        slices.append(_make_slice(counts[mask], metrics))
    return tuple(slices)
