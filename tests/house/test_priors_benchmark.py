"""`benchmarks/priors.py`: what is compared with what, and the table of the results."""

import argparse
import importlib
import json
import math
import sys
from pathlib import Path

import pytest
import torch

from lowerbound import recipe

FOLDER = Path(__file__).parents[2] / "benchmarks"
if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))

bench = importlib.import_module("priors")


def options(folder, **changed):
    settings = {
        "rows": ["vamp"],
        "seeds": [0],
        "epochs": 1,
        "samples": 4,
        "images": 50,
        "data": "digits",
        "threads": 1,
        "results": folder,
        "choose": False,
    }
    return argparse.Namespace(**(settings | changed))


def run(folder, monkeypatch, *words):
    command = ["priors.py", "--data", "digits", "--epochs", "1", "--samples", "4"]
    command += ["--images", "50", "--results", str(folder), *words]
    monkeypatch.setattr(sys, "argv", command)
    bench.main()


def test_a_row_changes_one_part_of_the_recipe():
    plan = recipe.load(bench.RECIPE)
    plain = plan.replace({"model.prior": "StandardNormal", "model.posterior": "Normal"})
    for name in bench.ROWS:
        changed = plain.replace(bench.SETTINGS[name])
        assert changed.model != plain.model
        assert changed.training == plain.training
        assert changed.data == plain.data
    assert plain.replace(bench.SETTINGS["vamp"]).model == plan.model
    both = plain.replace(bench.SETTINGS["both flows"])
    assert both.model == recipe.load("flow-mnist").model


def test_differences_are_those_of_pairs():
    elbo = torch.tensor([1.0, 2.0, 6.0])
    first = bench.Measured(elbo, elbo[:2], 0.1, 3.0, 1.0, 10)
    second = bench.Measured(elbo + 1, elbo[:2] + torch.tensor([0.0, 1.0]), 0.1, 3.0, 1.0, 10)
    found = second.minus(first)
    assert found["elbo"] == {"value": 1.0, "standard_error": 0.0}
    assert found["log_likelihood"]["value"] == 0.5
    assert found["log_likelihood"]["standard_error"] == pytest.approx(math.sqrt(0.5 / 2))


def seed_of(number, value):
    difference = {"value": value, "standard_error": 0.25}
    plain = {"value": -90.0, "standard_error": 0.2}
    own = {"seconds": 6.0, "difference": {"elbo": difference, "log_likelihood": difference}}
    return {
        "seed": number,
        "plain": {"seconds": 2.0, "elbo": plain, "log_likelihood": plain},
        "vamp": own,
    }


def test_more_seeds_do_not_make_the_error_over_images_smaller():
    found = bench.pooled([seed_of(0, 1.0), seed_of(1, 2.0)], "vamp")["elbo"]
    assert found["value"] == 1.5
    assert found["images"] == 0.25
    assert found["seeds"] == pytest.approx(math.sqrt(0.5) / math.sqrt(2))
    assert bench.pooled([seed_of(0, 1.0)], "vamp")["elbo"]["seeds"] is None


def test_the_table_has_a_line_for_each_row():
    lines = bench.markdown([seed_of(0, 1.0), seed_of(1, 2.0)]).splitlines()
    assert lines[2] == "| vamp | +1.50 (0.25, 0.50) | +1.50 (0.25, 0.50) | +1.0 | 3.0 times |"
    assert "The plain model: elbo -90.00 ± 0.20" in lines


def test_seeds_of_another_run_are_kept_where_it_measured_the_same(tmp_path):
    given = options(tmp_path)
    path = tmp_path / "priors.json"
    assert bench.kept(path, given) == []
    told = {key: vars(given)[key] for key in bench.COMPARED}
    path.write_text(json.dumps({"options": told, "seeds": [seed_of(0, 1.0), seed_of(1, 2.0)]}))
    assert [each["seed"] for each in bench.kept(path, given)] == [1]
    assert bench.kept(path, options(tmp_path, epochs=2)) == []


def test_a_tiny_run_writes_its_pairs(tmp_path, monkeypatch, capsys):
    run(tmp_path, monkeypatch, "--rows", "vamp", "--seeds", "0")
    found = json.loads((tmp_path / "priors.json").read_text())
    (seed,) = found["seeds"]
    assert seed["plain"]["steps"] == seed["vamp"]["steps"] > 0
    value = seed["vamp"]["elbo"]["value"] - seed["plain"]["elbo"]["value"]
    assert seed["vamp"]["difference"]["elbo"]["value"] == pytest.approx(value, abs=1e-4)
    assert found["summary"]["vamp"]["elbo"]["each"] == [seed["vamp"]["difference"]["elbo"]["value"]]
    assert "| vamp |" in capsys.readouterr().out


def test_choosing_looks_at_the_validation_images_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "LEARNING_RATES", (1e-3,))
    splits = []
    measure = bench.fit_and_measure

    def follow(name, seed, split, given, **changed):
        splits.append(split)
        return measure(name, seed, split, given, **changed)

    monkeypatch.setattr(bench, "fit_and_measure", follow)
    run(tmp_path, monkeypatch, "--rows", "vamp", "--choose")
    assert splits == ["validation", "validation"]
    found = json.loads((tmp_path / "priors-choice.json").read_text())["learning_rates"]
    assert list(found) == ["plain", "vamp"]
    assert not (tmp_path / "priors.json").exists()
