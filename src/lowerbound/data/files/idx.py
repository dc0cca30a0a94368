"""IDX files, the format of MNIST.

A folder holds train-images-idx3-ubyte and its fellows, plain or compressed.
"""

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from ...errors import DataError
from .arrays import from_array, join_parts
from .limits import refuse_deflated
from .sources import Raw, Source, Wanted, reason

FILE_NAME = re.compile(r"(train|t10k|test)-(images|labels)[.-]idx\d-ubyte(\.gz)?")
"""The name of an IDX file tells its part and what it holds."""

UNSIGNED_BYTE = 0x08
"""The third byte of a file of unsigned bytes, the only type that is read."""

LARGEST_ARRAY = 2**32
"""One file may hold this many bytes of values.

A compressed file can claim, and hold, far more than fits in memory.
"""

BYTES_PER_READ = 2**22
"""Values are read in steps of this many bytes."""


def parts(folder: Path) -> dict[tuple[str, str], Path]:
    """Finds the IDX files of a folder. A plain file goes before one in .gz.

    Returns:
        Their paths by ("train" or "test", "images" or "labels").
    """
    files = {}
    # In this order a plain file comes last, and so replaces its compressed fellow.
    for path in sorted(folder.iterdir(), reverse=True):
        match = FILE_NAME.fullmatch(path.name)
        if path.is_file() and match:
            part = "test"
            if match[1] == "train":
                part = "train"
            files[part, match[2]] = path
    return files


def load(path: Path) -> np.ndarray:
    """Reads the uint8 array of one IDX file.

    Raises:
        DataError: the file is not exactly what its header says; the message names it.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as unpacked:
                return _read_array(unpacked, path)  # type: ignore[arg-type]
        with path.open("rb") as file:
            return _read_array(file, path)
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise DataError(f"{path} cannot be read as an IDX file: {reason(error)}") from None


def _read_array(file: IO[bytes], path: Path) -> np.ndarray:
    shape = _read_header(file, path)
    size = math.prod(shape)
    if size > LARGEST_ARRAY:
        raise DataError(
            f"{path} claims the shape {shape}, {size} bytes; at most {LARGEST_ARRAY} are read from "
            "an IDX file"
        )
    refuse_deflated(f"{path} (shape {shape})", size, path.stat().st_size)
    values = np.empty(size, np.uint8)
    got = _fill(file, values)
    if got < size:
        raise DataError(f"{path} claims the shape {shape}, {size} bytes, but holds {got}")
    if file.read(1):
        raise DataError(
            f"{path} claims the shape {shape}, {size} bytes, but holds more than {size}"
        )
    return values.reshape(shape)


def _read_header(file: IO[bytes], path: Path) -> tuple[int, ...]:
    """Reads the shape of the array.

    Raises:
        DataError: the file has other magic bytes, or ends within its header.
    """
    magic = file.read(4)
    has_bytes = magic[:3] == bytes([0, 0, UNSIGNED_BYTE])
    if len(magic) < 4 or not has_bytes or not 1 <= magic[3] <= 4:
        shown = magic.hex() or "none"
        raise DataError(
            f"{path} begins with bytes {shown}; an IDX file of bytes begins with 00000801 to "
            "00000804"
        )
    axes = magic[3]
    sizes = file.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise DataError(
            f"{path} ends within its header: {4 + len(sizes)} bytes, {4 + 4 * axes} expected"
        )
    return struct.unpack(f">{axes}I", sizes)


def _fill(file: IO[bytes], values: np.ndarray) -> int:
    """Reads the file into a flat uint8 array.

    It is read in steps, so that a header that lies costs no memory.

    Returns:
        The number of bytes that came, which is less than the array's where the file ends early.
    """
    view = memoryview(values.data)
    done = 0
    while done < len(view):
        step = view[done : done + BYTES_PER_READ]
        got = file.readinto(step)  # type: ignore[attr-defined]
        if not got:
            break
        done += got
    return done


class Idx(Source):
    """A folder of IDX files; `t10k` (or `test`) is the given test part, labels are optional."""

    summary = (
        "a folder of IDX files (train-images-idx3-ubyte, t10k-images-idx3-ubyte, ...), plain or .gz"
    )

    def claims(self, path: Path) -> bool:
        """Says whether a folder holds the training images by their usual name."""
        return path.is_dir() and ("train", "images") in parts(path)

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Reads all parts.

        Raises:
            DataError: a file is damaged, or the parts do not fit.
        """
        files = parts(path)
        train_images, train_labels = _read_part(files, "train")
        if ("test", "images") not in files:
            return from_array(train_images, str(path), labels=train_labels)
        test_images, test_labels = _read_part(files, "test")
        labels = None
        if train_labels is not None and test_labels is not None:
            labels = np.concatenate([train_labels, test_labels])
        images = join_parts({"train": train_images, "test": test_images}, str(path))
        return from_array(name=str(path), labels=labels, **images)


def _read_part(
    files: dict[tuple[str, str], Path], part: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads the images (N, ...) and the labels (N,) of a part.

    Raises:
        DataError: a file is damaged, or the numbers of images and labels differ.
    """
    images = load(files[part, "images"])
    if (part, "labels") not in files:
        return images, None
    labels = load(files[part, "labels"])
    if labels.shape != (len(images),):
        raise DataError(
            f"{files[part, 'labels']} has the shape {labels.shape}; {files[part, 'images']} needs "
            f"{(len(images),)}"
        )
    return images, labels
