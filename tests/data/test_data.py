"""Sources, splits, scaling, binarisation: from files made here to batches."""

import dataclasses
import gzip
import os
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lowerbound.data import Data, Dataset, Interactions, Schema, named_sets
from lowerbound.data.files.parquet import unpacked
from lowerbound.data.interactions.titles import read_titles
from lowerbound.data.prepare import CHUNK, chunks
from lowerbound.data.splits import OwnParts, SplitSizes, cut
from lowerbound.errors import ConfigError, DataError, DownloadError, LowerboundError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 5, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (20, 5, 7, 3), dtype=np.uint8)
REAL = RNG.normal(size=(20, 6))
TABLE = pl.DataFrame({"a": RNG.normal(5, 2, 40), "b": range(40), "c": [True, False] * 20})


def npy(folder: Path, values: np.ndarray, name: str = "x.npy") -> str:
    """A .npy file of these values."""
    np.save(folder / name, values)
    return str(folder / name)


def png(path: Path, values: np.ndarray, mode: str | None = None) -> None:
    """An image file of these pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path)


def csv(folder: Path, text: str, name: str = "t.csv") -> str:
    """A text file."""
    (folder / name).write_text(text)
    return str(folder / name)


def idx(
    path: Path, values: np.ndarray, shape: tuple[int, ...] | None = None, magic: int | None = None
) -> None:
    """An IDX file, whose header may lie."""
    shape = shape or values.shape
    head = struct.pack(f">I{len(shape)}I", magic or (0x800 + len(shape)), *shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        file.write(head + values.tobytes())


def whole(source: Any, **options: Any) -> Dataset:
    """The source with all examples for training."""
    return Data(str(source), validation=0, test=0, **options).open()


def everything(source: Any, **options: Any) -> np.ndarray:
    """All examples of a source as the model sees them."""
    return whole(source, **options).train.batch(slice(None)).numpy()


def line(act: Callable[[], Any], *words: str, kind: type[LowerboundError] = DataError) -> str:
    """The one line with which something is refused; it has these words."""
    with pytest.raises(kind) as caught:
        act()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text


# Arrays


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (GREY, GREY[:, None] / 255),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2) / 255),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2) / 255),
        (np.concatenate([COLOUR, COLOUR[..., :1]], 3), COLOUR.transpose(0, 3, 1, 2) / 255),
        (COLOUR[:, :3], COLOUR[:, :3] / 255),  # (N, 3, 7, 3): both fit, channels first is taken
        (GREY[..., None], GREY[:, None] / 255),
        (REAL, REAL),
        (REAL.astype(">f4"), REAL.astype("f4")),
        (np.asfortranarray(REAL), REAL),
        (GREY.reshape(20, -1), GREY.reshape(20, -1) / 255),
        (GREY > 100, (GREY > 100)[:, None]),
        (GREY.astype(np.int64), GREY[:, None] / 255),
    ],
    ids=[
        "grey",
        "last",
        "first",
        "alpha",
        "both",
        "one",
        "real",
        "big-endian",
        "fortran",
        "bytes",
        "bool",
        "int64",
    ],
)
def test_npy_batches_are_the_obvious_values(
    tmp_path: Path, values: np.ndarray, expected: np.ndarray
) -> None:
    data = whole(npy(tmp_path, values))
    batch = data.train.batch(torch.tensor([3, 0, 19]))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    np.testing.assert_array_equal(batch.numpy(), expected[[3, 0, 19]].astype(np.float32))
    assert data.schema.shape == expected.shape[1:]
    assert data.schema.kind == ("vector" if expected.ndim == 2 else "image")
    assert data.schema.low == pytest.approx(float(expected.min()))
    assert data.schema.high == pytest.approx(float(expected.max()))


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (GREY, 256),
        (GREY > 9, 2),
        ((GREY > 9).astype(np.uint8), 2),
        (GREY / 255, None),
        (GREY.astype(int), 256),
        (GREY.astype(np.float32), 256),
        (np.zeros((3, 5, 7), np.uint8), 256),
    ],
)
def test_levels_follow_from_the_type(
    tmp_path: Path, values: np.ndarray, levels: int | None
) -> None:
    assert whole(npy(tmp_path, values)).schema.levels == levels


def test_a_batch_is_the_same_however_it_is_asked_for(tmp_path: Path) -> None:
    train = whole(npy(tmp_path, COLOUR)).train
    one_by_one = torch.cat([train.batch(slice(i, i + 1)) for i in range(2, 9)])
    assert torch.equal(train.batch(slice(2, 9)), one_by_one)
    assert torch.equal(train.batch(torch.arange(2, 9)), one_by_one)
    assert torch.equal(train.batch(np.arange(2, 9)), one_by_one)
    assert train.batch(torch.empty(0, dtype=torch.long)).shape == (0, 3, 5, 7)


@pytest.mark.parametrize("values", [GREY, COLOUR, REAL], ids=["grey", "colour", "real"])
def test_npy_stays_memory_mapped(tmp_path: Path, values: np.ndarray) -> None:
    data = Data(npy(tmp_path, values)).open()
    for name in ("train", "validation", "test", "all"):
        held = data.split(name).values
        assert isinstance(held, np.memmap)
        assert held.dtype == values.dtype
        assert held.nbytes == values.nbytes


def test_bytes_stay_bytes_and_the_splits_share_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=COLOUR)
    data = Data(str(tmp_path / "x.npz")).open()
    assert data.train.values.dtype == np.uint8
    assert np.shares_memory(data.train.values, data.test.values)
    assert np.shares_memory(data.train.values, data.train.take(slice(3)).values)


@pytest.mark.parametrize("key", ["images", "data", "x", "values", "train"])
def test_npz_keys(tmp_path: Path, key: str) -> None:
    np.savez_compressed(tmp_path / "x.npz", labels=np.arange(20), extra=np.zeros(3), **{key: GREY})
    data = Data(str(tmp_path / "x.npz")).open()
    np.testing.assert_array_equal(data.train.labels, data.train.rows)
    np.testing.assert_array_equal(
        data.split("all").batch(slice(None)).numpy(), (GREY[:, None] / 255).astype("f4")
    )


def test_npz_with_its_own_test_part(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", train=GREY[:15], test=GREY[15:], labels=np.arange(20))
    data = Data(str(tmp_path / "x.npz"), test=0.5, validation=3).open()
    assert (len(data.train), len(data.validation)) == (12, 3)
    assert data.test.rows.tolist() == [15, 16, 17, 18, 19]
    assert data.test.labels.tolist() == [15, 16, 17, 18, 19]


def _object_npy(folder: Path) -> str:
    np.save(folder / "x.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    return str(folder / "x.npy")


def _short_npy(folder: Path) -> str:
    file = Path(npy(folder, GREY))
    file.write_bytes(file.read_bytes()[:-10])
    return str(file)


def _npz(folder: Path, **arrays: np.ndarray) -> str:
    np.savez(folder / "x.npz", **arrays)
    return str(folder / "x.npz")


def _cut_npz(folder: Path) -> str:
    file = Path(_npz(folder, images=GREY))
    file.write_bytes(file.read_bytes()[:300])
    return str(file)


BAD_ARRAYS: dict[str, tuple[Callable[[Path], str], list[str]]] = {
    "object": (_object_npy, ["x.npy"]),
    "short": (_short_npy, ["x.npy"]),
    "text": (lambda f: csv(f, "hello", "x.npy"), ["x.npy"]),
    "strings": (lambda f: npy(f, np.array([["a", "b"]])), ["<U1"]),
    "complex": (lambda f: npy(f, REAL + 1j), ["complex128"]),
    "one axis": (lambda f: npy(f, np.zeros(5)), ["(5,)"]),
    "five axes": (lambda f: npy(f, np.zeros((1, 1, 1, 1, 1))), ["5 axes"]),
    "channels": (lambda f: npy(f, np.zeros((2, 5, 5, 5))), ["(2, 5, 5, 5)"]),
    "empty": (lambda f: npy(f, np.zeros((0, 4))), ["(0, 4)"]),
    "no columns": (lambda f: npy(f, np.zeros((4, 0))), ["(4, 0)"]),
    "huge": (lambda f: npy(f, np.full((2, 2), 1e300)), ["4 values", "(0, 0)"]),
    "npz keys": (lambda f: _npz(f, these=GREY, those=GREY), ["these (20, 5, 7)", "images"]),
    "npz objects": (lambda f: _npz(f, images=np.array([{}], object)), ["x.npz"]),
    "npz labels": (lambda f: _npz(f, images=GREY, labels=np.arange(3)), ["(3,)", "(20,)"]),
    "npz parts": (lambda f: _npz(f, train=GREY, test=GREY[:, 1:]), ["(20, 5, 7)", "(20, 4, 7)"]),
    "npz cut": (_cut_npz, ["x.npz"]),
    "npz text": (lambda f: csv(f, "hello", "x.npz"), ["x.npz"]),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_arrays_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    make, words = BAD_ARRAYS[name]
    line(Data(make(tmp_path)).open, *words)


def test_npz_with_a_header_that_lies_is_refused(tmp_path: Path) -> None:
    import zipfile

    head = (
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 28, 28), }".ljust(117)
        + b"\n"
    )
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr(
            "images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(50)
        )
    line(Data(str(tmp_path / "x.npz")).open, "x.npz")


def test_not_finite_values_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    wide = np.zeros((3, CHUNK // 8 // 2 + 1), np.float64)  # an example to a chunk
    wide[1, 7], wide[2, 5], wide[2, 6] = np.nan, np.inf, -np.inf
    line(Data(npy(tmp_path, wide)).open, "3 values", "(1, 7)")


def test_chunks_cover_all_rows_in_order() -> None:
    values = np.arange(5 * CHUNK // 4, dtype=np.uint8).reshape(5, -1)
    assert [start for start, _ in chunks(values)] == [0, 4]
    assert np.array_equal(
        np.concatenate([piece for _, piece in chunks(values, np.array([4, 0]))]), values[[4, 0]]
    )


# Images


def test_a_folder_of_images_with_labels(tmp_path: Path) -> None:
    png(tmp_path / "dog" / "b.png", COLOUR[1])
    png(tmp_path / "cat" / "x" / "a.png", COLOUR[0])
    png(tmp_path / "dog" / "a.PNG", COLOUR[2])
    (tmp_path / "dog" / ".DS_Store").write_text("")
    data = whole(tmp_path)
    assert data.train.labels.tolist() == ["cat/x", "dog", "dog"]
    np.testing.assert_array_equal(
        data.train.batch(slice(None)).numpy(),
        (COLOUR[[0, 2, 1]].transpose(0, 3, 1, 2) / 255).astype("f4"),
    )
    assert data.schema == Schema((3, 5, 7), "image", 256, data.schema.low, data.schema.high)


def test_images_beside_folders_have_no_labels(tmp_path: Path) -> None:
    png(tmp_path / "a.png", GREY[0])
    png(tmp_path / "dog" / "b.png", GREY[1])
    data = whole(tmp_path)
    assert data.train.labels is None
    assert data.schema.shape == (1, 5, 7)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_colour_image_makes_all_colour(tmp_path: Path, at: int) -> None:
    for i in range(3):
        png(tmp_path / f"{i}.png", COLOUR[i] if i == at else GREY[i])
    batch = everything(tmp_path)
    for i in range(3):
        expected = COLOUR[i].transpose(2, 0, 1) if i == at else np.repeat(GREY[i][None], 3, 0)
        np.testing.assert_array_equal(batch[i], (expected / 255).astype("f4"))


@pytest.mark.parametrize(
    ("mode", "channels"), [("RGBA", 3), ("LA", 1), ("P", 3), ("1", 1), ("L", 1), ("RGB", 3)]
)
def test_modes_of_png(tmp_path: Path, mode: str, channels: int) -> None:
    png(tmp_path / "a.png", GREY[0], mode)
    assert whole(tmp_path).schema.shape == (channels, 5, 7)


def test_a_palette_with_transparency_warns_of_nothing(tmp_path: Path) -> None:
    image = Image.fromarray(GREY[0]).convert("P")
    image.save(tmp_path / "a.png", transparency=bytes(range(256)))
    assert whole(tmp_path).schema.shape == (3, 5, 7)


def test_jpeg_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(COLOUR[0]).save(tmp_path / "a.jpeg", exif=exif)
    assert whole(tmp_path).schema.shape == (3, 7, 5)


def test_images_of_mixed_sizes_need_a_size(tmp_path: Path) -> None:
    png(tmp_path / "a.png", GREY[0])
    png(tmp_path / "b.png", GREY[1][:4])
    line(Data(str(tmp_path)).open, "a.png is 5x7", "b.png is 4x7", "--set data.size=5x7")
    assert everything(tmp_path, size="8x6").shape == (2, 1, 8, 6)


def test_resizing_is_antialiased_and_keeps_to_the_range(tmp_path: Path) -> None:
    fine = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (32, 32))
    small = everything(npy(tmp_path, fine[None]), size="8x8")
    np.testing.assert_allclose(small, 0.5, atol=0.02)
    same = everything(npy(tmp_path, GREY), size="5x7")
    np.testing.assert_array_equal(same, (GREY[:, None] / 255).astype("f4"))


@pytest.mark.parametrize(
    "values", [GREY, GREY > 99, GREY / 255, GREY % 17], ids=["uint8", "bool", "float", "few"]
)
def test_resizing_keeps_type_and_levels(tmp_path: Path, values: np.ndarray) -> None:
    before, after = whole(npy(tmp_path, values)), whole(npy(tmp_path, values), size="3x9")
    assert after.train.values.dtype == before.train.values.dtype
    assert after.train.values.shape == (20, 1, 3, 9)
    assert after.schema.levels == before.schema.levels
    assert after.train.values.max() <= before.train.values.max()


def test_a_folder_and_an_array_are_resized_alike(tmp_path: Path) -> None:
    for i, image in enumerate(COLOUR[:3]):
        png(tmp_path / "images" / f"{i}.png", image)
    folder = everything(tmp_path / "images", size="4x4")
    np.testing.assert_array_equal(folder, everything(npy(tmp_path, COLOUR[:3]), size="4x4"))


def test_grey_is_what_pillow_makes_of_it(tmp_path: Path) -> None:
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in COLOUR])
    got = everything(npy(tmp_path, COLOUR), grey=True) * 255
    assert got.shape == (20, 1, 5, 7)
    np.testing.assert_allclose(got[:, 0], expected, atol=1.01)
    assert (np.rint(got[:, 0]) == expected).mean() > 0.99
    np.testing.assert_array_equal(everything(npy(tmp_path, GREY), grey=True)[:, 0] * 255, GREY)


def _folder(folder: Path, name: str, content: bytes) -> str:
    png(folder / "images" / "a.png", GREY[0])
    (folder / "images" / name).write_bytes(content)
    return str(folder / "images")


def _truncated(folder: Path, suffix: str) -> str:
    file = folder / f"whole{suffix}"
    Image.fromarray(RNG.integers(0, 256, (64, 64), dtype=np.uint8)).save(file)
    return _folder(folder, f"cut{suffix}", file.read_bytes()[: file.stat().st_size // 2])


BAD_FOLDERS: dict[str, tuple[Callable[[Path], str], list[str]]] = {
    "empty": (lambda f: str(f), ["holds no images", ".png"]),
    "truncated png": (lambda f: _truncated(f, ".png"), ["cut.png"]),
    "truncated jpeg": (lambda f: _truncated(f, ".jpg"), ["cut.jpg"]),
    "text": (lambda f: _folder(f, "b.png", b"hello"), ["b.png"]),
    "nothing": (lambda f: _folder(f, "b.png", b""), ["b.png"]),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_bad_folders_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    make, words = BAD_FOLDERS[name]
    line(Data(make(tmp_path)).open, *words)


# IDX


def idx_folder(folder: Path, suffix: str = "") -> Path:
    """15 training and 5 test images, with labels."""
    for part, rows in (("train", slice(15)), ("t10k", slice(15, 20))):
        idx(folder / f"{part}-images-idx3-ubyte{suffix}", GREY[rows])
        idx(folder / f"{part}-labels-idx1-ubyte{suffix}", np.arange(20, dtype=np.uint8)[rows])
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_folder(tmp_path: Path, suffix: str) -> None:
    data = Data(str(idx_folder(tmp_path, suffix)), validation=5).open()
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 5, 5)
    np.testing.assert_array_equal(
        data.test.batch(slice(None)).numpy(), (GREY[15:, None] / 255).astype("f4")
    )
    for name in ("train", "validation", "test", "all"):
        np.testing.assert_array_equal(data.split(name).labels, data.split(name).rows)


def test_idx_folder_without_test_and_labels(tmp_path: Path) -> None:
    idx(tmp_path / "train-images.idx3-ubyte", GREY)
    data = Data(str(tmp_path), test=4, validation=0).open()
    assert (len(data.train), len(data.test), data.train.labels) == (16, 4, None)


BAD_IDX: dict[str, Callable[[Path], None]] = {
    "short": lambda p: idx(p, GREY[:14], shape=(15, 5, 7)),
    "long": lambda p: idx(p, GREY[:16], shape=(15, 5, 7)),
    "magic": lambda p: idx(p, GREY[:15], magic=0xD03),
    "lies": lambda p: idx(p, GREY[:15], shape=(2**32 - 1, 2**32 - 1, 2)),
    "lies less": lambda p: idx(p, GREY[:15], shape=(1_000_000, 28, 28)),
    "header": lambda p: p.write_bytes(b"\0\0\x08\x03\0\0"),
    "nothing": lambda p: p.write_bytes(b""),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", BAD_IDX)
def test_bad_idx_files_are_refused_by_name(tmp_path: Path, name: str, suffix: str) -> None:
    idx_folder(tmp_path, suffix)
    BAD_IDX[name](tmp_path / f"train-images-idx3-ubyte{suffix}")
    line(Data(str(tmp_path)).open, f"train-images-idx3-ubyte{suffix}")


def test_cut_or_false_gzip_is_refused(tmp_path: Path) -> None:
    file = idx_folder(tmp_path, ".gz") / "t10k-images-idx3-ubyte.gz"
    for content in (file.read_bytes()[:60], b"hello", file.read_bytes()[:20] + bytes(90)):
        file.write_bytes(content)
        line(Data(str(tmp_path)).open, "t10k-images")


def test_idx_labels_must_fit(tmp_path: Path) -> None:
    idx(idx_folder(tmp_path) / "train-labels-idx1-ubyte", np.arange(3, dtype=np.uint8))
    line(Data(str(tmp_path)).open, "train-labels", "(3,)", "(15,)")


def test_a_header_that_lies_takes_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12 + bytes(10))
    )
    tracemalloc.start()
    line(Data(str(tmp_path)).open, "at most")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


# Tables


def write(frame: pl.DataFrame, folder: Path, suffix: str) -> str:
    """The frame as a file."""
    path = folder / f"t{suffix}"
    if suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_are_standardised_by_the_training_split_alone(tmp_path: Path, suffix: str) -> None:
    data = Data(write(TABLE, tmp_path, suffix), test=10, validation=10).open()
    raw = TABLE.select(pl.all().cast(pl.Float64)).to_numpy()
    mean, scale = raw[data.train.rows].mean(0), raw[data.train.rows].std(0)
    np.testing.assert_allclose(data.schema.mean, mean)
    np.testing.assert_allclose(data.schema.scale, scale)
    np.testing.assert_allclose(data.train.batch(slice(None)).mean(0), 0, atol=1e-6)
    batch = data.test.batch(slice(None)).numpy()
    np.testing.assert_allclose(batch, (raw[data.test.rows] - mean) / scale, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        data.schema.restore(batch), raw[data.test.rows], rtol=1e-5, atol=1e-5
    )
    assert (data.schema.kind, data.schema.columns, data.schema.levels) == (
        "table",
        ("a", "b", "c"),
        None,
    )


def test_low_and_high_bound_the_training_batches(tmp_path: Path) -> None:
    for source in (
        write(TABLE, tmp_path, ".csv"),
        npy(tmp_path, REAL),
        npy(tmp_path, COLOUR, "c.npy"),
    ):
        data = Data(source).open()
        batch = data.train.batch(slice(None))
        assert (batch.min().item(), batch.max().item()) == (data.schema.low, data.schema.high)


def test_a_large_offset_costs_no_precision(tmp_path: Path) -> None:
    seconds = pl.DataFrame({"t": 1.7e9 + np.arange(50.0), "u": np.arange(50.0)})
    batch = everything(write(seconds, tmp_path, ".csv"))
    np.testing.assert_allclose(batch[:, 0], batch[:, 1], atol=1e-6)


def test_columns_are_picked_in_the_order_asked(tmp_path: Path) -> None:
    source = csv(tmp_path, "name,a,b\nx,1,9\ny,2,7\nz,4,5\n")
    data = whole(source, columns=["b", "a"], standardize=False)
    assert data.schema.columns == ("b", "a")
    assert data.schema.mean == ()
    assert data.train.batch(slice(1)).tolist() == [[9, 1]]


BAD_TABLES: dict[str, tuple[str, list[str]]] = {
    "text column": ("a,city\n1,Rome\n2,Oslo\n", ["'city'", "data.kinds", "data.exclude"]),
    "missing": ("a,b\n1,2\n,3\n,4\n", ["'a' (2 of 3 rows, first in row 2)"]),
    "NaN and NA": ("a,b\n1,NaN\n2,3\n3,NA\n", ["'b' (2 of 3 rows, first in row 1)"]),
    "infinite": ("a,b\n1,inf\n2,3\n", ["'b' (1 of 2 rows, first in row 1)"]),
    "all missing": ("a,b\n1,\n2,\n", ["'b' (2 of 2 rows, first in row 1)"]),
    "constant": ("b,c\n0.1,2\n0.1,2\n0.1,2\n", ["'b', 'c'", "data.exclude"]),
    "all but constant": (
        "a,b\n1e-320,1\n2e-320,2\n3e-320,3\n",
        ["'a'", "deviate by less than 1.2e-38", "data.exclude"],
    ),
    "very many": (
        ",".join(f"c{i}" for i in range(5000)) + 2 * ("\n" + ",".join(5000 * "1")) + "\n",
        ["'c0', 'c1'", "..."],
    ),
    "ragged": ("a,b\n1,2,3\n", ["t.csv"]),
    "empty": ("", ["t.csv"]),
    "no rows": ("a,b\n", ["t.csv"]),
    "words below no header": ("1,2\n3,x\n5,6\n", ["'column_2' ('x' in row 2)", "data.exclude"]),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    text, words = BAD_TABLES[name]
    line(lambda: whole(csv(tmp_path, text)), *words)


def test_unreadable_parquet_and_text_in_another_code(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    line(Data(str(tmp_path / "t.parquet")).open, "t.parquet")
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe,2\n")
    line(Data(str(tmp_path / "t.csv")).open, "t.csv")


def test_a_table_whose_name_is_not_utf8_is_refused_in_one_line(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.csv")
    Path(path).write_text("a,b\n1,2\n2,5\n3,4\n")
    line(Data(path).open, "cannot be read as a table")


def test_a_pipe_or_a_device_is_no_table(tmp_path: Path) -> None:
    for suffix in (".csv", ".parquet", ".npy", ".npz"):
        os.mkfifo(tmp_path / f"pipe{suffix}")
        line(Data(str(tmp_path / f"pipe{suffix}")).open, f"pipe{suffix}")
    (tmp_path / "device.csv").symlink_to("/dev/null")
    line(lambda: read_titles(tmp_path / "device.csv"), "device.csv")


@pytest.mark.parametrize("interactions", [None, Interactions()], ids=["images", "interactions"])
def test_a_folder_that_may_not_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interactions: Any
) -> None:
    def refuse(self: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    line(Data(str(tmp_path), interactions=interactions).open, "Permission denied", str(tmp_path))


@pytest.mark.parametrize("folder", ["x" * 5000, "~nobody-of-this-name", "a file"])
def test_a_folder_of_named_sets_that_can_be_none_holds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOWERBOUND_DATA", folder)
    line(Data("freyfaces").open, "LOWERBOUND_DATA", kind=DownloadError)
    line(Data(f"{folder}/x.csv").open, "there is no file or folder")


def test_unknown_columns_are_named(tmp_path: Path) -> None:
    source = write(TABLE, tmp_path, ".csv")
    line(
        Data(source, columns=["a", "bb", "z"]).open,
        "'bb'",
        "'z'",
        "did you mean 'b'",
        "Allowed: a, b, c",
    )


def test_standardised_vectors(tmp_path: Path) -> None:
    batch = everything(npy(tmp_path, REAL * 7 + 3), standardize=True)
    np.testing.assert_allclose(batch.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(batch.std(0), 1, rtol=1e-5)
    line(
        lambda: whole(npy(tmp_path, np.ones((5, 2))), standardize=True),
        "'0', '1'",
        "data.standardize=false",
    )


# A model's schema, and other files


def test_a_schema_survives_json(tmp_path: Path) -> None:
    import json

    for source in (
        write(TABLE, tmp_path, ".csv"),
        npy(tmp_path, COLOUR),
        npy(tmp_path, REAL, "r.npy"),
    ):
        schema = Data(source).open().schema
        assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
    line(
        lambda: Schema.from_json({**schema.to_json(), "shap": 1}), "'shap'", "did you mean 'shape'"
    )
    line(lambda: Schema.from_json({"shape": [1]}), "lacks kind")
    twice = {
        "shape": [2],
        "kind": "table",
        "levels": None,
        "low": 0,
        "high": 1,
        "columns": ["a", "a"],
    }
    line(lambda: Schema.from_json(twice), "columns=('a', 'a')")


def test_restore_inverts_levels() -> None:
    for levels in (2, 17, 256):
        values = np.arange(levels, dtype=np.uint8).reshape(1, 1, 1, -1)
        schema = Schema((1, 1, levels), "image", levels, 0, 1)
        restored = schema.restore((values / (levels - 1)).astype(np.float32))
        assert restored.dtype == np.uint8
        np.testing.assert_array_equal(restored, values)
        for off in (-0.4, 0.4):
            np.testing.assert_array_equal(schema.restore((values + off) / (levels - 1)), values)
        np.testing.assert_array_equal(schema.restore(np.array([-3.0, 9.0])), [0, levels - 1])
    real = Schema((2,), "vector", None, 0, 1)
    assert real.restore(np.array([[0.3, 7.0]])).tolist() == [[0.3, 7.0]]


def test_a_second_table_is_read_as_the_first(tmp_path: Path) -> None:
    first = Data(write(TABLE, tmp_path, ".parquet")).open()
    other = csv(tmp_path, "junk,c,b,a\nx,true,3,9.5\n")
    data = Data(other, validation=0, test=0).open(first.schema)
    assert data.schema == first.schema
    expected = (np.array([9.5, 3, 1]) - first.schema.mean) / first.schema.scale
    np.testing.assert_allclose(data.train.batch(slice(None)).numpy()[0], expected, rtol=1e-5)
    line(lambda: Data(csv(tmp_path, "a,b\n1,2\n")).open(first.schema), "'c'", "t.csv")


def test_a_grey_source_serves_a_colour_model(tmp_path: Path) -> None:
    schema = Data(npy(tmp_path, COLOUR)).open().schema
    batch = (
        Data(npy(tmp_path, GREY), validation=0, test=0)
        .open(schema)
        .train.batch(slice(None))
        .numpy()
    )
    np.testing.assert_array_equal(batch, np.repeat((GREY[:, None] / 255).astype("f4"), 3, 1))


def test_all_but_black_images_are_still_grey_to_a_grey_model(tmp_path: Path) -> None:
    schema = Data(npy(tmp_path, GREY)).open().schema
    dark = Data(npy(tmp_path, np.ones((3, 5, 7), np.uint8)), validation=0, test=0).open(schema)
    assert dark.train.batch(slice(None)).max().item() == pytest.approx(1 / 255)


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (GREY[:, 1:], {}, ["(1, 4, 7)", "(1, 5, 7)", "data.size"]),
        (COLOUR, {}, ["(3, 5, 7)", "(1, 5, 7)", "data.grey"]),
        (GREY / 254, {}, ["real numbers", "256 levels"]),
        (GREY, {"binarize": "dynamic"}, ["2 levels", "256 levels"]),
        (REAL, {}, ["kind vector", "kind image"]),
    ],
)
def test_what_does_not_fit_the_model_is_named_beside_it(
    tmp_path: Path, values: np.ndarray, options: dict[str, Any], words: list[str]
) -> None:
    schema = Data(npy(tmp_path, GREY)).open().schema
    line(
        lambda: Data(npy(tmp_path, values, "other.npy"), **options).open(schema),
        "other.npy",
        *words,
    )


def test_a_binarised_model_wants_binarised_data(tmp_path: Path) -> None:
    data = Data(npy(tmp_path, GREY), binarize="dynamic")
    schema = data.open().schema
    assert (schema.levels, schema.low, schema.high) == (2, 0.0, 1.0)
    assert data.open(schema).fingerprint() == data.open().fingerprint()
    line(lambda: Data(npy(tmp_path, GREY)).open(schema), "256 levels", "2 levels", "data.binarize")


# Binarisation


def test_dynamic_binarisation_is_drawn_by_key(tmp_path: Path) -> None:
    train = whole(npy(tmp_path, GREY), binarize="dynamic").train
    index = torch.tensor([4, 1, 7])
    first = train.batch(index, key=3)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(first, train.batch(index, key=3))
    assert not torch.equal(first, train.batch(index, key=4))
    mean = torch.stack([train.batch(index, key) for key in range(2000)]).mean(0).numpy()
    np.testing.assert_allclose(mean, GREY[[4, 1, 7], None] / 255, atol=5 * 0.5 / 2000**0.5)


def test_two_batches_of_one_key_do_not_share_their_noise(tmp_path: Path) -> None:
    train = whole(npy(tmp_path, np.full((20, 9, 9), 0.5)), binarize="dynamic").train
    assert not torch.equal(train.batch(slice(0, 10), key=1), train.batch(slice(10, 20), key=1))


def test_certain_pixels_are_never_drawn_otherwise(tmp_path: Path) -> None:
    sure = np.where(GREY > 99, 255, 0).astype(np.uint8)
    for how in ("dynamic", "static"):
        np.testing.assert_array_equal(
            everything(npy(tmp_path, sure), binarize=how)[:, 0] * 255, sure
        )


@pytest.mark.parametrize("how", ["dynamic", "static"])
def test_what_is_measured_is_drawn_once(tmp_path: Path, how: str) -> None:
    np.save(tmp_path / "x.npy", RNG.integers(0, 256, (700, 5, 7), dtype=np.uint8))
    data = Data(str(tmp_path / "x.npy"), binarize=how, seed=5)
    opened = data.open()
    everyone = opened.split("all").batch(slice(None))
    for name in ("validation", "test") + (("train",) if how == "static" else ()):
        split = opened.split(name)
        drawn = split.batch(slice(None), key=1)
        assert torch.equal(
            drawn, torch.cat([split.batch(slice(i, i + 9), key=i) for i in range(0, len(split), 9)])
        )
        assert torch.equal(drawn, data.open().split(name).batch(slice(None)))
        assert torch.equal(drawn, everyone[split.rows])  # of the example, not of the split
        assert torch.equal(split.take(slice(3, 5)).batch(slice(None)), drawn[3:5])
    again = dataclasses.replace(data, seed=6).open().split("all").batch(slice(None))
    assert not torch.equal(everyone, again)
    assert everyone.mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda f: Data(write(TABLE, f, ".csv"), binarize="dynamic"), ConfigError),
        (lambda f: Data(write(TABLE, f, ".csv"), binarize="static", standardize=False), DataError),
        (lambda f: Data(npy(f, REAL), binarize="dynamic"), DataError),
        (lambda f: Data(npy(f, abs(REAL) / 9), binarize="dynamic", standardize=True), ConfigError),
        (lambda f: Data(npy(f, GREY), standardize=True), ConfigError),
        (lambda f: Data(npy(f, GREY), columns=["a"]), ConfigError),
        (lambda f: Data(npy(f, REAL), size="4x4"), ConfigError),
        (lambda f: Data(write(TABLE, f, ".csv"), grey=True), ConfigError),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, make: Callable[[Path], Data], kind: type[LowerboundError]
) -> None:
    line(make(tmp_path).open, str(tmp_path), kind=kind)


# Splits


@given(
    n=st.integers(1, 400),
    given_part=st.none() | st.floats(0.01, 1),
    validation=st.floats(0, 0.99) | st.integers(1, 50),
    test=st.floats(0, 0.99) | st.integers(1, 50),
    seed=st.integers(0, 2**32),
)
def test_every_example_is_in_exactly_one_split(
    n: int, given_part: float | None, validation: float, test: float, seed: int
) -> None:
    train = None if given_part is None else max(1, int(n * given_part))
    among = n if train is None else train
    sizes = SplitSizes(validation, test, seed)
    validations = round(validation * among) if validation < 1 else validation
    tests = n - train if train is not None else round(test * n) if test < 1 else test
    if validations + (tests if train is None else 0) >= among:
        line(lambda: cut(n, OwnParts(train), sizes, "x"), f"{among} training examples")
        return
    rows = cut(n, OwnParts(train), sizes, "x")
    joined = np.concatenate([rows.train, rows.validation, rows.test])
    assert sorted(joined) == list(range(n))
    assert (len(rows.validation), len(rows.test)) == (validations, tests)
    assert len(rows.train) > 0
    assert all((np.diff(part) > 0).all() for part in (rows.train, rows.validation, rows.test))
    again = cut(n, OwnParts(train), sizes, "x")
    assert np.array_equal(again.train, rows.train)
    assert np.array_equal(again.validation, rows.validation)


def test_the_split_is_frozen() -> None:
    # These rows must never change: an old run's validation split would leak into its training
    # split.
    rows = cut(12, OwnParts(), SplitSizes(3, 2, 7), "x")
    assert rows.validation.tolist() == [2, 4, 11]
    assert rows.test.tolist() == [3, 5]


def test_seeds_give_other_splits() -> None:
    first = cut(99, OwnParts(), SplitSizes(9, 9, 0), "x")
    second = cut(99, OwnParts(), SplitSizes(9, 9, 1), "x")
    assert not np.array_equal(first.test, second.test)


def test_the_parts_of_a_source_are_kept() -> None:
    """A source's own validation part stands between its training and its test part."""
    rows = cut(20, OwnParts(train=12, validation=5), SplitSizes(0.5, 0.5, 0), "x")
    assert rows.train.tolist() == list(range(12))
    assert rows.validation.tolist() == list(range(12, 17))
    assert rows.test.tolist() == list(range(17, 20))
    without_test = cut(20, OwnParts(validation=5), SplitSizes(0.5, 0.2, 0), "x")
    assert without_test.validation.tolist() == list(range(15, 20))
    assert (len(without_test.train), len(without_test.test)) == (12, 3)


