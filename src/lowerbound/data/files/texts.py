"""Text files of tables and logs: each is looked through once, and read as plain lines.

`find_dialect` finds how a file is written; `scan_texts` reads it, with every field as a text. What
Polars cannot read as it is (another encoding, lines that end in CR, two characters between
fields, comments, gzip) is first copied to plain lines, piece by piece.
"""

import atexit
import codecs
import csv
import gzip
import io
import itertools
import re
import shutil
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from ...errors import ConfigError, DataError, one_line
from ...system.files import refuse_special
from .dialect import (
    AS_FOUND,
    BLANKS,
    COMMENT_MARKS,
    MISSING,
    MOST_COLUMNS,
    SEPARATOR_LINE,
    UTF8,
    Dialect,
    TextFormat,
    find_decimal,
    find_header,
    find_separator,
    is_value,
    repeated,
    split_line,
    text_suffix,
    usual_separator,
)
from .limits import FREE_BYTES, RATIO, refuse_packed

if TYPE_CHECKING:
    from polars import LazyFrame

TEXTS = (".csv", ".tsv", ".txt", ".dat", ".data", ".tab")
"""Files with these suffixes are texts, also with `.gz` after them."""

HEAD = 2**18
"""So many bytes at the beginning of a file are looked at for its dialect."""

LONGEST_LINE = 2**23
"""The first line of a file may have this many bytes."""

MOST_SAMPLED = 200
"""So many lines are looked at for the dialect."""

PIECE = 2**18
"""A file is looked through in pieces of so many bytes, which the cache of a processor holds."""

MOST_SPANS = 100
"""So many quoted texts of several lines are looked at."""

LONGEST_SPAN = 1000
"""A quoted text may go on over this many lines."""

MOST_CHARACTERS = 2**26
"""A line that is copied may have this many characters."""

MANY_ZEROS = 0.7
"""In UTF-16 such a share of every other byte is zero, for texts in Latin letters."""

LATIN_1_ONLY = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])
"""Windows-1252 has no characters for these bytes."""

MOST_DAMAGED = 0.1
"""A text in UTF-8 may have this share of damaged ones among its characters beyond ASCII."""

REPLACEMENT = "\ufffd"
"""A damaged character is read as this one."""

