"""Copies of text files in plain lines, for what Polars cannot read as it is.

Another encoding, lines that end in CR, two characters between fields, comments, gzip and zstd need
a copy, which is written piece by piece.
"""

import atexit
import codecs
import csv
import gzip
import io
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, cast

import numpy as np

from ...errors import DataError, one_line
from ...system.files import refuse_special
from .dialect import (
    BLANKS,
    PIECE,
    UTF8,
    Dialect,
    TextFormat,
    unmark,
)
from .limits import FREE_BYTES, RATIO
from .zstd import write_unpacked

MOST_CHARACTERS = 2**26
"""A line that is copied may have this many characters."""

LATIN_1_ONLY = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])
"""Windows-1252 has no characters for these bytes."""

MOST_DAMAGED = 0.1
"""A text in UTF-8 may have this share of damaged ones among its characters beyond ASCII."""

REPLACEMENT = "\ufffd"
"""A damaged character is read as this one."""


@cache
def _folder() -> Path:
    """Makes the folder of copies, which goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="lowerbound-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file, and unpacks it if its name ends in `.gz` or `.zst`.

    Raises:
        DataError: it is compressed by zstd, and is damaged or no text in UTF-8.
    """
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix.lower() == ".zst":
        return unpack(path).open("rb")
    return path.open("rb")


def unpack(path: Path) -> Path:
    """Unpacks a file of a name in `.gz` or `.zst` to a temporary one, which lives as long as the
    process.

    Raises:
        DataError: it is damaged, or unpacks to too much.
        OSError: it cannot be read, or is no regular file.
    """
    refuse_special(path)
    status = path.stat()
    return _unpack(path, (path.absolute(), status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=64)
def _unpack(path: Path, version: tuple[Path, int, int]) -> Path:
    """Unpacks one version of a file, once."""
    number, name = tempfile.mkstemp(dir=_folder())
    target = Path(name)
    if path.suffix.lower() == ".zst":
        os.close(number)
        write_unpacked(path, target)
        return target
    written = 0
    with open(number, "wb") as plain, gzip.open(path, "rb") as file:
        try:
            while piece := file.read(PIECE):
                written += len(piece)
                _refuse_too_much(path, written)
                plain.write(piece)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path} cannot be unpacked: {one_line(error, 120)}") from None
    return target


def _settle_encoding(dialect: Dialect) -> Dialect:
    """Finds the encoding of a text that is not wholly UTF-8.

    It is UTF-8 with some damaged characters, which are counted, if nearly all of its characters are
    sound. Else it is Windows-1252, or Latin-1 if it has bytes that Windows-1252 lacks.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    damaged = 0
    foreign = 0
    encoding = "cp1252"
    unpacked = 0
    with open_bytes(dialect.path) as file:
        while piece := file.read(PIECE):
            if piece.translate(None, LATIN_1_ONLY) != piece:
                encoding = "latin-1"
            unpacked += len(piece)
            _refuse_too_much(dialect.path, unpacked)
            text = decoder.decode(piece)
            damaged += text.count(REPLACEMENT)
            foreign += len(text) - int(np.count_nonzero(np.frombuffer(piece, np.uint8) < 0x80))
    if damaged <= MOST_DAMAGED * foreign:
        return replace(dialect, damaged=damaged)
    return replace(dialect, encoding=encoding)


def copy_plain(dialect: Dialect, asked: TextFormat) -> Dialect:
    """Copies a file to plain lines: UTF-8, LF, one character between fields, nothing else.

    Raises:
        DataError: it is no text in its encoding, or unpacks to too much.
    """
    try:
        return _write_copy(dialect)
    except UnicodeError as error:
        if asked.encoding is not None or dialect.encoding not in UTF8:
            raise DataError(
                f"{dialect.path} is no text in {dialect.encoding}: {one_line(error, 120)}; set "
                "data.encoding to another, or leave it to be found"
            ) from None
    return _write_copy(_settle_encoding(dialect))


def _write_copy(dialect: Dialect) -> Dialect:
    """Writes the copy. UnicodeError if the file is no text in its encoding."""
    errors = "strict"
    if dialect.damaged:
        errors = "replace"
    number, target = tempfile.mkstemp(suffix=".csv", dir=_folder())
    with (
        open(number, "w", encoding="utf-8", newline="\n") as plain,
        open_bytes(dialect.path) as file,
        io.TextIOWrapper(file, dialect.encoding, errors, newline=None) as text,
    ):
        passed_over = _copy_lines(text, plain, dialect)
    return replace(dialect, plain=Path(target), passed_over=passed_over)


def _copy_lines(text: io.TextIOWrapper, plain: IO[str], dialect: Dialect) -> int:
    """Copies the lines below the preamble, and returns how many are not copied."""
    written = 0
    passed_over = dialect.preamble
    for _ in range(dialect.preamble):
        text.readline(MOST_CHARACTERS)
    is_first = True
    for block in _blocks(text, dialect.path):
        if is_first:
            block = block.removeprefix("\ufeff")
        if is_first and dialect.is_header_marked:
            block = unmark(block)
        is_first = False
        lines = to_plain(block, dialect)
        passed_over += block.count("\n") - lines.count("\n")
        written += len(lines)
        _refuse_too_much(dialect.path, written)
        plain.write(lines)
    return passed_over


def _refuse_too_much(path: Path, unpacked: int) -> None:
    """Refuses a file that unpacks to far more than its size."""
    most = max(FREE_BYTES, RATIO * path.stat().st_size)
    if unpacked > most:
        raise DataError(
            f"{path} unpacks to more than {most} bytes, {RATIO} times its size; unpack it first if "
            "it is sound"
        )


def _blocks(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    """Yields pieces of whole lines. DataError if a line is too long."""
    while block := text.read(PIECE):
        rest = text.readline(MOST_CHARACTERS)
        if len(rest) == MOST_CHARACTERS:
            raise DataError(f"{path} has a line of more than {MOST_CHARACTERS} characters")
        yield block + rest


def to_plain(block: str, dialect: Dialect) -> str:
    """Removes comments and empty lines from some lines, and puts one character between fields."""
    if dialect.comment:
        block = re.sub(rf"(?m)^{re.escape(dialect.comment)}.*\n?", "", block)
    if dialect.separator == BLANKS:
        block = re.sub(r"[ \t]+", " ", block)
        block = re.sub(r"(?m)^ | $", "", block)
    if len(dialect.separator) > 1:
        block = block.replace(dialect.separator, dialect.plain_separator)
    block = re.sub(r"(?m)^\n", "", block)
    if dialect.is_mended and block:
        block = _requote(block, dialect.plain_separator)
    return block


def _requote(block: str, separator: str) -> str:
    """Writes some lines anew, with quotation marks around the fields that need them.

    A field of these lines is quoted if marks stand at both of its ends, perhaps after blanks.
    """
    end = re.escape(separator)
    a_field = re.compile(rf'(?:[ \t]*"((?:[^"]|"")*)"[ \t]*|([^{end}]*))({end}|$)')
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator="\n")
    for line in block.removesuffix("\n").split("\n"):
        fields = []
        for quoted, plain, border in a_field.findall(line):
            fields.append(quoted.replace('""', '"') or plain)
            if not border:
                break
        writer.writerow(fields)
    if block.endswith("\n"):
        return written.getvalue()
    return written.getvalue().removesuffix("\n")