def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    source = npy(tmp_path, GREY)
    line(
        Data(source, validation=15, test=5).open,
        "20 training examples",
        "data.validation=15 and data.test=5",
        "at most 19",
    )
    assert len(Data(source, validation=15, test=4).open().train) == 1


def test_one_example_alone(tmp_path: Path) -> None:
    data = Data(npy(tmp_path, GREY[:1])).open()
    assert len(data.train) == 1
    assert data.validation is None
    line(lambda: data.split("validation"), "validation", "train, all")
    line(lambda: data.split("valid"), "did you mean 'validation'", kind=ConfigError)


def test_all_is_the_sources_own_order(tmp_path: Path) -> None:
    data = Data(npy(tmp_path, REAL), seed=3).open()
    np.testing.assert_array_equal(data.split("all").batch(slice(None)).numpy(), REAL.astype("f4"))
    np.testing.assert_array_equal(
        data.train.batch(slice(None)).numpy(), REAL[data.train.rows].astype("f4")
    )


def test_take_keeps_labels_rows_and_values_together(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=GREY, labels=np.arange(20))
    train = Data(str(tmp_path / "x.npz")).open().train
    some = train.take(torch.tensor([5, 2]))
    assert len(some) == 2
    assert some.rows.tolist() == some.labels.tolist() == train.rows[[5, 2]].tolist()
    assert torch.equal(some.batch(slice(None)), train.batch(torch.tensor([5, 2])))