LF = 10
CR = 13

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""The bytes that mark an encoding at the beginning of a file; longer ones first."""

LINE_END = re.compile("\r\n|\r|\n")
"""Each of these ends a line."""

ANY_END = re.compile(b"\r\n|\r|\n")
"""The same in bytes."""


def is_text(path: Path) -> bool:
    """Says whether the name of a file is that of a text."""
    return text_suffix(path) in TEXTS


def find_dialect(path: Path, asked: TextFormat = AS_FOUND) -> Dialect:
    """Finds how a text file is written, by its first lines and one look through the whole of it.

    A file that Polars cannot read as it is, is copied to a temporary file, which lives as long as
    the process.

    Args:
        path: the file.
        asked: what the user has said of it, which is not looked for.

    Raises:
        DataError: it is no text, or no such text as was said.
        ConfigError: there is no such encoding.
        OSError: it cannot be read, or is no regular file.
    """
    refuse_special(path)
    status = path.stat()
    try:
        return _find_dialect(path, asked, (path.absolute(), status.st_mtime_ns, status.st_size))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} cannot be unpacked: {one_line(error, 120)}") from None


@lru_cache(maxsize=64)
def _find_dialect(path: Path, asked: TextFormat, version: tuple[Path, int, int]) -> Dialect:
    """Finds the dialect of one version of a file, once."""
    dialect = _look_at_head(path, asked)
    if not dialect.is_plain:
        dialect = _copy(dialect, asked)
    census = take_census(dialect)
    if not census.is_utf8:
        dialect = _copy(dialect, asked)
        census = take_census(dialect)
    if census.lone_returns:
        dialect = replace(dialect, line_end="mixed")
    if census.lone_returns or census.has_blank_lines:
        dialect = _copy(dialect, asked)
        census = take_census(dialect)
    dialect = _settle_quotes(dialect, asked, census)
    dialect = _look_at_fields(dialect, asked)
    if _is_even(dialect, census):
        return dialect
    mended = _mend(dialect, asked)
    if mended is None:
        raise DataError(describe_ragged_line(dialect))
    return mended


# The first lines


def _look_at_head(path: Path, asked: TextFormat) -> Dialect:
    """Finds what the first lines of a file tell of its dialect, but for its header.

    Raises:
        DataError: it is no text, or holds no lines.
        ConfigError: there is no such encoding.
    """
    if path.suffix.lower() != ".gz":
        refuse_packed(path)
    head, is_whole = _read_head(path)
    encoding = asked.encoding or _find_encoding(head)
    text = _decode_head(head, encoding, is_whole).removeprefix("\ufeff")
    if "\0" in text:
        raise DataError(
            f"{path} is no text: it holds zero bytes; allowed: a text file, whose encoding "
            "data.encoding can set"
        )
    line_end = "LF"
    if "\r" in text and "\n" not in text:
        line_end = "CR"
    lines = LINE_END.split(text)
    if not is_whole and len(lines) > 1:
        # The last line is cut.
        lines.pop()
    return _look_at_lines(Dialect(path, path, (), encoding, line_end=line_end), lines, asked)


def _read_head(path: Path) -> tuple[bytes, bool]:
    """Reads the first lines of a file, and says whether they are the whole of it.

    Raises:
        DataError: its first line is too long.
    """
    with _open_bytes(path) as file:
        head = file.read(HEAD)
        if len(ANY_END.findall(head)) < 3:
            head += file.read(2 * LONGEST_LINE - len(head))
        is_whole = not file.read(1)
    if len(ANY_END.split(head, maxsplit=1)[0]) > LONGEST_LINE:
        raise DataError(
            f"{path} has a first line of more than {LONGEST_LINE} bytes; allowed: a line of names, "
            "and a line for each row"
        )
    return head, is_whole


def _find_encoding(head: bytes) -> str:
    """Finds the encoding by the mark at the beginning or, for UTF-16, by zero bytes.

    Else it is UTF-8, until a byte is found that cannot be in UTF-8.
    """
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    beginning = head[:1000]
    pairs = max(1, len(beginning) // 2)
    even = beginning[0::2].count(0) / pairs
    odd = beginning[1::2].count(0) / pairs
    if odd > MANY_ZEROS and even < 1 - MANY_ZEROS:
        return "utf-16-le"
    if even > MANY_ZEROS and odd < 1 - MANY_ZEROS:
        return "utf-16-be"
    return "utf-8"


def _decode_head(head: bytes, encoding: str, is_whole: bool) -> str:
    """Decodes the beginning of a file, which may end within a character.

    Bytes that are not in this encoding become other characters; the census tells of them.
    """
    try:
        # Python has encodings of bytes too, which this refuses.
        "".encode(encoding)
        return codecs.getincrementaldecoder(encoding)("replace").decode(head, is_whole)
    except (LookupError, ValueError):
        raise ConfigError(
            f"data.encoding={one_line(encoding, 40)} is no encoding of this text; allowed: those "
            "of Python, such as utf-8, utf-16, latin-1 or cp1252"
        ) from None


def _look_at_lines(found: Dialect, lines: list[str], asked: TextFormat) -> Dialect:
    """Finds what stands before the header, the separator, and the quotation mark."""
    quote = asked.quote
    if quote is None:
        quote = '"'
    separator = _read_separator_line(lines[0])
    marks: tuple[str, ...] = COMMENT_MARKS
    if asked.comment is not None:
        marks = (asked.comment,)
    preamble = int(separator is not None)
    while preamble < len(lines) and (not lines[preamble] or lines[preamble].startswith(marks)):
        preamble += 1
    body = lines[preamble:]
    if not any(body):
        preamble = int(separator is not None)
        body = lines[preamble:]
    body = [line for line in body if line and not line.startswith(asked.comment or "\n")]
    body = body[:MOST_SAMPLED]
    if not body:
        raise DataError(f"{found.path} is empty; allowed: a line of names, and a line for each row")
    separator = asked.separator or separator
    if separator is None:
        separator = find_separator(body, quote, usual_separator(found.path))
    elif separator.replace("\\t", "\t") not in body[0]:
        raise DataError(
            f"{found.path} has no {separator!r} in its first line ({one_line(body[0], 60)!r}), by "
            "which data.separator parts its fields; allowed: what stands between them"
        )
    found = replace(
        found,
        separator=separator.replace("\\t", "\t"),
        quote=quote,
        comment=asked.comment or "",
        preamble=preamble,
    )
    if asked.comment is None:
        return _keep_marked_lines(found, lines, body)
    return found


def _read_separator_line(line: str) -> str | None:
    """Returns the separator that Excel writes in a first line of its own, such as `sep=;`."""
    found = SEPARATOR_LINE.fullmatch(line)
    if found is None:
        return None
    return found[1].replace("\\t", "\t")


def _keep_marked_lines(found: Dialect, lines: list[str], body: list[str]) -> Dialect:
    """Keeps lines that begin as comments do, but have as many fields as those below them.

    One such line above values has their names, as NumPy writes them; several are values.
    """
    marked = [line for line in lines[: found.preamble] if line.startswith(COMMENT_MARKS)]
    rows = [split_line(line, found.separator, found.quote) for line in body]
    width = len(rows[0])
    wide = []
    for line in marked:
        if width > 1 and len(split_line(_unmark(line), found.separator, found.quote)) == width:
            wide.append(line)
    if not wide or find_header(rows[0], rows[1:], find_decimal(rows, found.separator)):
        return found
    words = split_line(_unmark(wide[0]), found.separator, found.quote)
    are_words = not any(is_value(word, ".") for word in words)
    if len(wide) == 1 and are_words and lines[found.preamble - 1] == wide[0]:
        return replace(found, preamble=found.preamble - 1, is_header_marked=True)
    if len(wide) == 1:
        return found
    return replace(found, preamble=lines.index(wide[0]))


def _unmark(line: str) -> str:
    """Removes the mark of a comment from the beginning of a line."""
    for mark in COMMENT_MARKS:
        if line.startswith(mark):
            return line.removeprefix(mark).lstrip()
    return line


# Copies in plain lines


@cache
def _folder() -> Path:
    """Makes the folder of copies, which goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="lowerbound-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _open_bytes(path: Path) -> IO[bytes]:
    """Opens a file, and unpacks it as it is read if its name ends in `.gz`."""
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _settle_encoding(dialect: Dialect) -> Dialect:
    """Finds the encoding of a text that is not wholly UTF-8.

    It is UTF-8 with some damaged characters, which are counted, if nearly all of its characters are
    sound. Else it is Windows-1252, or Latin-1 if it has bytes that Windows-1252 lacks.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    damaged = 0
    foreign = 0
    encoding = "cp1252"
    with _open_bytes(dialect.path) as file:
        while piece := file.read(PIECE):
            if piece.translate(None, LATIN_1_ONLY) != piece:
                encoding = "latin-1"
            text = decoder.decode(piece)
            damaged += text.count(REPLACEMENT)
            foreign += len(text) - _count(np.frombuffer(piece, np.uint8) < 0x80)
    if damaged <= MOST_DAMAGED * foreign:
        return replace(dialect, damaged=damaged)
    return replace(dialect, encoding=encoding)


def _copy(dialect: Dialect, asked: TextFormat) -> Dialect:
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
        _open_bytes(dialect.path) as file,
        io.TextIOWrapper(file, dialect.encoding, errors, newline=None) as text,
    ):
        passed_over = _copy_lines(text, plain, dialect)
    return replace(dialect, plain=Path(target), passed_over=passed_over)


def _copy_lines(text: io.TextIOWrapper, plain: IO[str], dialect: Dialect) -> int:
    """Copies the lines below the preamble, and returns how many are not copied."""
    most = max(FREE_BYTES, RATIO * dialect.path.stat().st_size)
    written = 0
    passed_over = dialect.preamble
    for _ in range(dialect.preamble):
        text.readline(MOST_CHARACTERS)
    is_first = True
    for block in _blocks(text, dialect.path):
        if is_first:
            block = block.removeprefix("\ufeff")
        if is_first and dialect.is_header_marked:
            block = _unmark(block)
        is_first = False
        lines = _to_plain(block, dialect)
        passed_over += block.count("\n") - lines.count("\n")
        written += len(lines)
        if written > most:
            raise DataError(
                f"{dialect.path} unpacks to more than {most} bytes, {RATIO} times its size; unpack "
                "it first if it is sound"
            )
        plain.write(lines)
    return passed_over


def _blocks(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    """Yields pieces of whole lines. DataError if a line is too long."""
    while block := text.read(PIECE):
        rest = text.readline(MOST_CHARACTERS)
        if len(rest) == MOST_CHARACTERS:
            raise DataError(f"{path} has a line of more than {MOST_CHARACTERS} characters")
        yield block + rest


def _to_plain(block: str, dialect: Dialect) -> str:
    """Removes comments and empty lines from some lines, and puts one character between fields."""
    if dialect.comment:
        block = re.sub(rf"(?m)^{re.escape(dialect.comment)}.*\n?", "", block)
    if dialect.separator == BLANKS:
        block = re.sub(r"[ \t]+", " ", block)
        block = re.sub(r"(?m)^ | $", "", block)
    if len(dialect.separator) > 1:
        block = block.replace(dialect.separator, dialect.plain_separator)
    if dialect.is_mended:
        block = _requote(block, dialect.plain_separator)
    return re.sub(r"(?m)^\n", "", block)


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
    return written.getvalue()


# The whole of a file


@dataclass
class Census:
    """What one look through the whole of a plain file tells.

    Attributes:
        line_ends: the LFs.
        separators: the separators of fields, outside of quoted texts.
        is_utf8: it is a text in UTF-8.
        lone_returns: the CRs without a LF, outside of quoted texts.
        has_blank_lines: there are empty lines.
        quotes: the quotation marks.
        is_quoted: all of them enclose fields, or are doubled within them.
        enclosed_ends: the LFs within quoted texts.
        spans: for the first quoted texts of several lines, the places of their first and last LF.
        span_count: the number of all quoted texts of several lines.
        first_span: the number of line ends before the first of them ends its first line.
        texts: the quoted texts.
        last_text: the last of them that has a line end in it, counted from 1.
        last_byte: the last byte of the file.
    """

    line_ends: int = 0
    separators: int = 0
    is_utf8: bool = True
    lone_returns: int = 0
    has_blank_lines: bool = False
    quotes: int = 0
    is_quoted: bool = True
    enclosed_ends: int = 0
    spans: list[list[int]] = field(default_factory=list)
    span_count: int = 0
    first_span: int = 0
    texts: int = 0
    last_text: int = 0
    last_byte: bytes = b"\n"

    @property
    def lines(self) -> int:
        """The number of all lines, whatever is quoted."""
        return self.line_ends + (self.last_byte != b"\n")


def take_census(dialect: Dialect) -> Census:
    """Looks through a plain file, piece by piece."""
    census = Census()
    separator = dialect.plain_separator.encode()
    quote = dialect.quote.encode()
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with dialect.plain.open("rb") as file:
        for before, piece, after in _pieces(file):
            _check_encoding(census, decoder, piece, after)
            if quote and census.is_quoted and (census.quotes % 2 or quote in piece):
                _count_quoted(census, before + piece + after, offset, separator, quote)
            else:
                _count_lines(census, before, piece, after, separator)
            offset += len(piece)
            census.last_byte = piece[-1:]
    if census.quotes % 2:
        census.is_quoted = False
    return census


def _pieces(file: IO[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yields the pieces of a file, each with the byte before it and the byte after it.

    Before and after the file there are line ends.
    """
    before = b"\n"
    piece = file.read(PIECE)
    while piece:
        following = file.read(PIECE)
        yield before, piece, following[:1] or b"\n"
        before = piece[-1:]
        piece = following


