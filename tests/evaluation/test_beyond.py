"""Metrics beyond hits: each against a plain loop over lists, pairs and scores, and by hand."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from lowerbound.errors import ConfigError, ShapeError
from lowerbound.evaluation.ranking import BEYOND, ItemFacts, difference, gini, measurable, rank
from lowerbound.evaluation.ranking.beyond import genre_vectors
from lowerbound.sparse import SparseRows

QUICK = settings(max_examples=15, deadline=None)
ITEMS = 30
KS = (1, 3, 7, ITEMS)
ALL = (*BEYOND, "auc")


class Users:
    """Users with histories and targets."""

    def __init__(self, seen, targets):
        self.matrix = csr_matrix(seen.astype(np.float32))
        self.targets = csr_matrix(targets.astype(np.float32))

    def __len__(self):
        return self.matrix.shape[0]

    def batch(self, index, key=0):
        return SparseRows.of(self.matrix[index])


class Table:
    """Scores from a table, row by row in the order of the batches."""

    def __init__(self, scores):
        self.scores = torch.as_tensor(scores, dtype=torch.float32)
        self.at = 0

    def __call__(self, history):
        self.at += len(history)
        return self.scores[self.at - len(history) : self.at]


def case(seed, users=12):
    """Users, scores with ties, and items: equals in popularity, some without users or a vector."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(3, size=(users, ITEMS), p=[0.5, 0.25, 0.25])
    kinds[0] = np.where(kinds[0] == 0, 1, kinds[0])  # whose list is all that was to be found
    kinds[0, 3] = 2
    kinds[1, kinds[1] == 2] = 0  # who has no target
    popularity = rng.integers(0, 9, ITEMS)
    kinds[2, kinds[2] == 2] = 0  # who has nothing of the long tail to be found
    kinds[2, popularity.argmax()] = 2
    scores = rng.integers(0, 6, (users, ITEMS))
    vectors = rng.integers(-1, 2, (ITEMS, 3)).astype(np.float32)
    vectors[4] = 0
    facts = ItemFacts(popularity, 9, vectors)
    return Users(kinds == 1, kinds == 2), scores, facts


# --- plain loops, as the papers write them


def plain(scores, seen, targets, facts, k):
    def first(values):
        left = [item for item in range(ITEMS) if item not in seen]
        return sorted(left, key=lambda item: (-values[item], item))[:k]

    items = first(scores)
    hits = [item for item in items if item in targets]
    tail = long_tail(facts.popularity) & targets
    popular = first(facts.popularity)
    bits = [-math.log2(max(facts.popularity[item], 1) / facts.users) for item in items]
    distances = [distance(facts.vectors[a], facts.vectors[b]) for a, b in combinations(items, 2)]
    return {
        "recall_tail": len(tail & set(items)) / len(tail) if tail else math.nan,
        "serendipity": sum(item not in popular for item in hits) / k,
        "novelty": sum(bits) / len(bits) if bits else 0,
        "diversity": sum(distances) / len(distances) if distances else 0,
    }


def long_tail(popularity):
    """All but the fewest items, the most popular first, that have a third of all interactions."""
    order = sorted(range(ITEMS), key=lambda item: (-popularity[item], item))
    head, covered = set(), 0
    for item in order:
        if covered >= sum(popularity) / 3:
            break
        head.add(item)
        covered += popularity[item]
    return set(range(ITEMS)) - head


def distance(a, b):
    lengths = math.sqrt(sum(a**2)) * math.sqrt(sum(b**2))
    return 1 - sum(a * b) / lengths if lengths else 1


def plain_area(scores, seen, targets):
    others = [item for item in range(ITEMS) if item not in seen | targets]
    if not others:
        return math.nan
    wins = 0
    for target in targets - seen:
        for other in others:
            wins += (scores[target] > scores[other]) + (scores[target] == scores[other]) / 2
    return wins / (len(targets) * len(others))


def plain_gini(counts):
    """Half of the mean absolute difference of all pairs, over the mean."""
    pairs = [abs(int(a) - int(b)) for a in counts for b in counts]
    return sum(pairs) / len(pairs) / 2 / np.mean(counts)


def rows_of(matrix):
    return [set(matrix[row].indices.tolist()) for row in range(matrix.shape[0])]


@QUICK
@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 100]))
def test_every_metric_is_that_of_a_plain_loop(seed, batch):
    holdout, scores, facts = case(seed)
    found = rank(
        Table(scores), holdout, ks=KS, metrics=ALL, facts=facts, batch=batch, keep_top=True
    )
    seen, targets = rows_of(holdout.matrix), rows_of(holdout.targets)
    for row, user in enumerate(found.users.tolist()):
        known = (scores[user].tolist(), seen[user], targets[user])
        area = plain_area(*known)
        assert found.per_user["auc"][row].item() == pytest.approx(area, nan_ok=True)
        for k in KS:
            expected = plain(*known, facts, k)
            got = {name: found.per_user[f"{name}@{k}"][row].item() for name in BEYOND}
            assert got == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)
    for k in KS:
        listed = found.top[:, :k]
        counts = torch.bincount(listed[listed >= 0], minlength=ITEMS)
        assert found.gini[k] == pytest.approx(plain_gini(counts.numpy()))