def test_the_fingerprint_tells_data_and_seed_apart(tmp_path: Path) -> None:
    import json

    source = npy(tmp_path, GREY)
    first = Data(source, seed=1).open().fingerprint()
    assert json.loads(json.dumps(first)) == first
    assert first == Data(source, seed=1).open().fingerprint()
    assert (first["source"], first["train"], first["validation"], first["test"], first["seed"]) == (
        source,
        16,
        2,
        2,
        1,
    )
    assert Data(source, seed=2).open().fingerprint() != first
    changed = GREY.copy()
    changed[19, 4, 6] += 1
    assert Data(npy(tmp_path, changed), seed=1).open().fingerprint()["sha256"] != first["sha256"]


# The [data] table


@pytest.mark.parametrize(
    "options",
    [
        {"size": "64"},
        {"size": "0x4"},
        {"size": "4x4\n"},
        {"validation": -0.1},
        {"validation": float("nan")},
        {"test": 2.5},
        {"seed": -1},
        {"columns": []},
        {"columns": ["a", "a"]},
        {"binarize": "sometimes"},
        {"sice": "4x4"},
    ],
    ids=str,
)
def test_bad_options_are_refused_when_the_recipe_is_read(options: dict[str, Any]) -> None:
    line(lambda: Data(source="digits", **options), "Data: ", next(iter(options)), kind=ConfigError)


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    line(Data("mnits").open, "did you mean 'mnist'", "or a path to")
    line(Data(str(tmp_path / "none.npy")).open, "none.npy", "mnist")
    line(Data("").open, "''")
    line(Data(csv(tmp_path, "", "x.doc")).open, "x.doc", ".npy", "IDX", "PNG", ".csv")


