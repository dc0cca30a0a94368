"""The command line, end to end on the digits: what it prints, what it writes, and how it fails."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import polars
import pytest
from PIL import Image

import forked
from lowerbound import recipe
from lowerbound.cli import inspect, main
from lowerbound.evaluation.likelihood import LIKELIHOOD_SAMPLES

FAST = [
    "--set",
    "training.epochs=2",
    "--set",
    "model.network.hidden=[32]",
    "--set",
    "training.accelerator=cpu",
]

QUIET = ["--set", "report.write=false"]

SMALL_MAP = ["--set", "report.points=200", "--set", "report.examples=200"]


@pytest.fixture
def lowerbound(command):
    """The name that reads well here."""
    return command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    words = ["fit", "digits", "--out", str(folder), "--seed", "3", "--json", *FAST, *SMALL_MAP]
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(told):
        patch.setattr(sys, "argv", ["lowerbound", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    return folder, last(told.getvalue())


def last(out):
    return json.loads(out.splitlines()[-1])


def test_fit_ends_with_its_figures(run):
    folder, found = run
    wanted = {
        "run",
        "parameters",
        "epochs",
        "seconds",
        "examples_per_second",
        "train",
        "validation",
        "test",
    }
    assert wanted <= found.keys()
    assert found["run"] == str(folder)
    assert found["epochs"] == 2
    assert found["seconds"] > 0
    assert found["examples_per_second"] > 0
    assert found["test"].keys() == {"elbo", "log_likelihood_term", "rate", "objective"}
    assert recipe.load(folder / "recipe.toml").training.seed == 3


def test_fit_draws_the_overview(run):
    with Image.open(run[0] / "report" / "overview.png") as picture:
        assert picture.width > 800
        assert np.asarray(picture.convert("L")).std() > 10  # not an empty sheet


@pytest.mark.parametrize("name", ["evaluate", "compare", "score"])
def test_the_help_names_the_number_of_importance_samples(lowerbound, name):
    """It is a constant of a module that help is too quick to import."""
    _, out, _ = lowerbound(name, "--help")
    assert f"[default: {LIKELIHOOD_SAMPLES}]" in " ".join(out.split())


def test_evaluate(lowerbound, run):
    code, out, _ = lowerbound("evaluate", run[0], "--samples", 5, "--json")
    found = last(out)
    keys = "elbo elbo_se log_likelihood log_likelihood_se samples effective_samples rate "
    keys += "active_units bits_per_dim examples"
    assert code == 0
    assert set(keys.split()) <= found.keys()
    assert found["samples"] == 5
    assert found["rate"] == pytest.approx([sum(rate) for rate in found["rate_per_dimension"]])
    assert found["pareto_k_above"] is None  # of five
    code, out, _ = lowerbound("evaluate", run[0], "--samples", 30)
    assert "log-likelihood       >= -" in out
    assert "(30 importance samples; effective: median " in out
    assert "Pareto k above 0.32 for " in out
    assert " nats below the truth" in out
    assert "(of log p(x), for each pixel)" in out
    code, out, _ = lowerbound("evaluate", run[0], "--samples", 5, "--split", "validation")
    assert code == 0
    assert "ELBO" in out
    assert "validation examples" in out


def test_what_a_command_does_not_use_it_does_not_import(run, tmp_path):
    """Pictures, the projections and Fabric each take as long to import as all of a small
    command.
    """
    commands = [
        ["evaluate", str(run[0]), "--samples", "2"],
        ["sample", str(run[0]), "-n", "2", "--out", str(tmp_path / "s.npy")],
    ]
    code = f"""
import sys
from lowerbound.cli import main
for command in {commands}:
    sys.argv = ["lowerbound", *command]
    try:
        main()
    except SystemExit as stopped:
        assert not stopped.code
