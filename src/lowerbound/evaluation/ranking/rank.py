"""Ranking metrics of any scorer over held-out interactions: one streaming pass for every metric and
every cut k.

A list never holds an item whose score is minus infinity. Ties go to the lower item index, whatever
the batch size or the number of threads.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from ...batch import Batch, as_batch
from ...distributed.processes import ONE_PROCESS, Processes
from ...errors import ConfigError, DataError, ShapeError, unknown
from ...sparse import SparseRows
from ..statistics import Estimate, mean_ranks
from .area import areas
from .beyond import BEYOND, ItemFacts, Lists, gini, measurable
from .metrics import AREA, METRICS, metrics_by_name
from .top_k import TopK, top_k


class Scorer(Protocol):
    """A function from the histories of users to scores of every item, (B, I).

    A higher score is better, and no score is minus infinity. Users who have conditions come as a
    `Batch` (`History.without_conditions` makes histories alone of them).
    """

    def __call__(self, history: Any, /) -> Tensor: ...


class Holdout(Protocol):
    """Users to measure on: their histories and, held out from these, their targets; both (n, I)."""

    @property
    def matrix(self) -> csr_matrix: ...

    @property
    def targets(self) -> csr_matrix | None: ...

    def __len__(self) -> int: ...

    def batch(self, index: slice, key: int = 0) -> SparseRows | Batch: ...


@dataclass(frozen=True, eq=False)
class Ranking:
    """The measures of one pass over the users.

    Attributes:
        metrics: for each name, such as "recall@20", the mean over the users ranked.
        per_user: for each name the measure of each user, (ranked,) float64; nan where it says
            nothing of a user, who is then left out of its means and differences.
        users: rows of the holdout that were ranked, those with a target, (ranked,) int64.
        left_out: the number of users without a target; they count in nothing.
        targets: the number of targets of each user, (ranked,) int64.
        places: for each target, in the order of its user and then its column, its place 1... in the
            list of the largest k, and 0 if it is not there, (sum of targets,) int32.
        columns: the column of each target in the same order, (sum of targets,) int64.
        coverage: for each k the fraction of the catalogue that stands in some list.
        gini: for each k how unequally the items of the catalogue stand in lists, see `beyond.gini`.
        mean_popularity_rank: for each k the mean over all recommended of the item's rank by
            popularity, 1 for the most popular one, equals at the mean of their ranks; None without
            `popularity`.
        top: the lists of the largest k, (ranked, k) int64, -1 where there was nothing left to
            recommend; None unless asked for.
    """

    metrics: dict[str, Estimate]
    per_user: dict[str, Tensor]
    users: Tensor
    left_out: int
    targets: Tensor
    places: Tensor
    columns: Tensor
    coverage: dict[int, float]
    gini: dict[int, float]
    mean_popularity_rank: dict[int, float] | None
    top: Tensor | None

    def __getitem__(self, name: str) -> Estimate:
        """The mean over users of one metric, such as "ndcg@100".

        Raises:
            ConfigError: it was not measured.
        """
        _refuse_unmeasured(self, name)
        return self.metrics[name]


def _refuse_unmeasured(ranking: Ranking, name: str) -> None:
    if name not in ranking.per_user:
        raise ConfigError(unknown("metric", name, ranking.per_user))


# Lists


def _score(scorer: Scorer, users: SparseRows | Batch, history: SparseRows) -> Tensor:
    scores = scorer(users)
    if scores.shape != history.shape:
        raise ShapeError(
            f"a scorer must give scores {tuple(history.shape)}, got {tuple(scores.shape)}"
        )
    return scores


@contextmanager
def _excluding(scores: Tensor, history: SparseRows) -> Iterator[Tensor]:
    """Sets the scores of the history to minus infinity, and puts them back afterwards.

    It works on a copy only if the scores cannot be written to.
    """
    if scores.is_inference() or 0 in scores.stride():
        scores = scores.clone()
    rows = history.rows.to(scores.device)
    columns = history.columns.to(scores.device)
    entries = (rows, columns)
    kept = scores[entries]
    scores[entries] = -torch.inf
    try:
        yield scores
    finally:
        scores[entries] = kept


class _Asked(NamedTuple):
    """What is asked of the lists.

    Attributes:
        k: their length.
        exclude_seen: they hold nothing of the history.
        has_area: the area under the curve of all scores is measured too.
    """

    k: int
    exclude_seen: bool
    has_area: bool


def _best_items(
    scorer: Scorer, users: SparseRows | Batch, targets: csr_matrix, asked: _Asked
) -> tuple[TopK, Tensor]:
    """Lists the k best items of each user, on the CPU.

    Returns:
        The lists, and the area under the curve of each user, (B,), nan where it is not asked for.
    """
    history = as_batch(users).x
    assert isinstance(history, SparseRows)
    scores = _score(scorer, users, history)
    if not asked.exclude_seen:
        best = top_k(scores, asked.k)
        return _checked(best, len(history)), _areas(scores, None, targets, asked)
    with _excluding(scores, history) as remaining:
        best = top_k(remaining, asked.k)
        return _checked(best, len(history)), _areas(remaining, history, targets, asked)


def _areas(scores: Tensor, seen: SparseRows | None, targets: csr_matrix, asked: _Asked) -> Tensor:
    """Measures the area under the curve of each user, if it is asked for."""
    if not asked.has_area:
        return torch.full((len(scores),), torch.nan, dtype=torch.float64)
    return areas(scores, seen, SparseRows.of(targets))


def _checked(best: TopK, users: int) -> TopK:
    """Returns lists on the CPU. DataError where scores are infinite."""
    is_infinite = best.values[:, 0] == torch.inf
    if is_infinite.any():
        raise DataError(
            f"the best scores of {int(is_infinite.sum())} of {users} users are infinite"
        )
    return TopK(best.values.cpu(), best.indices.cpu())


# Targets


class _RankedBatch(NamedTuple):
    """The lists of B users, each with a target, and their targets.

    Attributes:
        users: the positions of the users among all users ranked, (B,).
        entries: the positions of their targets among all targets, (entries,).
        items: the lists, (B, k).
        is_listed: false where there was nothing left to recommend, (B, k).
        hits: whether an item of a list is a target, (B, k).
        targets: the targets.
        places: the place of each target in its list, 0 if it is not there, (entries,) int32.
        unwanted: what the lists may not hold, (B, I).
        areas: the area under the curve of the scores of each user, (B,) float64.
    """

    users: Tensor
    entries: Tensor
    items: Tensor
    is_listed: Tensor
    hits: Tensor
    targets: SparseRows
    places: Tensor
    unwanted: SparseRows
    areas: Tensor


def _checked_targets(holdout: Holdout) -> csr_matrix:
    """Returns the non-zero targets in the order of their columns.

    Raises:
        DataError: there is no target.
        ShapeError: the targets do not fit the histories.
    """
    if holdout.targets is None:
        raise DataError("there is nothing to rank for: this split holds no targets out")
    targets = csr_matrix(holdout.targets, copy=True)
    targets.sum_duplicates()
    targets.eliminate_zeros()
    if targets.shape != holdout.matrix.shape:
        raise ShapeError(
            f"targets must be {holdout.matrix.shape} as the histories are, got {targets.shape}"
        )
    if targets.nnz == 0:
        raise DataError("there is no user with a target to rank for")
    return targets


def _find_hits(items: Tensor, is_listed: Tensor, targets: SparseRows) -> tuple[Tensor, Tensor]:
    """Finds the targets in the lists `items` (B, k).

    Returns:
        Which items are targets, (B, k), and the place of each target, 0 if it is not there.
    """
    users, k = items.shape
    # A pair of user and item is one number; the numbers of the targets ascend.
    rows = torch.arange(users)[:, None]
    listed_pairs = rows * targets.width + items
    target_pairs = targets.rows * targets.width + targets.columns
    last = len(target_pairs) - 1
    entries = torch.searchsorted(target_pairs, listed_pairs).clamp(max=last)
    hits = target_pairs[entries] == listed_pairs
    hits &= is_listed
    places = torch.zeros(len(target_pairs), dtype=torch.int32)
    ranks = torch.arange(1, k + 1, dtype=torch.int32).expand_as(items)
    places[entries[hits]] = ranks[hits]
    return hits, places


def _rank_batches(
    scorer: Scorer,
    holdout: Holdout,
    targets: csr_matrix,
    asked: _Asked,
    size: int,
    processes: Processes,
) -> Iterator[_RankedBatch]:
    """Ranks every batch of users that is this process's; a batch without targets is not scored."""
    has_target = np.diff(targets.indptr) > 0
    positions = torch.from_numpy(has_target.cumsum() - 1)
    for start in range(processes.rank * size, len(holdout), processes.world * size):
        stop = min(start + size, len(holdout))
        index = slice(start, stop)
        kept = torch.from_numpy(has_target[index])
        if not kept.any():
            continue
        best, areas_of_users = _best_items(scorer, holdout.batch(index), targets[index], asked)
        items = best.indices[kept]
        is_listed = best.values[kept] > -torch.inf
        batch_targets = SparseRows.of(targets[index][kept.numpy()])
        unwanted = SparseRows.of(holdout.matrix[index][kept.numpy()])
        if not asked.exclude_seen:
            unwanted = unwanted.emptied()
        first = int(targets.indptr[start])
        entries = torch.arange(first, first + len(batch_targets.columns))
        hits, places = _find_hits(items, is_listed, batch_targets)
        users = positions[index][kept]
        yield _RankedBatch(
            users,
            entries,
            items,
            is_listed,
            hits,
            batch_targets,
            places,
            unwanted,
            areas_of_users[kept],
        )