def test_digits_are_on_seventeen_levels() -> None:
    data = Data("digits").open()
    assert (len(data.train), len(data.validation), len(data.test)) == (1437, 180, 180)
    assert data.train.values.dtype == np.uint8
    assert data.schema == Schema((1, 8, 8), "image", 17, 0.0, 1.0)
    everyone = data.split("all")
    assert everyone.labels[:5].tolist() == [0, 1, 2, 3, 4]
    assert set((everyone.batch(slice(None)) * 16).unique().tolist()) == set(range(17))


def test_the_original_frey_faces_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.io import savemat

    faces = RNG.integers(0, 256, (9, 28, 20), dtype=np.uint8)
    (tmp_path / "freyfaces").mkdir()
    monkeypatch.setenv("LOWERBOUND_DATA", str(tmp_path))
    savemat(tmp_path / "freyfaces" / "frey_rawface.mat", {"ff": faces.reshape(9, 560).T})
    np.testing.assert_array_equal(everything("freyfaces") * 255, faces[:, None])
    (tmp_path / "freyfaces" / "frey_rawface.mat").write_bytes(b"hello")
    line(Data("freyfaces").open, "frey_rawface.mat")


def test_importing_is_light() -> None:
    heavy = "('polars', 'sklearn', 'scipy', 'pooch', 'PIL', 'requests')"
    code = (
        "import sys, lowerbound.data; "
        f"sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_reading_leaves_no_file_open(tmp_path: Path) -> None:
    import gc

    np.savez(tmp_path / "x.npz", images=GREY)
    png(tmp_path / "images" / "a.png", GREY[0])
    sources = [
        tmp_path / "x.npz",
        tmp_path / "images",
        idx_folder(tmp_path / "idx", ".gz"),
        _truncated(tmp_path, ".png"),
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for source in sources:
            try:
                whole(source)
            except DataError:
                continue
        gc.collect()
    assert [str(w.message) for w in caught if issubclass(w.category, ResourceWarning)] == []


# The real sets


def real(name: str) -> Path:
    """The folder of a real data set, or skip."""
    folder = Path(os.environ.get("LOWERBOUND_DATA", "nowhere")) / name
    if not folder.is_dir():
        pytest.skip(f"LOWERBOUND_DATA names no folder with {name}/")
    return folder


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("mnist", [5, 0, 4, 1, 9], [7, 2, 1, 0, 4]),
        ("fashion-mnist", [9, 0, 0, 3, 0], [9, 2, 1, 1, 6]),
    ],
)
def test_mnist_and_its_fellow_are_whole(name: str, train: list[int], test: list[int]) -> None:
    folder = real(name)
    assert named_sets()[name].found() == folder
    data = Data(name, validation=10_000).open()
    assert (len(data.train), len(data.validation), len(data.test)) == (50_000, 10_000, 10_000)
    assert data.schema == Schema((1, 28, 28), "image", 256, 0.0, 1.0)
    assert data.split("all").labels[:5].tolist() == train
    assert data.test.labels[:5].tolist() == test
    assert np.bincount(data.split("all").labels).sum() == 70_000
    assert data.train.values.nbytes == 70_000 * 784


