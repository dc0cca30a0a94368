"""Ranking metrics of any scorer over held-out interactions: one streaming pass for every metric and
every cut k.

A list never holds what is minus infinity. Ties go to the lower item index, whatever the batch size
or number of threads.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from ...distributed.processes import ONE_PROCESS, Processes
from ...errors import ConfigError, DataError, ShapeError, unknown
from ...sparse import SparseRows
from ..statistics import Estimate, mean_ranks
from .metrics import METRICS, metrics_by_name
from .top_k import TopK, top_k


class Scorer(Protocol):
    """Scores of every item for users of whom only a history is known: (B, I), higher is better,
    minus infinity never.
    """

    def __call__(self, history: SparseRows, /) -> Tensor: ...


class Holdout(Protocol):
    """Users to measure on: what is known of them and, apart from it, what they are to be
    recommended; both (n, I).
    """

    @property
    def matrix(self) -> csr_matrix: ...

    @property
    def targets(self) -> csr_matrix | None: ...

    def __len__(self) -> int: ...

    def batch(self, index: slice, key: int = 0) -> SparseRows: ...


@dataclass(frozen=True, eq=False)
class Ranking:
    """What one pass measured.

    Attributes:
        metrics: for each name, such as "recall@20", the mean over the users ranked.
        per_user: for each name the measure of each, (ranked,) float64.
        users: rows of the holdout that were ranked, those with a target, (ranked,) int64.
        left_out: how many have no target and count in nothing.
        targets: how many items each was to be recommended, (ranked,) int64.
        places: for each target, in the order of its user and then its column, its place 1... in the
            list of the largest k, and 0 if it is not there, (sum of targets,) int32.
        columns: the column of each of them, int64.
        coverage: for each k the fraction of the catalogue that stands in some list.
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
    mean_popularity_rank: dict[int, float] | None
    top: Tensor | None

    def __getitem__(self, name: str) -> Estimate:
        """The mean over users of one metric, such as "ndcg@100".

        Raises:
            ConfigError: it was not measured.
        """
        return self.metrics[_measured(self, name)]


def _measured(ranking: Ranking, name: str) -> str:
    if name not in ranking.per_user:
        raise ConfigError(unknown("metric", name, ranking.per_user))
    return name


@contextmanager
def _hidden(scores: Tensor, history: SparseRows, hide: bool) -> Iterator[Tensor]:
    """The scores with minus infinity at the history, put back afterwards; a copy of them only if
    they cannot be written.
    """
    if not hide:
        yield scores
        return
    scores = scores.clone() if scores.is_inference() or 0 in scores.stride() else scores
    where = history.rows.to(scores.device), history.columns.to(scores.device)
    kept = scores[where]
    scores[where] = -torch.inf
    try:
        yield scores
    finally:
        scores[where] = kept