# Measures


class _Exposure:
    """Counts what is recommended of the catalogue, for each k.

    The popularity ranks are (I,), all multiples of 1/2, so that their sums are exact.
    """

    def __init__(self, width: int, ks: Sequence[int], popularity_ranks: Tensor | None) -> None:
        self.ks = ks
        self.popularity_ranks = popularity_ranks
        self.lists = torch.zeros(len(ks), width, dtype=torch.int64)
        self.recommendations = torch.zeros(len(ks), dtype=torch.int64)
        self.rank_sums = torch.zeros(len(ks), dtype=torch.float64)

    def add(self, batch: _RankedBatch) -> None:
        """Counts the lists of a batch."""
        for row, k in enumerate(self.ks):
            is_listed = batch.is_listed[:, :k]
            items = batch.items[:, :k][is_listed]
            self.lists[row] += torch.bincount(items, minlength=self.lists.shape[1])
            self.recommendations[row] += len(items)
            if self.popularity_ranks is not None:
                self.rank_sums[row] += self.popularity_ranks[items].sum()

    def join(self, processes: Processes) -> None:
        """Adds what the other processes counted."""
        self.lists = processes.gather(self.lists).sum(0)
        self.recommendations = processes.gather(self.recommendations).sum(0)
        self.rank_sums = processes.gather(self.rank_sums).sum(0)

    def coverage(self) -> dict[int, float]:
        """Returns the fraction of the catalogue that was recommended, for each k."""
        fractions = (self.lists > 0).double().mean(1)
        return dict(zip(self.ks, fractions.tolist(), strict=True))

    def gini(self) -> dict[int, float]:
        """Returns the Gini index of the items by the lists that hold them, for each k."""
        return {k: gini(counts) for k, counts in zip(self.ks, self.lists, strict=True)}

    def mean_popularity_rank(self) -> dict[int, float] | None:
        """Returns the mean rank by popularity over all recommended, for each k."""
        if self.popularity_ranks is None:
            return None
        means = self.rank_sums / self.recommendations.clamp(min=1)
        return dict(zip(self.ks, means.tolist(), strict=True))


