"""Texts that zstd has compressed.

Polars unpacks them, line by line and whatever their size, so that the headers of the blocks are
weighed before (RFC 8878): a block holds at most 128 KiB, however few bytes it has in the file.
"""

import mmap
import struct
from pathlib import Path
from typing import Any

from ...errors import DataError, one_line
from .limits import FREE_BYTES, RATIO

MAGIC = 0xFD2FB528
"""A frame begins with this number."""

SKIPPED = 0x184D2A50
"""A frame to be skipped begins with this number, or one of the fifteen above it."""

CONTENT_BYTES = (0, 2, 4, 8)
"""So many bytes of a header say how much a frame holds, by the first two bits of its flags."""

DICTIONARY_BYTES = (0, 1, 2, 4)
"""So many bytes name a dictionary, by the last two bits of the flags."""

MOST_IN_BLOCK = 2**17
"""A compressed block holds at most this many bytes."""

COMPRESSED = 2
REPEATED = 1


def write_unpacked(path: Path, target: Path) -> None:
    """Unpacks a text in UTF-8 into another file.

    Raises:
        DataError: it is damaged, unpacks to far more than its size, or is no text in UTF-8.
    """
    import polars
    from polars.exceptions import PanicException, PolarsError

    most = max(FREE_BYTES, RATIO * path.stat().st_size)
    if most_unpacked(path) > most:
        raise DataError(
            f"{path} may unpack to more than {most} bytes, {RATIO} times its size; unpack it first "
            "if it is sound"
        )
    if not hasattr(polars, "scan_lines"):
        raise DataError(
            f"{path} is compressed by zstd, which Polars {polars.__version__} does not unpack so; "
            "unpack it first (zstd -d), or install a newer Polars"
        )
    try:
        lines = polars.scan_lines(path, glob=False)
        lines.sink_csv(target, include_header=False, quote_style="never")
    except (PolarsError, PanicException, OSError) as error:
        raise DataError(
            f"{path} cannot be unpacked: {one_line(error, 120)}; allowed: a text in UTF-8; of "
            "another encoding unpack it first (zstd -d)"
        ) from None


def most_unpacked(path: Path) -> int:
    """Counts the bytes that a file unpacks to at most.

    Raises:
        DataError: it is none that zstd wrote, or ends within a block.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer,
        ):
            return _count_bytes(buffer)
    except (ValueError, IndexError, struct.error):
        raise DataError(f"{path} is damaged, or no file that zstd has compressed") from None


def _count_bytes(buffer: Any) -> int:
    """Counts the bytes of all frames at most."""
    count = 0
    place = 0
    while place < len(buffer):
        (magic,) = struct.unpack_from("<I", buffer, place)
        if SKIPPED <= magic < SKIPPED + 16:
            (size,) = struct.unpack_from("<I", buffer, place + 4)
            place += 8 + size
            continue
        if magic != MAGIC:
            raise ValueError
        place, held = _count_frame(buffer, place + 4)
        count += held
    if place > len(buffer):
        raise ValueError
    return count


def _count_frame(buffer: Any, place: int) -> tuple[int, int]:
    """Counts the bytes that a frame holds at most.

    Args:
        buffer: the file.
        place: that of the flags of the frame.

    Returns:
        The place behind the frame, and the number of bytes.
    """
    flags = buffer[place]
    is_one_segment = bool(flags & 0x20)
    content_bytes = CONTENT_BYTES[flags >> 6]
    if is_one_segment:
        content_bytes = max(1, content_bytes)
    place += 1 + (not is_one_segment) + DICTIONARY_BYTES[flags & 3] + content_bytes
    held = 0
    is_last = False
    while not is_last:
        header = int.from_bytes(buffer[place : place + 3], "little")
        if place + 3 > len(buffer):
            raise ValueError
        is_last = bool(header & 1)
        kind = header >> 1 & 3
        size = header >> 3
        place += 3
        if kind == COMPRESSED:
            held += MOST_IN_BLOCK
        else:
            held += size
        if kind == REPEATED:
            size = 1
        place += size
    has_checksum = bool(flags & 4)
    return place + 4 * has_checksum, held
