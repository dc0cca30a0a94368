"""What the first lines of a text file tell: its encoding, what stands before its header, and its
separator.
"""

import codecs
import re
from dataclasses import replace
from pathlib import Path

from ...errors import ConfigError, DataError, one_line
from .copies import open_bytes
from .dialect import (
    COMMENT_MARKS,
    HEAD,
    LONGEST_LINE,
    MOST_SAMPLED,
    SEPARATOR_LINE,
    Dialect,
    TextFormat,
    find_decimal,
    find_header,
    find_separator,
    is_packed,
    is_value,
    split_line,
    unmark,
    usual_separator,
)
from .limits import refuse_packed

MANY_ZEROS = 0.7
"""In UTF-16 such a share of every other byte is zero, for texts in Latin letters."""

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


def look_at_head(path: Path, asked: TextFormat) -> Dialect:
    """Finds what the first lines of a file tell of its dialect, but for its header.

    Raises:
        DataError: it is no text, or holds no lines.
        ConfigError: there is no such encoding.
    """
    if not is_packed(path):
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
    with open_bytes(path) as file:
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
    """Finds what stands before the header, the separator, and the quotation mark.

    Raises:
        DataError: there is no line of values or names, or no such separator as was said.
    """
    quote = asked.quote
    if quote is None:
        quote = '"'
    separator = _read_separator_line(lines[0])
    preamble = _count_preamble(lines, asked, int(separator is not None))
    body = [line for line in lines[preamble:] if line]
    if asked.comment is not None:
        body = [line for line in body if not line.startswith(asked.comment)]
    if not body:
        raise DataError(f"{found.path} is empty; allowed: a line of names, and a line for each row")
    body = _join_first_row(body[:MOST_SAMPLED], quote)
    if asked.separator is not None:
        separator = asked.separator.replace("\\t", "\t")
        _refuse_absent(separator, body[0], found.path)
    if separator is None:
        separator = find_separator(body, quote, usual_separator(found.path))
    found = replace(
        found, separator=separator, quote=quote, comment=asked.comment or "", preamble=preamble
    )
    if asked.comment is not None:
        return found
    return _keep_marked_lines(found, lines, body)


def _count_preamble(lines: list[str], asked: TextFormat, start: int) -> int:
    """Counts the lines before the header: those before `start`, comments, and empty ones.

    Where all lines begin as comments do, none is a comment.
    """
    marks: tuple[str, ...] = COMMENT_MARKS
    if asked.comment is not None:
        marks = (asked.comment,)
    for place in range(start, len(lines)):
        if lines[place] and not lines[place].startswith(marks):
            return place
    return start


def _join_first_row(lines: list[str], quote: str) -> list[str]:
    """Joins the lines of a first row in which a quoted name goes on over several lines.

    Where nothing but one quoted text would be in it, the mark encloses no name.
    """
    if not quote or lines[0].count(quote) % 2 == 0:
        return lines
    marks = 0
    for place, line in enumerate(lines):
        marks += line.count(quote)
        if marks % 2 == 0:
            first = " ".join(lines[: place + 1])
            mark = re.escape(quote)
            if re.sub(f"{mark}[^{mark}]*{mark}", "", first).strip():
                return [first, *lines[place + 1 :]]
            return lines
    return lines


def _refuse_absent(separator: str, line: str, path: Path) -> None:
    """Refuses a separator that was said, and is not in the first line."""
    if separator not in line:
        raise DataError(
            f"{path} has no {separator!r} in its first line ({one_line(line, 60)!r}), by which "
            "data.separator parts its fields; allowed: what stands between them"
        )


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
        if width > 1 and len(split_line(unmark(line), found.separator, found.quote)) == width:
            wide.append(line)
    if not wide or find_header(rows[0], rows[1:], find_decimal(rows, found.separator)):
        return found
    words = split_line(unmark(wide[0]), found.separator, found.quote)
    are_words = not any(is_value(word, ".") for word in words)
    if len(wide) == 1 and are_words and lines[found.preamble - 1] == wide[0]:
        return replace(found, preamble=found.preamble - 1, is_header_marked=True)
    if len(wide) == 1:
        return found
    return replace(found, preamble=lines.index(wide[0]))
