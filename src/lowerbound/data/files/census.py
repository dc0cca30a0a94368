"""One look through the whole of a text file: its lines, fields, encoding and quotation marks."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from .dialect import (
    PIECE,
    Dialect,
)

MOST_SPANS = 100
"""So many quoted texts of several lines are looked at."""

LF = 10
CR = 13


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
    with dialect.plain.open("rb") as file:
        offset = _pass_mark(file)
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


def _pass_mark(file: IO[bytes]) -> int:
    """Moves to the first character of a file, behind a byte order mark, and returns its place.

    A quotation mark behind it stands where a field begins.
    """
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)
    return file.tell()


def _pieces(file: IO[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yields the pieces of a file, each with the byte before it and the byte after it.

    Before and after what is read of the file there are line ends.
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
