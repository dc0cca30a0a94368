"""NumPy files: `.npy`, which stays memory-mapped, and `.npz`. Never a pickle."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, ShapeError
from .prepare import chunks, refuse_nonfinite
from .sources import Raw, Source, Wanted, reason

KEYS = ("images", "data", "x", "values")
CHANNELS = (1, 3, 4)
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, MemoryError, NotImplementedError, zlib.error)


def _channels_first(values: np.ndarray, name: str) -> np.ndarray:
    """(N, H, W, C) or (N, C, H, W) as the latter, a view without alpha. Where both fit, C comes first."""
    if values.shape[1] not in CHANNELS and values.shape[3] in CHANNELS:
        values = np.moveaxis(values, 3, 1)
    if values.shape[1] not in CHANNELS:
        raise ShapeError(
            f"{name} has the shape {values.shape}; allowed: (N, H, W), (N, H, W, C), (N, C, H, W) with C = 1, 3 or 4"
        )
    return values[:, :3]


def event(values: np.ndarray, name: str) -> tuple[str, np.ndarray]:
    """The kind of an array, and a view of it as (N, C, H, W) or (N, D). ShapeError for other numbers of axes."""
    if values.ndim == 2:
        return "vector", values
    if values.ndim == 3:
        return "image", values[:, None]
    if values.ndim == 4:
        return "image", _channels_first(values, name)
    raise ShapeError(f"{name} has {values.ndim} axes, shape {values.shape}; allowed: 2 (vectors), 3 or 4 (images)")


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
    """A `Raw` of an array of numbers. ShapeError, or DataError if it holds no numbers, or some that are not finite."""
    if values.dtype.kind not in "buif":
        raise DataError(f"{name} holds values of type {values.dtype}; allowed: bool, whole numbers, real numbers")
    kind, view = event(values, name)
    if values.size and values.dtype.kind == "f":
        refuse_nonfinite(values, name)
    return Raw(name, kind, view, levels(values) if values.size else None, **more)


def joined(train: np.ndarray, test: np.ndarray, name: str) -> dict[str, Any]:
    """Two given parts as one array, train first. ShapeError if they differ in more than their number."""
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise ShapeError(f"{name}: train is {train.dtype} {train.shape}, test is {test.dtype} {test.shape}")
    return {"values": np.concatenate([train, test]), "train": len(train)}


class Npy(Source):
    """One array in a `.npy` file, memory-mapped: batches are gathered from the file."""

    summary = "a .npy file of images or vectors"

    def claims(self, path: Path) -> bool:
        """By suffix."""
        return path.is_file() and path.suffix.lower() == ".npy"

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Map the file. DataError if it is no array of numbers."""
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except UNREADABLE as error:
            raise DataError(f"{path} cannot be read as an array of numbers: {reason(error)}") from None
        return from_array(values, str(path))


def _parts(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    """The values (and the size of the given training part) among the arrays of a file."""
    for key in KEYS:
        if key in arrays:
            return {"values": arrays[key]}
    if "train" not in arrays:
        found = ", ".join(arrays) or "nothing"
        raise DataError(f"{name} holds {found}; allowed: one of {', '.join(KEYS)}, or train and test (and labels)")
    return joined(arrays["train"], arrays["test"], name) if "test" in arrays else {"values": arrays["train"]}


class Npz(Source):
    """Arrays in a `.npz` file: the values under one of KEYS or under train and test, and perhaps labels."""

    summary = "a .npz file with images, data, x or values (or train and test), and perhaps labels"

    def claims(self, path: Path) -> bool:
        """By suffix."""
        return path.is_file() and path.suffix.lower() == ".npz"

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Load what is needed of the file. DataError if it is no archive, lacks the keys, or holds objects."""
        try:
            # An NpzFile decompresses an array when it is asked for, so the errors of both lie in here.
            with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:
                parts, labels = _parts(arrays, str(path)), arrays.get("labels")
        except DataError:
            raise
        except UNREADABLE as error:
            raise DataError(f"{path} cannot be read as an .npz file of numbers: {reason(error)}") from None
        return from_array(name=str(path), labels=labels, **parts)
