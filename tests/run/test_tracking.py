"""Trackers write what they are told, go on where they were, and never end a run."""

import csv
import json
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import lowerbound
from lowerbound.errors import ConfigError, Interrupted
from lowerbound.testing import check_tracker
from lowerbound.tracking import Tracker, Tracking, Watch, flat, installed, trackers, watch, watching

# SQLAlchemy 2.1 says this of MLflow's own code.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

CONFIG = {
    "model": {"latent": [2], "network": {"type": "MLP", "hidden": [64, 32]}},
    "training": {"epochs": 3, "seed": 0},
}
PICTURE = np.arange(12 * 20 * 3, dtype=np.uint8).reshape(12, 20, 3)
GREY = PICTURE[..., :1]


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """An MLflow database without runs: two seconds that every run but one is spared."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}")
    return path


@pytest.fixture(autouse=True)
def _at_home(tmp_path, monkeypatch):
    """No tracker looks for a network, or writes outside the test's folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "some-run"
    (path / "report").mkdir(parents=True)
    (path / "report" / "index.html").write_text("<h1>report</h1>")
    return path


@pytest.fixture
def prepared(folder, empty_store):
    """A run folder that need not wait for MLflow."""
    (folder / "tracking").mkdir()
    shutil.copy(empty_store, folder / "tracking")
    return folder


def follow(name, folder, epochs, config=CONFIG, ends=None):
    """A run that one tracker follows until it ends, by an error or well."""
    with watching(Tracking(to=(name,), project="tests"), folder, config) as watch:
        for epoch in epochs:
            watch.scalars(
                {
                    "train_objective": 8 / epoch,
                    "validation_ndcg@10": float("nan"),
                    "odd": float("inf"),
                },
                epoch,
            )
            watch.picture("samples", PICTURE, epoch)
            watch.picture("grey", PICTURE[..., :1], epoch)
        watch.file(folder / "report" / "index.html")
        assert list(watch.open) == [name]
        if ends:
            raise ends


# A reader gives what the tracker holds of the only run in a folder, through the library's own
# reader or the documented format:
# points, (epoch, objective) in order; nan, the values of the metric that is none; pictures, epochs
# of the colour picture that has
# kept its size; config; report; status.


def read_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator(
        str(folder / "tracking" / "tensorboard"),
        size_guidance={"scalars": 0, "images": 0, "tensors": 0},
    )
    tags = events.Reload().Tags()
    held = {
        name: HParamsPluginData.FromString(data)
        for name, data in events.PluginTagToContent("hparams").items()
    }
    config = held["_hparams_/session_start_info"].session_start_info.hparams
    texts = (
        list(events.Tensors("index/text_summary"))
        if "index/text_summary" in tags["tensors"]
        else []
    )
    return {
        "points": [(e.step, e.value) for e in events.Scalars("train_objective")],
        "nan": [e.value for e in events.Scalars("validation_ndcg@10")]
        if "validation_ndcg@10" in tags["scalars"]
        else [],
        "pictures": [e.step for e in events.Images("samples") if (e.height, e.width) == (12, 20)]
        if tags["images"]
        else [],
        "config": {
            key: value.string_value or int(value.number_value) for key, value in config.items()
        },
        "report": (folder / texts[-1].tensor_proto.string_val[0].decode()).read_text()
        if texts
        else None,
        "status": "finished" if "_hparams_/session_end_info" in held else None,
    }


def records(path):
    """The records of a .wandb file: 7 bytes, then a log of LevelDB (32 KiB a block; a piece has a
    checksum, length and type).
    """
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            yield Record.FromString(whole)
            whole = b""


def read_wandb(folder):
    found = [
        r
        for path in sorted((folder / "tracking" / "wandb").glob("offline-run-*/*.wandb"))
        for r in records(path)
    ]
    kinds = {
        kind: [getattr(r, kind) for r in found if r.HasField(kind)]
        for kind in ("run", "history", "artifact", "exit")
    }
    assert len({run.run_id for run in kinds["run"]}) == 1
    rows = [
        {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in h.item}
        for h in kinds["history"]
    ]
    reports = [
        Path(a.manifest.contents[0].local_path).read_text()
        for a in kinds["artifact"]
        if a.type == "report"
    ]
    return {
        "points": [(row["_step"], row["train_objective"]) for row in rows],
        "nan": [row["validation_ndcg@10"] for row in rows if "validation_ndcg@10" in row],
        "pictures": [
            row["_step"]
            for row in rows
            if (row.get("samples/height"), row.get("samples/width")) == (12, 20)
        ],
        "config": flat(
            {i.key: json.loads(i.value_json) for run in kinds["run"] for i in run.config.update}
        ),
        "report": reports[-1] if reports else None,
        "status": {0: "finished", 130: "interrupted", 1: "failed"}[kinds["exit"][-1].exit_code],
    }


