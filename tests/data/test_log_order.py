"""A split is a function of the rows of a log and of the seed, whatever the order of the rows."""

import json
import shutil

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowerbound
from lowerbound.data import Data, Interactions
from lowerbound.data.interactions.dataset import from_frame, split_log
from lowerbound.data.interactions.holdout import HeldOut
from lowerbound.data.interactions.logs import RawLog

SPLITS = ("strong", "random", "leave-one-out", "temporal")


def make_log(seed, rows=160):
    """Rows with repeated pairs, weights that round, ids of texts, and times that tie."""
    rng = np.random.default_rng(seed)
    weights = rng.choice([0.1, 0.2, 0.7, 1e8, 3.3], rows)
    return polars.DataFrame(
        {
            "user": [f"u{number}" for number in rng.integers(0, 15, rows)],
            "item": rng.integers(0, 14, rows),
            "rating": weights,
            "timestamp": rng.integers(0, 40, rows),
        }
    )


def shuffled(rows, seed):
    return rows[np.random.default_rng(seed).permutation(len(rows))]


SEEDS = st.integers(0, 10**6)


@settings(max_examples=12, deadline=None)
@given(SEEDS, SEEDS, st.sampled_from(SPLITS), st.booleans())
def test_any_order_of_the_rows_gives_the_same_split(seed, order, split, binary):
    rows = make_log(seed)
    how = Interactions(split=split, binary=binary, min_user_items=2)
    data = from_frame(rows, how, validation=0.2, test=0.2, seed=seed)
    other = from_frame(shuffled(rows, order), how, validation=0.2, test=0.2, seed=seed)
    assert other.fingerprint() == data.fingerprint()
    assert other.facts == data.facts
    assert other.notes == data.notes


@settings(max_examples=6, deadline=None)
@given(SEEDS, SEEDS)
def test_parts_may_be_in_any_order_too(seed, order):
    """A pair of two parts, and a validation that is cut from the training part."""
    how = Interactions(binary=False)

    def opened(*parts):
        log = RawLog("log", {0: parts[0].lazy(), 2: parts[1].lazy()})
        return split_log(log, how, HeldOut(0.3, 0.1, seed), None, None, False)

    train = make_log(seed, 120)
    test = make_log(seed + 1, 50)
    data = opened(train, test)
    assert data.facts["duplicates"] > 0
    again = opened(shuffled(train, order), shuffled(test, order))
    assert again.fingerprint() == data.fingerprint()


def test_parts_of_other_data_stand_in_the_order_of_the_catalogue():
    """The items 2 and 10 of the data are the texts "10" and "2" of the run, in this order."""
    ids = polars.DataFrame({"user": ["a", "a", "a"], "item": ["2", "10", "x"]})
    fitted = from_frame(ids, validation=0, test=0)
    train = polars.DataFrame({"user": [1, 2], "item": [2, 10]}).lazy()
    test = polars.DataFrame({"user": [1, 2], "item": [10, 2]}).lazy()
    log = RawLog("log", {0: train, 2: test})
    other = split_log(log, Interactions(), HeldOut(0, 0), fitted.schema, fitted.items, other=True)
    assert fitted.items.ids.tolist() == ["10", "2", "x"]
    assert other.test.matrix.toarray().tolist() == [[0, 1, 0], [1, 0, 0]]
    assert other.test.targets.toarray().tolist() == [[1, 0, 0], [0, 1, 0]]
    assert other.whole.matrix.has_canonical_format


def test_a_published_set_keeps_the_order_of_its_rows():
    """Its splits are what they were before those of other logs ceased to depend on an order."""
    digests = {
        "strong": "09cd8c8c298a",
        "random": "ca1088536619",
        "leave-one-out": "9d89151b8fc8",
    }
    for split, digest in digests.items():
        data = Data("synthetic-interactions", interactions=Interactions(split=split)).open()
        assert data.fingerprint()["sha256"][:12] == digest, split


@pytest.fixture(scope="module")
def old_run(tmp_path_factory):
    """A run of a version whose splits followed the order of the rows, and kept no split."""
    folder = tmp_path_factory.mktemp("old")
    rows = make_log(3, 300)
    rows.write_csv(folder / "log.csv")
    plan = {
        "report.write": False,
        "training.accelerator": "cpu",
        "training.epochs": 1,
        "training.schedule": "Constant",
        "model.latent": [2],
        "model.network.hidden": [],
    }
    run = lowerbound.fit(
        "multvae", data=folder / "log.csv", out=folder / "run", settings=plan, progress=False
    )
    description = json.loads((run.folder / "data.json").read_text())
    in_order = run.recipe.data.open(keeps_order=True)
    assert in_order.fingerprint() != description["fingerprint"]
    description["fingerprint"] = in_order.fingerprint()
    (run.folder / "data.json").write_text(json.dumps(description))
    shutil.rmtree(run.folder / "split")
    return lowerbound.load(run.folder), in_order.fingerprint(), plan


def test_a_run_of_an_earlier_version_has_its_own_split(old_run):
    run, fingerprint, plan = old_run
    assert run.data().fingerprint() == fingerprint
    assert run.data(run.recipe.data.source).fingerprint() == fingerprint
    more = plan | {"training.epochs": 2}
    again = lowerbound.fit(
        run.folder / "recipe.toml", out=run.folder, settings=more, resume=True, progress=False
    )
    assert again.summary["epochs"] == 2
    assert lowerbound.load(run.folder).data().fingerprint() == fingerprint
