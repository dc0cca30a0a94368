"""Arrays of numbers, and `.npy` files, which stay memory-mapped. A pickle is never read."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, ShapeError, one_line
from ..levels import find_levels
from ..prepare import refuse_nonfinite
from .sources import Raw, Source, Wanted, reason

PARTS = ("train", "validation", "test")
"""The parts that a source may bring, in their order in `Raw`."""

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


def from_array(values: np.ndarray, name: str, *, may_have_gaps: bool = False, **more: Any) -> Raw:
    """Makes a `Raw` of an array of numbers.

    Args:
        values: (N, D) vectors, or images of three or four axes.
        name: the source as it appears in messages.
        may_have_gaps: vectors are rows of a table with gaps, and are left as they are.
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
    if may_have_gaps and kind == "vector":
        return Raw(name, kind, events, None, **more)
    if values.dtype.kind == "f":
        refuse_nonfinite(values, name)
    found = find_levels(events, kind)
    notes = [*more.pop("notes", ()), *found.notes]
    if values.ndim == 4 and values.shape[_channel_axis(values)] == 4:
        notes.append("the fourth channel of the images (alpha) is left out")
    return Raw(name, kind, found.values, found.levels, notes=tuple(notes), **more)


def to_events(values: np.ndarray, name: str) -> tuple[str, np.ndarray]:
    """Views an array as examples of a known shape.

    Returns:
        The kind of the array, and a view of it as images (N, C, H, W) or vectors (N, D).

    Raises:
        ShapeError: the array has another number of axes, or of channels, or is one picture.
    """
    if values.ndim == 2:
        return "vector", values
    if values.ndim == 3:
        _refuse_one_picture(values, name)
        return "image", values[:, None]
    if values.ndim == 4:
        return "image", _channels_first(values, name)
    raise ShapeError(
        f"{name} has {values.ndim} axes, shape {values.shape}; allowed: 2 (vectors), 3 or 4 "
        "(images)"
    )


def _refuse_one_picture(values: np.ndarray, name: str) -> None:
    """Refuses an array that is one picture in colour, or grey ones that are a few pixels wide.

    Raises:
        ShapeError: it has three or four columns, and more rows.
    """
    count, height, width = values.shape
    if width in CHANNEL_COUNTS[1:] and min(count, height) > 2 * width:
        raise ShapeError(
            f"{name} of shape {values.shape} may be one picture in colour or {count:,} grey ones: "
            f"give the one as (1, {count}, {height}, {width}), x[None] in Python, and grey ones as "
            f"({count}, {height}, {width}, 1)"
        )


def _channels_first(values: np.ndarray, name: str) -> np.ndarray:
    """Views images (N, H, W, C) or (N, C, H, W) as the latter, without alpha.

    Where both readings fit, the channels come first.
    """
    values = np.moveaxis(values, _channel_axis(values), 1)
    if values.shape[1] not in CHANNEL_COUNTS:
        raise ShapeError(
            f"{name} has the shape {values.shape}; allowed: (N, H, W), (N, H, W, C), (N, C, H, W) "
            "with C = 1, 3 or 4"
        )
    return values[:, :3]


def _channel_axis(values: np.ndarray) -> int:
    """Finds the axis of the channels of an array with four axes: the second where that may be."""
    if values.shape[1] not in CHANNEL_COUNTS and values.shape[3] in CHANNEL_COUNTS:
        return 3
    return 1


def join_parts(parts: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    """Joins a source's own parts to one array: train first, then validation, then test.

    Args:
        parts: arrays by the names of `PARTS`; validation may be missing, and test too.
        name: the source as it appears in messages.

    Returns:
        The `values` and the number of `train` and `validation` examples, as arguments of
        `from_array`.

    Raises:
        ShapeError: the parts differ in type, or in more than their number of examples.
    """
    train = parts["train"]
    present = [part for part in PARTS if part in parts]
    for part in present:
        values = parts[part]
        if train.shape[1:] != values.shape[1:] or train.dtype != values.dtype:
            raise ShapeError(
                f"{name}: train is {train.dtype} {train.shape}, {part} is {values.dtype} "
                f"{values.shape}"
            )
    if present == ["train"]:
        return {"values": train}
    joined: dict[str, Any] = {"values": np.concatenate([parts[part] for part in present])}
    if "test" in parts:
        joined["train"] = len(train)
    if "validation" in parts:
        joined["validation"] = len(parts["validation"])
    return joined


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
            refuse_other_file(path, ".npy")
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
        return from_array(values, str(path), may_have_gaps=wanted.is_mixed)


def refuse_other_file(path: Path, suffix: str) -> None:
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
