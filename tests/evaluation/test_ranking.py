"""Ranking metrics: by hand, against a plain reference and an independent library, and by the laws
that they keep.
"""

import math
import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from lowerbound.errors import ConfigError, DataError
from lowerbound.evaluation.ranking import by_activity, by_item_popularity, difference, rank, top_k
from lowerbound.evaluation.ranking.top_k import SORTED_ROWS, _by_blocks, _by_key
from lowerbound.sparse import SparseRows

QUICK = settings(max_examples=30, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


class Users(NamedTuple):
    """A holdout; the first entry of a history row tells the table scorer which user it is."""

    matrix: csr_matrix
    targets: csr_matrix | None

    def __len__(self):
        return self.matrix.shape[0]

    def batch(self, index, key=0):
        return SparseRows.of(self.matrix[index])


class Table:
    """Scores from a table, row by row in the order of the batches."""

    def __init__(self, scores):
        self.scores, self.at = torch.as_tensor(scores), 0

    def __call__(self, history):
        self.at += len(history)
        return self.scores[self.at - len(history) : self.at]


def users(seen, targets, items):
    def matrix(rows):
        indptr = np.cumsum([0, *map(len, rows)])
        return csr_matrix(
            (np.ones(indptr[-1], np.float32), [i for r in rows for i in sorted(r)], indptr),
            (len(rows), items),
        )

    return Users(matrix(seen), matrix(targets))


def case(seed, n=12, items=30, levels=6):
    """Random users, with many ties among the scores, some without a target, some without a
    history.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.choice(3, size=(n, items), p=[0.6, 0.2, 0.2])
    kinds[rng.random(n) < 0.2] = 1
    kinds[-1, 0] = 2
    rows = [[np.flatnonzero(k == kind).tolist() for k in kinds] for kind in (1, 2)]
    return users(*rows, items), torch.from_numpy(
        rng.integers(0, levels, (n, items)).astype(np.float32)
    )


def plain(scores, seen, targets, k):
    """Every metric of one user, as the papers write them; and the list."""
    order = sorted((i for i in range(len(scores)) if i not in seen), key=lambda i: (-scores[i], i))[
        :k
    ]
    hits = [item in targets for item in order]
    n = len(targets)
    ideal = sum(1 / math.log2(r + 1) for r in range(1, min(k, n) + 1))
    precisions = [sum(hits[: r + 1]) / (r + 1) for r in range(len(hits)) if hits[r]]
    return order, {
        "recall": sum(hits) / n,
        "recall_capped": sum(hits) / min(k, n),
        "ndcg": sum(h / math.log2(r + 2) for r, h in enumerate(hits)) / ideal,
        "precision": sum(hits) / k,
        "hit_rate": float(any(hits)),
        "mrr": next((1 / (r + 1) for r, h in enumerate(hits) if h), 0.0),
        "map": sum(precisions) / min(k, n),
    }


def rows_of(matrix):
    return [set(matrix[i].indices.tolist()) for i in range(matrix.shape[0])]


# --- the k best


def stable(scores, k):
    return torch.argsort(scores.float(), dim=1, descending=True, stable=True)[:, :k]


@QUICK
@given(
    SEEDS,
    st.sampled_from([1, 63, 64, 65, 200, 900]),
    st.sampled_from([1, 2, 5]),
    st.sampled_from([2, 50, 10**6]),
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_k_best_are_those_of_a_stable_sort(dtype, seed, items, k, levels):
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.randint(-levels, levels + 1, (9, items), generator=generator) / levels).to(
        dtype
    )
    scores[torch.rand(9, items, generator=generator) < 0.3] = -0.0
    scores[1] = -torch.inf
    scores[2, torch.rand(items, generator=generator) < 0.99] = -torch.inf
    scores[3] = 1
    scores[4, -1] = torch.inf
    found = top_k(scores, min(k, items))
    assert torch.equal(found.indices, stable(scores, min(k, items)))
    assert torch.equal(found.values, scores.gather(1, found.indices))


@pytest.mark.parametrize(
    "scores",
    [torch.zeros(3, 900), torch.full((3, 900), -torch.inf), torch.arange(900.0).expand(3, -1)],
)
@pytest.mark.parametrize("k", [1, 5, 899, 900])
def test_the_k_best_of_extreme_rows(scores, k):
    assert torch.equal(top_k(scores, k).indices, stable(scores, k))


def test_the_k_best_of_many_rows_and_of_none():
    scores = torch.randn(SORTED_ROWS * 2 + 1, 700).bfloat16()
    assert torch.equal(top_k(scores, 4).indices, stable(scores, 4))
    assert top_k(scores[:0], 4).indices.shape == (0, 4)


def test_both_ways_to_the_k_best_agree_where_both_apply():
    scores = torch.randn(50, 1000).bfloat16()
    assert torch.equal(_by_blocks(scores, 3).indices, _by_key(scores, 3).indices)


@pytest.mark.parametrize("place", [0, 640, -1])
@pytest.mark.parametrize("sign", [1, -1])
def test_nan_is_refused_wherever_it_stands(place, sign):
    scores = torch.zeros(4, 650)
    scores[2, place] = math.copysign(math.nan, sign)
    for k in (1, 100):
        with pytest.raises(DataError, match="1 of 2600 scores of 4 rows are NaN"):
            top_k(scores, k)


@pytest.mark.parametrize("k", [0, 4])
def test_k_beyond_the_catalogue_is_refused(k):
    with pytest.raises(
        ConfigError, match=f"k must be from 1 to the 3 items of the catalogue, got {k}"
    ):
        top_k(torch.zeros(1, 3), k)


def test_other_precisions_are_refused():
    with pytest.raises(DataError, match="scores must be float32, bfloat16 or float16, got float64"):
        top_k(torch.zeros(1, 3).double(), 1)


# --- metrics


def test_every_metric_by_hand():
    """List 0 1 2 3 of items 0..4; targets 1, 3, 4: hits at the ranks 2 and 4."""
    found = rank(Table([[5.0, 4, 3, 2, 1]]), users([[]], [[1, 3, 4]], 5), ks=(1, 2, 4))
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    expected = {
        "recall@1": 0,
        "recall@2": 1 / 3,
        "recall@4": 2 / 3,
        "recall_capped@1": 0,
        "recall_capped@2": 1 / 2,
        "recall_capped@4": 2 / 3,
        "ndcg@1": 0,
        "ndcg@2": (1 / math.log2(3)) / (1 + 1 / math.log2(3)),
        "ndcg@4": (1 / math.log2(3) + 1 / math.log2(5)) / ideal,
        "precision@1": 0,
        "precision@2": 1 / 2,
        "precision@4": 1 / 2,
        "hit_rate@1": 0,
        "hit_rate@2": 1,
        "hit_rate@4": 1,
        "mrr@1": 0,
        "mrr@2": 1 / 2,
        "mrr@4": 1 / 2,
        "map@1": 0,
        "map@2": (1 / 2) / 2,
        "map@4": (1 / 2 + 2 / 4) / 3,
    }
    assert {name: e.value for name, e in found.metrics.items()} == pytest.approx(
        expected, rel=1e-12
    )
    assert found.places.tolist() == [2, 4, 0]


@QUICK
@given(SEEDS)
def test_every_metric_is_that_of_a_plain_loop(seed):
    holdout, scores = case(seed)
    found = rank(Table(scores), holdout, ks=(1, 3, 30), keep_top=True)
    seen, targets = rows_of(holdout.matrix), rows_of(holdout.targets)
    for row, user in enumerate(found.users.tolist()):
        for k in (1, 3, 30):
            order, expected = plain(scores[user].tolist(), seen[user], targets[user], k)
            assert [i for i in found.top[row, :k].tolist() if i >= 0] == order
            assert {m: found.per_user[f"{m}@{k}"][row].item() for m in expected} == pytest.approx(
                expected, rel=1e-12
            )
    assert found.left_out == sum(not t for t in targets)
    assert len(found.users) + found.left_out == len(holdout)


@pytest.mark.filterwarnings("ignore")  # of its compiler
def test_an_independent_library_agrees():
    """`ranx` has the same definitions, but for recall_capped, and for the denominator n of its
    average precision.
    """
    ranx = pytest.importorskip("ranx", reason="the library ranx, to compare with, is not installed")
    holdout, scores = case(1, n=40, levels=10**6)
    found = rank(Table(scores), holdout, ks=(5,), exclude_seen=False)
    targets = rows_of(holdout.targets)
    qrels = {str(u): {str(i): 1 for i in targets[u]} for u in found.users.tolist()}
    run = {
        str(u): {str(i): s for i, s in enumerate(scores[u].tolist())} for u in found.users.tolist()
    }
    theirs = {
        "recall@5": "recall@5",
        "ndcg@5": "ndcg@5",
        "precision@5": "precision@5",
        "hit_rate@5": "hit_rate@5",
        "mrr@5": "mrr@5",
    }
    expected = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(theirs.values()))
    assert {ours: found[ours].value for ours in theirs} == pytest.approx(
        {o: float(expected[t]) for o, t in theirs.items()}
    )


@QUICK
@given(SEEDS)
def test_laws(seed):
    holdout, scores = case(seed)
    found = rank(Table(scores), holdout, ks=(1, 2, 4, 8, 16, 30)).per_user
    for name, values in found.items():
        assert ((values >= 0) & (values <= 1 + 1e-12)).all(), name
    for k in (1, 2, 4, 8, 16, 30):
        assert (found[f"recall_capped@{k}"] >= found[f"recall@{k}"]).all()
        assert (found[f"mrr@{k}"] <= found[f"hit_rate@{k}"]).all()
    for k in (1, 2, 4, 8, 16):
        for name in ("recall", "hit_rate", "mrr"):
            following = 30 if k == 16 else 2 * k
            assert (found[f"{name}@{following}"] >= found[f"{name}@{k}"]).all(), name


def test_a_perfect_scorer_gets_one():
    holdout, _ = case(0)
    found = rank(Table(holdout.targets.toarray()), holdout, ks=(1, 5, 30))
    for name in ("recall_capped", "ndcg", "hit_rate", "mrr", "map"):
        assert all(found[f"{name}@{k}"].value == pytest.approx(1) for k in (1, 5, 30)), name
    assert found["recall@30"].value == 1


@pytest.mark.parametrize("batch", [1, 5, 12, 100])
def test_the_batch_size_changes_nothing(batch):
    holdout, _ = case(3)
    whole = rank(
        lambda h: torch.zeros(h.shape), holdout, ks=(2, 7), popularity=torch.arange(30), batch=12
    )
    found = rank(
        lambda h: torch.zeros(h.shape), holdout, ks=(2, 7), popularity=torch.arange(30), batch=batch
    )
    assert found.metrics == whole.metrics
    assert torch.equal(found.places, whole.places)
    assert found.coverage == whole.coverage
    assert found.mean_popularity_rank == pytest.approx(whole.mean_popularity_rank)


def test_the_order_of_the_users_changes_nothing():
    holdout, scores = case(4)
    order = np.random.default_rng(0).permutation(len(holdout))
    moved = rank(
        Table(scores[order]), Users(holdout.matrix[order], holdout.targets[order]), ks=(5,)
    )
    found = rank(Table(scores), holdout, ks=(5,))
    for name, expected in found.metrics.items():
        assert moved[name] == pytest.approx(expected, rel=1e-12)
    assert moved.coverage == found.coverage


def test_low_precision_scores_are_ranked_as_they_are():
    holdout, scores = case(5)
    scores = torch.randn_like(scores)
    low = rank(Table(scores.bfloat16()), holdout, ks=(5,))
    assert low.metrics == rank(Table(scores.bfloat16().float()), holdout, ks=(5,)).metrics


def test_the_standard_error_is_that_of_the_users():
    holdout, scores = case(6)
    found = rank(Table(scores), holdout, ks=(5,))
    values = found.per_user["ndcg@5"].numpy()
    assert found["ndcg@5"].standard_error == pytest.approx(
        values.std(ddof=1) / math.sqrt(len(values))
    )


# --- what is recommended


@QUICK
@given(SEEDS)
def test_what_was_seen_is_never_recommended(seed):
    holdout, scores = case(seed)
    found = rank(Table(scores), holdout, ks=(30,), metrics=["recall"], keep_top=True)
    seen = rows_of(holdout.matrix)
    for user, items in zip(found.users.tolist(), found.top.tolist(), strict=True):
        assert sorted(i for i in items if i >= 0) == sorted(set(range(30)) - seen[user])


def test_a_seen_target_is_no_hit_even_where_nothing_else_is_left():
    found = rank(Table([[3.0, 2, 1]]), users([[0, 1]], [[0, 2]], 3), ks=(3,), keep_top=True)
    assert found.top.tolist() == [[2, -1, -1]]
    assert found["recall@3"].value == 0.5
    assert found.coverage[3] == pytest.approx(1 / 3)
    assert (
        rank(Table([[3.0, 2, 1]]), users([[0, 1]], [[0, 2]], 3), ks=(3,), exclude_seen=False)[
            "recall@3"
        ].value
        == 1
    )


@pytest.mark.parametrize(
    "make", [lambda s: s, lambda s: s[:1].expand(12, -1), lambda s: s.requires_grad_()]
)
def test_scores_are_left_as_they_came(make):
    holdout, scores = case(7)
    table = make(scores.clone())
    before = table.detach().clone()
    rank(Table(table), holdout, ks=(5,))
    assert torch.equal(table, before)


def test_scores_of_inference_mode_are_taken():
    holdout, scores = case(7)
    with torch.inference_mode():
        table = scores.clone()
    assert (
        rank(Table(table), holdout, ks=(5,)).metrics
        == rank(Table(scores), holdout, ks=(5,)).metrics
    )


def test_ties_go_to_the_lower_index():
    found = rank(Table(torch.zeros(1, 5)), users([[1]], [[4]], 5), ks=(3,), keep_top=True)
    assert found.top.tolist() == [[0, 2, 3]]


def test_coverage_and_popularity():
    """Counts 5, 3, 3, 0: the ranks 1, 2.5, 2.5, 4. The lists are 0 1 and 3 1."""
    holdout, scores = users([[], []], [[0], [0]], 4), [[9.0, 8, 0, 0], [0, 8, 0, 9]]
    found = rank(Table(scores), holdout, ks=(1, 2), popularity=[5, 3, 3, 0])
    assert found.coverage == {1: 0.5, 2: 0.75}
    assert found.mean_popularity_rank == {1: 2.5, 2: (1 + 2.5 + 4 + 2.5) / 4}
    assert rank(Table(scores), holdout, ks=(1,)).mean_popularity_rank is None


def test_the_most_popular_item_has_the_first_rank():
    """Whoever recommends the most popular item alone has the mean rank 1, the rarest the last."""
    holdout = users([[], []], [[0], [1]], 4)
    popularity = [9, 5, 2, 0]
    popular = rank(Table([[4.0, 3, 2, 1]] * 2), holdout, ks=(1, 2), popularity=popularity)
    rare = rank(Table([[1.0, 2, 3, 4]] * 2), holdout, ks=(1, 2), popularity=popularity)
    assert popular.mean_popularity_rank == {1: 1.0, 2: 1.5}
    assert rare.mean_popularity_rank == {1: 4.0, 2: 3.5}


def test_memory_does_not_grow_with_users_times_items():
    items, n = 2000, 2000
    holdout = users([[]] * n, [[i % items] for i in range(n)], items)
    tracemalloc.start()
    kept = rank(lambda h: torch.zeros(h.shape), holdout, ks=(10,), metrics=["recall"], batch=50)
    size = sum(
        v.numel() * v.element_size()
        for v in [*kept.per_user.values(), kept.places, kept.columns, kept.users, kept.targets]
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size < 40 * n
    assert peak < n * items


# --- refusals


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"ks": (31,)}, "k must be from 1 to the 30 items of the catalogue, got 31"),
        ({"ks": (0,)}, "a metric is cut at a k of 1 or more, as in recall@20, got 0"),
        ({"metrics": ["recal@5"]}, "unknown metric 'recal'; did you mean 'recall'"),
        ({"metrics": ["recall@x"]}, "got 'recall@x'"),
        ({"metrics": ["recall@"]}, "got 'recall@'"),
        ({"metrics": []}, "there is no metric to measure"),
        ({"batch": 0}, "batch must be 1 or more, got 0"),
    ],
)
def test_options_are_refused(options, line):
    holdout, scores = case(0)
    with pytest.raises(ConfigError, match=line.replace("?", r"\?")):
        rank(Table(scores), holdout, **({"ks": (5,)} | options))


@pytest.mark.parametrize(
    ("scores", "line"),
    [
        (torch.full((2, 4), math.nan), "6 of 8 scores of 2 rows are NaN"),
        (torch.full((2, 4), math.inf), "the best scores of 2 of 2 users are infinite"),
        (torch.zeros(2, 3), r"a scorer must give scores \(2, 4\), got \(2, 3\)"),
        (torch.zeros(2, 4).double(), "got float64"),
    ],
)
def test_scores_are_refused(scores, line):
    with pytest.raises(DataError, match=line):
        rank(Table(scores), users([[0], [1]], [[1], [2]], 4), ks=(2,))


def test_no_targets_are_refused():
    with pytest.raises(DataError, match="no user with a target"):
        rank(Table(torch.zeros(1, 3)), users([[0]], [[]], 3), ks=(1,))
    with pytest.raises(DataError, match="this split holds no targets out"):
        rank(Table(torch.zeros(1, 3)), Users(csr_matrix((1, 3)), None), ks=(1,))


def test_a_metric_that_was_not_measured():
    found = rank(Table(torch.zeros(1, 3)), users([[0]], [[1]], 3), ks=(1,))
    with pytest.raises(ConfigError, match="unknown metric 'ndcg@2'; did you mean 'ndcg@1'"):
        found["ndcg@2"]


# --- slices and pairs


def test_slices_by_activity():
    """Histories of 1, 1, 2, 5 items; the user with two is left out for want of a target."""
    holdout = users([[0], [0], [0, 1], [0, 1, 2, 3, 4]], [[1], [2], [], [5]], 6)
    found = rank(lambda h: -torch.arange(6.0).repeat(len(h), 1), holdout, ks=(1,))
    few, many = by_activity(found, holdout, groups=2)
    assert (few.low, few.high, few.size, few.metrics["recall@1"].value) == (1, 1, 2, 0.5)
    assert (many.low, many.high, many.size, many.metrics["recall@1"].value) == (5, 5, 1, 1)
    assert [s.size for s in by_activity(found, holdout, groups=[2, 5])] == [
        2,
        1,
    ]  # the empty one is left out


def test_slices_are_parts_of_the_whole():
    holdout, scores = case(8, n=60)
    found = rank(Table(scores), holdout, ks=(5,))
    slices = by_activity(found, holdout)
    assert sum(s.size for s in slices) == len(found.users)
    mean = sum(s.size * s.metrics["ndcg@5"].value for s in slices) / len(found.users)
    assert mean == pytest.approx(found["ndcg@5"].value)


def test_recall_by_the_popularity_of_the_items():
    """Items 0 and 1 are rare, 2 and 3 popular; the list is 3 2, so that of the rare ones none is
    found.
    """
    holdout = users([[], []], [[0, 3], [2, 3]], 4)
    found = rank(Table([[0.0, 0, 1, 2], [0, 0, 1, 2]]), holdout, ks=(1, 2))
    rare, popular = by_item_popularity(found, [1, 2, 8, 9], k=1, groups=2)
    assert (rare.low, rare.high, rare.size, rare.metrics["recall@1"].value) == (1, 2, 2, 0)
    assert (popular.low, popular.high, popular.metrics["recall@1"].value) == (8, 9, 0.75)
    assert by_item_popularity(found, [1, 2, 8, 9], k=2, groups=2)[1].metrics["recall@2"].value == 1
    whole = by_item_popularity(found, [1, 2, 8, 9], k=2, groups=1)[0].metrics["recall@2"]
    assert whole == pytest.approx(found["recall@2"])


def test_slices_refuse():
    holdout, scores = case(0)
    found = rank(Table(scores), holdout, ks=(5,))
    with pytest.raises(ConfigError, match="groups must be 1 or more, got 0"):
        by_activity(found, holdout, groups=0)
    with pytest.raises(ConfigError, match="k must be from 1 to 5"):
        by_item_popularity(found, torch.ones(30), k=6)
    with pytest.raises(DataError, match="popularity must"):
        by_item_popularity(found, torch.ones(3), k=5)


def test_the_difference_of_pairs():
    holdout, scores = case(9)
    a, b = (rank(Table(s), holdout, ks=(5,)) for s in (scores, -scores))
    found = difference(a, b, "recall@5")
    values = (a.per_user["recall@5"] - b.per_user["recall@5"]).numpy()
    assert found.value == pytest.approx(a["recall@5"].value - b["recall@5"].value)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(len(values)))
    assert difference(a, a, "recall@5") == (0, 0)


def test_other_users_are_no_pairs():
    a, b = (rank(Table(s), h, ks=(5,)) for h, s in (case(1), case(2)))
    with pytest.raises(DataError, match="not of the same users and targets"):
        difference(a, b, "recall@5")
