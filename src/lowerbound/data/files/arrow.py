"""Arrow IPC and Feather files, and what they unpack to by their own headers.

A library allocates what a compressed buffer claims to be, so that the headers are weighed before
anything is unpacked. They are tables of FlatBuffers (Arrow's `format/Message.fbs` and `File.fbs`);
nothing else of the file is read here.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError
from ...system.files import refuse_special
from .limits import refuse_bomb

if TYPE_CHECKING:
    from polars import LazyFrame

FILE_MAGIC = b"ARROW1"
"""A file with a footer begins and ends with these bytes; a stream does not."""

CONTINUED = 0xFFFFFFFF
"""A message begins with this number, and its size follows."""

MOST_MESSAGES = 2**17
"""A file may have this many pieces."""

# The numbers of fields in the schemas of FlatBuffers.
FOOTER_DICTIONARIES = 2
FOOTER_BATCHES = 3
MESSAGE_KIND = 1
MESSAGE_HEADER = 2
MESSAGE_BODY_SIZE = 3
DICTIONARY_DATA = 1
BATCH_ROWS = 0
BATCH_BUFFERS = 2
BATCH_COMPRESSION = 3

# The kinds of messages.
DICTIONARY = 2
BATCH = 3

BLOCK = struct.Struct("<qi4xq")
"""A block of a footer: the place of a message, the size of its header, and that of its body."""

BUFFER = struct.Struct("<qq")
"""A buffer of a message: its place in the body, and its size."""


def scan_arrow(path: Path) -> "LazyFrame":
    """Opens an Arrow IPC file (Feather is one), or a stream of Arrow IPC in a file.

    Raises:
        DataError: it claims more than its size warrants, or its headers cannot be read.
        OSError: it is no regular file (or an error of Polars, for one that is damaged).
    """
    import polars

    refuse_special(path)
    with path.open("rb") as file:
        is_file = file.read(len(FILE_MAGIC)) == FILE_MAGIC
    claimed, rows = _weigh(path)
    held = path.stat().st_size
    refuse_bomb(path, claimed, held)
    if is_file:
        frame = polars.scan_ipc(path, glob=False)
    else:
        frame = polars.read_ipc_stream(path).lazy()
    refuse_bomb(path, 8 * rows * max(1, len(frame.collect_schema())), held)
    return frame


def _weigh(path: Path) -> tuple[int, int]:
    """Counts the bytes and the rows that a file claims.

    Raises:
        DataError: its headers cannot be read.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer,
        ):
            claimed = 0
            rows = 0
            for number, (message, body, body_size) in enumerate(_messages(buffer)):
                is_within = 0 <= body <= body + body_size <= len(buffer)
                if number >= MOST_MESSAGES or not is_within:
                    raise ValueError
                bytes_of_batch, rows_of_batch = _weigh_batch(message, body, body_size)
                claimed += bytes_of_batch
                rows += rows_of_batch
            return claimed, rows
    except (ValueError, IndexError, struct.error):
        raise DataError(
            f"{path} cannot be read as Arrow IPC or Feather: its headers are damaged, or it is of "
            "the first version of Feather"
        ) from None


class _Table:
    """A table of FlatBuffers in a buffer.

    Attributes:
        buffer: the bytes.
        place: that of the table.
    """

    def __init__(self, buffer: Any, place: int) -> None:
        if not 0 <= place <= len(buffer) - 4:
            raise ValueError
        self.buffer = buffer
        self.place = place

    def find(self, field: int) -> int | None:
        """Finds the place of a field; None where the table has none."""
        (back,) = struct.unpack_from("<i", self.buffer, self.place)
        names = self.place - back
        if names < 0:
            raise ValueError
        (size,) = struct.unpack_from("<H", self.buffer, names)
        slot = 4 + 2 * field
        if slot + 2 > size:
            return None
        (offset,) = struct.unpack_from("<H", self.buffer, names + slot)
        if not offset:
            return None
        return self.place + int(offset)

    def number(self, field: int, form: str) -> int:
        """Reads a number; 0 where there is none."""
        place = self.find(field)
        if place is None:
            return 0
        (number,) = struct.unpack_from(form, self.buffer, place)
        return int(number)

    def table(self, field: int) -> "_Table | None":
        """Reads a table within this one."""
        place = self.find(field)
        if place is None:
            return None
        return _table_at(self.buffer, place)

    def structures(self, field: int, form: struct.Struct) -> Iterator[tuple[int, ...]]:
        """Yields the structures of a list."""
        place = self.find(field)
        if place is None:
            return
        (offset,) = struct.unpack_from("<I", self.buffer, place)
        start = place + offset
        (count,) = struct.unpack_from("<I", self.buffer, start)
        if count * form.size > len(self.buffer) - start - 4:
            raise ValueError
        for number in range(count):
            yield form.unpack_from(self.buffer, start + 4 + number * form.size)


def _table_at(buffer: Any, place: int) -> _Table:
    """Reads the table that the number at a place leads to."""
    if place < 0:
        raise ValueError
    (offset,) = struct.unpack_from("<I", buffer, place)
    return _Table(buffer, place + offset)


def _messages(buffer: Any) -> Iterator[tuple[_Table, int, int]]:
    """Yields the messages of a file or a stream, each with the place and the size of its body."""
    if buffer[: len(FILE_MAGIC)] == FILE_MAGIC:
        end = len(buffer) - len(FILE_MAGIC) - 4
        (size,) = struct.unpack_from("<i", buffer, end)
        footer = _table_at(buffer, end - size)
        for field in (FOOTER_DICTIONARIES, FOOTER_BATCHES):
            for place, header_size, body_size in footer.structures(field, BLOCK):
                start, _ = _header_at(buffer, place)
                yield _table_at(buffer, start), place + header_size, body_size
        return
    place = 0
    while place < len(buffer):
        start, size = _header_at(buffer, place)
        if size == 0:
            return  # the mark of the end
        message = _table_at(buffer, start)
        body_size = message.number(MESSAGE_BODY_SIZE, "<q")
        yield message, start + size, body_size
        place = start + size + body_size


def _header_at(buffer: Any, place: int) -> tuple[int, int]:
    """Finds the header of the message at a place: its own place, and its size."""
    if place < 0:
        raise ValueError
    (size,) = struct.unpack_from("<I", buffer, place)
    if size != CONTINUED:
        return place + 4, size
    (size,) = struct.unpack_from("<I", buffer, place + 4)
    return place + 8, size


def _weigh_batch(message: _Table, body: int, body_size: int) -> tuple[int, int]:
    """Counts the bytes that the buffers of a message claim to be, and its rows."""
    kind = message.number(MESSAGE_KIND, "<B")
    batch = message.table(MESSAGE_HEADER)
    if kind == DICTIONARY and batch is not None:
        batch = batch.table(DICTIONARY_DATA)
    if kind not in (DICTIONARY, BATCH) or batch is None:
        return 0, 0
    is_compressed = batch.find(BATCH_COMPRESSION) is not None
    claimed = 0
    for place, size in batch.structures(BATCH_BUFFERS, BUFFER):
        if not 0 <= place <= place + size <= body_size:
            raise ValueError
        if is_compressed and size >= 8:
            (unpacked,) = struct.unpack_from("<q", batch.buffer, body + place)
            size = max(size, int(unpacked))  # -1 stands for a buffer that is not compressed
        claimed += size
    return claimed, max(0, batch.number(BATCH_ROWS, "<q"))
