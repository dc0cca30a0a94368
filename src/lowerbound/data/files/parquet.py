"""The number of bytes that a Parquet file unpacks to, by its own headers.

A library allocates what the header of each page claims, and one page of some kilobytes may claim,
and hold, gigabytes of one text. So the headers are read before anything is unpacked. They are
Thrift structures in the compact protocol (https://github.com/apache/parquet-format: README.md and
parquet.thrift); nothing else of the file is read here.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import DataError
from .limits import refuse_bomb

MOST_FOOTER_BYTES = 2**23
"""A footer may have this many bytes, enough for 50,000 pieces of columns.

Such a footer takes some seconds to read.
"""

MOST_PAGES = 2**17
"""A file may have this many pages."""

DEEPEST_NESTING = 16
"""Structures may be nested this deep; those of Parquet have 6 levels."""

# The types of Thrift's compact protocol.
BOOLEANS = (1, 2)
BYTE = 3
INTEGERS = (4, 5, 6)
DOUBLE = 7
BINARY = 8
LISTS = (9, 10)
STRUCTURE = 12

# The numbers of fields in parquet.thrift, by structure.
FILE_ROW_GROUPS = 4
ROW_GROUP_COLUMNS = 1
CHUNK_METADATA = 3
COLUMN_VALUES = 5
COLUMN_COMPRESSED_SIZE = 7
COLUMN_DATA_OFFSET = 9
COLUMN_DICTIONARY_OFFSET = 11
PAGE_UNPACKED_SIZE = 2
PAGE_COMPRESSED_SIZE = 3
PAGE_DATA_HEADER = 5
PAGE_DATA_HEADER_V2 = 8
DATA_HEADER_VALUES = 1
DATA_HEADER_ENCODING = 2
DATA_HEADER_V2_ENCODING = 4

DELTA_BYTE_ARRAY = 7
"""In this encoding a text begins with some bytes of the text before it.

So a few bytes may stand for many long texts.
"""

Fields = dict[int, Any]
"""The type of a structure: its values by the numbers of their fields."""


def refuse_unpacked(path: Path) -> None:
    """Refuses a file whose pages claim more bytes than its size warrants.

    Raises:
        DataError: it is refused, or its headers cannot be read.
    """
    refuse_bomb(path, unpacked(path), path.stat().st_size)


def unpacked(path: Path) -> int:
    """Counts the bytes that the pages of a file claim to be when they are unpacked.

    Raises:
        DataError: its headers cannot be read.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer,
        ):
            return _count_bytes(buffer)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        message = "its headers are damaged"
        if type(error) is ValueError:
            message = str(error)
        raise DataError(f"{path} cannot be read as Parquet: {message}") from None


def _count_bytes(buffer: Any) -> int:
    claimed = 0
    page_count = 0
    for column in _columns(_read_footer(buffer)):
        for page in _pages(buffer, column):
            claimed += _most_bytes(page)
            page_count += 1
            if page_count > MOST_PAGES:
                raise ValueError(f"it has more than {MOST_PAGES} pages")
    return claimed


def _read_footer(buffer: Any) -> Fields:
    """Reads the FileMetaData."""
    size, magic = struct.unpack("<I4s", buffer[-8:])
    end = len(buffer) - 8
    if magic != b"PAR1" or size > min(end, MOST_FOOTER_BYTES):
        raise ValueError(
            f"its footer claims {size} bytes; allowed: {MOST_FOOTER_BYTES}, and what is in the file"
        )
    footer: Fields = _CompactReader(buffer, end - size, end).read_value(STRUCTURE)
    return footer


def _columns(footer: Fields) -> Iterator[Fields]:
    """Yields the ColumnMetaData of each column of each row group."""
    for row_group in footer[FILE_ROW_GROUPS]:
        for chunk in row_group[ROW_GROUP_COLUMNS]:
            yield chunk[CHUNK_METADATA]


