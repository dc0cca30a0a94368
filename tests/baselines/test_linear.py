"""Linear recommenders against the formulas that they are made of, and what a file holds of them."""

import copy

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from lowerbound.baselines import Ease, Elsa, GraphFilter, LinearScorer
from lowerbound.baselines.linear import _distance
from lowerbound.baselines.partner import LOWEST_SCORE, Partner
from lowerbound.errors import ConfigError, DataError
from lowerbound.sparse import SparseRows
from lowerbound.specs.registry import describe
from lowerbound.system import machine


def interactions(seed, users=60, items=25):
    rng = np.random.default_rng(seed)
    taste = rng.random((users, 1)) > 0.5
    likes = rng.random((users, items)) < np.where(taste == (np.arange(items) % 2), 0.4, 0.05)
    return csr_matrix(likes.astype(np.float32))


@pytest.mark.parametrize("exponent", [0.5, 0.3, 0.0])
@pytest.mark.parametrize("rank", [1, 6, 25, 400])
def test_the_graph_filter_is_the_closed_form(rank, exponent):
    """In float64, by a dense decomposition, as the paper writes it."""
    x = interactions(1).toarray().astype(np.float64)
    x[:, 3] = 0  # an item that nobody has
    matrix = csr_matrix(x.astype(np.float32))
    of_users = x.sum(1)
    of_items = np.maximum(x.sum(0), 1e-300)
    by_users = np.where(of_users > 0, np.maximum(of_users, 1) ** -exponent, 0)
    normalised = by_users[:, None] * x / np.sqrt(of_items)
    _, values, rows = np.linalg.svd(normalised, full_matrices=False)
    if exponent == 0.5:
        assert values[0] == pytest.approx(1)
    normalised /= values[0]
    v = rows[:rank].T
    low_pass = np.diag(of_items**-0.5) @ v @ v.T @ np.diag(of_items**0.5)
    low_pass[3] = 0
    expected = x @ (normalised.T @ normalised + 0.7 * low_pass)
    method = GraphFilter(rank=rank, scale=0.7, user_exponent=exponent, iterations=30)
    scores = method.fit(matrix)(SparseRows.of(matrix))
    np.testing.assert_allclose(scores, expected, rtol=2e-4, atol=2e-4)


def test_the_graph_filter_counts_weights():
    """A weight of 2 is two interactions: the graph has twice the edge."""
    matrix = interactions(2) * 2
    matrix.data[::3] = 1
    scores = GraphFilter(rank=4, scale=0.0).fit(matrix)(SparseRows.of(matrix))
    x = matrix.toarray().astype(np.float64)
    normalised = x / np.sqrt(x.sum(1))[:, None] / np.sqrt(x.sum(0))
    np.testing.assert_allclose(scores, x @ normalised.T @ normalised, rtol=1e-4, atol=1e-5)


def test_the_graph_filter_refuses_negative_weights():
    matrix = interactions(0)
    matrix.data[0] = -1
    with pytest.raises(ConfigError, match=r"not negative, got -1; data\.interactions"):
        GraphFilter().fit(matrix)


def test_the_distance_of_elsa_is_that_of_dense_rows():
    matrix = interactions(3, users=9)
    factors = torch.nn.functional.normalize(torch.randn(25, 6)).double().requires_grad_()
    x = torch.from_numpy(matrix.toarray()).double()
    scores = x @ factors @ factors.T - x
    gap = x / x.norm(dim=1, keepdim=True) - scores / scores.norm(dim=1, keepdim=True)
    gap.square().sum(1).mean().backward()
    expected = factors.grad.clone()
    factors.grad = None
    distance = _distance(SparseRows.of(matrix).to(dtype=torch.float64), factors)
    assert distance.item() == pytest.approx(gap.square().sum(1).mean().item(), rel=1e-9)
    distance.backward()
    torch.testing.assert_close(factors.grad, expected, rtol=1e-7, atol=1e-9)


