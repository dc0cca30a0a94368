"""Ranking metrics of any scorer over held-out interactions: one streaming pass for every metric and
every cut k.

A list never holds what is minus infinity. Ties go to the lower item index, whatever the batch size
or number of threads.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from ..distributed.processes import ONE_PROCESS, Processes
from ..errors import ConfigError, DataError, ShapeError, unknown
from ..sparse import SparseRows
from .likelihood import Estimate

BLOCK, ROWS = 64, 512
"""Neighbouring scores that `top_k` first reduces to their maximum, and rows that it takes at a
time.
"""

PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)


CUTS = (5, 10, 20, 50, 100)
"""The usual k."""


def cuts(items: int) -> tuple[int, ...]:
    """The usual k that a catalogue of this size has; of the smallest, its size."""
    return tuple(k for k in CUTS if k <= items) or (items,)


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


class TopK(NamedTuple):
    """The best of each row, the best first; of equal ones the lower index first. Both (B, k)."""

    values: Tensor
    indices: Tensor


def _by_key(scores: Tensor, k: int) -> TopK:
    """Exact for any scores: one int64 for each, ordered as (score, -index), so that no two are
    equal.
    """
    bits = (scores.float() + 0.0).view(torch.int32)  # + 0.0: minus zero equals zero
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()
    index = (ordered * 2**32 - torch.arange(scores.shape[1], device=scores.device)).topk(k).indices
    return TopK(scores.gather(1, index), index)


def _entries(blocks: Tensor, least: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and value of the entries of the chosen blocks that reach `least` (B, 1), by row,
    then column.
    """
    row, block = chosen.nonzero(as_tuple=True)
    values = blocks[row, block]
    eights = (
        (values >= least[row]).view(torch.int64).view(-1)
    )  # booleans, eight at a time: most are all false
    some = eights.nonzero().squeeze(1)
    word, bit = eights[some, None].view(torch.bool).nonzero(as_tuple=True)
    place = some[word] * 8 + bit
    pair = place // BLOCK
    return row[pair], block[pair] * BLOCK + place % BLOCK, values.view(-1)[place]


def _padded(row: Tensor, column: Tensor, value: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Entries sorted by row as (rows, most entries of a row): values, minus infinity where there is
    none, and columns.
    """
    counts = torch.bincount(row, minlength=rows)
    slot = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    values = value.new_full((rows, int(counts.max())), -torch.inf)
    columns = row.new_zeros(values.shape)
    values[row, slot], columns[row, slot] = value, column
    return values, columns


def _by_blocks(scores: Tensor, k: int) -> TopK:
    """Exact, for rows that are long beside k.

    The k-th largest of the maxima of blocks is reached by k entries at least, so that no entry
    below it is among the k best. All that reach it, and the few columns that fill no block, go to a
    stable sort in the order of their columns. Rows where the k-th maximum is tied with many are
    done by key.
    """
    rows, width = scores.shape
    blocks = scores[:, : width // BLOCK * BLOCK].unflatten(1, (-1, BLOCK))
    maxima, rest = (
        blocks.amax(-1),
        torch.arange(width // BLOCK * BLOCK, width, device=scores.device),
    )
    _refuse_nan(scores, maxima, scores[:, rest])
    least = maxima.topk(k, sorted=False).values.amin(-1, keepdim=True)
    chosen = maxima >= least
    crowded = chosen.sum(-1) > 2 * k
    values, columns = _padded(*_entries(blocks, least, chosen & ~crowded[:, None]), rows)
    values, columns = (
        torch.cat([values, scores[:, rest]], 1),
        torch.cat([columns, rest.expand(rows, -1)], 1),
    )
    if values.shape[1] < k:  # every row is crowded
        return _by_key(scores, k)
    best = values.sort(dim=1, descending=True, stable=True)
    found = TopK(best.values[:, :k].contiguous(), columns.gather(1, best.indices[:, :k]))
    if crowded.any():
        found.values[crowded], found.indices[crowded] = _by_key(scores[crowded], k)
    return found


def _refuse_nan(scores: Tensor, *where: Tensor) -> None:
    if any(w.isnan().any() for w in where):
        raise DataError(
            f"{int(scores.isnan().sum())} of {scores.numel()} scores of {len(scores)} rows are NaN"
        )


def _some(scores: Tensor, k: int) -> TopK:
    if scores.shape[1] // BLOCK > 2 * k:
        return _by_blocks(scores, k)
    _refuse_nan(scores, scores)
    return _by_key(scores, k)


def top_k(scores: Tensor, k: int) -> TopK:
    """The k best of each row of `scores` (B, I): exactly the first k of a stable descending sort,
    on any device.

    Raises:
        ConfigError: k is not from 1 to I.
        DataError: a score is NaN, or the scores are in another precision than float32, bfloat16 or
            float16.
    """
    if not 1 <= k <= scores.shape[1]:
        raise ConfigError(
            f"k must be from 1 to the {scores.shape[1]} items of the catalogue, got {k}"
        )
    if scores.dtype not in PRECISIONS:
        raise DataError(
            "scores must be float32, bfloat16 or float16, got "
            f"{str(scores.dtype).removeprefix('torch.')}"
        )
    if len(scores) == 0:
        return TopK(scores[:, :k], torch.empty(0, k, dtype=torch.int64, device=scores.device))
    parts = [_some(part, k) for part in scores.split(ROWS)]
    return TopK(*(torch.cat(list(p)) for p in zip(*parts, strict=True)))


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


def _cut(text: str) -> int:
    return int(text) if re.fullmatch(r"[1-9]\d*", text) else 0


def named(metrics: Sequence[str] | None, ks: Sequence[int]) -> dict[str, tuple[str, int]]:
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


def _counts(popularity: Tensor | np.ndarray, width: int) -> np.ndarray:
    counts = np.asarray(popularity, dtype=np.float64)
    if counts.shape != (width,):
        raise ShapeError(
            f"popularity must be ({width},), one count for each item, got {counts.shape}"
        )
    return counts


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value (n,), 1 for the least; equal ones have the mean of their ranks."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (sizes.cumsum() - (sizes - 1) / 2)[group]


def _popularity_ranks(popularity: Tensor | np.ndarray | None, width: int) -> Tensor | None:
    """1 for the most popular item; equals have the mean of their ranks."""
    if popularity is None:
        return None
    return torch.from_numpy(mean_ranks(-_counts(popularity, width)))


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
    names, targets = named(metrics, ks), _targets(holdout)
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
    counts = _counts(popularity, width)
    masks = _groups(counts, groups)
    return tuple(
        _slice(
            counts, m, {f"recall@{k}": _recall(ranking, torch.from_numpy(m)[ranking.columns], k)}
        )
        for m in masks
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
