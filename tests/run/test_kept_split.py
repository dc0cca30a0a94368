"""A run on interactions keeps its split: it is measured again on the very same users and items when
its log has grown, was sorted, or is gone.
"""

import json
import os
import shutil
from datetime import date, timedelta

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowerbound
from lowerbound.data import Data, Interactions
from lowerbound.data.interactions.dataset import from_frame
from lowerbound.data.interactions.origin import Origin
from lowerbound.data.interactions.stored import read_split, write_split
from lowerbound.errors import DataError, RunError
from lowerbound.hub.contents import travelling

PLAN = {
    "report.write": False,
    "training.accelerator": "cpu",
    "training.epochs": 1,
    "training.schedule": "Constant",
    "model.latent": [2],
    "model.network.hidden": [],
}


def make_log(seed=0, rows=700):
    rng = np.random.default_rng(seed)
    columns = {"user": rng.integers(0, 60, rows), "item": rng.integers(0, 25, rows)}
    ratings = rng.integers(1, 6, rows) / 2
    return polars.DataFrame(columns | {"rating": ratings, "timestamp": rng.permutation(rows)})


# Written and read again


DAY = date(2020, 1, 1)
KINDS_OF_IDS = {
    "whole": lambda number: 7 * number - 50,
    "text": lambda number: f"user é{number}",
    "real": lambda number: number + 0.5,
    "date": lambda number: DAY + timedelta(days=number),
}


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["strong", "random", "leave-one-out", "temporal"]),
    st.booleans(),
    st.sampled_from(sorted(KINDS_OF_IDS)),
)
def test_a_split_is_read_as_it_was_written(tmp_path_factory, seed, split, binary, kind):
    folder = tmp_path_factory.mktemp("split")
    name_user = KINDS_OF_IDS[kind]
    rows = make_log(seed, 300)
    rows = rows.with_columns(user=polars.Series([name_user(user) for user in rows["user"]]))
    how = Interactions(split=split, binary=binary)
    data = from_frame(rows, how, validation=0.2, test=0.2, seed=seed)
    write_split(folder, data, Origin(notes=["a note"]))
    again = read_split(folder, data.schema, data.items, name="frame", seed=seed, facts=data.facts)
    assert again.fingerprint() == data.fingerprint()
    assert again.notes == ("a note",)
    for name in ("train", "validation", "test", "all"):
        ours = again.split(name)
        theirs = data.split(name)
        assert (ours.matrix != theirs.matrix).nnz == 0
        assert ours.matrix.dtype == theirs.matrix.dtype
        assert ours.rows.tolist() == theirs.rows.tolist()


def test_users_without_anything_are_kept_too(tmp_path):
    """Of whom all items are those of held-out users alone."""
    rows = polars.DataFrame({"user": range(10), "item": range(10)})
    data = from_frame(rows, validation=0.2, test=0.2)
    assert data.test.matrix.nnz + data.test.targets.nnz == 0
    write_split(tmp_path, data, Origin())
    again = read_split(tmp_path, data.schema, data.items, name="frame", seed=0, facts=data.facts)
    assert again.fingerprint() == data.fingerprint()