def _check_encoding(
    census: Census, decoder: codecs.IncrementalDecoder, piece: bytes, after: bytes
) -> None:
    """Notes whether a piece is UTF-8. A piece of ASCII needs no decoding."""
    has_rest = bool(decoder.getstate()[0])
    if not census.is_utf8 or (piece.isascii() and not has_rest):
        return
    try:
        decoder.decode(piece)
    except UnicodeDecodeError:
        census.is_utf8 = False
    if after == b"\n" and decoder.getstate()[0]:
        census.is_utf8 = False


def _count_lines(
    census: Census, before: bytes, piece: bytes, after: bytes, separator: bytes
) -> None:
    """Counts the lines and the separators of a piece in which nothing is quoted."""
    values = np.frombuffer(piece, np.uint8)
    is_end = values == LF
    census.line_ends += _count(is_end)
    census.separators += _count(values == separator[0])
    if b"\r" in piece:
        text = before + piece + after
        census.lone_returns += piece.count(b"\r") - text.count(b"\r\n", 1)
        census.has_blank_lines |= b"\n\r\n" in text
    is_blank = before == piece[:1] == b"\n" or bool((is_end[1:] & is_end[:-1]).any())
    census.has_blank_lines |= is_blank


def _count_quoted(census: Census, text: bytes, offset: int, separator: bytes, quote: bytes) -> None:
    """Counts the lines of a piece with quotation marks, and checks where the marks stand.

    The marks enclose fields if every other one, from the first, stands at the beginning of a field
    or after a mark, and the others at the end of a field or before a mark.

    Args:
        census: what is counted.
        text: the piece, with the byte before it and the byte after it.
        offset: the place of the piece in the file.
        separator: the byte between fields.
        quote: the quotation mark.
    """
    values = np.frombuffer(text, np.uint8)
    inner = values[1:-1]
    is_mark = inner == quote[0]
    is_enclosed = np.logical_xor.accumulate(is_mark) ^ bool(census.quotes % 2)
    marks = np.flatnonzero(is_mark)
    is_border = np.zeros(256, bool)
    is_border[list(separator + b"\r\n" + quote)] = True
    neighbours = np.where(is_enclosed[marks], values[marks], values[marks + 2])
    census.is_quoted &= bool(is_border[neighbours].all())
    # A mark after a mark is a doubled one, and begins no other text.
    is_beginning = is_enclosed[marks] & (values[marks] != quote[0])

    is_end = inner == LF
    if (is_end & is_enclosed).any():
        ends = np.flatnonzero(is_end)
        texts = np.append(0, np.cumsum(is_beginning))[np.searchsorted(marks, ends)]
        _note_spans(census, ends, is_enclosed[ends], texts + census.texts, offset)
    # The place before the first byte of the file is a line end, and there is none before that.
    previous = values[:-2]
    before_previous = np.concatenate([previous[:1], previous[:-1]])
    is_after_end = (previous == LF) | ((previous == CR) & (before_previous == LF))
    census.has_blank_lines |= bool((is_end & is_after_end & ~is_enclosed).any())

    is_lone_return = (inner == CR) & (values[2:] != LF)
    census.lone_returns += _count(is_lone_return & ~is_enclosed)
    census.separators += _count((inner == separator[0]) & ~is_enclosed)
    census.line_ends += _count(is_end)
    census.quotes += len(marks)
    census.texts += _count(is_beginning)