heavy = {{"matplotlib", "sklearn", "scipy.stats", "lightning_fabric", "torch._dynamo"}}
heavy |= {{"polars", "rich"}}
print(heavy & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.endswith("set()\n")


def test_sample_png_and_numbers(lowerbound, run, tmp_path):
    assert lowerbound("sample", run[0], "-n", 9, "--out", tmp_path / "s.png")[0] == 0
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.size[0] == picture.size[1] > 3 * 56
    code, out, _ = lowerbound("sample", run[0], "-n", 9, "--out", tmp_path / "s.npy", "--json")
    samples = np.load(tmp_path / "s.npy", allow_pickle=False)
    assert code == 0
    assert last(out)["samples"] == 9
    assert samples.shape == (9, 1, 8, 8)
    assert samples.dtype == np.uint8
    assert samples.max() <= 16


def test_encode(lowerbound, run, tmp_path):
    assert lowerbound("encode", run[0], "--data", "digits", "--out", tmp_path / "z.npy")[0] == 0
    codes = np.load(tmp_path / "z.npy", allow_pickle=False)
    assert lowerbound("encode", run[0], "--data", "digits", "--out", tmp_path / "z.parquet")[0] == 0
    frame = polars.read_parquet(tmp_path / "z.parquet")
    assert codes.shape == (1797, 8)
    assert frame.columns == ["row", "label", *(f"z1_{i}" for i in range(1, 9))]
    assert frame["label"].to_list()[:5] == [0, 1, 2, 3, 4]  # in the source's order
    assert np.allclose(frame.select("^z.*$").to_numpy(), codes)


def test_report_draws_again(lowerbound, run):
    (run[0] / "report" / "overview.png").unlink()
    assert lowerbound("report", run[0])[0] == 0
    assert (run[0] / "report" / "overview.png").is_file()


@pytest.mark.parametrize("what", [None, *inspect.CATALOGUES])
def test_list(lowerbound, what):
    code, out, _ = lowerbound("list", *([what] if what else []), "--json")
    assert code == 0
    assert set(last(out)) == ({what} if what else set(inspect.CATALOGUES))
    assert all(text for entries in last(out).values() for text in entries.values())


def test_doctor_finds_the_numerics_right(lowerbound):
    code, out, _ = lowerbound("doctor", "--json")
    assert code == 0
    assert last(out)["healthy"] is True
    assert lowerbound("doctor")[1].rstrip().endswith("all is well")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fit", "digitz"], "unknown recipe 'digitz'; did you mean 'digits'?"),
        (["fit", "digits", "--set", "model.netwerk=3"], "unknown key 'netwerk'"),
        (["fit", "digits", "--set", "training.epochs"], "--set needs KEY=VALUE"),
        (["fit", "digits", "--seed", "-1"], "training.seed"),
        (["fit", "digits", "--devices", "5000"], "training.devices"),
        (["fit", "digits", "--data", "nothere.csv"], "nothere.csv"),
        (["fit", "table"], "give --data SOURCE"),
        (["evaluate", "nowhere"], "not a fitted run"),
        (["evaluate", "RUN", "--samples", "0"], "samples must be 1 or more, got 0"),
        (["evaluate", "RUN", "--split", "tset"], "unknown split 'tset'"),
        (["evaluate", "RUN", "--data", "mnits"], "mnits"),
        (["sample", "RUN", "-n", "0", "--out", "x.png"], "1 or more, got 0"),
        (["sample", "RUN", "--out", "x.jpg"], "ending must be one of .png, .npy"),
        (["encode", "RUN", "--out", "x.png"], "ending must be one of .npy, .csv, .parquet"),
        (["list", "receipes"], "unknown catalogue 'receipes'; did you mean 'recipes'?"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(
    lowerbound, run, tmp_path, monkeypatch, arguments, line
):
    monkeypatch.chdir(tmp_path)
    code, out, err = lowerbound(*(run[0] if a == "RUN" else a for a in arguments))
    assert code == 2
    assert out == ""
    assert err.startswith("lowerbound: ")
    assert line in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())  # nothing half-written


def test_a_run_that_breaks_exits_with_1(lowerbound, tmp_path):
    broken = ["--set", "training.optimizer=SGD", "--set", "training.learning_rate=1e12"]
    code, _, err = lowerbound("fit", "digits", "--out", tmp_path / "x", *FAST, *QUIET, *broken)
    assert code == 1
    assert "the loss became" in err
    assert "Traceback" not in err


def test_several_processes_train_the_same_curve(run, tmp_path):
    """Two processes take half of each batch and of each split: the same noise, the same curve
    within the precision of floats.
    """
    command = [
        sys.executable,
        "-m",
        "lowerbound",
        "fit",
        "digits",
        "--out",
        str(tmp_path / "two"),
        "--seed",
        "3",
        *FAST,
        *QUIET,
    ]
    done = subprocess.run(
        [*command, "--devices", "2", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode and "cores" in done.stderr:
        pytest.skip("this machine has one core")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["test"]["elbo"] == pytest.approx(run[1]["test"]["elbo"], rel=1e-4)


# What a review found


def shell(words, folder):
    """A line of bash; `lowerbound` is that of these tests."""
    line = f'lowerbound() {{ "{sys.executable}" -m lowerbound "$@"; }}; {words}'
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


posix = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs bash and /dev/full")


@posix
@pytest.mark.parametrize(
    "spoil",
    [forked.errors_find_no_room, forked.errors_find_no_reader, forked.errors_are_closed],
)
def test_a_fit_whose_progress_nobody_reads_ends_well(tmp_path, spoil):
    words = ["fit", "digits", "--out", "run", *FAST, *QUIET]
    fit = forked.Command(tmp_path, words, folder=tmp_path, spoil=spoil)
    assert fit.ended() == 0
    assert "model.safetensors" in os.listdir(tmp_path / "run")
    told = fit.log.read_text()
    assert "Traceback" not in told
    assert "next     lowerbound evaluate run" in told


@posix
@pytest.mark.parametrize(
    "words", ["", "list priors", "list priors --json", "--help", "evaluate RUN"]
)
def test_standard_output_that_is_full_is_one_line(run, tmp_path, words):
    done = shell(f"lowerbound {words.replace('RUN', str(run[0]))} >/dev/full", tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr.splitlines()[-1]
        == "lowerbound: standard output cannot be used: No space left on device"
    )
    assert "Traceback" not in done.stderr


@posix
def test_who_has_read_enough_of_the_output_is_no_mistake(tmp_path):
    done = shell("lowerbound list networks | true; echo ${PIPESTATUS[0]}", tmp_path)
    assert (done.stdout, done.stderr) == ("0\n", "")


@posix
def test_what_the_output_cannot_show_is_escaped(run, tmp_path):
    done = shell(f"PYTHONIOENCODING=ascii lowerbound sample {run[0]} -n 2 --out ünï.png", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\\xfcn\\xef.png" in done.stdout
    assert (tmp_path / "ünï.png").exists()


@posix
def test_a_closed_standard_error_leaves_standard_output_empty(tmp_path):
    words = ["evaluate", "nope", "--json"]
    wrong = forked.Command(tmp_path, words, spoil=forked.errors_are_closed)
    assert (wrong.ended(), wrong.log.read_text()) == (2, "")


@posix
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["evaluate", "a" * 5000], "is not a fitted run"),
        (["fit", "digits", "--out", "a" * 5000], "File name too long"),
        (
            ["fit", "digits", "--out", "a\nb/\nc", "--set", "training.epochs=x"],
            "should be a whole number",
        ),
        (["fit", "digits", "--out", "/"], "/ is not an empty folder"),
    ],
)
def test_an_odd_path_is_one_line(lowerbound, tmp_path, monkeypatch, words, line):
    monkeypatch.chdir(tmp_path)
    code, _, err = lowerbound(*words)
    (told,) = err.splitlines()
    assert line in told
    assert len(told) < 6000
    assert (code, os.listdir(tmp_path)) == (2, [])


@posix
def test_a_path_that_is_no_text_is_one_line(tmp_path):
    done = shell("lowerbound fit digits --out $'\\xff'", tmp_path)
    (told,) = done.stderr.splitlines()
    assert "the name of a run and of its data must be UTF-8" in told
    assert (done.returncode, os.listdir(tmp_path)) == (2, [])


def test_a_recipe_of_ones_own_is_not_taken_for_a_run(lowerbound, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "recipe.toml").write_text('# mine\n[data]\nsource = "digits"\n')
    for words, line in (((), "is not an empty folder"), (("--resume",), "there is no run")):
        code, _, err = lowerbound("fit", own / "recipe.toml", "--out", own, *words)
        assert code == 2
        assert line in err
    assert (own / "recipe.toml").read_text().startswith("# mine")


def test_the_metrics_are_as_they_were_after_a_resume(lowerbound, run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    before = (folder / "metrics.csv").read_bytes()
    (folder / "metrics.csv").write_text("epoch,step")
    left = folder / "report" / ".writing-odd"
    left.mkdir(parents=True)
    code, _, err = lowerbound("fit", folder / "recipe.toml", "--out", folder, "--resume")
    assert code == 0, err
    assert (folder / "metrics.csv").read_bytes() == before
    assert not left.exists()


def test_all_files_of_a_run_can_be_read_by_those_who_can_read_one(run):
    modes = {
        path.stat().st_mode & 0o777
        for path in run[0].rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    assert len(modes) == 1