def read_mlflow(folder):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/tracking/mlflow.db")
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert run.info.run_name == folder.name

    def history(name):
        return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]

    images = [
        a.path
        for a in client.list_artifacts(run.info.run_id, "images")
        if "samples" in a.path and a.path.endswith(".png")
    ]
    reports = client.list_artifacts(run.info.run_id, "report")
    return {
        "points": history("train_objective"),
        "nan": [value for _, value in history("validation_ndcg_10")],
        "pictures": sorted(int(re.search(r"step\D(\d+)", path)[1]) for path in images),
        "config": run.data.params,
        "report": Path(client.download_artifacts(run.info.run_id, reports[0].path)).read_text()
        if reports
        else None,
        "status": {"FINISHED": "finished", "KILLED": "interrupted", "FAILED": "failed"}[
            run.info.status
        ],
    }


READERS = {"tensorboard": read_tensorboard, "wandb": read_wandb, "mlflow": read_mlflow}


def test_every_tracker_is_read_here_and_has_an_extra():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert READERS.keys() == trackers().keys()
    assert READERS.keys() <= extras.keys()
    assert extras["trackers"] == [f"lowerbound[{','.join(READERS)}]"]


def children():
    return {
        pid
        for path in Path("/proc/self/task").glob("*/children")
        for pid in path.read_text().split()
    }


@pytest.mark.parametrize("name", list(READERS))
def test_a_tracker_holds_what_it_was_told_and_goes_on_in_the_same_run(
    name, prepared, capfd, monkeypatch
):
    # To read its files here, MLflow would show a bar where tqdm happens to be installed.
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    folder = prepared
    before = children()
    with pytest.raises(Interrupted):
        follow(name, folder, [1, 2], ends=Interrupted("stopped"))
    held = READERS[name](folder)
    assert held["status"] == (
        "interrupted" if name != "tensorboard" else None
    )  # whose sessions are open or ended
    assert held["points"] == [(1, 8.0), (2, 4.0)]
    assert np.isnan(held["nan"]).all()
    assert len(held["nan"]) == 2
    assert held["pictures"] == [1, 2]
    assert held["report"] == "<h1>report</h1>"
    assert {key: str(held["config"][key]) for key in flat(CONFIG)} == {
        key: str(value) for key, value in flat(CONFIG).items()
    }
    follow(name, folder, [4, 8], config={**CONFIG, "training": {"epochs": 8, "seed": 0}})
    held = READERS[name](folder)
    assert held["status"] == "finished"
    assert held["points"] == [(1, 8.0), (2, 4.0), (4, 2.0), (8, 1.0)]
    assert held["pictures"] == [1, 2, 4, 8]
    assert capfd.readouterr() == ("", "")
    assert children() == before


@pytest.mark.parametrize("name", list(READERS))
def test_a_tracker_keeps_the_laws(name, prepared):
    before = children()
    check_tracker(trackers()[name], prepared)
    held = READERS[name](prepared)
    assert held["points"] == [(epoch, pytest.approx(1 / epoch)) for epoch in range(1, 7)]
    assert held["status"] == "finished"
    assert children() == before


class FaultyTracker(Tracker):
    """A tracker with one fault."""

    needs = ("json",)
    fault = "none"

    def __init__(self, folder, project, config, known):
        self.folder = folder
        self.id = known or "first"
        if self.fault == "id of a number":
            self.id = 7
        if self.fault == "another run":
            self.id = f"{known}+"
        if self.fault == "config":
            config.pop("model")
        if self.fault == "nested tables":
            ",".join(config["model"])
            json.loads(config["model"])
        if self.fault == "changed config" and known:
            raise ValueError("a parameter cannot be changed")
        (folder / "tracking" / "kept.json").write_text("{}")
        if self.fault == "outside":
            (folder / "kept.json").write_text("{}")

    def scalars(self, values, epoch):
        if self.fault == "scalars":
            values["epoch"] = epoch
        for value in values.values():
            if self.fault == "nan" and np.isnan(value):
                raise ValueError("no number")
            if self.fault == "inf" and np.isinf(value):
                raise OverflowError("too large")
        if self.fault == "a new id":
            self.id = "second"

    def picture(self, name, image, epoch):
        if self.fault == "grey" and image.shape[2] == 1:
            raise ValueError("three channels")
        if self.fault == "picture":
            image[0] = 0

    def file(self, path):
        if self.fault == "file":
            raise OSError("no files")

    def close(self, status):
        if self.fault == "status" and status == "interrupted":
            raise KeyError(status)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("needs", "needs must be a tuple"),
        ("id of a number", "id is 7, not a string"),
        ("another run", r"the run '\+' went on as '\+\+'"),
        ("config", "changed the configuration"),
        ("nested tables", "for a run raised TypeError"),
        ("changed config", "for a run raised ValueError: a parameter cannot be changed"),
        ("outside", "outside tracking/"),
        ("scalars", "changed the scalars"),
        ("nan", "scalars with NaN and inf raised ValueError"),
        ("inf", "scalars with NaN and inf raised OverflowError"),
        ("a new id", "the id changed while the run was followed"),
        ("grey", r"a picture \(6, 8, 1\) raised ValueError: three channels"),
        ("picture", "changed a picture"),
        ("file", "file raised OSError"),
        ("status", "close with 'interrupted' raised KeyError"),
    ],
)
def test_a_faulty_tracker_is_refused(fault, message, tmp_path, monkeypatch):
    check_tracker(FaultyTracker, tmp_path / "good")
    monkeypatch.setattr(FaultyTracker, "fault", fault)
    if fault == "needs":
        monkeypatch.setattr(FaultyTracker, "needs", "json")
    with pytest.raises(AssertionError, match=message):
        check_tracker(FaultyTracker, tmp_path / "faulty")


