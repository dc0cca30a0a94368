"""Baselines against the formulas that they are made of."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from lowerbound.baselines import BASELINES, Als, Ease, Popularity, linear
from lowerbound.errors import ConfigError
from lowerbound.sparse import SparseRows
from lowerbound.system import machine


def interactions(seed, users=60, items=25):
    rng = np.random.default_rng(seed)
    taste = rng.random((users, 1)) > 0.5
    likes = rng.random((users, items)) < np.where(taste == (np.arange(items) % 2), 0.4, 0.05)
    return csr_matrix(likes.astype(np.float32))


def test_the_catalogue():
    assert set(BASELINES) == {"Popularity", "Als", "Ease", "GraphFilter", "Elsa"}


def test_popularity_counts_users():
    matrix = csr_matrix(np.array([[2, 0, 1], [5, 0, 0]], dtype=np.float32))
    scores = Popularity().fit(matrix)(SparseRows.of(matrix[:1]))
    assert scores.tolist() == [[2, 0, 1]]
    assert scores.dtype == torch.float32


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block", [4, 25, 1024])
def test_ease_is_the_closed_form(seed, block, monkeypatch):
    """In float64, as the paper writes it."""
    monkeypatch.setattr(linear, "BLOCK_ROWS", block)
    matrix = interactions(seed)
    x = matrix.toarray().astype(np.float64)
    p = np.linalg.inv(x.T @ x + 3 * np.eye(x.shape[1]))
    expected = -p / np.diag(p)
    np.fill_diagonal(expected, 0)
    scorer = Ease(l2=3).fit(matrix)
    np.testing.assert_allclose(scorer.table, expected, atol=2e-6)
    np.testing.assert_allclose(scorer(SparseRows.of(matrix)), x @ expected, atol=1e-5)


def test_ease_is_the_best_linear_map_without_a_self_loop():
    """The gradient of |X - XB|^2 + l2 |B|^2 is zero off the diagonal: no inverse and no formula is
    used here.
    """
    matrix = interactions(5)
    x = torch.from_numpy(matrix.toarray()).double()
    b = Ease(l2=2).fit(matrix).table.double().requires_grad_()
    ((x - x @ b).square().sum() + 2 * b.square().sum()).backward()
    assert b.detach().diagonal().abs().max() == 0
    assert (b.grad - b.grad.diagonal().diag()).abs().max() < 1e-3
    assert b.grad.diagonal().abs().max() > 1


def test_ease_leaves_the_matrix_as_it_was():
    matrix = interactions(0)
    before = matrix.copy()
    Ease().fit(matrix)
    assert (matrix != before).nnz == 0


def test_the_inverse_is_made_in_place(monkeypatch):
    monkeypatch.setattr(linear, "BLOCK_ROWS", 7)
    a = np.random.default_rng(0).normal(size=(30, 30))
    matrix = (a @ a.T + np.eye(30)).astype(np.float32)
    expected = np.linalg.inv(matrix.astype(np.float64))
    linear._invert(matrix)
    np.testing.assert_allclose(matrix, expected, atol=2e-3)
    assert (matrix == matrix.T).all()


def test_memory_that_is_not_there_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 10**9)
    needed = Ease().memory(0, 41_000)
    assert 4 * 41_000**2 < needed < 5 * 41_000**2
    with pytest.raises(
        ConfigError,
        match=rf"EASE over 41,000 items needs {needed:,} bytes of memory, and 1,000,000,000 are",
    ):
        Ease().fit(csr_matrix((1, 41_000), dtype=np.float32))


def test_memory_is_that_of_the_machine():
    assert 0 < machine.available_memory() <= machine.total_memory() < 2**60


@pytest.mark.parametrize("error", [OSError, KeyError, ValueError, NotImplementedError])
def test_memory_is_infinite_where_the_system_tells_nothing(monkeypatch, error):
    def unreadable():
        raise error

    monkeypatch.setattr(machine.psutil, "virtual_memory", unreadable)
    assert machine.available_memory() == float("inf")
    assert machine.total_memory() == float("inf")
    machine.refuse_beyond_available(2**80, "anything")
    machine.refuse_beyond_memory(10**400, "anything")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is that of Linux")
def test_memory_is_infinite_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(machine.psutil, "PROCFS_PATH", str(tmp_path))
    assert machine.available_memory() == float("inf")
    (tmp_path / "meminfo").write_text("MemFree: none\n")
    assert machine.available_memory() == float("inf")
    assert machine.total_memory() == float("inf")


def test_more_numbers_than_the_machine_has_memory_for_are_refused(monkeypatch):
    monkeypatch.setattr(machine, "total_memory", lambda: 2**31)
    machine.refuse_beyond_memory(2**29, "2^29 weights")
    with pytest.raises(
        ConfigError, match=r"^3 GiB of weights need 3 GiB, more memory than this machine has$"
    ):
        machine.refuse_beyond_memory(3 * 2**28, "3 GiB of weights")


def test_a_matrix_that_cannot_be_inverted_is_refused():
    with pytest.raises(ConfigError, match="cannot be inverted in float32; take a larger l2"):
        Ease(l2=1e-12).fit(csr_matrix(np.full((4, 3), 100, dtype=np.float32)))


@pytest.mark.parametrize("l2", [0, -1, float("nan")])
def test_ease_needs_a_penalty(l2):
    with pytest.raises(ConfigError, match="l2: "):
        Ease(l2=l2)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"factors": 0}, "factors and iterations"),
        ({"iterations": 0}, "must be 1 or more"),
        ({"alpha": 0}, "alpha must be above 0"),
    ],
)
def test_als_refuses(options, line):
    with pytest.raises(ConfigError, match=line):
        Als(**options)


def test_als_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    with pytest.raises(ConfigError, match="pip install 'lowerbound"):
        Als().fit(interactions(0))


@pytest.mark.skipif(
    importlib.util.find_spec("implicit") is None, reason="the library implicit is not installed"
)
def test_als_folds_histories_in():
    """As Hu et al. 2008, eq. 4, for users that were not trained on, one without a history among
    them.
    """
    matrix, others = interactions(1), interactions(2, users=5)
    others = csr_matrix(others.toarray() * [[1], [1], [1], [0], [1]])
    scorer = Als(factors=4, regularization=0.1, alpha=3).fit(matrix)
    y = scorer.factors.double().numpy()
    for x, found in zip(
        others.toarray().astype(np.float64), scorer(SparseRows.of(others)), strict=True
    ):
        confidence = np.where(x > 0, 3 * x, 1)
        user = np.linalg.solve(
            y.T @ (confidence[:, None] * y) + 0.1 * np.eye(4), y.T @ (confidence * (x > 0))
        )
        np.testing.assert_allclose(found, y @ user, atol=1e-4)
    again = Als(factors=4, regularization=0.1, alpha=3).fit(matrix)
    assert torch.equal(scorer.factors, again.factors)