# A run


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run that is given the ages of its users, and its figures."""
    folder = tmp_path_factory.mktemp("kept")
    make_log().write_csv(folder / "log.csv")
    ages = polars.DataFrame({"user": range(60), "age": np.arange(60) % 7})
    ages.write_csv(folder / "users.csv")
    plan = PLAN | {"data.given": ["age"], "data.interactions.users": str(folder / "users.csv")}
    run = lowerbound.fit(
        "multvae", data=folder / "log.csv", out=folder / "run", settings=plan, progress=False
    )
    return run, run.evaluate(), plan


@pytest.fixture
def run(fitted, tmp_path):
    """The run in a folder of its own, whose log and table of users stand beside it."""
    original = fitted[0].folder.parent
    shutil.copytree(original, tmp_path / "kept")
    folder = tmp_path / "kept" / "run"
    for name in ("recipe.toml",):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(str(original), str(tmp_path / "kept")))
    found = lowerbound.load(folder)
    lines = []
    found.tell = lines.append
    return found, tmp_path / "kept" / "log.csv", lines


def grown(log):
    more = make_log(1, 90).with_columns(polars.col("user") + 30)
    polars.concat([polars.read_csv(log), more]).write_csv(log)


def in_other_order(log):
    polars.read_csv(log).sort("item", "user").write_csv(log)


@pytest.mark.parametrize("change", [grown, in_other_order])
def test_a_log_that_has_changed_is_told_of_and_not_read(fitted, run, change):
    found, log, lines = run
    change(log)
    assert found.evaluate() == fitted[1]
    assert found.is_own(found.data())
    (line,) = lines
    assert line == (
        f"{log} has changed since the fit: the users and items are those of the fit, as the run "
        "keeps them, and new rows are not among them (--data measures a log as it is now)"
    )


def test_a_log_in_another_order_is_the_runs_own(fitted, run):
    found, log, _ = run
    in_other_order(log)
    assert found.evaluate(log) == fitted[1]


def test_a_log_that_is_gone_is_not_missed(fitted, run):
    found, log, lines = run
    log.unlink()
    (log.parent / "users.csv").unlink()
    assert found.evaluate() == fitted[1]
    assert found.encode(found.data().test)[0].shape == (6, 2)
    assert lines == []


def test_a_log_that_was_only_copied_has_not_changed(run):
    found, log, lines = run
    os.utime(log, (1, 1))
    found.data()
    assert lines == []


def test_a_fit_goes_on_with_its_own_rows_after_the_log_has_grown(fitted, run, capsys):
    found, log, _ = run
    more = fitted[2] | {"training.epochs": 2}
    more["data.interactions.users"] = str(log.parent / "users.csv")
    whole = lowerbound.fit(
        "multvae", data=log, out=log.parent / "whole", settings=more, progress=False
    )
    grown(log)
    again = {"out": found.folder, "settings": more, "resume": True, "progress": False}
    resumed = lowerbound.fit(found.folder / "recipe.toml", **again)
    assert f"{log} has changed since the fit" in capsys.readouterr().err
    assert resumed.summary["test"] == whole.summary["test"]
    assert resumed.summary["notes"] == fitted[0].summary["notes"] != []
    for name, weight in whole.model.state_dict().items():
        assert weight.equal(resumed.model.state_dict()[name]), name


def test_other_features_of_users_are_read(run):
    """The table that is named takes the place of what is kept; other values are other data."""
    found, log, lines = run
    users = log.parent / "users.csv"
    text = users.read_text()
    users.write_text(text + "99,5\n")
    found.data()
    assert lines[0].startswith(f"{users} has changed since the fit")
    users.write_text(text)
    users.rename(log.parent / "moved.csv")
    assert found.with_users(log.parent / "moved.csv").data().test is not None
    (log.parent / "moved.csv").write_text(text.replace(",1", ",2"))
    with pytest.raises(DataError, match=r"is not what .* was fitted to"):
        found.with_users(log.parent / "moved.csv").data()


def test_the_split_does_not_travel(run):
    found, _, _ = run
    assert (found.folder / "split" / "users.parquet").is_file()
    assert not any("split" in known.name for known in travelling(found.folder))


def test_what_was_in_memory_is_kept_unless_it_must_not_be(tmp_path):
    arguments = {"data": make_log(), "progress": False}
    held = lowerbound.fit("multvae", out=tmp_path / "a", settings=PLAN, **arguments)
    assert lowerbound.load(held.folder).evaluate() == held.evaluate()
    not_kept = PLAN | {"data.interactions.keep_split": False}
    other = lowerbound.fit("multvae", out=tmp_path / "b", settings=not_kept, **arguments)
    assert not (other.folder / "split").exists()
    assert other.data().fingerprint() == held.data().fingerprint()
    with pytest.raises(DataError, match="was fitted to data in memory"):
        lowerbound.load(other.folder).data()


# Damage


def write_rows(split, **columns):
    """Replaces columns of the interactions; None takes one out."""
    frame = polars.read_parquet(split / "interactions.parquet")
    for name, change in columns.items():
        if change is None:
            frame = frame.drop(name)
        else:
            frame = frame.with_columns(change.alias(name))
    frame.write_parquet(split / "interactions.parquet")


GAP = polars.col("gap")
PART = polars.col("part")
LAST = polars.int_range(polars.len()) == polars.len() - 1
DAMAGES = {
    "no parquet": (
        lambda split: (split / "users.parquet").write_text("hello"),
        "does not hold the split of its run: parquet: File out of specification",
    ),
    "lacks a column": (
        lambda split: write_rows(split, gap=None),
        "interactions.parquet lacks the column gap; without this folder the log is read again",
    ),
    "another type": (
        lambda split: write_rows(split, gap=GAP.cast(polars.Int64)),
        "its column gap is of type Int64",
    ),
    "gaps": (
        lambda split: write_rows(split, part=polars.when(LAST).then(None).otherwise(PART)),
        "interactions.parquet has gaps",
    ),
    "fewer rows": (
        lambda split: polars.read_parquet(split / "interactions.parquet")[:-1].write_parquet(
            split / "interactions.parquet"
        ),
        "interactions, and users with",
    ),
    "items beyond": (
        lambda split: write_rows(
            split, gap=polars.when(LAST).then(2**32 - 1).otherwise(GAP).cast(polars.UInt32)
        ),
        "the items of a user do not ascend",
    ),
    "an item beyond the catalogue": (
        lambda split: write_rows(
            split, gap=polars.when(LAST).then(99).otherwise(GAP).cast(polars.UInt32)
        ),
        "it has items beyond the 25 of the catalogue",
    ),
    "no such part": (
        lambda split: write_rows(split, part=PART + 7),
        "an interaction belongs to a part that is none",
    ),
    "no weight": (
        lambda split: write_rows(split, weight=polars.lit(float("nan"), polars.Float32)),
        "it has a weight that no interaction has",
    ),
    "other parts": (
        lambda split: write_rows(split, part=polars.lit(0, polars.UInt8)),
        "does not hold what",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_split_is_one_line(run, name):
    found, _, _ = run
    damage, message = DAMAGES[name]
    damage(found.folder / "split")
    with pytest.raises(DataError) as caught:
        found.data()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_description_of_the_log_is_one_line(run):
    found, _, _ = run
    path = found.folder / "split" / "log.json"
    path.write_text(json.dumps({"files": [{"name": "log.csv", "size": -1}]}))
    with pytest.raises(RunError, match=r"log\.json does not hold what a run wrote"):
        found.data()


def test_without_its_split_a_run_reads_its_log(fitted, run):
    found, _, _ = run
    shutil.rmtree(found.folder / "split")
    assert found.evaluate() == fitted[1]
    assert Data(found.recipe.data.source, interactions=Interactions()).open().test is not None
