"""NumPy files: `.npy`, which stays memory-mapped, and `.npz`. A pickle is never read."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, ShapeError, one_line
from ..prepare import chunks, refuse_nonfinite
from .limits import refuse_zip_bomb
from .sources import Raw, Source, Wanted, reason

VALUE_KEYS = ("images", "data", "x", "values")
"""The values of an archive stand under one of these keys, sought in this order."""

CHANNEL_COUNTS = (1, 3, 4)
"""An image is grey, RGB or RGBA."""

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
"""Files that may be taken for arrays begin with these bytes."""


def from_array(values: np.ndarray, name: str, **more: Any) -> Raw:
    """Makes a `Raw` of an array of numbers.

    Args:
        values: (N, D) vectors, or images of three or four axes.
        name: the source as it appears in messages.
        more: other attributes of `Raw`.

    Raises:
        ShapeError: an array of this shape holds neither vectors nor images.
        DataError: the array holds no numbers, or some that are not finite.
    """
    if values.dtype.kind not in "buif":
        shown = one_line(values.dtype, 80)
        raise DataError(
            f"{name} holds values of type {shown}; allowed: bool, whole numbers, real numbers"
        )
    kind, events = to_events(values, name)
    if not values.size:
        return Raw(name, kind, events, None, **more)
    if values.dtype.kind == "f":
        refuse_nonfinite(values, name)
    return Raw(name, kind, events, count_levels(values), **more)


def to_events(values: np.ndarray, name: str) -> tuple[str, np.ndarray]:
    """Views an array as examples of a known shape.

    Returns:
        The kind of the array, and a view of it as images (N, C, H, W) or vectors (N, D).

    Raises:
        ShapeError: the array has another number of axes, or of channels.
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


def _channels_first(values: np.ndarray, name: str) -> np.ndarray:
    """Views images (N, H, W, C) or (N, C, H, W) as the latter, without alpha.

    Where both readings fit, the channels come first.
    """
    if values.shape[1] not in CHANNEL_COUNTS and values.shape[3] in CHANNEL_COUNTS:
        values = np.moveaxis(values, 3, 1)
    if values.shape[1] not in CHANNEL_COUNTS:
        raise ShapeError(
            f"{name} has the shape {values.shape}; allowed: (N, H, W), (N, H, W, C), (N, C, H, W) "
            "with C = 1, 3 or 4"
        )
    return values[:, :3]


def count_levels(values: np.ndarray) -> int | None:
    """Returns the number of levels of an array: bool has 2, uint8 has 256, others have none.

    A uint8 array of nothing but 0 and 1 has 2: as grey values it would be all but black.
    """
    if values.dtype == np.bool_:
        return 2
    if values.dtype != np.uint8:
        return None
    for _, piece in chunks(values):
        if piece.max() > 1:
            return 256
    return 2


def join_parts(train: np.ndarray, test: np.ndarray, name: str) -> dict[str, Any]:
    """Joins a source's own two parts to one array, train first.

    Returns:
        The `values` and the number of `train` examples, as arguments of `from_array`.

    Raises:
        ShapeError: the parts differ in type, or in more than their number of examples.
    """
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise ShapeError(
            f"{name}: train is {train.dtype} {train.shape}, test is {test.dtype} {test.shape}"
        )
    return {"values": np.concatenate([train, test]), "train": len(train)}


class Npy(Source):
    """One array in a `.npy` file, memory-mapped: batches are gathered from the file."""

    summary = "a .npy file of images or vectors"

    def claims(self, path: Path) -> bool:
        """Says whether the file has the suffix .npy."""
        return path.is_file() and path.suffix.lower() == ".npy"

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Maps the file.

        Raises:
            DataError: it is no array of numbers.
        """
        try:
            _refuse_other_file(path, ".npy")
            # NumPy warns of files that Python 2 wrote.
            with warnings.catch_warnings(action="ignore"):
                values = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(values, np.ndarray):
                raise ValueError("it is an archive")
        except DataError:
            raise
        # NumPy and what it calls raise many kinds of errors for a file that is damaged.
        except Exception as error:
            raise DataError(
                f"{path} cannot be read as an array of numbers: {reason(error)}"
            ) from None
        return from_array(values, str(path))


class Npz(Source):
    """Arrays in a `.npz` file.

    The values stand under one of `VALUE_KEYS` or under train and test, and there may be labels.
    """

    summary = "a .npz file with images, data, x or values (or train and test), and perhaps labels"

    def claims(self, path: Path) -> bool:
        """Says whether the file has the suffix .npz."""
        return path.is_file() and path.suffix.lower() == ".npz"

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Loads those arrays of the file that are needed.

        Raises:
            DataError: it is no archive, lacks the keys, or holds objects.
        """
        labels = None
        try:
            _refuse_other_file(path, ".npz")
            refuse_zip_bomb(path)
            # An NpzFile decompresses an array when it is asked for: the errors of that are caught
            # here too.
            with (
                warnings.catch_warnings(action="ignore"),
                np.load(path, allow_pickle=False) as arrays,
            ):
                parts = _read_values(arrays, str(path))
                if "labels" in arrays:
                    labels = _read_array(arrays, "labels")
        except DataError:
            raise
        # As above, and from within the archive.
        except Exception as error:
            raise DataError(
                f"{path} cannot be read as an .npz file of numbers: {reason(error)}"
            ) from None
        return from_array(name=str(path), labels=labels, **parts)


def _refuse_other_file(path: Path, suffix: str) -> None:
    """Refuses a file whose first bytes show that it is of another kind than its suffix says."""
    with path.open("rb") as file:
        head = file.read(64)
    kind = _kind_of_file(head)
    if kind is not None and suffix not in kind:
        raise DataError(f"{path} is no {suffix} file: it begins as {kind}")


def _kind_of_file(head: bytes) -> str | None:
    """Names the kind of file that begins with these bytes; None for one that is not known."""
    for beginning, kind in BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    is_text = all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)
    if head and is_text:
        return "a text, as a .csv file is"
    return None


def _read_array(arrays: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    """Reads one array of an archive.

    Raises:
        ValueError: NumPy passes the member on as bytes, because it is no array.
    """
    array = arrays[key]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{key} is no array")
    return array


def _read_values(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    """Reads the values of an archive, and the size of its own training part if it has one."""
    for key in VALUE_KEYS:
        if key in arrays:
            return {"values": _read_array(arrays, key)}
    if "train" not in arrays:
        keys = one_line(", ".join(arrays) or "nothing", 200)
        raise DataError(
            f"{name} holds {keys}; allowed: one of {', '.join(VALUE_KEYS)}, or train and test (and "
            "labels)"
        )
    train = _read_array(arrays, "train")
    if "test" not in arrays:
        return {"values": train}
    return join_parts(train, _read_array(arrays, "test"), name)
