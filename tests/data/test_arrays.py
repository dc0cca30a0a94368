"""Arrays as people have them: pixels in any type of number, and files of arrays by any usual name.

The truth is always the same array as uint8, under the plainest name.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowerbound.data import Data, Dataset
from lowerbound.data.schema import Schema
from lowerbound.errors import DataError, LowerboundError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 5, 7), dtype=np.uint8)
GREY[0, 0, :2] = (0, 255)
LABELS = np.arange(20) % 3


class Harm:
    """Unpickling it raises an error that no reader expects."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was read",))


def opened(folder: Path, values: np.ndarray, **options: Any) -> Dataset:
    """The data of a new .npy file, none of them held out."""
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, values)
    return Data(str(path), **{"validation": 0, "test": 0} | options).open()


def archived(folder: Path, **arrays: Any) -> Dataset:
    """The data of an .npz file."""
    np.savez(folder / "x.npz", **arrays)
    return Data(str(folder / "x.npz")).open()


def refused(act: Any, *words: str, kind: type[LowerboundError] = DataError) -> None:
    """The act is refused with one line that has these words."""
    with pytest.raises(kind) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# Pixels in any type


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", ">f4", "int16", "int32", "int64", "uint16", "uint32"]
)
def test_whole_numbers_up_to_255_are_8_bit_levels_in_any_type(tmp_path: Path, dtype: str) -> None:
    """They are the very data that uint8 would be, to the digest, and the note says so."""
    plain = opened(tmp_path, GREY)
    data = opened(tmp_path, GREY.astype(dtype))
    assert data.schema == plain.schema
    assert data.schema.levels == 256
    assert data.whole.digest() == plain.whole.digest()
    assert f"whole numbers in {np.dtype(dtype)} are read as levels from 0 to 255" in data.notes[0]
    assert not plain.notes


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (GREY / 255, None),
        ((GREY > 99).astype(np.float32), None),
        (GREY / 127.5 - 1, "(x + 1) / 2"),
        (GREY + 0.5, "divide by the value of white"),
        (np.minimum(GREY + 0.5, 254), "divide by 255"),
        (GREY.astype(np.int32) - 100, "(x - -100) / 255"),
        (GREY * 1000.5, "divide by the value of white"),
    ],
    ids=["shares", "black and white", "-1..1", "0..255.5", "0..254", "negative", "large"],
)
def test_other_numbers_stay_real_and_the_way_out_is_named(
    tmp_path: Path, values: np.ndarray, advice: str | None
) -> None:
    data = opened(tmp_path, values)
    assert data.schema.levels is None
    np.testing.assert_allclose(data.train.batch(slice(None))[:, 0], values, rtol=1e-6)
    if advice is None:
        assert data.notes == ()
    else:
        assert advice in data.notes[0]


@pytest.mark.parametrize(("greatest", "levels"), [(999, 1024), (4094, 4096), (65535, 65536)])
@pytest.mark.parametrize("dtype", ["uint16", "int64", "float64"])
def test_deeper_pixels_keep_their_depth(
    tmp_path: Path, dtype: str, greatest: int, levels: int
) -> None:
    values = RNG.integers(0, greatest + 1, (9, 4, 4))
    values[0, 0, 0] = greatest
    data = opened(tmp_path, values.astype(dtype))
    assert data.schema.levels == levels
    batch = data.train.batch(slice(None)).numpy()
    np.testing.assert_allclose(batch[:, 0], values / (levels - 1), rtol=1e-6)
    restored = data.schema.restore(batch)
    assert restored.dtype == np.uint16
    np.testing.assert_array_equal(restored[:, 0], values)


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.zeros((9, 4, 4), np.uint8), 256),
        (np.ones((9, 4, 4), np.uint8), 256),
        (np.zeros((9, 4, 4), np.int64), 256),
        (np.eye(4, dtype=np.uint8)[None].repeat(9, 0), 2),
        (np.eye(4, dtype=np.int64)[None].repeat(9, 0), 2),
        (np.zeros((9, 4, 4), bool), 2),
    ],
    ids=["black", "one", "black int64", "both", "both int64", "bool"],
)
def test_two_levels_need_both_of_them(tmp_path: Path, values: np.ndarray, levels: int) -> None:
    """Black images of 256 levels are not images of two."""
    assert opened(tmp_path, values).schema.levels == levels