def _pages(buffer: Any, column: Fields) -> Iterator[Fields]:
    """Yields the headers of the pages that hold a column of a row group, its dictionary first."""
    data_offset = column[COLUMN_DATA_OFFSET]
    offset = min(data_offset, column.get(COLUMN_DICTIONARY_OFFSET) or data_offset)
    end = offset + column[COLUMN_COMPRESSED_SIZE]
    values_left = column[COLUMN_VALUES]
    if not 0 <= offset <= end <= len(buffer):
        raise ValueError("a column lies outside the file")
    while values_left > 0:
        reader = _CompactReader(buffer, offset, end)
        page = reader.read_value(STRUCTURE)
        yield page
        header = page.get(PAGE_DATA_HEADER) or page.get(PAGE_DATA_HEADER_V2) or {}
        values_left -= header.get(DATA_HEADER_VALUES, 0)
        offset = reader.offset + max(0, page[PAGE_COMPRESSED_SIZE])


def _most_bytes(page: Fields) -> int:
    """Counts the bytes that a page becomes at most.

    Each value of a page of prefixed texts may become as long as the page is.
    """
    header = page.get(PAGE_DATA_HEADER) or {}
    header_v2 = page.get(PAGE_DATA_HEADER_V2) or {}
    size = max(0, page[PAGE_UNPACKED_SIZE])
    encodings = (header.get(DATA_HEADER_ENCODING), header_v2.get(DATA_HEADER_V2_ENCODING))
    if DELTA_BYTE_ARRAY not in encodings:
        return size
    value_counts = (header.get(DATA_HEADER_VALUES, 0), header_v2.get(DATA_HEADER_VALUES, 0))
    return size * max(1, *value_counts)


class _CompactReader:
    """A reader of values of Thrift's compact protocol in a part of a buffer.

    Attributes:
        buffer: the bytes.
        offset: the place of the next byte to read.
        end: the place after the last byte that may be read.

    Raises:
        ValueError: the bytes are no such values.
    """

    def __init__(self, buffer: Any, offset: int, end: int) -> None:
        self.buffer = buffer
        self.offset = offset
        self.end = end

    def read_value(self, kind: int, depth: int = 0) -> Any:
        """Reads a value of a type of the protocol.

        Integers, lists and structures (as {number of the field: value}) are returned; other values
        are passed over.
        """
        if depth > DEEPEST_NESTING:
            raise ValueError("its headers are nested too deep")
        if kind in BOOLEANS:
            return None  # true and false are types, and have no bytes
        if kind == BYTE:
            return self.read_byte()
        if kind in INTEGERS:
            return self.read_integer()
        if kind == DOUBLE:
            return self.skip(8)
        if kind == BINARY:
            return self.skip(self.read_varint())
        if kind in LISTS:
            return self.read_list(depth)
        if kind == STRUCTURE:
            return dict(self.read_fields(depth))
        raise ValueError(f"a header has a field of type {kind}")

    def read_byte(self) -> int:
        if self.offset >= self.end:
            raise ValueError("it ends within a header")
        byte = int(self.buffer[self.offset])
        self.offset += 1
        return byte

    def read_varint(self) -> int:
        """Reads a number in groups of 7 bits, the lowest first."""
        number = 0
        for shift in range(0, 70, 7):
            byte = self.read_byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise ValueError("a number in a header is too long")

    def read_integer(self) -> int:
        """Reads a number in zigzag order: 0, -1, 1, -2, ..."""
        number = self.read_varint()
        return (number >> 1) ^ -(number & 1)

    def skip(self, count: int) -> None:
        if count > self.end - self.offset:
            raise ValueError("it ends within a header")
        self.offset += count

    def read_list(self, depth: int) -> list[Any]:
        head = self.read_byte()
        count = head >> 4
        kind = head & 0x0F
        if count == 15:
            count = self.read_varint()
        # Each element has at least one byte.
        if count > self.end - self.offset:
            raise ValueError("a list in a header is too long")
        # In a list a boolean has a byte of its own.
        if kind in BOOLEANS:
            return [self.read_byte() for _ in range(count)]
        return [self.read_value(kind, depth + 1) for _ in range(count)]

    def read_fields(self, depth: int) -> Iterator[tuple[int, Any]]:
        """Yields the numbers and values of the fields of a structure."""
        number = 0
        while head := self.read_byte():
            step = head >> 4
            if step:
                number += step
            else:
                number = self.read_integer()
            yield number, self.read_value(head & 0x0F, depth + 1)