def _count(is_there: np.ndarray) -> int:
    """Counts the places where something is, as an integer of Python."""
    return int(np.count_nonzero(is_there))


def _note_spans(
    census: Census, ends: np.ndarray, is_enclosed: np.ndarray, texts: np.ndarray, offset: int
) -> None:
    """Notes the quoted texts of several lines: those that hold line ends.

    Args:
        census: where they are noted.
        ends: the places of the line ends of a piece.
        is_enclosed: for each whether it is within a quoted text.
        texts: for each the number of quoted texts that begin before it in the file.
        offset: the place of the piece in the file.
    """
    enclosed = np.flatnonzero(is_enclosed)
    census.enclosed_ends += len(enclosed)
    if not census.span_count:
        census.first_span = census.line_ends + int(enclosed[0])
    texts, firsts = np.unique(texts[enclosed], return_index=True)
    lasts = np.append(firsts[1:], len(enclosed)) - 1
    census.span_count += len(texts) - int(texts[0] == census.last_text)
    for text, first, last in list(zip(texts, firsts, lasts, strict=True))[:MOST_SPANS]:
        first_end = offset + int(ends[enclosed[first]])
        last_end = offset + int(ends[enclosed[last]])
        if text == census.last_text and census.spans:
            census.spans[-1][1] = last_end
        elif len(census.spans) < MOST_SPANS:
            census.spans.append([first_end, last_end])
    census.last_text = int(texts[-1])


