"""The laws of data sources, over every kind of file; and a source with one fault at a time, which
must be refused for that fault.
"""

import dataclasses
import gzip
import struct

import numpy as np
import polars
import pytest
from PIL import Image

from lowerbound.data.files.arrays import Npy
from lowerbound.data.files.sources import Raw, Wanted, all_readers, find_reader
from lowerbound.errors import DataError
from lowerbound.testing import check_source

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
LABELS = np.arange(6) % 3


def write_npy(folder):
    np.save(folder / "vectors.npy", PIXELS.reshape(6, 20) / 255)
    return folder / "vectors.npy"


def write_npy_images(folder):
    np.save(folder / "images.npy", PIXELS)
    return folder / "images.npy"


def write_npy_binary(folder):
    np.save(folder / "binary.npy", PIXELS > 127)
    return folder / "binary.npy"


def write_npz(folder):
    np.savez(folder / "images.npz", images=PIXELS, labels=LABELS)
    return folder / "images.npz"


def write_npz_parts(folder):
    np.savez_compressed(folder / "parts.npz", train=PIXELS[:4], test=PIXELS[4:], labels=LABELS)
    return folder / "parts.npz"


def write_hdf5(folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "images.h5", "w") as file:
        file["train/images"] = PIXELS[:4]
        file.create_dataset("test/images", data=PIXELS[4:], compression="gzip")
    return folder / "images.h5"


def idx(values):
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def write_idx(folder):
    folder = folder / "idx"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(idx(PIXELS[:4]))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:4]))
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(PIXELS[4:]))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS[4:]))
    return folder


def write_idx_packed(folder):
    folder = folder / "packed"
    folder.mkdir()
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(idx(PIXELS))
    return folder


def write_images(folder):
    folder = folder / "pictures"
    for i, pixels in enumerate(PIXELS):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def write_images_in_colour(folder):
    folder = folder / "mixed"
    folder.mkdir()
    Image.fromarray(PIXELS[0]).save(folder / "a.png")
    Image.fromarray(np.repeat(PIXELS[1][..., None], 3, axis=2)).save(folder / "b.jpg")
    return folder


def write_table(suffix):
    def write(folder):
        path = folder / f"table{suffix}"
        frame = polars.DataFrame({"a": [0.5, 1.5, -2.0], "b": [1, 2, 3], "c": [True, False, True]})
        if suffix == ".parquet":
            frame.write_parquet(path)
        else:
            frame.write_csv(path, separator={".csv": ",", ".tsv": "\t"}[suffix])
        return path

    return write


FILES = [
    ("Npy", write_npy),
    ("Npy", write_npy_images),
    ("Npy", write_npy_binary),
    ("Npz", write_npz),
    ("Npz", write_npz_parts),
    ("Hdf5", write_hdf5),
    ("Idx", write_idx),
    ("Idx", write_idx_packed),
    ("Images", write_images),
    ("Images", write_images_in_colour),
    ("Table", write_table(".csv")),
    ("Table", write_table(".tsv")),
    ("Table", write_table(".parquet")),
]
SOURCES = {type(source).__name__: source for source in all_readers()}


def test_every_kind_of_source_is_checked_here():
    assert {name for name, _ in FILES} == SOURCES.keys()


@pytest.mark.parametrize(
    ("name", "write"), FILES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(FILES)]
)
def test_a_source_keeps_the_laws(name, write, tmp_path):
    path = write(tmp_path)
    check_source(SOURCES[name], path)
    assert type(find_reader(path)) is type(SOURCES[name])


def test_the_wanted_size_and_columns_are_asked_for(tmp_path):
    check_source(SOURCES["Images"], write_images(tmp_path), wanted=Wanted(size=(3, 7)))
    table = write_table(".csv")(tmp_path)
    check_source(SOURCES["Table"], table, wanted=Wanted(columns=("c", "a")))