def test_epochs_that_are_run_again_take_the_place_of_the_lost_ones(folder):
    follow("tensorboard", folder, [1, 2, 4])
    follow("tensorboard", folder, [2, 8])
    assert read_tensorboard(folder)["points"] == [(1, 8.0), (2, 4.0), (8, 1.0)]


def test_mlflow_uses_the_store_that_the_environment_names(folder, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    with pytest.raises(ValueError, match="went wrong"):
        follow("mlflow", folder, [1], ends=ValueError("went wrong"))
    client = MlflowClient()
    experiment = client.get_experiment_by_name("tests")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.metrics["train_objective"] == 8
    assert "odd" not in run.data.metrics  # MLflow would make the largest number of what is infinite
    with watching(Tracking(to="mlflow"), folder, CONFIG):
        assert client.get_run(run.info.run_id).info.status == "RUNNING"
    assert [p.name for p in (folder / "tracking").iterdir()] == ["mlflow.json"]


class Recorder(Tracker):
    """A tracker that keeps its calls, prints, and raises in one method if told to."""

    needs = ()

    def __init__(self, folder=None, project="", config=None, known=None, fails=""):
        self.calls, self.fails = [], fails
        self.id = known or "first"

    def _call(self, method):
        self.calls.append(method)
        print("chatter")
        if method == self.fails:
            raise OSError("no\nspace")

    def scalars(self, values, epoch):
        self._call("scalars")

    def picture(self, name, image, epoch):
        self._call("picture")

    def file(self, path):
        self._call("file")

    def close(self, status):
        self._call("close")
        self.status = status


METHODS = ["scalars", "picture", "file", "close"]


@pytest.mark.parametrize("method", METHODS)
def test_a_tracker_that_fails_is_closed_and_the_others_go_on(method, capfd):
    bad, good = Recorder(fails=method), Recorder()
    watch = Watch({"bad": bad, "good": good})
    for _ in range(2):
        watch.scalars({"loss": 1.0}, 1)
        watch.picture("samples", PICTURE, 1)
        watch.file(Path("index.html"))
    watch.close("finished")
    assert good.calls == ["scalars", "picture", "file"] * 2 + ["close"]
    until = METHODS[: METHODS.index(method) + 1] if method != "close" else good.calls
    assert bad.calls == [*until, "close"]
    out, err = capfd.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if line != "chatter"] == [
        "lowerbound: tracker bad failed and is left out: no"
    ]


def test_only_what_a_library_raises_is_kept_from_the_run():
    class Stopped(Recorder):
        def scalars(self, values, epoch):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Watch({"stopped": Stopped()}).scalars({}, 1)


@pytest.fixture
def recorders(monkeypatch):
    """Trackers named good and bad; those that were opened."""
    opened = []

    def good(*arguments):
        opened.append(Recorder(*arguments))
        return opened[-1]

    def bad(*_):
        raise RuntimeError("no key\nsecond line")

    monkeypatch.setattr(watch, "trackers", lambda: {"good": good, "bad": bad})
    return opened


def test_a_tracker_that_cannot_be_opened_is_left_out(recorders, folder, capfd):
    with watching(Tracking(to=("bad", "good", "good")), folder, CONFIG) as watch:
        assert list(watch.open) == ["good"]
    assert len(recorders) == 1
    assert capfd.readouterr() == (
        "",
        "lowerbound: tracker bad failed and is left out: no key\nchatter\n",
    )


