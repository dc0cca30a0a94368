"""The size that is chosen for pictures of unlike sizes, or of too many pixels."""

import json

import numpy as np
import pytest
from PIL import Image

import lowerbound
from lowerbound.data import Data
from lowerbound.data.files.sizes import choose_size

LYING = 6
"""The orientation tag of a camera that was held upright."""


def picture(path, height, width, orientation=None):
    """Writes a picture of random colours."""
    random = np.random.default_rng([height, width])
    values = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    tags = Image.Exif()
    if orientation is not None:
        tags[0x0112] = orientation
    Image.fromarray(values).save(path, exif=tags)


@pytest.fixture
def folder(tmp_path):
    """A folder with eleven pictures of three sizes, one of them lying."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(6):
        picture(photos / f"{i}.png", 120, 160)
    for i in range(6, 10):
        picture(photos / f"{i}.jpg", 160, 120, LYING)
    picture(photos / "z.png", 60, 50)
    return photos


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(28, 20)], (28, 20)),  # the Frey faces
        ([(64, 64)], (64, 64)),
        ([(65, 65)], (64, 64)),
        ([(240, 320)] * 3 + [(320, 240)], (48, 64)),
        ([(3000, 4000)], (48, 64)),
        ([(30, 42), (31, 43), (32, 44)], (32, 44)),  # the medians, by fours
        ([(1, 1000)], (4, 64)),
        ([(2, 2), (1, 1)], (4, 4)),
    ],
    ids=str,
)
def test_the_size_is_that_of_small_pictures_or_the_median_reduced(found, chosen):
    assert choose_size(found) == chosen


def test_a_folder_of_unlike_pictures_gets_one_size_and_says_so(folder):
    """Lying pictures count as they are seen: all but one of these are 120x160."""
    data = Data(str(folder), size="auto", validation=0, test=0).open()
    assert data.schema.shape == (3, 48, 64)
    (note,) = [note for note in data.notes if "resized" in note]
    assert "from 60x50 to 120x160" in note
    assert "48x64" in note
    assert "data.size=" in note


def test_the_chosen_size_is_the_same_as_if_it_was_asked_for(folder):
    asked = Data(str(folder), size="48x64", validation=0, test=0).open()
    chosen = Data(str(folder), size="auto", validation=0, test=0).open()
    assert chosen.fingerprint()["sha256"] == asked.fingerprint()["sha256"]


def test_small_pictures_of_one_size_are_left_as_they_are(tmp_path):
    for i in range(3):
        picture(tmp_path / f"{i}.png", 20, 30)
    chosen = Data(str(tmp_path), size="auto", validation=0, test=0).open()
    plain = Data(str(tmp_path), validation=0, test=0).open()
    assert chosen.schema == plain.schema
    assert not [note for note in chosen.notes if "resized" in note]


def test_arrays_of_large_images_are_resized_too(tmp_path):
    """Not only folders: an array of images has one size, which may be too large."""
    np.save(tmp_path / "images.npy", np.zeros((5, 1, 100, 80), np.uint8))
    data = Data(str(tmp_path / "images.npy"), size="auto", validation=0, test=0).open()
    assert data.schema.shape == (1, 64, 52)
    assert any("of 100x80" in note for note in data.notes)


def test_a_run_reads_new_pictures_of_any_size_at_its_own(folder, tmp_path):
    """What was chosen for a run stays: it does not depend on the pictures that come later."""
    settings = {
        "data.size": "auto",
        "model.network": {"type": "Conv", "channels": [4]},
        "model.latent": [2],
        "model.likelihood": "DiscretizedLogistic",
        "training.epochs": 1,
        "report.write": False,
    }
    out = tmp_path / "run"
    run = lowerbound.fit("conv-mnist", data=folder, out=out, settings=settings, progress=False)
    assert json.loads((out / "data.json").read_text())["schema"]["shape"] == [3, 48, 64]
    new = tmp_path / "new"
    new.mkdir()
    picture(new / "large.png", 300, 300)
    picture(new / "small.png", 9, 9)
    codes = lowerbound.load(out).encode(run.data(new).split("all"))
    assert codes[0].shape == (2, 2)
    assert len(run.data().whole) == 11


def test_another_word_for_a_size_is_refused():
    with pytest.raises(lowerbound.errors.ConfigError, match="64x64, or auto"):
        Data("photos", size="automatic")
