"""Sparse rows and what is computed of them without a dense copy: everything against the same thing
on dense rows.
"""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowerbound.sparse import DeferredLinear, SparseRows, deferred, sparse_matmul

DENSE = {
    "logsumexp": lambda logits: logits.logsumexp(-1),
    "softplus": lambda logits: torch.nn.functional.softplus(logits).sum(-1),
    "square": lambda logits: logits.square().sum(-1),
}


def rows(seed=0, shape=(6, 40), density=0.2):
    """Random rows with values that are not one, and one row that is empty."""
    x = sp.random(
        *shape, density, format="lil", random_state=np.random.default_rng(seed), dtype=np.float32
    )
    x[shape[0] // 2] = 0
    return SparseRows.of(x).to(dtype=torch.float64)


def leaves(seed=0, items=40, lead=(3, 6), size=4, dtype=torch.float64):
    torch.manual_seed(seed)
    return [
        torch.randn(s, dtype=dtype).requires_grad_()
        for s in ((*lead, size), (items, size), (items,))
    ]


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 30), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_rows_are_what_scipy_says(seed, n, width, density):
    matrix = sp.random(
        n, width, density, format="csr", random_state=np.random.default_rng(seed), dtype=np.float32
    )
    x, table = SparseRows.of(matrix), torch.randn(width, 3)
    assert x.shape == matrix.shape
    assert len(x) == n
    np.testing.assert_array_equal(x.dense().numpy(), matrix.toarray())
    np.testing.assert_allclose(x.sums().numpy(), matrix.toarray().sum(1), atol=1e-5)
    np.testing.assert_allclose(x.times(table).numpy(), matrix @ table.numpy(), atol=1e-4)
    transposed, found = x.compact()
    np.testing.assert_array_equal(found.numpy(), np.unique(matrix.indices))
    np.testing.assert_array_equal(transposed.dense().numpy(), matrix.T.toarray()[found.numpy()])


def test_rows_move_and_keep_their_places():
    x = rows()
    half = x.to(dtype=torch.bfloat16)
    assert half.values.dtype == torch.bfloat16
    assert half.columns is x.columns
    doubled = x.with_values(2 * x.values)
    torch.testing.assert_close(doubled.dense(), 2 * x.dense())


@pytest.mark.parametrize("kept", [0, 2**27])
@pytest.mark.parametrize("tile", [64, 10**6])
@pytest.mark.parametrize("kind", DENSE)
def test_terms_and_gradients_are_those_of_the_dense_computation(kind, tile, kept, monkeypatch):
    """Whether the tiles are kept for the way back or computed again, and however many there are."""
    monkeypatch.setattr(deferred, "TILE_NUMBERS", tile)
    monkeypatch.setattr(deferred, "KEPT_BYTES", kept)
    h, weight, bias = leaves(items=300)
    x = rows(shape=(6, 300))
    inner, total = DeferredLinear(h, weight, bias).terms(x, kind)
    logits = h @ weight.T + bias
    torch.testing.assert_close(inner, (logits * x.dense()).sum(-1))
    torch.testing.assert_close(total, DENSE[kind](logits))
    a, b = torch.randn(2, *inner.shape, dtype=torch.float64)
    got = torch.autograd.grad((a * inner + b * total).sum(), (h, weight, bias))
    wanted = torch.autograd.grad(
        (a * (logits * x.dense()).sum(-1) + b * DENSE[kind](logits)).sum(), (h, weight, bias)
    )
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_by_differences():
    h, weight, bias = leaves(items=9, lead=(2, 3))
    x = rows(shape=(3, 9))
    assert torch.autograd.gradcheck(
        lambda *p: DeferredLinear(*p).terms(x, "logsumexp"), (h, weight, bias)
    )


def test_terms_do_not_overflow():
    h, weight, bias = leaves()
    inner, total = DeferredLinear(1e4 * h, weight, bias).terms(rows(), "logsumexp")
    assert inner.isfinite().all()
    assert total.isfinite().all()
    grads = torch.autograd.grad((inner - total).sum(), (h, weight, bias))
    assert all(g.isfinite().all() for g in grads)


def test_bfloat16_is_near_and_only_under_autocast():
    """The matrix products are in bfloat16; the sums over items and over the entries stay in
    float32.
    """
    h, weight, bias = (
        p.detach().div(4).requires_grad_()
        for p in leaves(items=3000, lead=(50,), size=64, dtype=torch.float32)
    )
    x = rows(shape=(50, 3000), density=0.01).to(dtype=torch.float32)
    exact = DeferredLinear(h, weight, bias).terms(x, "logsumexp")
    with torch.autocast("cpu", torch.bfloat16):
        near = DeferredLinear(h, weight, bias).terms(x, "logsumexp")
    torch.testing.assert_close(near[0], exact[0])
    assert not torch.equal(near[1], exact[1])
    torch.testing.assert_close(near[1], exact[1], rtol=2e-3, atol=2e-2)
    for one, other in zip(
        *(torch.autograd.grad((t * 1.0).sum(), (h, weight, bias)) for t in (near[1], exact[1])),
        strict=True,
    ):
        assert (one - other).norm() < 0.02 * other.norm()


@pytest.mark.parametrize("sparse", [False, True])
def test_times_and_its_gradient(sparse):
    x, weight = rows(shape=(6, 200), density=0.05), leaves(items=200)[1]
    by_out = torch.randn(6, 4, dtype=torch.float64)
    (got,) = torch.autograd.grad((sparse_matmul(x, weight, sparse) * by_out).sum(), weight)
    assert got.is_sparse == sparse
    torch.testing.assert_close(got.to_dense(), x.dense().T @ by_out)


def test_a_gradient_with_most_rows_is_dense():
    """Then going over all of them is faster, and a lazy optimiser is the plain one."""
    x, weight = rows(density=0.9), leaves()[1]
    (got,) = torch.autograd.grad(sparse_matmul(x, weight, True).sum(), weight)
    assert not got.is_sparse
    torch.testing.assert_close(got, x.dense().sum(0).unsqueeze(1).expand(-1, 4))


def test_no_dense_copy_of_the_input_or_the_output_is_made(monkeypatch):
    """With nothing kept, the largest tensor is a tile or a parameter: far below batch x items."""
    monkeypatch.setattr(deferred, "KEPT_BYTES", 0)
    monkeypatch.setattr(deferred, "TILE_NUMBERS", 200 * 256)
    monkeypatch.setattr(SparseRows, "dense", None)
    sizes = []

    class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(
                t.numel()
                for t in (out if isinstance(out, tuple | list) else [out])
                if isinstance(t, torch.Tensor)
            )
            return out

    h, weight, bias = leaves(items=20_000, lead=(200,), size=4, dtype=torch.float32)
    x = rows(shape=(200, 20_000), density=0.001).to(dtype=torch.float32)
    with Sizes():
        inner, total = DeferredLinear(h, weight, bias).terms(x, "logsumexp")
        (inner - total).sum().backward()
    assert max(sizes) == max(weight.numel(), 200 * 256)
