"""Sampled softmax: exact where all items are taken, unbiased sums, gradients that approach those of
the full softmax, and a correction whose sign and size matter.
"""

import pytest
import torch
from scipy.sparse import csr_matrix

import lowerbound
from lowerbound.errors import ConfigError
from lowerbound.families import Multinomial
from lowerbound.recipe import parse
from lowerbound.sparse import DeferredLinear, ItemSampler, SparseRows
from lowerbound.sparse.sampled import inclusion_probabilities

ITEMS, ROWS, FEATURES = 60, 5, 4


def case(seed=0):
    """A layer, some rows over its items, and the popularity of these."""
    torch.manual_seed(seed)
    h = torch.randn(2, ROWS, FEATURES, dtype=torch.float64)
    weight = torch.randn(ITEMS, FEATURES, dtype=torch.float64)
    popularity = torch.exp(-torch.arange(ITEMS, dtype=torch.float64) / 15) / 2
    bias = popularity.log()
    dense = (torch.rand(ROWS, ITEMS) < popularity).double() * torch.randint(1, 4, (ROWS, ITEMS))
    dense[3] = 0
    return h, weight, bias, SparseRows.of(csr_matrix(dense.numpy())).to(dtype=h.dtype), popularity


def terms(h, weight, bias, x, sampler=None):
    """The terms of log p(x), and their gradients by h, the weight and the bias."""
    leaves = [each.clone().requires_grad_() for each in (h, weight, bias)]
    inner, total = DeferredLinear(*leaves, sampler).terms(x, "logsumexp")
    loss = (inner - x.sums() * total).sum()
    return inner.detach(), total.detach(), torch.autograd.grad(loss, leaves)


@pytest.mark.parametrize("count", [ITEMS, 10_000])
def test_it_is_the_full_softmax_where_all_items_are_taken(count):
    h, weight, bias, x, popularity = case()
    exact = terms(h, weight, bias, x)
    state = torch.get_rng_state()
    found = terms(h, weight, bias, x, ItemSampler.of(popularity, count))
    assert torch.equal(torch.get_rng_state(), state)  # no random number is drawn
    for one, other in zip((*found[:2], *found[2]), (*exact[:2], *exact[2]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_without_gradients_it_is_exact():
    h, weight, bias, x, popularity = case()
    with torch.no_grad():
        natural = DeferredLinear(h, weight, bias, ItemSampler.of(popularity, 5))
        found = Multinomial().of_rows(natural, ()).log_prob(x)
        expected = Multinomial().of_rows(DeferredLinear(h, weight, bias), ()).log_prob(x)
    assert torch.equal(found, expected)


def ratios(sampler, draws=600, wrong=0.0):
    """Estimates of Z over Z itself, of many draws, (draws, K, B); `wrong` times the log of the
    probabilities is added to the correction.
    """
    h, weight, bias, x, _ = case()
    exact = terms(h, weight, bias, x)[1]
    found = []
    drawn = sampler.draw

    def miscorrected(rows):
        columns, log_inclusion = drawn(rows)
        return columns, (1 + wrong) * log_inclusion

    object.__setattr__(sampler, "draw", miscorrected)
    for _ in range(draws):
        natural = DeferredLinear(h, weight, bias, sampler)
        found.append((natural.terms(x, "logsumexp")[1] - exact).exp())
    return torch.stack(found)


@pytest.mark.parametrize(("wrong", "is_right"), [(0.0, True), (-1.0, False), (-2.0, False)])
def test_the_sum_is_unbiased_by_the_correction_alone(wrong, is_right):
    """Without the correction (-1), or with its sign turned (-2), Z is far off."""
    found = ratios(ItemSampler.of(case()[4], 15), wrong=wrong)
    error = found.mean(0) - 1
    bound = 4.5 * found.std(0) / len(found) ** 0.5
    assert bool((error.abs() < bound).all()) is is_right
    if not is_right:
        assert (error < -0.1).all()


def test_gradients_approach_those_of_the_full_softmax():
    h, weight, bias, x, popularity = case()
    h = h / 2
    exact = terms(h, weight, bias, x)[2][1]
    distances = []
    for count in (4, 25, 55):
        sampler = ItemSampler.of(popularity, count)
        total = sum(terms(h, weight, bias, x, sampler)[2][1] for _ in range(250))
        distances.append(float((total / 250 - exact).norm() / exact.norm()))
    assert distances[0] > 1.4 * distances[1] > 7 * distances[2], distances
    assert distances[2] < 0.03


def test_items_of_the_batch_stand_for_all():
    """Of batches whose users have each item by its popularity, independently of each other."""
    h, weight, bias, _, popularity = case()
    exact = torch.logsumexp(h[0, :1] @ weight.T + bias, 1)
    found = {0.0: [], -1.0: []}
    for _ in range(1500):
        dense = (torch.rand(40, ITEMS) < popularity).double()
        dense[0] = 0
        dense[0, 30] = 1
        x = SparseRows.of(csr_matrix(dense.numpy())).to(dtype=h.dtype)
        columns, log_inclusion = ItemSampler.of(popularity, "batch").draw(x)
        for wrong, estimates in found.items():
            logits = h[0, :1] @ weight[columns].T + bias[columns]
            own = columns == 30
            corrected = torch.where(own, 0.0, (1 + wrong) * log_inclusion.double())
            estimates.append(torch.logsumexp(logits - corrected, 1) - exact)
    right = torch.cat(found[0.0]).exp()
    assert abs(float(right.mean()) - 1) < 4 * float(right.std()) / len(right) ** 0.5
    assert float(torch.cat(found[-1.0]).exp().mean()) < 0.95


@pytest.mark.parametrize("count", [1, 7, 59])
def test_probabilities_add_up_to_the_count(count):
    popularity = case()[4]
    found = inclusion_probabilities(popularity, count)
    assert abs(float(found.sum()) - count) < 1e-3
    assert (found > 0).all()
    assert (found <= 1).all()
    assert (found.diff() <= 0).all()


PLAN = {
    "data": {"source": "synthetic-interactions"},
    "model": {
        "latent": [8],
        "likelihood": "Multinomial",
        "network": {"type": "MLP", "hidden": [16]},
    },
    "training": {"epochs": 2, "monitor": "ndcg@10", "accelerator": "cpu", "learning_rate": 1e-2},
    "report": {"write": False},
}


def fitted(folder, **training):
    plan = PLAN | {"training": PLAN["training"] | training}
    return lowerbound.fit(parse(plan), out=folder, progress=False).summary["test"]["ndcg@100"]


def test_a_fit_by_some_items_learns_what_a_fit_by_all_learns(tmp_path):
    full = fitted(tmp_path / "full")
    by_all = fitted(tmp_path / "all", sampled_items=500)
    by_batch = fitted(tmp_path / "batch", sampled_items="batch")
    assert by_all == pytest.approx(full, abs=2e-3)
    assert by_batch == pytest.approx(full, abs=0.01)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model.likelihood": "Bernoulli"}, "training.sampled_items is for models of interaction"),
        ({"training.compile": True}, "sampled_items=9 is for models as they are"),
    ],
)
def test_what_it_is_not_for(tmp_path, change, line):
    settings = change | {"training.sampled_items": 9}
    with pytest.raises(ConfigError, match=line):
        lowerbound.fit(parse(PLAN), out=tmp_path / "run", settings=settings, progress=False)
