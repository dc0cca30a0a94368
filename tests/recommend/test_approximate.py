"""Lists by an index of the items: exact scores, few misses, and the same list in any batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from lowerbound.data import Data, Items, Schema
from lowerbound.errors import ConfigError
from lowerbound.families import Multinomial
from lowerbound.model import Architecture
from lowerbound.model.last import last_layer
from lowerbound.networks import MLP
from lowerbound.noise import L2Normalize
from lowerbound.recipe import Recipe
from lowerbound.recommend import Recommender
from lowerbound.run import Run

WIDTH, K = 2003, 20


@pytest.fixture(scope="module")
def run():
    architecture = Architecture(
        latent=(12,), network=MLP((24,), "tanh"), likelihood=Multinomial(), noise=(L2Normalize(),)
    )
    torch.manual_seed(1)
    model = architecture.build((WIDTH,), sparse=True)
    with torch.no_grad():
        last_layer(model).bias.copy_(-torch.log1p(torch.arange(WIDTH) / 500))
    recipe = Recipe(data=Data("nowhere"), model=architecture)
    schema = Schema((WIDTH,), "interactions", 2, 0.0, 1.0)
    return Run(Path("nowhere"), recipe, schema, model, {}, Items(np.arange(WIDTH)))


def histories(users):
    """Random histories, of which one is longer than what the index proposes."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 90, users)
    counts[3] = 700
    rows = [np.sort(rng.choice(WIDTH, n, replace=False)) for n in counts]
    entries = np.ones(counts.sum(), np.float32), np.concatenate(rows), np.r_[0, np.cumsum(counts)]
    return csr_matrix(entries, shape=(users, WIDTH))


def test_an_absent_library_is_named(run, monkeypatch):
    monkeypatch.setattr("lowerbound.system.extras.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"an index of items needs hnswlib.*'lowerbound\[ann\]'"):
        Recommender(run, index="hnsw")
    with pytest.raises(ConfigError, match="unknown index 'hsnw'; did you mean 'hnsw'"):
        Recommender(run, index="hsnw")


@pytest.fixture(scope="module")
def indexed(run):
    pytest.importorskip("hnswlib")
    return Recommender(run, index="hnsw")


def test_what_is_found_has_its_exact_score(run, indexed):
    matrix = histories(60)
    found = indexed.recommend_many(matrix, K)
    expected = Recommender(run).recommend_many(matrix, K)
    everything = Recommender(run).recommend_many(matrix, WIDTH, exclude_seen=False)
    shared = 0
    for user in range(60):
        scores = dict(zip(everything.items[user], everything.scores[user], strict=True))
        assert [scores[item] for item in found.items[user]] == found.scores[user].tolist()
        assert (np.diff(found.scores[user]) <= 0).all()
        assert not np.isin(found.items[user], matrix[user].indices).any()
        shared += np.isin(found.items[user], expected.items[user]).sum()
    assert shared >= 0.97 * 60 * K
    assert np.array_equal(found.items[3], expected.items[3])


def test_a_list_is_the_same_in_any_batch(indexed):
    matrix = histories(30)
    together = indexed.recommend_many(matrix, K, deny=[5, 6])
    assert not np.isin(together.items, [5, 6]).any()
    for user in (0, 3, 29):
        alone = indexed.recommend_many(matrix[user], K, deny=[5, 6])
        assert np.array_equal(alone.items[0], together.items[user])
        assert np.array_equal(alone.scores[0], together.scores[user])


def test_many_limits_are_met_exactly(run, indexed):
    matrix = histories(20)
    allowed = list(range(0, WIDTH, 40))
    found = indexed.recommend_many(matrix, K, allow=allowed)
    expected = Recommender(run).recommend_many(matrix, K, allow=allowed)
    assert np.array_equal(found.items, expected.items)
