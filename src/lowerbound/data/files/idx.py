"""IDX files, the format of MNIST: a folder with train-images-idx3-ubyte and its fellows, plain or
compressed.
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
from .arrays import from_array, joined
from .limits import refuse_bomb
from .sources import Raw, Source, Wanted, reason

NAME = re.compile(r"(train|t10k|test)-(images|labels)[.-]idx\d-ubyte(\.gz)?")


UNSIGNED_BYTE = 0x08


LIMIT = 2**32
"""Most bytes of values in one file: a compressed file can claim (and hold) far more than fits in
memory.
"""


STEP = 2**22


def parts(folder: Path) -> dict[tuple[str, str], Path]:
    """The IDX files of a folder by ("train" or "test", "images" or "labels"). A plain file goes
    before a .gz.
    """
    named = (
        (NAME.fullmatch(path.name), path)
        for path in sorted(folder.iterdir(), reverse=True)
        if path.is_file()
    )
    return {("train" if m[1] == "train" else "test", m[2]): path for m, path in named if m}


def _header(file: IO[bytes], path: Path) -> tuple[int, ...]:
    """The dimensions. DataError for other magic bytes."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != bytes([0, 0, UNSIGNED_BYTE]) or not 1 <= magic[3] <= 4:
        raise DataError(
            f"{path} begins with bytes {magic.hex() or 'none'}; an IDX file of bytes begins with "
            "00000801 to 00000804"
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(
            f"{path} ends within its header: {4 + len(sizes)} bytes, {4 + 4 * magic[3]} expected"
        )
    return struct.unpack(f">{magic[3]}I", sizes)


def _fill(file: IO[bytes], values: np.ndarray) -> int:
    """Read into a flat array, in steps so that a header that lies costs no memory; the number of
    bytes that came.
    """
    view, done = memoryview(values.data), 0
    while done < len(view):
        got = file.readinto(view[done : done + STEP])  # type: ignore[attr-defined]
        if not got:
            break
        done += got
    return done


def _values(file: IO[bytes], path: Path) -> np.ndarray:
    shape = _header(file, path)
    size = math.prod(shape)
    if size > LIMIT:
        raise DataError(
            f"{path} claims the shape {shape}, {size} bytes; at most {LIMIT} are read from an IDX "
            "file"
        )
    refuse_bomb(f"{path} (shape {shape})", size, path.stat().st_size)
    values = np.empty(size, np.uint8)
    got = _fill(file, values)
    if got < size or file.read(1):
        held = f"{got}" if got < size else f"more than {size}"
        raise DataError(f"{path} claims the shape {shape}, {size} bytes, but holds {held}")
    return values.reshape(shape)


def load(path: Path) -> np.ndarray:
    """The uint8 array of one IDX file. DataError, naming the file, if it is not exactly what its
    header says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _values(file, path)  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise DataError(f"{path} cannot be read as an IDX file: {reason(error)}") from None


def _part(files: dict[tuple[str, str], Path], part: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Images (N, ...) and labels (N,) of a part. DataError if their numbers differ."""
    images = load(files[part, "images"])
    labels = load(files[part, "labels"]) if (part, "labels") in files else None
    if labels is not None and labels.shape != (len(images),):
        raise DataError(
            f"{files[part, 'labels']} has the shape {labels.shape}; {files[part, 'images']} needs "
            f"{(len(images),)}"
        )
    return images, labels


class Idx(Source):
    """A folder of IDX files; `t10k` (or `test`) is the given test part, labels are optional."""

    summary = (
        "a folder of IDX files (train-images-idx3-ubyte, t10k-images-idx3-ubyte, ...), plain or .gz"
    )

    def claims(self, path: Path) -> bool:
        """A folder that holds the training images by their usual name."""
        return path.is_dir() and ("train", "images") in parts(path)

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Read all parts. DataError if a file is damaged or the parts do not fit."""
        files = parts(path)
        images, labels = _part(files, "train")
        if ("test", "images") not in files:
            return from_array(images, str(path), labels=labels)
        more, its = _part(files, "test")
        both = None if labels is None or its is None else np.concatenate([labels, its])
        return from_array(name=str(path), labels=both, **joined(images, more, str(path)))
