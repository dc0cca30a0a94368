"""A packaged recipe on data of one's own: what trains, validates and tests is right, and said."""

import json

import numpy as np
import pytest
from PIL import Image

import lowerbound
from lowerbound import recipe
from lowerbound.cli import main
from lowerbound.fitting import limit_epochs

FAST = {
    "training.epochs": 1,
    "training.threads": 1,
    "training.compile": False,
    "report.write": False,
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 120 grey pictures."""
    folder = tmp_path_factory.mktemp("own") / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(120):
        values = random.integers(0, 256, (8, 8)).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{i:03}.png")
    return folder


def sizes(run):
    return [run.summary["sizes"][split] for split in ("train", "validation", "test")]


@pytest.mark.parametrize("name", ["conv-mnist", "aevb-mnist", "iwae-mnist", "hierarchical-mnist"])
def test_a_recipe_of_mnist_fits_120_pictures(name, photos, tmp_path):
    settings = FAST | {"data.binarize": "none"}
    run = lowerbound.fit(name, data=photos, out=tmp_path / "run", settings=settings, progress=False)
    assert sizes(run) == [96, 12, 12]
    stored = recipe.load(tmp_path / "run" / "recipe.toml").data
    assert (stored.validation, stored.test) == (0.1, 0.1)
    data = lowerbound.load(tmp_path / "run").data()
    assert [len(data.train), len(data.validation), len(data.test)] == [96, 12, 12]


def test_another_source_may_be_set_in_any_way(photos, tmp_path):
    """`data=`, the setting data.source, and a count that the user typed."""
    typed = {"data.source": str(photos), "data.validation": 20}
    run = lowerbound.fit("conv-mnist", out=tmp_path / "run", settings=FAST | typed, progress=False)
    assert sizes(run) == [88, 20, 12]


def test_a_run_on_other_data_is_resumed_by_its_own_fractions(photos, tmp_path):
    arguments = {"data": photos, "out": tmp_path / "run", "progress": False}
    lowerbound.fit("conv-mnist", settings=FAST, **arguments)
    more = FAST | {"training.epochs": 2}
    again = lowerbound.fit("conv-mnist", settings=more, resume=True, **arguments)
    assert again.summary["epochs"] == 2
    assert sizes(again) == [96, 12, 12]
    stored = tmp_path / "run" / "recipe.toml"
    whole = lowerbound.fit(stored, out=tmp_path / "whole", settings=more, progress=False)
    assert sizes(whole) == [96, 12, 12]


def run_command(capsys, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["lowerbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    return capsys.readouterr()


def test_a_fit_says_what_it_trains_validates_and_tests_on(photos, tmp_path, capsys, monkeypatch):
    """It is said before the training, on standard error, and with the figures."""
    sentence = "trains on 96, validates on 12, tests on 12 examples of photos"
    set_fast = [f"--set={key}={json.dumps(value)}" for key, value in FAST.items()]
    command = ["fit", "conv-mnist", "--data", photos, *set_fast]
    printed = run_command(capsys, monkeypatch, *command, "--out", tmp_path / "text")
    assert printed.out.startswith(f"{sentence}\n")
    assert sentence in printed.err
    printed = run_command(capsys, monkeypatch, *command, "--json", "--out", tmp_path / "json")
    found = json.loads(printed.out)
    assert found["sizes"] == {"train": 96, "validation": 12, "test": 12}
    assert (found["source"], found["unit"]) == ("photos", "examples")


def test_a_fit_says_the_size_that_was_chosen(tmp_path, capsys, monkeypatch):
    """Before it trains, and in the summary for those who look later."""
    folder = tmp_path / "large"
    folder.mkdir()
    for i in range(10):
        Image.new("RGB", (90, 120), (i, 2 * i, 3 * i)).save(folder / f"{i}.png")
    set_fast = [f"--set={key}={json.dumps(value)}" for key, value in FAST.items()]
    small = ["--set=model.network.channels=[4]", "--set=model.latent=[2]"]
    command = ["fit", "images", "--data", folder, *set_fast, *small]
    printed = run_command(capsys, monkeypatch, *command, "--out", tmp_path / "run")
    sentence = "pictures of 120x90 (height x width) are resized to 64x48"
    assert sentence in printed.err
    assert any(sentence in note for note in lowerbound.load(tmp_path / "run").summary["notes"])


def unlike(folder):
    """Writes 24 pictures, grey and in colour, upright and lying, of three sizes."""
    folder.mkdir()
    random = np.random.default_rng(1)
    for i in range(24):
        height, width = [(30, 40), (40, 30), (90, 120)][i % 3]
        shape = (height, width, 3)
        if i % 4 == 0:
            shape = (height, width)
        values = random.integers(0, 256, shape).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{i:02}.png")


def grey_array(folder):
    """Writes an array of small grey images, as MNIST's are."""
    folder.mkdir()
    values = np.random.default_rng(2).integers(0, 256, (24, 28, 28)).astype(np.uint8)
    np.save(folder / "images.npy", values)


@pytest.mark.parametrize(
    ("write", "name", "shape"),
    [(unlike, "", (3, 40, 40)), (grey_array, "images.npy", (1, 28, 28))],
)
def test_the_recipe_of_images_fits_what_people_have(write, name, shape, tmp_path):
    """Its likelihood is a true probability of both, without a caveat, in bits per pixel."""
    folder = tmp_path / "pictures"
    write(folder)
    small = {"model.network.channels": [4], "model.latent": [2]}
    settings = FAST | small
    out = tmp_path / "run"
    lowerbound.fit("images", data=folder / name, out=out, settings=settings, progress=False)
    run = lowerbound.load(out)
    assert run.schema.shape == shape
    found = run.evaluate(samples=2)
    assert found["caveat"] is None
    assert 0 < found["bits_per_dim"] < 20
    assert run.sample(3).shape == (3, *shape)
    assert run.encode(run.data().test.batch(slice(0, 2)))[0].shape == (2, 2)


def test_the_recipe_of_images_is_for_few_pictures_and_for_many():
    """A hundred pictures have hundreds of steps, and a hundred thousand no more than 10,000."""
    plan = recipe.load("images")
    few = limit_epochs(plan, 80).training
    many = limit_epochs(plan, 80_000).training
    assert few.epochs * 3 >= 500
    assert many.epochs * 2500 <= 10_000
    assert many.epochs >= 3


def test_arrays_in_memory_are_other_data_too(tmp_path):
    """By `data=` of Python: fractions instead of counts, and one size that is chosen."""
    values = np.random.default_rng(3).integers(0, 256, (40, 100, 80, 3)).astype(np.uint8)
    small = {"data.size": "auto", "model.network.channels": [4], "model.latent": [2]}
    settings = FAST | small | {"model.likelihood": "DiscretizedLogistic"}
    out = tmp_path / "run"
    run = lowerbound.fit("conv-mnist", data=values, out=out, settings=settings, progress=False)
    assert sizes(run) == [32, 4, 4]
    assert run.schema.shape == (3, 64, 52)