# Quotation marks


def _settle_quotes(dialect: Dialect, asked: TextFormat, census: Census) -> Dialect:
    """Finds whether the quotation marks enclose fields, and counts the lines.

    Raises:
        DataError: they do not, though the user has said so; or a text has far too many lines.
    """
    if not dialect.quote or not census.quotes:
        return replace(dialect, rows=census.lines)
    if not census.is_quoted or _has_stray_marks(dialect, census):
        if asked.quote:
            raise DataError(
                f"{dialect.path} has marks {asked.quote} that enclose no fields; set "
                "data.quote='' to read them as part of the text"
            )
        return replace(dialect, quote="", is_without_quotes=True, rows=census.lines)
    return replace(
        dialect,
        rows=census.lines - census.enclosed_ends,
        spans=census.span_count,
        first_span=census.first_span + dialect.preamble + 1,
    )


def _has_stray_marks(dialect: Dialect, census: Census) -> bool:
    """Says whether the lines of all quoted texts of several lines are whole rows of their own.

    A mark at the beginning of a field and a mark at the end of another, lines below, are no quotes.

    Raises:
        DataError: a text that is no such rows has far too many lines.
    """
    if not census.spans:
        return False
    separator = dialect.plain_separator.encode()
    are_rows = True
    with dialect.plain.open("rb") as file:
        separator_count = file.readline(LONGEST_LINE).count(separator)
        for span in census.spans:
            lines = _lines_of_span(file, *span)
            is_rows = {line.count(separator) for line in lines} == {separator_count}
            if not is_rows and len(lines) > LONGEST_SPAN:
                raise DataError(
                    f"{dialect.path} has a quoted text of more than {LONGEST_SPAN} lines; set "
                    "data.quote='' to read quotation marks as part of the text"
                )
            are_rows = are_rows and is_rows
    return are_rows and separator_count > 0


