"""Run folders that an earlier revision wrote are read, measured and gone on with as by that one.

`benchmarks/unchanged.py --make-runs` wrote `tests/golden`. What it compares of two trees is tested
here on small files.
"""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lowerbound

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
KEPT = json.loads((GOLDEN / "measured.json").read_text(encoding="utf-8"))["runs"]

if str(ROOT / "benchmarks") not in sys.path:
    sys.path.append(str(ROOT / "benchmarks"))
unchanged = importlib.import_module("unchanged")

every_run = pytest.mark.parametrize("name", sorted(KEPT))


@pytest.fixture
def folder(name, tmp_path):
    """A copy of a kept run."""
    return Path(shutil.copytree(GOLDEN / "runs" / name, tmp_path / name))


# Kept runs ---------------------------------------------------------------------------------------


def test_every_kept_run_has_its_measures():
    assert sorted(path.name for path in (GOLDEN / "runs").iterdir()) == sorted(KEPT)
    assert sorted(KEPT) == sorted(unchanged.SMALL)


@every_run
def test_a_kept_run_is_measured_as_before(name, folder):
    wanted = dict(unchanged.flatten(KEPT[name]["measured"]))
    found = dict(unchanged.flatten(unchanged.measure_run(folder)))
    assert list(found) == list(wanted)
    for key, value in wanted.items():
        near = value
        if not isinstance(value, str):
            near = pytest.approx(value, rel=1e-4, abs=2e-5)
        assert found[key] == near, key


@every_run
def test_a_kept_run_is_evaluated(name, folder):
    found, before = lowerbound.load(folder).evaluate(samples=2), KEPT[name]["evaluate"]
    size = "users"
    if size not in before:
        size = "examples"
    assert (found["split"], found[size]) == ("test", before[size])


@every_run
def test_a_kept_run_goes_on_from_its_checkpoint_to_the_same_end(name, folder):
    state = next(folder.glob("checkpoint/*/state.json"))
    assert json.loads(state.read_text(encoding="utf-8"))["batch"] > 0
    wanted, rows = load_file(folder / "model.safetensors"), (folder / "metrics.csv").read_text()
    (folder / "model.safetensors").unlink()
    recipe = folder / "recipe.toml"
    run = lowerbound.fit(recipe, out=folder, resume=True, progress=False)
    found = load_file(folder / "model.safetensors")
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-3, atol=1e-3, err_msg=key)
    assert len((folder / "metrics.csv").read_text().splitlines()) == len(rows.splitlines())
    assert run.summary["epochs"] == lowerbound.load(folder).summary["epochs"]


@pytest.mark.parametrize("name", ["digits"])
def test_a_kept_run_is_resumed_from_the_command_line(name, folder, command):
    words = ("fit", folder / "recipe.toml", "--out", folder, "--resume", "--json")
    code, out, _ = command(*words)
    assert code == 0
    assert json.loads(out.splitlines()[-1])["epochs"] == 6


# The gate ----------------------------------------------------------------------------------------


def write_run(folder, *, weight=1.0, elbo=-3.0, seconds=1.0, line="ELBO -3", extra=False):
    """Writes a folder as a case leaves it."""
    run = folder / "case" / "run"
    (run / "report").mkdir(parents=True)
    (run / "report" / "index.html").write_text(f"made in {seconds} s")
    save_file({"a": np.zeros(2), "b": np.array([1.0, weight])}, run / "model.safetensors")
    summary = {"test": {"elbo": elbo, "rate": [1, 2]}, "seconds": seconds}
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "metrics.csv").write_text(f"epoch,elbo\n1,-5\n2,{elbo}\n")
    (folder / "case" / "fit.txt").write_text(f"{seconds} s, 9 examples/s\n{line}\nrun {run}\n")
    if extra:
        (run / "more.txt").write_text("more")
    return folder


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, {}),
        ({"seconds": 2.0}, {}),
        (
            {"weight": 1.5},
            {"run/model.safetensors": "b: 1 of 2 numbers differ, by 0.5 at most"},
        ),
        (
            {"elbo": -4.0},
            {
                "run/metrics.csv": "elbo: row 2: '-3.0' became '-4.0'",
                "run/summary.json": "test.elbo: -3.0 became -4.0",
            },
        ),
        ({"line": "ELBO -4"}, {"fit.txt": "line 2: 'ELBO -3' became 'ELBO -4'"}),
        ({"extra": True}, {"run/more.txt": "is new"}),
    ],
    ids=["nothing", "time", "weight", "figure", "line", "file"],
)
def test_a_difference_is_told_by_its_file_and_place(changed, wanted, tmp_path, monkeypatch):
    monkeypatch.setattr(unchanged, "INTENDED", ())
    old, new = write_run(tmp_path / "old"), write_run(tmp_path / "new", **changed)
    count, found = unchanged.compare_case("case", old, new)
    assert count == 5 + len(changed.keys() & {"extra"})
    assert found == {f"case/{file}": reason for file, reason in wanted.items()}


def test_a_wanted_difference_is_left_out(tmp_path, monkeypatch):
    old, new = write_run(tmp_path / "old"), write_run(tmp_path / "new", elbo=-4.0, weight=2.0)
    wanted = (
        unchanged.Intended("*/summary.json", "test.*", "another measure"),
        unchanged.Intended("*/metrics.csv", "elbo", "another measure"),
        unchanged.Intended("*.safetensors", "a", "another name"),
    )
    monkeypatch.setattr(unchanged, "INTENDED", wanted)
    assert list(unchanged.compare_case("case", old, new)[1]) == ["case/run/model.safetensors"]


def test_a_case_that_fails_is_told_with_what_it_said(tmp_path):
    tree = unchanged.Tree(ROOT, 1)
    step = unchanged.call("list", "list priers")
    assert "`list priers` ends with exit code 2, not 0: lowerbound: unknown catalogue" in (
        unchanged.run_step(step, tree, tmp_path)
    )


def test_another_package_than_that_of_the_tree_is_refused(tmp_path):
    with pytest.raises(unchanged.GateError, match="lowerbound is not that of"):
        unchanged.Tree(tmp_path, 1).refuse_other()