def test_elsa_has_no_self_loop_and_finds_the_tastes():
    matrix = interactions(4, users=400)
    scorer = Elsa(factors=8, epochs=20, batch_size=50, learning_rate=0.05).fit(matrix)
    table = (scorer.left @ scorer.right.T - torch.eye(25)).numpy()
    assert np.abs(np.diag(table)).max() < 1e-5
    even = np.arange(25) % 2 == 0
    same = even[:, None] == even
    np.fill_diagonal(same, False)
    other = even[:, None] != even
    assert table[same].mean() > 5 * abs(table[other].mean())


def test_the_same_seed_gives_the_same_scorer():
    matrix = interactions(5)
    for method in (GraphFilter(rank=5), Elsa(factors=4, epochs=2)):
        first = method.fit(matrix)
        second = method.fit(matrix)
        assert torch.equal(first.left, second.left)
        assert not torch.equal(first.left, type(method)(5, seed=1).fit(matrix).left)


@pytest.mark.parametrize("method", [Ease(l2=3), GraphFilter(rank=4), Elsa(factors=4, epochs=1)])
def test_a_scorer_comes_back_from_its_tensors(method):
    matrix = interactions(6)
    scorer = method.fit(matrix)
    partner = Partner(describe(method), scorer, 2.5)
    again = Partner.of_file(scorer.tensors(), partner.metadata(), 25)
    rows = SparseRows.of(matrix)
    assert torch.equal(again(rows), partner(rows))
    assert again.weight == 2.5
    assert again.method == describe(method)
    assert copy.deepcopy(partner).scorer is scorer


def test_what_a_partner_adds():
    scorer = LinearScorer(table=torch.tensor([[0.0, 2.0], [-1.0, 0.0]]))
    rows = SparseRows.of(csr_matrix(np.eye(2, dtype=np.float32)))
    added = Partner({}, scorer, 3.0)(rows)
    low = 3 * np.log(LOWEST_SCORE)
    np.testing.assert_allclose(added, [[low, 3 * np.log(2)], [low, low]], rtol=1e-6)


GRAPH = GraphFilter(rank=4).fit(interactions(7)).tensors()

WRONG_TENSORS = [
    ({"table": torch.zeros(3, 25)}, r"table of a linear scorer must be .*\(25, 25\), got"),
    ({"table": torch.zeros(25, 25).double()}, "float32"),
    ({"table": torch.full((25, 25), torch.nan)}, "finite"),
    ({"left": torch.zeros(25, 4)}, "left and right of a linear scorer must have one shape"),
    ({"right": torch.zeros(25)}, "right of a linear scorer"),
    ({"other": torch.zeros(1)}, "no part of a linear scorer is called 'other'"),
    ({"shared.values": torch.zeros(1)}, "lacks shared.offsets"),
    (GRAPH | {"shared.columns": GRAPH["shared.columns"] + 9}, "is no sparse matrix"),
    (GRAPH | {"shared.offsets": GRAPH["shared.offsets"] * 2}, "is no sparse matrix"),
    (GRAPH | {"shared.values": GRAPH["shared.values"] * torch.nan}, "is no sparse matrix"),
    (GRAPH | {"shared.columns": GRAPH["shared.columns"].long()}, "is no sparse matrix"),
]


@pytest.mark.parametrize(
    ("tensors", "line"), WRONG_TENSORS, ids=[line for _, line in WRONG_TENSORS]
)
def test_tensors_of_no_scorer(tensors, line):
    with pytest.raises(DataError, match=line):
        LinearScorer.of_tensors(tensors, 25)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"partner": "{"},
        {"partner": "3"},
        {"partner": '{"method": {}}'},
        {"partner": '{"method": {}, "weight": -1}'},
        {"partner": '{"method": {}, "weight": NaN}'},
    ],
)
def test_metadata_of_no_partner(metadata):
    with pytest.raises(DataError):
        Partner.of_file(GRAPH, metadata, 25)


@pytest.mark.parametrize("method", [GraphFilter(), Elsa()])
def test_memory_that_is_not_there_is_refused(method, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 10**8)
    with pytest.raises(ConfigError, match="bytes of memory, and 100,000,000 are"):
        method.fit(csr_matrix((1000, 400_000), dtype=np.float32))
