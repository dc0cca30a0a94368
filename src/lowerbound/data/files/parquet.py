"""What a Parquet file unpacks to, told by its own headers before anything is unpacked.

A library allocates what the header of each page claims, and one page of some kilobytes may claim,
and hold, gigabytes of one text. The headers are Thrift structures in the compact protocol
(https://github.com/apache/parquet-format: README.md and parquet.thrift), which are all that is read
here.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import DataError
from .limits import refuse_bomb

FOOTER = 2**23
"""Most bytes of a footer: those of 50,000 pieces of columns. It takes some seconds to read."""


PAGES = 2**17
"""Most pages in a file."""


DEEPEST = 16
"""Most levels of structures in structures; those of Parquet are 6."""


DELTA_BYTE_ARRAY = 7
"""The encoding in which a text begins with so many bytes of the one before it: few bytes may stand
for many long texts.
"""


class _Compact:
    """Values of Thrift's compact protocol at a place in a buffer. ValueError or IndexError for what
    is none.
    """

    def __init__(self, buffer: Any, at: int, end: int) -> None:
        self.buffer, self.at, self.end = buffer, at, end

    def byte(self) -> int:
        if self.at >= self.end:
            raise ValueError("it ends within a header")
        self.at += 1
        return int(self.buffer[self.at - 1])

    def varint(self) -> int:
        found = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found
        raise ValueError("a number in a header is too long")

    def whole(self) -> int:
        """A number in zigzag order: 0, -1, 1, -2, ..."""
        found = self.varint()
        return (found >> 1) ^ -(found & 1)

    def skip(self, count: int) -> None:
        if count > self.end - self.at:
            raise ValueError("it ends within a header")
        self.at += count

    def value(self, kind: int, depth: int = 0) -> Any:
        """The value of a type: whole numbers, lists and structures (as {number of the field:
        value}); others are passed over.
        """
        if depth > DEEPEST:
            raise ValueError("its headers are nested too deep")
        match kind:
            case 1 | 2:  # true and false are in the type
                return None
            case 3:
                return self.byte()
            case 4 | 5 | 6:
                return self.whole()
            case 7:
                return self.skip(8)
            case 8:
                return self.skip(self.varint())
            case 9 | 10:
                return self.items(depth)
            case 12:
                return dict(self.fields(depth))
        raise ValueError(f"a header has a field of type {kind}")

    def items(self, depth: int) -> list[Any]:
        head = self.byte()
        count, kind = head >> 4, head & 0x0F
        count = self.varint() if count == 15 else count
        if count > self.end - self.at:  # none is of less than a byte
            raise ValueError("a list in a header is too long")
        return [
            self.byte() if kind in (1, 2) else self.value(kind, depth + 1) for _ in range(count)
        ]

    def fields(self, depth: int) -> Iterator[tuple[int, Any]]:
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.whole()
            yield number, self.value(head & 0x0F, depth + 1)


def _footer(buffer: Any) -> dict[int, Any]:
    """The FileMetaData."""
    size, magic = struct.unpack("<I4s", buffer[-8:])
    if magic != b"PAR1" or size > min(len(buffer) - 8, FOOTER):
        raise ValueError(
            f"its footer claims {size} bytes; allowed: {FOOTER}, and what is in the file"
        )
    found: dict[int, Any] = _Compact(buffer, len(buffer) - 8 - size, len(buffer) - 8).value(12)
    return found


def _chunks(footer: dict[int, Any]) -> Iterator[dict[int, Any]]:
    """The ColumnMetaData of each column of each row group."""
    return (column[3] for group in footer[4] for column in group[1])


def _pages(buffer: Any, chunk: dict[int, Any]) -> Iterator[dict[int, Any]]:
    """The headers of the pages that hold the values of a column of a row group, its dictionary
    first.
    """
    at = min(chunk[9], chunk.get(11) or chunk[9])
    end, values = at + chunk[7], chunk[5]
    if not 0 <= at <= end <= len(buffer):
        raise ValueError("a column lies outside the file")
    while values > 0:
        reader = _Compact(buffer, at, end)
        page = reader.value(12)
        yield page
        values -= (page.get(5) or page.get(8) or {}).get(1, 0)
        at = reader.at + max(0, page[3])


def _weight(page: dict[int, Any]) -> int:
    """Bytes that a page becomes, at most, where its values are no numbers that are weighed by their
    rows.
    """
    plain, delta = page.get(5) or {}, page.get(8) or {}
    prefixed = DELTA_BYTE_ARRAY in (plain.get(2), delta.get(4))
    return max(0, page[2]) * (max(1, plain.get(1, 0), delta.get(1, 0)) if prefixed else 1)


def unpacked(path: Path) -> int:
    """Bytes that the pages of a file claim to be when they are unpacked.

    Raises:
        DataError: its headers cannot be read.
    """
    claimed = pages = 0
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer,
        ):
            for chunk in _chunks(_footer(buffer)):
                for page in _pages(buffer, chunk):
                    claimed, pages = claimed + _weight(page), pages + 1
                    if pages > PAGES:
                        raise ValueError(f"it has more than {PAGES} pages")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        told = error if type(error) is ValueError else "its headers are damaged"
        raise DataError(f"{path} cannot be read as Parquet: {told}") from None
    return claimed


def refuse_unpacked(path: Path) -> None:
    """DataError for a file whose pages claim more bytes than its size warrants."""
    refuse_bomb(path, unpacked(path), path.stat().st_size)