def _lines_of_span(file: IO[bytes], first: int, last: int) -> list[bytes]:
    """Reads the lines between which the LFs at `first` to `last` stand, at most `PIECE` bytes."""
    begin = max(0, first - LONGEST_LINE)
    file.seek(begin)
    head = file.read(first - begin)
    start = begin + head.rfind(b"\n") + 1
    file.seek(start)
    text = file.read(min(last + 1 - start, PIECE))
    return [*text.split(b"\n")[:-1], file.readline(LONGEST_LINE).rstrip(b"\n")]


# Fields


def _is_even(dialect: Dialect, census: Census) -> bool:
    """Says whether a file has as many separators as its lines need to be as wide as the first."""
    separators = census.separators
    if not dialect.quote and census.quotes:
        separators = _count_separators(dialect)
    return separators == (dialect.rows + dialect.header) * (len(dialect.columns) - 1)


def _mend(dialect: Dialect, asked: TextFormat) -> Dialect | None:
    """Reads a file in which some quotation marks enclose fields and others are part of a text.

    Marks enclose a field if they stand at both of its ends, on one line.

    Returns:
        The dialect; None if the lines are not equally wide even so.
    """
    if not dialect.is_without_quotes:
        return None
    mended = _copy(replace(dialect, is_mended=True, quote='"'), asked)
    census = take_census(mended)
    mended = _look_at_fields(replace(mended, rows=census.lines), asked)
    if _is_even(mended, census):
        return mended
    return None


def describe_ragged_line(dialect: Dialect) -> str:
    """Describes the first line of a file that is not as wide as its first line."""
    width = len(dialect.columns)
    first_line = "first line"
    if dialect.header:
        first_line = "header"
    advice = "; set data.separator if it is another"
    if dialect.is_without_quotes:
        advice += "; its quotation marks enclose no fields, and are read as part of the text"
    for number, fields in _numbered_lines(dialect):
        if len(fields) != width:
            return (
                f"line {number} of {dialect.path.name} has {len(fields)} fields, its {first_line} "
                f"{width} (parted by {dialect.separator!r}){advice}"
            )
    return f"the lines of {dialect.path} are not equally wide{advice}"


def _count_separators(dialect: Dialect) -> int:
    """Counts the separators of a file in which nothing is quoted."""
    separator = dialect.plain_separator.encode()[0]
    count = 0
    with dialect.plain.open("rb") as file:
        while piece := file.read(PIECE):
            count += _count(np.frombuffer(piece, np.uint8) == separator)
    return count