@pytest.mark.parametrize("name", list(READERS))
def test_a_folder_that_cannot_be_written_does_not_end_a_run(name, folder, capfd):
    (folder / "tracking").write_text("")
    with watching(Tracking(to=(name,)), folder, CONFIG) as watch:
        assert watch.open == {}
        assert not watch.looks(1)
        watch.scalars({"loss": 1.0}, 1)
    assert capfd.readouterr().err.startswith(f"lowerbound: tracker {name} failed and is left out: ")


def test_the_tracker_is_told_by_which_id_it_knew_the_run(recorders, folder):
    for _ in range(2):
        with watching(Tracking(to=("good",)), folder, CONFIG):
            assert json.loads((folder / "tracking" / "good.json").read_text()) == {"id": "first"}
            recorders[-1].id = "changed later"
    (folder / "tracking" / "good.json").write_text('{"id": "known"}')
    with watching(Tracking(to=("good",)), folder, CONFIG):
        assert recorders[-1].id == "known"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "finished"),
        (Interrupted(""), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(), "failed"),
        (OSError(), "failed"),
    ],
)
def test_the_end_is_told_and_the_error_goes_on(error, status, recorders, folder):
    def run():
        with watching(Tracking(to=("good",)), folder, CONFIG):
            if error:
                raise error

    if error:
        with pytest.raises(type(error)) as caught:
            run()
        assert caught.value is error
    else:
        run()
    assert recorders[0].status == status


def test_of_several_processes_one_opens_trackers(recorders, folder):
    with watching(Tracking(to=("good",)), folder, CONFIG, first=False) as watch:
        watch.scalars({"loss": 1.0}, 1)
    assert recorders == []
    assert not (folder / "tracking").exists()


def test_pictures_are_wanted_of_the_first_epoch_and_every_few():
    watch = Watch({"good": Recorder()}, 5)
    assert [epoch for epoch in range(1, 12) if watch.looks(epoch)] == [1, 5, 10]


@pytest.mark.parametrize(
    ("name", "module"),
    [(name, module) for name, kind in trackers().items() for module in kind.needs],
)
def test_a_missing_library_gives_the_line_that_installs_it(name, module, monkeypatch):
    installed(Tracking(to=(name,)))
    monkeypatch.setitem(sys.modules, module, None)  # what makes an import fail
    with pytest.raises(ConfigError) as caught:
        installed(Tracking(to=(name,)))
    assert (
        str(caught.value)
        == f'tracking.to: {module} is not installed; pip install "lowerbound[{name}]"'
    )


def test_a_folder_is_no_library(tmp_path, monkeypatch):
    (tmp_path / "folder_of_runs").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Recorder, "needs", ("folder_of_runs",))
    monkeypatch.setattr(watch, "trackers", lambda: {"good": Recorder})
    with pytest.raises(ConfigError, match="folder_of_runs is not installed"):
        installed(Tracking(to=("good",)))


def test_a_tracker_that_is_not_known():
    with pytest.raises(
        ConfigError,
        match=r"unknown tracker 'wandbb'; did you mean 'wandb'\? Allowed: tensorboard, wandb",
    ):
        Tracking(to=("wandbb",))


def test_one_tracker_may_stand_alone():
    assert Tracking(to="wandb") == Tracking(to=("wandb",))


def test_the_module_is_light():
    code = (
        "import sys, lowerbound.tracking; "
        "print(*{'tensorboard', 'wandb', 'mlflow', 'sqlalchemy'} & set(sys.modules))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout
        == "\n"
    )


def fit(out, epochs, to, **more):
    settings = {
        "training.epochs": epochs,
        "tracking.to": to,
        "tracking.project": "tests",
        "report.write": False,
    }
    return lowerbound.fit("digits", settings=settings, out=out, progress=False, **more)


def test_a_fit_is_followed_through_its_resumption_and_not_changed(tmp_path):
    names = list(READERS)
    for run, to in {"alone": [], "followed": names}.items():
        fit(tmp_path / run, 2, to)
        fit(tmp_path / run, 3, to, resume=True)
    written = (tmp_path / "followed" / "metrics.csv").read_text()
    assert written == (tmp_path / "alone" / "metrics.csv").read_text()
    losses = [float(row["train_objective"]) for row in csv.DictReader(written.splitlines())]
    for name in names:
        held = READERS[name](tmp_path / "followed")
        assert [epoch for epoch, _ in held["points"]] == [1, 2, 3], name
        np.testing.assert_allclose(
            [value for _, value in held["points"]], losses, rtol=1e-6, err_msg=name
        )
        assert held["status"] == "finished"


def test_a_fit_whose_tracker_is_missing_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match="pip install"):
        fit(tmp_path / "run", 2, ["wandb"])
    assert not (tmp_path / "run").exists()
