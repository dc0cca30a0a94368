"""A run that was stopped can be used as far as it has come, and goes on as if nobody had looked."""

import hashlib
import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

import lowerbound
from lowerbound import fitting
from lowerbound.errors import Interrupted, RunError
from lowerbound.recommend import Recommender

FAST = {
    "report.write": False,
    "training.epochs": 5,
    "training.accelerator": "cpu",
    "model.network.hidden": [16],
    "model.latent": [3],
}
STOPPED_AFTER = 3


def stop_in_epoch(monkeypatch, epoch):
    """Makes fits end by Ctrl-C within an epoch; with 0, within the first one."""
    method = "progress" if epoch == 0 else "epoch_done"

    def stop(self, *arguments):
        if epoch == 0 or len(arguments[0]) == epoch:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(fitting._RunFollower, method, stop)


def fit(folder, recipe="digits", **options):
    settings = dict(FAST)
    if recipe != "multvae":
        settings |= {"data.source": "digits", "data.validation": 100, "data.test": 100}
    return lowerbound.fit(recipe, out=folder, settings=settings, progress=False, **options)


def stopped(folder, epoch, recipe="digits"):
    with pytest.MonkeyPatch.context() as patch:
        stop_in_epoch(patch, epoch)
        with pytest.raises(Interrupted):
            fit(folder, recipe)
    return folder


def digests(folder):
    """The content of each file of a folder, to see whether it was changed."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stopped(tmp_path_factory.mktemp("stopped") / "run", STOPPED_AFTER)


def test_it_has_the_best_weights_of_its_newest_checkpoint_and_says_so(folder, capsys):
    before = digests(folder)
    run = lowerbound.load(folder)
    best = load_file(next((folder / "checkpoint").glob("step-*/best.safetensors")))
    assert run.model.state_dict().keys() == best.keys()
    assert all(torch.equal(run.model.state_dict()[name], best[name]) for name in best)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "the run is unfinished, in epoch 4 of 5: these are its best weights so far" in lines[0]
    assert lines[0].endswith("of epoch 3; fit --resume goes on")
    assert run.summary["epochs"] == STOPPED_AFTER
    assert "the run is unfinished" in repr(run)
    assert digests(folder) == before


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "--samples", "2"),
        ("sample", "--out", "grid.png"),
        ("encode", "--out", "codes.csv"),
        ("score", "--samples", "2", "--out", "scores.csv"),
    ],
    ids=lambda words: words[0],
)
def test_every_command_uses_it_and_json_stays_one_object(
    command, folder, tmp_path, monkeypatch, words
):
    monkeypatch.chdir(tmp_path)
    name, *rest = words
    code, out, err = command(name, folder, *rest, "--json")
    assert code == 0, err
    assert isinstance(json.loads(out), dict)
    assert "the run is unfinished" in err
    if name in ("evaluate", "score"):
        assert "the run is unfinished" in json.loads(out)["caveat"]


def test_its_report_warns(command, folder):
    code, _, err = command("report", folder)
    assert code == 0, err
    page = (folder / "report" / "index.html").read_text()
    assert "the run is unfinished, in epoch 4 of 5" in page
    assert "Training stopped early" not in page


def test_it_goes_on_exactly_after_it_was_looked_at(command, tmp_path):
    whole = fit(tmp_path / "whole").folder
    part = stopped(tmp_path / "part", STOPPED_AFTER)
    assert command("sample", part, "--out", tmp_path / "grid.png")[0] == 0
    assert command("report", part)[0] == 0
    resumed = fit(part, resume=True)
    for name in ("model.safetensors", "metrics.csv"):
        assert (part / name).read_bytes() == (whole / name).read_bytes()
    assert resumed.unfinished is None
    assert lowerbound.load(part).unfinished is None


def test_within_the_first_epoch_it_has_the_weights_of_its_last_step(command, tmp_path):
    part = stopped(tmp_path / "part", 0)
    run = lowerbound.load(part)
    assert run.unfinished == "the run is unfinished: these are its weights after step 20"
    assert run.summary == {}
    assert run.sample(2).isfinite().all()
    assert command("report", part)[0] == 0


def test_a_damaged_checkpoint_is_passed_over_and_the_one_before_is_used(tmp_path, capsys):
    part = stopped(tmp_path / "part", STOPPED_AFTER)
    newest = max((part / "checkpoint").glob("step-*"))
    older = newest.with_name("step-00000001")
    newest.rename(older)
    damaged = newest.with_name("step-00000099")
    damaged.mkdir()
    assert lowerbound.load(part).summary["epochs"] == STOPPED_AFTER
    assert "damaged: " in capsys.readouterr().err
    (older / "best.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"no checkpoint in .* is whole"):
        lowerbound.load(part)


@pytest.mark.parametrize(
    ("key", "value"), [("epoch", "x"), ("history", [1]), ("best_epoch", 9), ("seconds", None)]
)
def test_a_checkpoint_whose_state_is_of_no_run_is_refused(tmp_path, monkeypatch, key, value):
    part = stopped(tmp_path / "part", 1)
    from lowerbound.run import contents

    load = contents.load_checkpoint

    def changed(folder, wanted):
        groups, state = load(folder, wanted)
        return groups, state | {key: value}

    monkeypatch.setattr(contents, "load_checkpoint", changed)
    with pytest.raises(RunError, match="does not hold what a run wrote"):
        lowerbound.load(part)


def test_a_stopped_autoencoder_whose_rate_is_infinite_is_loaded(tmp_path):
    part = stopped(tmp_path / "part", 1, "autoencoder-mnist")
    assert lowerbound.load(part).summary["train"]["rate"] == [float("inf")]


def test_a_stopped_recommender_recommends(tmp_path):
    part = stopped(tmp_path / "part", 2, recipe="multvae")
    recommender = Recommender.load(part)
    item = recommender.catalogue.ids[0]
    assert len(recommender.recommend([item], 3)) == 3
    assert "the run is unfinished" in repr(recommender)