class Faulty(Npy):
    """A source of `.npy` files with one fault."""

    def __init__(self, fault):
        self.fault = fault
        self.readings = 0
        if fault == "summary":
            self.summary = ""

    def claims(self, path):
        if self.fault == "claims nothing":
            return False
        if self.fault == "claims by content":
            return super().claims(path) and path.stat().st_size > 0
        if self.fault == "claims everything":
            return path.is_file()
        return super().claims(path)

    def read(self, path, wanted):
        self.readings += 1
        is_damaged = path.parent.name in ("empty", "half")
        if self.fault == "reads the empty" and path.stat().st_size == 0:
            return Raw(str(path), "vector", np.ones((2, 2)), None)
        if self.fault == "another exception" and is_damaged:
            raise ValueError("bad magic")
        if self.fault == "another exception of half a file" and path.parent.name == "half":
            raise EOFError("the end")
        if self.fault == "no name" and is_damaged:
            raise DataError("the file is empty")
        if self.fault == "several lines" and is_damaged:
            raise DataError(f"{path}\nis empty")
        raw = super().read(path, wanted)
        if self.fault == "changes the file":
            path.write_bytes(path.read_bytes() + b" ")
        return dataclasses.replace(raw, **self.changes(raw))

    def changes(self, raw):
        if self.fault == "other values" and self.readings > 1:
            return {"values": raw.values + 1}
        if self.fault == "other labels":
            return {"labels": np.full(len(raw.values), self.readings)}
        if self.fault == "other levels" and self.readings > 1:
            return {"levels": 300}
        if self.fault == "not finite":
            return {"values": np.full(raw.values.shape, np.nan), "levels": None}
        if self.fault == "between levels":
            return {"values": raw.values + 0.5, "levels": 300}
        changes = {
            "name": {"name": "it"},
            "kind": {"kind": "sound"},
            "interactions": {"kind": "interactions"},
            "axes": {"kind": "vector"},
            "type": {"values": raw.values.astype(complex)},
            "levels": {"levels": 8},
            "train": {"train": len(raw.values)},
            "no columns": {"kind": "table", "values": raw.values.reshape(len(raw.values), -1)},
            "columns": {"columns": ("a", "b")},
            "few columns": {
                "kind": "table",
                "values": raw.values.reshape(len(raw.values), -1),
                "columns": ("a", "b"),
            },
            "the same columns": {
                "kind": "table",
                "values": raw.values.reshape(len(raw.values), -1),
                "columns": tuple(f"c{i}" for i in range(raw.values[0].size)),
            },
        }
        return changes.get(self.fault, {})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("summary", "has no summary"),
        ("claims nothing", "does not claim images.npy$"),
        ("claims by content", "does not claim images.npy by its name alone"),
        ("claims everything", "which is of no kind"),
        ("name", "names the source 'it'"),
        ("kind", "gave the kind 'sound'"),
        ("interactions", "gave the kind 'interactions'"),
        ("axes", r"values of shape \(6, 1, 5, 4\) for the kind vector"),
        ("type", "values of type complex128"),
        ("not finite", "values that are not finite"),
        ("levels", "on 8 levels"),
        ("between levels", "values between 300 levels"),
        ("train", "a training part of 6"),
        ("no columns", "0 names of columns for the kind table"),
        ("columns", "2 names of columns for the kind image"),
        ("few columns", "2 names for 20 columns"),
        ("the same columns", "were wanted"),
        ("other values", "other values the second time"),
        ("other labels", "other labels the second time"),
        ("other levels", "another value of levels the second time"),
        ("changes the file", "changes what it reads"),
        ("reads the empty", "reads an empty file"),
        ("another exception", "an empty file with ValueError, not with DataError: bad magic"),
        ("another exception of half a file", "half a file with EOFError, not with DataError"),
        ("no name", "an empty file without its name: the file is empty"),
        ("several lines", "an empty file in several lines"),
    ],
)
def test_a_faulty_source_is_refused(fault, message, tmp_path):
    path = write_npy_images(tmp_path)
    with pytest.raises(AssertionError, match=message):
        check_source(Faulty(fault), path)


def test_a_source_without_a_fault_is_not_refused(tmp_path):
    check_source(Faulty("none"), write_npy_images(tmp_path))
