"""Every key of a recipe is told: its value, its default, what it means and what is allowed."""

import dataclasses
import importlib
import json
import subprocess
import sys
from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveInt

from lowerbound import recipe as recipes
from lowerbound.cli import main
from lowerbound.data import Data
from lowerbound.specs import listing
from lowerbound.specs.keys import default_of, keys_of, meanings_of, words_of
from lowerbound.specs.registry import members
from lowerbound.specs.wording import field_names


def leaves(tables, above=""):
    """The dotted keys of the plain tables of a recipe; a part counts by its type."""
    for name, value in tables.items():
        if isinstance(value, dict) and name != "optimizer_options":
            if "type" in value:
                yield above + name
            yield from leaves({k: v for k, v in value.items() if k != "type"}, f"{above}{name}.")
        else:
            yield above + name


@pytest.mark.parametrize("name", recipes.packaged())
def test_every_key_that_is_written_is_shown(name):
    """Those of `recipe.toml`, and those that are not set there."""
    plan = recipes.load(name)
    shown = {key.name: key for key in keys_of(plan)}
    written = list(leaves(plan.describe()))
    assert len(written) > 30
    assert set(written) <= shown.keys()
    for key in shown.keys() - set(written):
        assert shown[key].value in (None, {}), key


@pytest.mark.parametrize("name", recipes.packaged())
def test_every_key_says_what_it_means_and_what_is_allowed(name):
    for key in keys_of(recipes.load(name)):
        is_part_of_recipe = key.name == "objective"
        assert key.meaning or is_part_of_recipe, key.name
        assert key.allowed, key.name


@pytest.mark.parametrize("module", listing.BASES)
def test_every_key_of_every_part_says_what_it_means(module):
    """Also of the parts that no packaged recipe has."""
    found = importlib.import_module(f"lowerbound.{module}")
    parts = members(found.__name__, getattr(found, listing.BASES[module]))
    assert parts
    for part in parts.values():
        assert set(field_names(part)) <= meanings_of(part).keys(), part


def test_a_default_is_what_a_recipe_has_that_leaves_the_key_out():
    """Held against the parser: a recipe of a source alone has the defaults at every key."""
    plain = recipes.parse({"data": {"source": "digits"}})
    for key in keys_of(plain):
        if not key.is_required:
            assert key.value == key.default, key.name
    changed = {key.name: key for key in keys_of(recipes.load("conv-mnist"))}
    assert (changed["training.epochs"].value, changed["training.epochs"].default) == (50, 30)
    assert changed["data.source"].is_required


def test_the_default_of_a_field_with_limits_is_its_value():
    assert default_of(recipes.Training, "learning_rate") == 1e-3
    assert default_of(Data, "validation") == 0.1
    assert default_of(Data, "source") is dataclasses.MISSING


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool, "true or false"),
        (int | None, "a whole number, or none"),
        (PositiveInt, "a whole number above 0"),
        (PositiveInt | Literal["auto"], "a whole number above 0, or auto"),
        (Annotated[float, Field(gt=0, lt=1)], "a number above 0 and below 1"),
        (Annotated[float | None, Field(gt=0)], "a number above 0, or none"),
        (Literal[".", ","] | None, '".", ",", or none'),
        (tuple[PositiveInt, ...], "a list of entries, each a whole number above 0"),
        (tuple[float, float], "a list of 2 entries, each a number"),
        (list[str] | None, "a list of entries, each text, or none"),
    ],
    ids=str,
)
def test_what_is_allowed_is_said_in_words(annotation, words):
    assert words_of(annotation) == words


def test_limits_of_a_field_stand_in_its_words():
    keys = {key.name: key for key in keys_of(recipes.load("digits"))}
    assert keys["training.learning_rate"].allowed == "a number above 0"
    assert keys["model.likelihood"].allowed.startswith("one of Normal, Bernoulli")
    assert "DiscretizedLogistic" in keys["model.likelihood"].allowed
    assert keys["model.likelihood.levels"].value == 17
    assert keys["model.likelihood.levels"].default == 256
    assert keys["model.likelihood.levels"].allowed == "a whole number at least 2"


def show(capsys, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["lowerbound", "show", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capsys.readouterr()
    return stopped.value.code or 0, printed.out, printed.err


def test_the_command_shows_all_tables(capsys, monkeypatch):
    code, out, _ = show(capsys, monkeypatch, "multvae")
    assert code == 0
    for table in ("data", "about", "model", "objective", "training", "report", "tracking"):
        assert f"[{table}]\n" in out
    assert "training.epochs = 200  (default: 30)\n" in out
    assert "data.interactions.fold_in = 0.8  (the default)\n" in out
    assert max(map(len, out.splitlines())) < 400


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("training.epochs", ["training.epochs"]),
        ("objective.beta", [f"objective.beta{end}" for end in ("", ".start", ".stop", ".steps")]),
    ],
)
def test_a_key_narrows_what_is_shown(key, names, capsys, monkeypatch):
    _, out, _ = show(capsys, monkeypatch, "multvae", key, "--json")
    found = json.loads(out)
    assert [entry["name"] for entry in found["keys"]] == names
    for entry in found["keys"]:
        assert {"value", "default", "is_required", "meaning", "allowed"} <= entry.keys()


def test_a_recipe_may_be_a_file_or_the_folder_of_a_run(tmp_path, capsys, monkeypatch):
    (tmp_path / "recipe.toml").write_text('data.source = "digits"\ntraining.epochs = 7\n')
    for place in (tmp_path, tmp_path / "recipe.toml"):
        _, out, _ = show(capsys, monkeypatch, place, "training.epochs")
        assert "training.epochs = 7  (default: 30)\n" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "unknown recipe 'digit'; did you mean 'digits'?"),
        (["digits", "trainin"], "unknown key 'trainin'; did you mean 'training'?"),
        (["digits", "data.sise"], "unknown key 'data.sise'; did you mean 'data.size'?"),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused_in_one_line(arguments, message, capsys, monkeypatch):
    code, _, err = show(capsys, monkeypatch, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_the_command_starts_from_a_shell():
    command = [sys.executable, "-m", "lowerbound", "show", "table", "data.columns"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "data.columns = none  (the default)" in done.stdout