class _UserMeasures(NamedTuple):
    """What is kept of users.

    Attributes:
        users: their positions among all users ranked, (B,).
        entries: the positions of their targets among all targets, (entries,).
        metrics: their measures, (B, names).
        places: the places of their targets, (entries,).
        top: the first of their lists, (B, kept).
    """

    users: Tensor
    entries: Tensor
    metrics: Tensor
    places: Tensor
    top: Tensor

    @classmethod
    def from_batch(
        cls,
        batch: _RankedBatch,
        names: Mapping[str, tuple[str, int]],
        kept: int,
        facts: ItemFacts | None,
    ) -> "_UserMeasures":
        """Measures a batch, and keeps the first `kept` of each list."""
        hits = batch.hits.double()
        counts = batch.targets.counts
        beyond = _measure_beyond(batch, names, facts)
        columns = []
        for name, (metric, k) in names.items():
            if metric == AREA:
                columns.append(batch.areas)
            elif metric in METRICS:
                columns.append(METRICS[metric](hits[:, :k], counts))
            else:
                columns.append(beyond[name])
        metrics = torch.stack(columns, 1)
        is_listed = batch.is_listed[:, :kept]
        top = batch.items[:, :kept].masked_fill(~is_listed, -1)
        return cls(batch.users, batch.entries, metrics, batch.places, top)

    @classmethod
    def empty(cls, names: int, kept: int) -> "_UserMeasures":
        """Returns the measures of no user."""
        positions = torch.empty(0, dtype=torch.int64)
        metrics = torch.empty(0, names, dtype=torch.float64)
        places = torch.empty(0, dtype=torch.int32)
        top = torch.empty(0, kept, dtype=torch.int64)
        return cls(positions, positions, metrics, places, top)

    @classmethod
    def concatenate(cls, parts: "list[_UserMeasures]") -> "_UserMeasures":
        """Joins the measures of several batches."""
        return cls(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def gather(self, processes: Processes, users: int, entries: int) -> "_UserMeasures":
        """Gathers the measures of all users, in order, from the processes that share them."""
        metrics = processes.whole(self.metrics, self.users, users)
        top = processes.whole(self.top, self.users, users)
        places = processes.whole(self.places, self.entries, entries)
        return _UserMeasures(torch.arange(users), torch.arange(entries), metrics, places, top)


def _measure_beyond(
    batch: _RankedBatch, names: Mapping[str, tuple[str, int]], facts: ItemFacts | None
) -> dict[str, Tensor]:
    """Measures what needs to know the items, each metric for all of its cuts at once."""
    cuts_of: dict[str, list[int]] = {}
    for metric, k in names.values():
        if metric in BEYOND:
            cuts_of.setdefault(metric, []).append(k)
    lists = Lists(batch.items, batch.is_listed, batch.hits, batch.unwanted, batch.targets)
    found = {}
    for metric, ks in cuts_of.items():
        assert facts is not None
        measures = BEYOND[metric](lists, facts, ks)
        for k, values in zip(ks, measures.T, strict=True):
            found[f"{metric}@{k}"] = values
    return found


def mean_over_users(values: Tensor) -> Estimate:
    """Means the measures of users, (n,), without those of whom nothing is said."""
    return Estimate.of(values[~values.isnan()])


def _refuse_unknown_items(
    names: Mapping[str, tuple[str, int]], facts: ItemFacts | None, width: int
) -> None:
    """Refuses metrics for which the items are not known well enough.

    Raises:
        ConfigError: a metric needs `facts` that are not there.
        ShapeError: `facts` are of another number of items.
    """
    possible = measurable(facts)
    for name, (metric, _) in names.items():
        if metric in BEYOND and metric not in possible:
            needed = "the popularity of the items"
            if metric == "diversity":
                needed = "vectors of the items"
            raise ConfigError(f"{name} needs {needed}: give facts=ItemFacts(...)")
    if facts is not None:
        item_counts(facts.popularity, width)


def item_counts(popularity: Tensor | np.ndarray, width: int) -> np.ndarray:
    """Returns the popularity as float64, (I,). ShapeError if it has not one count for each item."""
    counts = np.asarray(popularity, dtype=np.float64)
    if counts.shape != (width,):
        raise ShapeError(
            f"popularity must be ({width},), one count for each item, got {counts.shape}"
        )
    return counts


# One pass


@torch.no_grad()
def rank(
    scorer: Scorer,
    holdout: Holdout,
    *,
    ks: Sequence[int] = (10, 20, 50, 100),
    metrics: Sequence[str] | None = None,
    batch: int = 512,
    exclude_seen: bool = True,
    popularity: Tensor | np.ndarray | None = None,
    facts: ItemFacts | None = None,
    keep_top: bool = False,
    processes: Processes = ONE_PROCESS,
) -> Ranking:
    """Measures every metric at every k in one pass over the users.

    Its memory grows with the users and the targets, not with users x items.

    Args:
        scorer: gives (B, I) scores for histories; its scores are written to and put back.
        holdout: histories and targets. A user without a target is left out. A target that is also
            in the history counts among the targets, but can be no hit with `exclude_seen`.
        ks: the cuts.
        metrics: names of `METRICS` and `BEYOND`, each at all of `ks`, or at one as in "recall@20",
            and "auc", the area under the curve of all scores of a user, which has no k; all of
            `METRICS` if None.
        batch: users scored at a time. It changes no figure.
        exclude_seen: recommend nothing of the history.
        popularity: how many users of the training set have each item, (I,).
        facts: what is known of the items, which the metrics of `BEYOND` need.
        keep_top: also keep the lists.
        processes: the processes that share the work. Exactly one of them ranks each batch, and all
            have the result that one has alone.

    Raises:
        ConfigError: a metric is not known, or needs facts that are not given, a k is not from 1 to
            I, or `batch` is below 1.
        DataError: no user has a target, or scores are NaN, infinite, of another shape or of another
            precision.
    """
    if batch < 1:
        raise ConfigError(f"batch must be 1 or more, got {batch}")
    names = metrics_by_name(metrics, ks, (*METRICS, *BEYOND, AREA))
    targets = _checked_targets(holdout)
    width = targets.shape[1]
    cuts = sorted({k for _, k in names.values() if k})
    if not cuts:  # the area under the curve has none, and lists are made all the same
        cuts = [1]
    longest = cuts[-1]
    if longest > width:
        raise ConfigError(f"k must be from 1 to the {width} items of the catalogue, got {longest}")
    _refuse_unknown_items(names, facts, width)
    popularity_ranks = None
    if popularity is not None:
        popularity_ranks = torch.from_numpy(mean_ranks(-item_counts(popularity, width)))
    exposure = _Exposure(width, cuts, popularity_ranks)
    kept = longest if keep_top else 0
    parts = [_UserMeasures.empty(len(names), kept)]
    has_area = any(metric == AREA for metric, _ in names.values())
    asked = _Asked(longest, exclude_seen, has_area)
    batches = _rank_batches(scorer, holdout, targets, asked, batch, processes)
    for ranked in batches:
        parts.append(_UserMeasures.from_batch(ranked, names, kept, facts))
        exposure.add(ranked)
    exposure.join(processes)
    counts = np.diff(targets.indptr)
    users = np.flatnonzero(counts)
    local = _UserMeasures.concatenate(parts)
    measures = local.gather(processes, len(users), targets.nnz)
    per_user = dict(zip(names, measures.metrics.T.contiguous(), strict=True))
    return Ranking(
        metrics={name: mean_over_users(values) for name, values in per_user.items()},
        per_user=per_user,
        users=torch.from_numpy(users),
        left_out=len(counts) - len(users),
        targets=torch.from_numpy(counts[users].astype(np.int64)),
        places=measures.places,
        columns=torch.from_numpy(targets.indices.astype(np.int64)),
        coverage=exposure.coverage(),
        gini=exposure.gini(),
        mean_popularity_rank=exposure.mean_popularity_rank(),
        top=measures.top if keep_top else None,
    )


def difference(a: Ranking, b: Ranking, metric: str) -> Estimate:
    """Returns the mean over users of a's measure minus b's.

    The standard error is that of the differences, user by user.

    Raises:
        ConfigError: one of them did not measure it.
        DataError: they ranked for other users, or other targets of them.
    """
    same_users = torch.equal(a.users, b.users)
    same_counts = torch.equal(a.targets, b.targets)
    if not (same_users and same_counts and torch.equal(a.columns, b.columns)):
        raise DataError(
            f"the rankings are not of the same users and targets: {len(a.users)} and "
            f"{len(b.users)} users"
        )
    _refuse_unmeasured(a, metric)
    _refuse_unmeasured(b, metric)
    return mean_over_users(a.per_user[metric] - b.per_user[metric])