def test_what_was_seen_may_be_recommended():
    """Then the list by popularity holds it too, and a seen target is scored as any other."""
    holdout, scores, facts = case(2)
    holdout.targets = csr_matrix(np.ones(holdout.targets.shape) * (np.arange(ITEMS) % 4 == 0))
    options = {"metrics": ALL, "facts": facts, "exclude_seen": False}
    found = rank(Table(scores), holdout, ks=(3,), **options)
    for user, targets in enumerate(rows_of(holdout.targets)):
        row = scores[user].tolist()
        expected = plain(row, set(), targets, facts, 3) | {"auc": plain_area(row, set(), targets)}
        got = {name: found.per_user[name if name == "auc" else f"{name}@3"][user] for name in ALL}
        assert got == pytest.approx(expected, abs=1e-6)


def test_a_seen_target_counts_below_all_others():
    seen = np.array([[1, 0, 0, 0]])
    holdout = Users(seen, np.array([[1, 1, 0, 0]]))
    found = rank(Table([[9, 8, 7, 6]]), holdout, metrics=["auc"])
    assert found.per_user["auc"].tolist() == [0.5]


def test_by_hand():
    """Users have 4, 2, 1, 1 and 0 of the items a to e; the list is b d, the target of both users d
    and, of the first one, a: which is the short head, and the list of popularity is a b.
    """
    facts = ItemFacts(np.array([4, 2, 1, 1, 0]), 4, np.eye(5))
    holdout = Users(np.zeros((2, 5)), np.array([[1, 0, 0, 1, 0], [0, 0, 0, 1, 0]]))
    found = rank(Table([[1, 5, 0, 3, 2]] * 2), holdout, ks=(2,), metrics=ALL, facts=facts)
    assert {name: values.tolist() for name, values in found.per_user.items()} == {
        "recall_tail@2": [1, 1],
        "serendipity@2": [0.5, 0.5],
        "novelty@2": [(1 + 2) / 2] * 2,
        "diversity@2": [1, 1],
        "auc": [(2 + 1) / 6, 3 / 4],
    }
    assert found.gini == {2: pytest.approx(3 / 5)}


def test_popularity_has_no_serendipity():
    holdout, _, facts = case(5)
    popularity = np.tile(facts.popularity, (len(holdout), 1))
    found = rank(Table(popularity), holdout, ks=KS, metrics=["serendipity"], facts=facts)
    assert all(estimate.value == 0 for estimate in found.metrics.values())


def test_users_of_whom_nothing_is_said_are_left_out():
    holdout, scores, facts = case(1)
    first, second = (
        rank(Table(table), holdout, ks=(3,), metrics=["recall_tail"], facts=facts)
        for table in (scores, -scores)
    )
    values = first.per_user["recall_tail@3"]
    others = second.per_user["recall_tail@3"]
    known = ~values.isnan()
    assert 0 < known.sum() < len(values)
    assert first["recall_tail@3"].value == pytest.approx(values[known].mean().item())
    expected = (values - others)[known].mean().item()
    assert difference(first, second, "recall_tail@3").value == pytest.approx(expected)


def test_gini_of_extremes():
    assert gini(torch.tensor([3, 3, 3])) == 0
    assert gini(torch.tensor([0, 0, 0, 8])) == pytest.approx(3 / 4)
    assert gini(torch.zeros(4)) == 0


def test_genres_are_vectors():
    vectors = genre_vectors(["Comedy|War", "War", "", None, "Drama, Comedy"])
    assert vectors.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert genre_vectors(["", None]) is None


def test_what_is_not_known_of_items_is_refused():
    holdout, scores, facts = case(0)
    some = ItemFacts(facts.popularity, 9)
    assert measurable(None) == ()
    assert measurable(some) == ("recall_tail", "serendipity", "novelty")
    with pytest.raises(
        ConfigError, match="novelty@3 needs the popularity of the items: give facts"
    ):
        rank(Table(scores), holdout, metrics=["novelty@3"])
    with pytest.raises(ConfigError, match="diversity@3 needs vectors of the items"):
        rank(Table(scores), holdout, metrics=["diversity@3"], facts=some)
    with pytest.raises(ConfigError, match="unknown metric 'serendip'; did you mean 'serendipity'"):
        rank(Table(scores), holdout, metrics=["serendip@3"], facts=facts)
    with pytest.raises(ShapeError, match=r"popularity must be \(30,\)"):
        rank(Table(scores), holdout, metrics=["auc"], facts=ItemFacts(np.ones(3), 9))
    with pytest.raises(ShapeError, match="one vector for each of 3 items, got 2"):
        ItemFacts(np.ones(3), 9, np.ones((2, 2)))
    with pytest.raises(ConfigError, match="users must be 1 or more, got 0"):
        ItemFacts(np.ones(3), 0)