def test_frey_faces_are_whole() -> None:
    real("freyfaces")
    data = Data("freyfaces").open()
    assert data.split("all").batch(slice(None)).shape == (1965, 1, 28, 20)
    assert (data.train.values.min(), data.train.values.max()) == (8, 238)


def test_cifar_by_path() -> None:
    data = Data(str(real("cifar10-first4000") / "cifar10_train_first4000.npz")).open()
    assert data.schema.shape == (3, 32, 32)
    everyone = data.split("all")
    assert everyone.labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert (everyone.batch(slice(1))[0, :, 0, 0] * 255).tolist() == [59, 62, 63]


# Headers and numbers as people write them


@pytest.mark.parametrize(
    "words",
    [("nan", "NaN", "NAN", "+nan"), ("inf", "-Inf", " infinity", "1e39"), ("NA", "", "null", "?")],
    ids=str,
)
@pytest.mark.parametrize("number", ["2", "2.5"])
def test_a_word_for_no_number_is_told_by_its_row_and_column(
    tmp_path: Path, words: tuple[str, ...], number: str
) -> None:
    for word in words:
        (tmp_path / "x.csv").write_text(f"a,b\n1,{number}\n2,{number}\n3,{word}\n4,{number}\n")
        line(
            Data(str(tmp_path / "x.csv")).open,
            "missing, NaN, infinite",
            "in 'b' (1 of 4 rows, first in row 3);",
        )


