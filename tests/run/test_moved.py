"""A run and its data in different places: what needs no data works, data that moved are found
again by their digest, and what is missing is named with the way out.
"""

import shutil

import numpy as np
import polars
import pytest

import lowerbound
from lowerbound.errors import ConfigError, DataError, RunError

QUIET = {
    "report.write": False,
    "training.accelerator": "cpu",
    "training.epochs": 2,
    "training.schedule": "Constant",
}
"""A schedule that falls over the planned steps would be another one for a fit that goes on."""


def normal_table(path, rows=90, seed=0):
    rng = np.random.default_rng(seed)
    polars.DataFrame({name: rng.normal(size=rows) for name in "abc"}).write_csv(path)
    return path


def fit_table(folder, source, **settings):
    return lowerbound.fit(
        "table", data=source, out=folder / "run", settings=QUIET | settings, progress=False
    )


@pytest.fixture
def moved(tmp_path):
    """A run, its data at another place, and other data."""
    source = normal_table(tmp_path / "train.csv")
    run = fit_table(tmp_path, source)
    before = run.evaluate(samples=2)
    (tmp_path / "elsewhere").mkdir()
    place = source.rename(tmp_path / "elsewhere" / "renamed.csv")
    return lowerbound.load(run.folder), place, normal_table(tmp_path / "new.csv", 30, 1), before


def test_other_data_are_scored_without_the_training_data(moved):
    run, place, new, _ = moved
    alone = lowerbound.score(run, new, threshold=0.2)
    place.rename(run.folder.parent / "train.csv")
    (run.folder / "reference.json").unlink()
    with_data = lowerbound.score(run, new, threshold=0.2)
    assert alone.to_frame().equals(with_data.to_frame())
    assert alone.auroc() == with_data.auroc()
    assert alone.thresholds == with_data.thresholds


def test_what_is_left_out_without_the_training_data_is_said(moved, command, tmp_path):
    """The ratio of the own test split to another run needs the examples themselves."""
    run, _, new, _ = moved
    scores = lowerbound.score(run, new, against=run)
    assert "log_ratio_against" in scores.columns
    assert scores.auroc().keys() == {"elbo", "log_likelihood", "adjusted", "typicality"}
    arguments = ("--data", new, "--out", tmp_path / "s.csv", "--against", run.folder)
    _, printed, _ = command("score", run.folder, *arguments)
    assert "note: log_ratio_against of the run's own data, which are not where they were" in printed


def test_other_samples_need_the_training_data(moved):
    run, _, new, _ = moved
    with pytest.raises(DataError, match="9 validation examples, of 100 importance samples each"):
        lowerbound.score(run, new, samples=3)


def test_data_that_moved_are_the_runs_own(moved):
    """In the splits of the run, and with its figures."""
    run, place, _, before = moved
    assert run.evaluate(place, samples=2) == before
    assert {len(run.data(place).split(name)) for name in ("train", "validation", "test")} == {72, 9}
    assert lowerbound.score(run, place).own is None  # nothing to tell it from


def test_other_data_of_the_same_size_are_others(moved):
    run, _, _, _ = moved
    others = normal_table(run.folder.parent / "others.csv", 90, 7)
    assert run.data(others).test is None
    assert run.evaluate(others, samples=2)["split"] == "all"


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.evaluate(),
        lambda run: run.data(),
        lambda run: lowerbound.score(run),
        lambda run: run.report(again=True),
    ],
    ids=["evaluate", "data", "score", "report"],
)
def test_own_data_that_are_gone_are_named_with_the_way_out(moved, call):
    run, _, _, _ = moved
    place = run.recipe.data.source
    with pytest.raises(DataError) as caught:
        call(run)
    assert str(caught.value) == (
        f"there is no file or folder {place!r}, which {run.folder} was fitted to; --data SOURCE "
        "takes the same data from another place, or other data (data= in Python)"
    )


def test_a_fit_goes_on_with_data_that_moved(moved):
    """And then the run knows where they are; the weights are those of an uninterrupted fit."""
    run, place, new, _ = moved
    settings = QUIET | {"training.epochs": 4}
    again = {"out": run.folder, "settings": settings, "resume": True, "progress": False}
    with pytest.raises(RunError, match=r"new\.csv is not what .* give the same data by --data"):
        lowerbound.fit("table", data=new, **again)
    with pytest.raises(RunError, match=r"different in data\.source, training\.learning_rate"):
        lowerbound.fit(
            "table",
            data=place,
            **(again | {"settings": settings | {"training.learning_rate": 0.1}}),
        )
    resumed = lowerbound.fit("table", data=place, **again)
    assert lowerbound.load(run.folder).evaluate(samples=2)["examples"] == 9
    whole = fit_table(run.folder.parent / "whole", place, **{"training.epochs": 4})
    for name, weight in whole.model.state_dict().items():
        assert weight.equal(resumed.model.state_dict()[name]), name


def test_a_folder_of_a_run_moves_with_its_data(tmp_path):
    """To another machine: all paths are others."""
    run = fit_table(tmp_path / "here", normal_table(tmp_path / "train.csv"))
    expected = run.evaluate(samples=2)
    shutil.move(run.folder, tmp_path / "there")
    data = (tmp_path / "train.csv").rename(tmp_path / "data.csv")
    assert lowerbound.load(tmp_path / "there").evaluate(data, samples=2) == expected


@pytest.fixture(scope="module")
def recommender(tmp_path_factory):
    """A run on a log of interactions, and the log at another place."""
    folder = tmp_path_factory.mktemp("interactions")
    rng = np.random.default_rng(0)
    log = polars.DataFrame({"user": rng.integers(0, 80, 900), "item": rng.integers(0, 25, 900)})
    log = log.vstack(polars.DataFrame({"user": [999], "item": [3]})).unique(maintain_order=True)
    log.write_csv(folder / "log.csv")
    settings = QUIET | {"data.interactions.user": "user", "data.interactions.item": "item"}
    settings |= {"data.validation": 10, "data.test": 10, "data.interactions.min_user_items": 5}
    run = lowerbound.fit(
        "multvae", data=folder / "log.csv", out=folder / "run", settings=settings, progress=False
    )
    before = run.evaluate()
    return run, (folder / "log.csv").rename(folder / "moved.csv"), before


def test_a_log_that_moved_is_the_runs_own(recommender):
    run, place, before = recommender
    assert run.evaluate(place) == before


def test_users_who_ask_for_lists_are_never_left_out(recommender, command, tmp_path):
    """A user with one item is too short for the fit, and gets a list all the same, also of the
    log of the fit.
    """
    run, place, _ = recommender
    arguments = ("--users", place, "--out", tmp_path / "lists.csv", "-k", 3)
    code, _, _ = command("recommend", run.folder, *arguments)
    assert code == 0
    assert 999 in polars.read_csv(tmp_path / "lists.csv")["user"].to_list()
    assert 999 not in run.data(place).split("all").users


def test_a_report_of_a_recommender_is_of_its_own_data(recommender, tmp_path):
    run, _, _ = recommender
    other = polars.DataFrame({"user": [1, 1, 2, 2], "item": [1, 2, 3, 4]})
    other.write_csv(tmp_path / "other.csv")
    with pytest.raises(ConfigError, match=r"is of its own data; .*other\.csv holds others"):
        run.report(tmp_path / "other.csv")
