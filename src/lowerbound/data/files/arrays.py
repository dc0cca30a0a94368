"""NumPy files: `.npy`, which stays memory-mapped, and `.npz`. Never a pickle."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, ShapeError, one_line
from ..prepare import chunks, refuse_nonfinite
from .limits import refuse_zip_bomb
from .sources import Raw, Source, Wanted, reason

KEYS = ("images", "data", "x", "values")


CHANNELS = (1, 3, 4)


def _channels_first(values: np.ndarray, name: str) -> np.ndarray:
    """(N, H, W, C) or (N, C, H, W) as the latter, a view without alpha. Where both fit, C comes
    first.
    """
    if values.shape[1] not in CHANNELS and values.shape[3] in CHANNELS:
        values = np.moveaxis(values, 3, 1)
    if values.shape[1] not in CHANNELS:
        raise ShapeError(
            f"{name} has the shape {values.shape}; allowed: (N, H, W), (N, H, W, C), (N, C, H, W) "
            "with C = 1, 3 or 4"
        )
    return values[:, :3]


def event(values: np.ndarray, name: str) -> tuple[str, np.ndarray]:
    """The kind of an array, and a view of it as (N, C, H, W) or (N, D). ShapeError for other
    numbers of axes.
    """
    if values.ndim == 2:
        return "vector", values
    if values.ndim == 3:
        return "image", values[:, None]
    if values.ndim == 4:
        return "image", _channels_first(values, name)
    raise ShapeError(
        f"{name} has {values.ndim} axes, shape {values.shape}; allowed: 2 (vectors), 3 or 4 "
        "(images)"
    )


def _binary(values: np.ndarray) -> bool:
    return all(piece.max() <= 1 for _, piece in chunks(values))


def levels(values: np.ndarray) -> int | None:
    """The number of levels that a type stands for: bool 2, uint8 256, others none.

    A uint8 array of nothing but 0 and 1 is binary: as grey values it would be all but black.
    """
    if values.dtype == np.bool_:
        return 2
    if values.dtype == np.uint8:
        return 2 if _binary(values) else 256
    return None


def from_array(values: np.ndarray, name: str, **more: Any) -> Raw:
    """A `Raw` of an array of numbers. ShapeError, or DataError if it holds no numbers, or some that
    are not finite.
    """
    if values.dtype.kind not in "buif":
        raise DataError(
            f"{name} holds values of type {one_line(values.dtype, 80)}; allowed: bool, whole numbers, "
            "real numbers"
        )
    kind, view = event(values, name)
    if values.size and values.dtype.kind == "f":
        refuse_nonfinite(values, name)
    return Raw(name, kind, view, levels(values) if values.size else None, **more)


def joined(train: np.ndarray, test: np.ndarray, name: str) -> dict[str, Any]:
    """Two given parts as one array, train first. ShapeError if they differ in more than their
    number.
    """
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise ShapeError(
            f"{name}: train is {train.dtype} {train.shape}, test is {test.dtype} {test.shape}"
        )
    return {"values": np.concatenate([train, test]), "train": len(train)}


BEGINNINGS = {
    b"\x93NUMPY": "a .npy file",
    b"PK\x03\x04": "a zip archive, as a .npz file is",
    b"\x80": "a pickle, which is never read",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8": "a JPEG image",
    b"\x1f\x8b": "a gzip file",
    b"PAR1": "a Parquet file",
    b"\x89HDF": "an HDF5 file",
}
"""How files that may be taken for arrays begin."""


def _refuse_other(path: Path, wanted: str) -> None:
    """DataError for a file whose first bytes tell that it is of another kind than its suffix says."""
    with path.open("rb") as file:
        head = file.read(64)
    text = head and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)
    known = (kind for start, kind in BEGINNINGS.items() if head.startswith(start))
    kind = next(known, "a text, as a .csv file is" if text else None)
    if kind is not None and wanted not in kind:
        raise DataError(f"{path} is no {wanted} file: it begins as {kind}")


class Npy(Source):
    """One array in a `.npy` file, memory-mapped: batches are gathered from the file."""

    summary = "a .npy file of images or vectors"

    def claims(self, path: Path) -> bool:
        """By suffix."""
        return path.is_file() and path.suffix.lower() == ".npy"

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Map the file. DataError if it is no array of numbers."""
        try:
            _refuse_other(path, ".npy")
            with warnings.catch_warnings(action="ignore"):  # of files that Python 2 wrote
                values = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(values, np.ndarray):
                raise ValueError("it is an archive")
        except DataError:
            raise
        except (
            Exception
        ) as error:  # NumPy and what it calls raise many kinds for a file that is damaged
            raise DataError(
                f"{path} cannot be read as an array of numbers: {reason(error)}"
            ) from None
        return from_array(values, str(path))


def _array(arrays: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    """One of the arrays. ValueError for what NumPy passes on as bytes, because it is none."""
    if not isinstance(found := arrays[key], np.ndarray):
        raise ValueError(f"{key} is no array")
    return found


def _labels(arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    return _array(arrays, "labels") if "labels" in arrays else None


def _parts(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    """The values (and the size of the given training part) among the arrays of a file."""
    for key in KEYS:
        if key in arrays:
            return {"values": _array(arrays, key)}
    if "train" not in arrays:
        found = one_line(", ".join(arrays) or "nothing", 200)
        raise DataError(
            f"{name} holds {found}; allowed: one of {', '.join(KEYS)}, or train and test (and "
            "labels)"
        )
    train = _array(arrays, "train")
    return joined(train, _array(arrays, "test"), name) if "test" in arrays else {"values": train}


class Npz(Source):
    """Arrays in a `.npz` file: the values under one of KEYS or under train and test, and perhaps
    labels.
    """

    summary = "a .npz file with images, data, x or values (or train and test), and perhaps labels"

    def claims(self, path: Path) -> bool:
        """By suffix."""
        return path.is_file() and path.suffix.lower() == ".npz"

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Load what is needed of the file. DataError if it is no archive, lacks the keys, or holds
        objects.
        """
        try:
            _refuse_other(path, ".npz")
            refuse_zip_bomb(path)
            # An NpzFile decompresses an array when it is asked for, so the errors of both lie in
            # here.
            with (
                warnings.catch_warnings(action="ignore"),
                np.load(path, allow_pickle=False) as arrays,
            ):
                parts, labels = _parts(arrays, str(path)), _labels(arrays)
        except DataError:
            raise
        except Exception as error:  # as above, and from within the archive
            raise DataError(
                f"{path} cannot be read as an .npz file of numbers: {reason(error)}"
            ) from None
        return from_array(name=str(path), labels=labels, **parts)