def test_numbers_after_spaces_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a, b\n1, 2\n3, 4.5 \n")
    assert Data(str(tmp_path / "x.csv"), standardize=False).open().whole.values.tolist() == [
        [1, 2],
        [3, 4.5],
    ]


def test_the_first_word_among_numbers_is_shown(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"a,b,c\n1,2,{'w' * 500}\n3,4,1\n5,low,1\n,high,2\n")
    line(Data(str(tmp_path / "x.csv")).open, "'b' ('low' in row 3)", "... in row 1)")


@pytest.mark.parametrize("header", ["a,b,a", '"a",b,a', "\n\na,b,a", "\ufeffa,b,a"])
def test_a_name_that_stands_twice_in_a_header_is_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "x.csv").write_text(f"{header}\n1,2,3\n4,5,7\n", encoding="utf-8")
    line(Data(str(tmp_path / "x.csv")).open, "has the column 'a' more than once")


def test_a_column_that_is_called_as_polars_calls_a_second_one_is_fine(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,a_duplicated_0\n1,2\n3,5\n")
    assert Data(str(tmp_path / "x.csv"), validation=0, test=0).open().schema.columns == (
        "a",
        "a_duplicated_0",
    )


@pytest.mark.parametrize("names", [("user", "item", "user"), ("user", "item", "rating", "rating")])
def test_a_name_twice_in_interactions_and_titles_is_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in ("log.csv", "log.tsv"):
        part = "\t" if name.endswith("tsv") else ","
        (tmp_path / name).write_text(
            "\n".join(part.join(row) for row in (names, "1234"[: len(names)], "5678"[: len(names)]))
        )
        line(
            Data(str(tmp_path / name), interactions=Interactions()).open,
            f"has the column {names[-1]!r} more than once",
        )
    (tmp_path / "titles.csv").write_text("item,title,title\n1,a,b\n")
    line(lambda: read_titles(tmp_path / "titles.csv"), "has the column 'title' more than once")


def test_a_parquet_file_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    for path, how in ((tmp_path / "x.parquet", None), (tmp_path / "y.parquet", Interactions())):
        pl.DataFrame({"user": [1, 2], "item": [3, 5], "uxxx": [1, 2]}).write_parquet(path)
        path.write_bytes(path.read_bytes().replace(b"uxxx", b"user"))
        line(Data(str(path), interactions=how).open, "'user' has more than one occurrence")


def test_columns_without_a_name_beside_interactions_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("user,item,,\n1,2,,\n3,4,,\n")
    assert (
        Data(str(tmp_path / "x.csv"), validation=0, test=0, interactions=Interactions())
        .open()
        .facts["kept"]
        == 2
    )


@pytest.mark.parametrize("header", ["a,b", '\n"a","b"'])
def test_the_line_with_too_many_fields_is_told(tmp_path: Path, header: str) -> None:
    """Counted as an editor counts lines, also after a field of two lines."""
    text = f'{header}\n1,2\n3,"4\n4"\n5,6\n7,8,9\n'
    (tmp_path / "x.csv").write_text(text)
    number = text.split("\n").index("7,8,9") + 1
    line(
        Data(str(tmp_path / "x.csv")).open,
        f"line {number} of x.csv has 3 fields, its header 2 (parted by ',')",
    )


@pytest.mark.parametrize(
    ("name", "head", "found"),
    [
        ("x.npy", b"1,2\n3,4\n", "a text"),
        ("x.npy", b"\x89PNG\r\n\x1a\n", "a PNG image"),
        ("x.npy", b"\x80\x04", "a pickle"),
        ("x.npy", b"PAR1", "a Parquet file"),
        ("x.npz", b"a,b\n", "a text"),
        ("x.npz", b"\x93NUMPY", "a .npy file"),
    ],
)
def test_a_file_of_another_kind_is_told_by_its_first_bytes(
    tmp_path: Path, name: str, head: bytes, found: str
) -> None:
    (tmp_path / name).write_bytes(head + (b"" if b"," in head else bytes(200)))
    line(Data(str(tmp_path / name)).open, f"{name} is no .{name[2:]} file: it begins as {found}")


@pytest.mark.parametrize("compression", ["uncompressed", "zstd", "snappy", "gzip", "lz4", "brotli"])
def test_a_parquet_file_is_weighed_as_its_pages_unpack(tmp_path: Path, compression: Any) -> None:
    """The same, whatever it is packed by, in one piece or many; and what it weighs is there where
    nothing is packed.
    """
    texts = ["x" * 50_000, *(f"{k}" for k in range(3000))]
    frame = pl.DataFrame(
        {
            "user": texts,
            "item": range(3001),
            "some": [None, True, False] * 1000 + [None],
            "few": [[1, 2]] * 3001,
        }
    )
    for rows in (400, 5000):
        frame.write_parquet(
            tmp_path / "plain.parquet", compression="uncompressed", row_group_size=rows
        )
        frame.write_parquet(tmp_path / "x.parquet", compression=compression, row_group_size=rows)
        weight = unpacked(tmp_path / "x.parquet")
        assert weight == unpacked(tmp_path / "plain.parquet")
        assert 0.7 < weight / (tmp_path / "plain.parquet").stat().st_size < 1


def test_the_end_of_a_parquet_file_may_be_any_bytes(tmp_path: Path) -> None:
    """One line, whatever stands in its headers."""
    pl.DataFrame({"user": ["a", "b"], "item": ["c", "d"]}).write_parquet(tmp_path / "x.parquet")
    whole = (tmp_path / "x.parquet").read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole) - 8, 300):
        (tmp_path / "y.parquet").write_bytes(
            whole[:at] + bytes([rng.integers(256)]) + whole[at + 1 :]
        )
        assert _weighed(tmp_path / "y.parquet") != ""
    for kept in (0, 3, 11, len(whole) // 2):
        (tmp_path / "y.parquet").write_bytes(whole[:kept])
        line(lambda: unpacked(tmp_path / "y.parquet"), "cannot be read as Parquet: ")


def _weighed(path: Path) -> str:
    """The weight of a Parquet file, or what is told of it; any other error than ours is passed
    on.
    """
    try:
        return str(unpacked(path))
    except DataError as error:
        return str(error)
