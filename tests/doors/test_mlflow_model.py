"""A run as a model of MLflow: logged, loaded, and asked for predictions."""

import json
from pathlib import Path

import numpy as np
import pandas
import pytest

import lowerbound
from lowerbound import recipe
from lowerbound.errors import ConfigError, RunError
from lowerbound.hub import KNOWN
from lowerbound.system import extras

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of MLflow in a folder, for this file alone."""
    folder = tmp_path_factory.mktemp("mlflow")
    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    patch.chdir(folder)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    yield folder
    mlflow.set_tracking_uri(None)  # what is set is kept for the whole process
    patch.undo()


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def run(store, rows):
    np.save(store / "rows.npy", rows)
    small = {
        "data": {"source": "", "validation": 0.2, "test": 0.2},
        "model": {
            "latent": [2],
            "network": {"type": "MLP", "hidden": [8]},
            "likelihood": {"type": "Normal", "variance": "learned"},
        },
        "training": {"epochs": 1, "batch_size": 16, "accelerator": "cpu"},
        "report": {"write": False},
    }
    return lowerbound.fit(
        recipe.parse(small), data=store / "rows.npy", out=store / "run", progress=False
    )


@pytest.fixture(scope="module")
def logged(run, store):
    return run.log_model("rows")


def test_what_is_logged_holds_the_run_and_no_pickle(logged, run, store):
    (found,) = store.glob("mlruns/**/MLmodel")
    files = {path.name for path in found.parent.rglob("*") if path.is_file()}
    assert "mlflow_model.py" in files
    assert not any(name.endswith((".pkl", ".pickle", ".bin", ".pt")) for name in files)
    folder = found.parent / "artifacts" / "run"
    assert {path.name for path in folder.rglob("*")} <= set(KNOWN)
    assert (folder / "model.safetensors").read_bytes() == (
        run.folder / "model.safetensors"
    ).read_bytes()
    assert str(store) not in (folder / "recipe.toml").read_text()
    assert "lowerbound==" in (found.parent / "requirements.txt").read_text()


def test_it_predicts_what_the_run_does(logged, run, rows):
    model = mlflow.pyfunc.load_model(logged.model_uri)
    scores = model.predict(rows[:7], params={"samples": 20})
    ours = lowerbound.score(run, rows[:7], samples=20).to_frame()
    assert isinstance(scores, pandas.DataFrame)
    assert scores["log_likelihood"].tolist() == ours["log_likelihood"].to_list()
    assert scores["percentile"].tolist() == ours["percentile"].to_list()
    frame = pandas.DataFrame(rows[:7], columns=list("abcd"))
    codes = model.predict(frame, params={"what": "encode"})
    assert codes.columns.tolist() == ["z1_1", "z1_2"]
    assert (codes.to_numpy() == run.encode(rows[:7])[0].numpy()).all()
    with pytest.raises(ConfigError) as raised:
        model.predict(rows, params={"what": "recommend"})
    assert str(raised.value) == "unknown prediction 'recommend'; allowed: encode, score"


def test_a_recommender_recommends(store, tmp_path):
    rng = np.random.default_rng(0)
    plays = [f"u{u:02},i{i}" for u in range(40) for i in rng.choice(12, 6, replace=False)]
    (tmp_path / "plays.csv").write_text("\n".join(["user,item", *plays]) + "\n")
    settings = {"training.epochs": 1, "model.latent": [4], "model.network.hidden": [8]}
    settings |= {"training.accelerator": "cpu", "report.write": False}
    fitted = lowerbound.fit(
        "multvae",
        data=tmp_path / "plays.csv",
        out=tmp_path / "run",
        settings=settings,
        progress=False,
    )
    model = mlflow.pyfunc.load_model(fitted.log_model().model_uri)
    histories = [["i1", "i2"], ["i3"]]
    lists = model.predict(histories, params={"k": 3})
    recommender = lowerbound.Recommender(fitted)
    for user, history in enumerate(histories):
        found = lists[lists["user"] == user]
        ours = recommender.recommend(history, 3)
        assert found["item"].tolist() == [entry.item for entry in ours]
        assert found["score"].tolist() == [entry.score for entry in ours]
    again = model.predict(pandas.DataFrame({"history": histories}), params={"k": 3})
    assert again.equals(lists)
    codes = model.predict(histories, params={"what": "encode"})
    assert codes.shape == (2, 4)


def test_a_missing_library_and_a_refusal_are_one_line(run, store, monkeypatch):
    with pytest.raises(RunError, match=r"^MLflow refuses the model: "):
        run.log_model("a/b:c")
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as raised:
        run.log_model()
    assert str(raised.value) == (
        "log_model needs mlflow and pandas, which are not installed: pip install "
        "'lowerbound[mlflow]'"
    )
    assert Path("mlruns").exists()
    assert json.loads((run.folder / "summary.json").read_text())["run"] == str(run.folder)