def _numbered_lines(dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yields the number and the fields of each line of the file that is no comment and not empty.

    A line whose fields hold line breaks has the number of its last line.
    """
    with (
        _open_bytes(dialect.path) as file,
        io.TextIOWrapper(file, dialect.encoding, errors="replace", newline=None) as text,
    ):
        for _ in range(dialect.preamble):
            text.readline(MOST_CHARACTERS)
        lines = (_to_plain(line, dialect) or "\n" for line in text)
        number = dialect.preamble
        if not dialect.quote:
            for line in lines:
                number += 1
                if line != "\n":
                    yield number, line.rstrip("\n").split(dialect.plain_separator)
            return
        reader = csv.reader(lines, delimiter=dialect.plain_separator, quotechar=dialect.quote)
        for fields in reader:
            if fields:
                yield dialect.preamble + reader.line_num, fields


def _look_at_fields(dialect: Dialect, asked: TextFormat) -> Dialect:
    """Finds the decimal mark, the header and the names of columns from the first rows.

    Raises:
        DataError: there are too many columns, or a name stands twice.
    """
    rows = _read_rows(dialect)
    decimal = asked.decimal or find_decimal(rows, dialect.separator)
    header = asked.header
    if header is None:
        header = dialect.is_header_marked or find_header(rows[0], rows[1:], decimal)
    width = len(rows[0])
    if width > MOST_COLUMNS:
        raise DataError(
            f"{dialect.path} has {width} columns; allowed: {MOST_COLUMNS} in a text (.parquet and "
            ".npy files may have more)"
        )
    columns = [f"column_{position}" for position in range(1, width + 1)]
    if header:
        columns = _read_names(rows[0], dialect.path)
    missing: tuple[str, ...] = MISSING
    if asked.missing is not None:
        missing = ("", *asked.missing)
    return replace(
        dialect,
        columns=tuple(columns),
        decimal=decimal,
        header=header,
        missing=missing,
        rows=dialect.rows - header,
        sample=tuple(map(tuple, rows[int(header) :])),
    )


def _read_rows(dialect: Dialect) -> list[list[str]]:
    """Reads the fields of the first lines of a plain file."""
    with dialect.plain.open("rb") as file:
        head = file.read(HEAD)
        if head.count(b"\n") < 2:
            head += file.read(2 * LONGEST_LINE - len(head))
        is_whole = not file.read(1)
    text = head.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    if not is_whole and "\n" in text:
        # The last line is cut.
        text = text[: text.rindex("\n")]
    separator = dialect.plain_separator
    if not dialect.quote:
        lines = text.removesuffix("\n").split("\n")[:MOST_SAMPLED]
        return [line.split(separator) for line in lines]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quotechar=dialect.quote)
    try:
        return list(itertools.islice(reader, MOST_SAMPLED))
    except csv.Error as error:
        raise DataError(
            f"{dialect.path} cannot be read as a text: {one_line(error, 120)}"
        ) from None


def _read_names(fields: list[str], path: Path) -> list[str]:
    """Makes the names of columns of the fields of a header, in Unicode's composed form (NFC).

    A first column without a name keeps the empty name, as that of an index; another is called
    `column_` and its position.

    Raises:
        DataError: a name stands more than once.
    """
    names = []
    for position, name in enumerate(fields, 1):
        name = normal_name(name)
        if not name and position > 1:
            name = f"column_{position}"
        names.append(name)
    name_twice = repeated(names)
    if name_twice is not None:
        raise DataError(
            f"{path} has the column {one_line(repr(name_twice), 120)} more than once; allowed: "
            "each name once"
        )
    return names


def normal_name(name: str) -> str:
    """Returns the name of a column in Unicode's composed form (NFC), without blanks around it."""
    return unicodedata.normalize("NFC", name.strip())


# Reading


def scan_texts(path: Path, dialect: Dialect, numbers: Sequence[str] = ()) -> "LazyFrame":
    """Opens a text file, of which nothing is read yet.

    All columns are texts, as they are written; an empty field is null. Polars reads lazily, and
    only the columns that are selected.

    Args:
        path: the file.
        dialect: how it is written.
        numbers: these columns are read as float64 with a decimal point, and the words of
            `dialect.missing` are null in all. An error of Polars is raised later if a field is no
            number, perhaps for a blank beside it.
    """
    import polars

    columns = list(dialect.columns)
    missing = None
    if numbers:
        missing = list(dialect.missing)
    return polars.scan_csv(
        dialect.plain,
        separator=dialect.plain_separator,
        quote_char=dialect.quote or None,
        has_header=dialect.header,
        infer_schema=False,
        schema_overrides=dict.fromkeys(numbers, polars.Float64),
        null_values=missing,
        glob=False,
        with_column_names=lambda _: columns,
    )