def test_dark_images_are_told_of(tmp_path: Path) -> None:
    """Sixteen grey values in float64, as in scikit-learn's digits, are dark as 8-bit levels."""
    data = opened(tmp_path, (GREY // 16).astype(float))
    assert data.schema.levels == 256
    assert "the greatest is 15; where that is white, divide by 15 first" in data.notes[0]


def test_whole_numbers_of_vectors_are_levels_only_where_they_reach_both_ends(
    tmp_path: Path,
) -> None:
    """Ages are no pixels; images that were laid out flat are."""
    ages = RNG.integers(18, 99, (30, 4))
    assert opened(tmp_path, ages).schema.levels is None
    assert opened(tmp_path, ages.astype(float)).schema.levels is None
    flat = opened(tmp_path, GREY.reshape(20, -1).astype(float))
    assert flat.schema.levels == 256
    assert flat.whole.digest() == opened(tmp_path, GREY.reshape(20, -1)).whole.digest()


def test_an_alpha_channel_is_told_of(tmp_path: Path) -> None:
    four = RNG.integers(0, 256, (6, 5, 7, 4), dtype=np.uint8)
    data = opened(tmp_path, four)
    assert data.schema.shape == (3, 5, 7)
    assert "alpha" in data.notes[0]
    assert not opened(tmp_path, four[..., :3]).notes


@pytest.mark.parametrize("width", [3, 4])
def test_one_picture_in_colour_is_not_taken_for_grey_ones(tmp_path: Path, width: int) -> None:
    """With an axis for the examples, or for the channel, both readings are open."""
    picture = RNG.integers(0, 256, (20, 30, width), dtype=np.uint8)
    refused(lambda: opened(tmp_path, picture), "(1, 20, 30", f"(20, 30, {width}, 1)")
    assert opened(tmp_path, np.tile(picture, (4, 1, 1, 1))).schema.shape == (3, 20, 30)
    assert opened(tmp_path, picture[..., None]).schema.shape == (1, 30, width)
    assert opened(tmp_path, picture[:, :4]).schema.shape == (1, 4, width)


def test_deep_pixels_are_rounded_when_images_are_resized(tmp_path: Path) -> None:
    """A column of 0 and one of 1001 have their mean, rounded, between them."""
    values = np.zeros((9, 4, 4), np.uint16)
    values[:, :, 2:] = 1001
    got = opened(tmp_path, values, size="4x1").whole.values
    assert got.dtype == np.uint16
    assert np.isin(got, (500, 501)).all()


# Pixels for a run

EIGHT_BITS = Schema((1, 5, 7), "image", 256, 0.0, 1.0)
SEVENTEEN = Schema((1, 5, 7), "image", 17, 0.0, 1.0)
BLACK_AND_WHITE = Schema((1, 5, 7), "image", 2, 0.0, 1.0)
SHARES = Schema((1, 5, 7), "image", None, 0.0, 1.0)
WIDE = Schema((1, 5, 7), "image", None, -3.0, 900.5)


@pytest.mark.parametrize(
    ("schema", "values", "expected"),
    [
        (EIGHT_BITS, GREY / 255, GREY / 255),
        (EIGHT_BITS, (GREY / 255).astype(np.float32), GREY / 255),
        (EIGHT_BITS, (GREY / 255).astype(np.float16), GREY / 255),
        (SEVENTEEN, GREY // 16, (GREY // 16) / 16),
        (SEVENTEEN, (GREY // 16).astype(int), (GREY // 16) / 16),
        (BLACK_AND_WHITE, np.zeros_like(GREY), np.zeros(GREY.shape)),
        (BLACK_AND_WHITE, (GREY > 99).astype(float), GREY > 99),
        (SHARES, GREY > 99, GREY > 99),
        (WIDE, GREY.astype(float), GREY),
    ],
)
def test_values_that_can_be_on_the_levels_of_a_run_are(
    tmp_path: Path, schema: Schema, values: np.ndarray, expected: np.ndarray
) -> None:
    np.save(tmp_path / "new.npy", values)
    data = Data(str(tmp_path / "new.npy"), validation=0, test=0).open(schema)
    assert data.whole.levels == schema.levels
    batch = data.whole.batch(slice(None)).numpy()[:, 0]
    np.testing.assert_allclose(batch, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("schema", "values", "words"),
    [
        (
            EIGHT_BITS,
            GREY / 256,
            ["real numbers", "256 levels", "round 255 x and save whole numbers"],
        ),
        (EIGHT_BITS, GREY / 127.5 - 1, ["real numbers", "(x + 1) / 2"]),
        (EIGHT_BITS, GREY.astype(np.uint16) * 257, ["65536 levels", "x // 256 has 256 levels"]),
        (EIGHT_BITS, GREY > 99, ["2 levels", "256 levels"]),
        (SEVENTEEN, GREY, ["256 levels", "17 levels"]),
        (BLACK_AND_WHITE, GREY, ["256 levels", "2 levels", "data.binarize"]),
        (SHARES, GREY, ["256 levels", "real numbers in [0, 1]", "divide by 255"]),
    ],
)
def test_values_that_cannot_be_are_refused_with_the_way_out(
    tmp_path: Path, schema: Schema, values: np.ndarray, words: list[str]
) -> None:
    np.save(tmp_path / "new.npy", values)
    refused(lambda: Data(str(tmp_path / "new.npy")).open(schema), "new.npy", *words)


# Files of arrays by name

ARCHIVES: dict[str, dict[str, Any]] = {
    "keras": {
        "x_train": GREY[:12],
        "y_train": LABELS[:12],
        "x_test": GREY[12:],
        "y_test": LABELS[12:],
    },
    "medmnist": {
        "train_images": GREY[:9],
        "val_images": GREY[9:12],
        "test_images": GREY[12:],
        "train_labels": LABELS[:9, None],
        "val_labels": LABELS[9:12, None],
        "test_labels": LABELS[12:, None],
    },
    "camel case": {
        "trainImages": GREY[:12],
        "trainLabels": LABELS[:12],
        "testImages": GREY[12:],
        "testLabels": LABELS[12:],
    },
    "parts alone": {"train": GREY[:12], "test": GREY[12:], "labels": LABELS},
    "no names": {"arr_0": GREY, "arr_1": LABELS},
    "scikit-learn": {"X": GREY, "y": LABELS},
    "scikit-learn's digits": {"images": GREY, "data": GREY.reshape(20, -1), "target": LABELS},
    "another name": {"cells": GREY, "labels": LABELS, "pixel_size": 0.5},
    "with vectors beside": {
        "imgs": GREY,
        "latents_values": RNG.random((20, 6)),
        "latents_classes": RNG.integers(0, 3, (20, 6)),
        "labels": LABELS,
    },
    "with a pickle beside": {
        "imgs": GREY,
        "labels": LABELS,
        "metadata": np.array({"author": Harm()}, object),
    },
    "with a pickle of a better name": {
        "data": np.array({"author": Harm()}, object),
        "x": GREY,
        "y": LABELS,
    },
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_read_by_the_names_that_people_give(tmp_path: Path, name: str) -> None:
    """All hold the same images in the same order, with their labels, and their own parts."""
    data = archived(tmp_path, **ARCHIVES[name])
    whole = data.split("all")
    np.testing.assert_array_equal(data.whole.values[:, 0], GREY)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(whole.labels, LABELS)
    assert data.schema.levels == 256
    if name in ("keras", "camel case", "parts alone", "medmnist"):
        np.testing.assert_array_equal(data.test.rows, np.arange(12, 20))
    if name == "medmnist":
        np.testing.assert_array_equal(data.train.rows, np.arange(9))
        np.testing.assert_array_equal(data.validation.rows, np.arange(9, 12))
    if name == "another name":
        assert "the examples are read from 'cells'" in data.notes


@pytest.mark.parametrize(
    ("arrays", "note"),
    [
        ({"images": GREY, "labels": np.eye(20, 14)}, "'labels' of shape (20, 14) is left out"),
        ({"x_train": GREY[:9], "y_train": LABELS[:9], "x_test": GREY[9:]}, "test has none"),
    ],
    ids=["several an example", "of one part"],
)
def test_labels_that_are_not_one_an_example_are_left_out_and_told_of(
    tmp_path: Path, arrays: dict[str, Any], note: str
) -> None:
    data = archived(tmp_path, **arrays)
    assert len(data.whole) == 20
    assert data.whole.labels is None
    assert any(note in said for said in data.notes)


def test_arrays_that_are_not_read_are_told_of(tmp_path: Path) -> None:
    """Saved without names, the parts of a set cannot be told from each other."""
    np.savez(tmp_path / "set.npz", GREY[:12], LABELS[:12], GREY[12:], LABELS[12:])
    data = Data(str(tmp_path / "set.npz"), validation=0, test=0).open()
    assert len(data.train) == 12
    (note,) = data.notes
    assert note.startswith(f"arrays that are not read: arr_2 {GREY[12:].shape}, arr_3")


def test_an_archive_of_a_test_part_alone_is_read_whole(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x_test=GREY, y_test=LABELS)
    data = Data(str(tmp_path / "x.npz"), validation=0, test=0).open()
    assert len(data.train) == 20
    np.testing.assert_array_equal(data.train.labels, LABELS)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"left": GREY, "right": GREY}, ["left (20, 5, 7), right (20, 5, 7)", "x_train"]),
        ({"a": np.zeros((9, 2)), "b": np.zeros((9, 3))}, ["a (9, 2), b (9, 3)"]),
        ({"note": np.zeros(3)}, ["note (3,)"]),
        ({"images": np.array([Harm()], object)}, ["'images'", "a pickle, which is never read"]),
        ({"images": GREY, "labels": np.array([Harm()] * 20, object)}, ["'labels'", "a pickle"]),
        ({"x_train": GREY, "y_train": LABELS[:7]}, ["(7,)", "'y_train'", "(20,)"]),
        ({"x_train": GREY, "x_test": GREY[:, 1:]}, ["(20, 5, 7)", "(20, 4, 7)"]),
        ({"x_train": GREY, "x_test": GREY / 1}, ["uint8", "float64"]),
    ],
    ids=["two", "two of vectors", "none", "pickle", "labels", "number", "shapes", "types"],
)
def test_archives_that_leave_a_choice_are_refused(
    tmp_path: Path, arrays: dict[str, Any], words: list[str]
) -> None:
    refused(lambda: archived(tmp_path, **arrays), "x.npz", *words, kind=LowerboundError)


# HDF5


def test_without_its_library_an_hdf5_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
    refused(Data(str(tmp_path / "x.h5")).open, "x.h5", 'pip install "lowerbound[hdf5]"')


def test_hdf5_is_read_as_archives_are_and_mapped_where_it_lies_in_one_piece(
    tmp_path: Path,
) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["train/images"] = GREY[:12]
        file["train/labels"] = LABELS[:12]
        file["test/images"] = GREY[12:]
        file["test/labels"] = LABELS[12:]
        file["about"] = "cells"
    data = Data(str(tmp_path / "x.h5")).open()
    np.testing.assert_array_equal(data.whole.values[:, 0], GREY)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(data.split("all").labels, LABELS)
    assert len(data.test or ()) == 8
    with h5py.File(tmp_path / "y.hdf5", "w") as file:
        file["cells"] = GREY
    values = Data(str(tmp_path / "y.hdf5")).open().whole.values  # type: ignore[attr-defined]
    assert isinstance(values.base, np.memmap) or isinstance(values, np.memmap)
    np.testing.assert_array_equal(values[:, 0], GREY)


@pytest.mark.parametrize("how", ["external", "link", "virtual", "claims", "cut", "texts"])
def test_hdf5_reads_nothing_but_its_own_numbers(tmp_path: Path, how: str) -> None:
    """Values in other files, values that were never written and texts are refused."""
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(bytes(700))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = GREY
    with h5py.File(tmp_path / "x.h5", "w") as file:
        if how == "external":
            places = [(str(tmp_path / "secret"), 0, 700)]
            file.create_dataset("images", (20, 5, 7), "u1", external=places)
        if how == "link":
            file["images"] = h5py.ExternalLink("other.h5", "images")
        if how == "virtual":
            layout = h5py.VirtualLayout(GREY.shape, "u1")
            layout[:] = h5py.VirtualSource("other.h5", "images", GREY.shape)
            file.create_virtual_dataset("images", layout)
        if how == "claims":
            file.create_dataset("images", (10**6, 999, 999), "u1", chunks=(1, 999, 999))
        if how == "cut":
            file["images"] = GREY
        if how == "texts":
            file["images"] = np.array([b"a", b"b"])
    if how == "cut":
        content = (tmp_path / "x.h5").read_bytes()
        (tmp_path / "x.h5").write_bytes(content[:-300])
    refused(Data(str(tmp_path / "x.h5")).open, "x.h5")