def _found(keys: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """For `wanted` and the sorted `keys`: where each stands in them, and whether it does."""
    at = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return at, keys[at] == wanted


class _Batch(NamedTuple):
    """Users with a target: what was recommended (B, k), what of it there was at all, what hit, and
    all targets.

    `users` (B,) and `entries` say which they are of all users ranked, and which their targets are
    of all targets.
    """

    users: Tensor
    entries: Tensor
    items: Tensor
    given: Tensor
    hits: Tensor
    targets: SparseRows
    places: Tensor


def _judged(
    users: Tensor, entries: Tensor, items: Tensor, given: Tensor, targets: SparseRows
) -> _Batch:
    """What of the lists is a target."""
    width, k = targets.width, items.shape[1]
    wanted = torch.arange(len(items))[:, None] * width + items
    at, hits = _found(targets.rows * width + targets.columns, wanted)
    hits &= given
    places = torch.zeros(len(targets.columns), dtype=torch.int32)
    places[at[hits]] = torch.arange(1, k + 1, dtype=torch.int32).expand_as(at)[hits]
    return _Batch(users, entries, items, given, hits, targets, places)


def _scores(scorer: Scorer, history: SparseRows) -> Tensor:
    scores = scorer(history)
    if scores.shape != history.shape:
        raise ShapeError(
            f"a scorer must give scores {tuple(history.shape)}, got {tuple(scores.shape)}"
        )
    return scores


def _listed(scorer: Scorer, history: SparseRows, k: int, hide: bool) -> TopK:
    """The list of each user, on the CPU."""
    with _hidden(_scores(scorer, history), history, hide) as scores:
        best = top_k(scores, k)
    if (best.values[:, 0] == torch.inf).any():
        raise DataError(
            f"the best scores of {int((best.values[:, 0] == torch.inf).sum())} of {len(history)} "
            "users are infinite"
        )
    return TopK(best.values.cpu(), best.indices.cpu())


def _targets(holdout: Holdout) -> csr_matrix:
    """Its non-zeros, in the order of their columns."""
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


def _batches(
    scorer: Scorer,
    holdout: Holdout,
    targets: csr_matrix,
    k: int,
    size: int,
    hide: bool,
    processes: Processes,
) -> Iterator[_Batch]:
    """Every batch of users that is this process's and has a target; one without is not scored."""
    some = np.diff(targets.indptr) > 0
    users = torch.from_numpy(some.cumsum() - 1)
    for start in range(processes.rank * size, len(holdout), processes.world * size):
        index = slice(start, min(start + size, len(holdout)))
        kept = torch.from_numpy(some[index])
        if kept.any():
            values, items = _listed(scorer, holdout.batch(index), k, hide)
            wanted = SparseRows.of(targets[index][kept.numpy()])
            entries = torch.arange(
                int(targets.indptr[index.start]), int(targets.indptr[index.stop])
            )
            yield _judged(
                users[index][kept], entries, items[kept], values[kept] > -torch.inf, wanted
            )


class _Catalogue:
    """What is recommended of the catalogue, for each k; popularity ranks are (I,), all multiples of
    1/2: their sums are exact.
    """

    def __init__(self, width: int, ks: Sequence[int], popularity: Tensor | None) -> None:
        self.ks, self.ranks = ks, popularity
        self.seen = torch.zeros(len(ks), width, dtype=torch.int8)
        self.slots, self.sums = (
            torch.zeros(len(ks), dtype=torch.int64),
            torch.zeros(len(ks), dtype=torch.float64),
        )

    def add(self, batch: _Batch) -> None:
        for row, k in enumerate(self.ks):
            items = batch.items[:, :k][batch.given[:, :k]]
            self.seen[row, items] = 1
            self.slots[row] += len(items)
            self.sums[row] += 0.0 if self.ranks is None else self.ranks[items].sum()

    def join(self, processes: Processes) -> None:
        """Takes in what the other processes have."""
        self.seen = processes.gather(self.seen).amax(0)
        self.slots, self.sums = (
            processes.gather(self.slots).sum(0),
            processes.gather(self.sums).sum(0),
        )

    def coverage(self) -> dict[int, float]:
        return dict(zip(self.ks, self.seen.double().mean(1).tolist(), strict=True))

    def mean_rank(self) -> dict[int, float] | None:
        means = self.sums / self.slots.clamp(min=1)
        return None if self.ranks is None else dict(zip(self.ks, means.tolist(), strict=True))


class _Measures(NamedTuple):
    """What is kept of users: which they are of those ranked, and which targets they have; metrics
    (B, names), places, lists.
    """

    users: Tensor
    entries: Tensor
    metrics: Tensor
    places: Tensor
    top: Tensor

    @classmethod
    def of(cls, batch: _Batch, names: Mapping[str, tuple[str, int]], kept: int) -> "_Measures":
        """Those of a batch, with the first `kept` of each list."""
        hits = batch.hits.double()
        metrics = torch.stack(
            [METRICS[kind](hits[:, :k], batch.targets.counts) for kind, k in names.values()], 1
        )
        top = batch.items[:, :kept].masked_fill(~batch.given[:, :kept], -1)
        return cls(batch.users, batch.entries, metrics, batch.places, top)

    @classmethod
    def none(cls, names: int, kept: int) -> "_Measures":
        """Those of no user."""
        where, metrics = (
            torch.empty(0, dtype=torch.int64),
            torch.empty(0, names, dtype=torch.float64),
        )
        return cls(
            where, where, metrics, torch.empty(0, dtype=torch.int32), where.new_empty(0, kept)
        )

    def whole(self, processes: Processes, users: int, entries: int) -> "_Measures":
        """Those of all users, in order, of which each process has some."""
        metrics, top = (
            processes.whole(each, self.users, users) for each in (self.metrics, self.top)
        )
        places = processes.whole(self.places, self.entries, entries)
        return _Measures(torch.arange(users), torch.arange(entries), metrics, places, top)


def refuse_other_counts(popularity: Tensor | np.ndarray, width: int) -> np.ndarray:
    counts = np.asarray(popularity, dtype=np.float64)
    if counts.shape != (width,):
        raise ShapeError(
            f"popularity must be ({width},), one count for each item, got {counts.shape}"
        )
    return counts


def _popularity_ranks(popularity: Tensor | np.ndarray | None, width: int) -> Tensor | None:
    """1 for the most popular item; equals have the mean of their ranks."""
    if popularity is None:
        return None
    return torch.from_numpy(mean_ranks(-refuse_other_counts(popularity, width)))


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
    keep_top: bool = False,
    processes: Processes = ONE_PROCESS,
) -> Ranking:
    """Every metric at every k, from one pass over the users; memory grows with users and targets,
    not with users x items.

    Args:
        scorer: gives (B, I) scores for histories; what it gives is written to and put back.
        holdout: histories and targets. A user without a target is left out. A seen target counts
            among the targets, but can be no hit where what is seen is left out.
        ks: the cuts.
        metrics: names of `METRICS`, each at all of `ks`, or at one as in "recall@20"; all of them
        if None.
        batch: users scored at a time. It changes no figure.
        exclude_seen: recommend nothing of the history.
        popularity: how many users of the training set have each item, (I,).
        keep_top: also keep the lists.
        processes: that share the work: each batch is ranked by exactly one of them, and all have
            the result that one has alone.

    Raises:
        ConfigError: a metric is not known, a k is not from 1 to I, or `batch` is below 1.
        DataError: no user has a target, or scores are NaN, infinite, of another shape or of another
            precision.
    """
    if batch < 1:
        raise ConfigError(f"batch must be 1 or more, got {batch}")
    names, targets = metrics_by_name(metrics, ks), _targets(holdout)
    cuts = sorted({k for _, k in names.values()})
    if cuts[-1] > targets.shape[1]:
        raise ConfigError(
            f"k must be from 1 to the {targets.shape[1]} items of the catalogue, got {cuts[-1]}"
        )
    catalogue = _Catalogue(targets.shape[1], cuts, _popularity_ranks(popularity, targets.shape[1]))
    kept = cuts[-1] if keep_top else 0
    parts = [_Measures.none(len(names), kept)]
    for part in _batches(scorer, holdout, targets, cuts[-1], batch, exclude_seen, processes):
        parts.append(_Measures.of(part, names, kept))
        catalogue.add(part)
    catalogue.join(processes)
    counts = np.diff(targets.indptr)
    own = _Measures(*(torch.cat(each) for each in zip(*parts, strict=True)))
    found = own.whole(processes, int((counts > 0).sum()), targets.nnz)
    per_user = dict(zip(names, found.metrics.T.contiguous(), strict=True))
    return Ranking(
        metrics={name: Estimate.of(values) for name, values in per_user.items()},
        per_user=per_user,
        users=torch.from_numpy(np.flatnonzero(counts)),
        left_out=int((counts == 0).sum()),
        targets=torch.from_numpy(counts[counts > 0].astype(np.int64)),
        places=found.places,
        columns=torch.from_numpy(targets.indices.astype(np.int64)),
        coverage=catalogue.coverage(),
        mean_popularity_rank=catalogue.mean_rank(),
        top=found.top if keep_top else None,
    )


def difference(a: Ranking, b: Ranking, metric: str) -> Estimate:
    """The mean over users of a's measure minus b's, user by user: its standard error is that of the
    pairs.

    Raises:
        ConfigError: one of them did not measure it.
        DataError: they ranked for other users, or other targets of them.
    """
    same = (
        torch.equal(a.users, b.users)
        and torch.equal(a.targets, b.targets)
        and torch.equal(a.columns, b.columns)
    )
    if not same:
        raise DataError(
            f"the rankings are not of the same users and targets: {len(a.users)} and "
            f"{len(b.users)} users"
        )
    return Estimate.of(a.per_user[_measured(a, metric)] - b.per_user[_measured(b, metric)])
