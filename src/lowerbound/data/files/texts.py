"""Text files of tables and logs: each is looked through once, and read as plain lines.

`find_dialect` finds how a file is written; `scan_texts` reads it, with every field as a text.
"""

import csv
import gzip
import io
import itertools
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ...errors import DataError, one_line
from ...system.files import refuse_special
from .census import Census, take_census
from .copies import MOST_CHARACTERS, copy_plain, open_bytes, to_plain
from .dialect import (
    AS_FOUND,
    HEAD,
    LONGEST_LINE,
    MISSING,
    MOST_COLUMNS,
    MOST_SAMPLED,
    PIECE,
    Dialect,
    TextFormat,
    find_decimal,
    find_header,
    repeated,
    text_suffix,
)
from .heads import look_at_head

if TYPE_CHECKING:
    from polars import LazyFrame

TEXTS = (".csv", ".tsv", ".txt", ".dat", ".data", ".tab")
"""Files with these suffixes are texts, also with one of `dialect.PACKED` after them."""

LONGEST_SPAN = 1000
"""A quoted text may go on over this many lines."""


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
    dialect = look_at_head(path, asked)
    if not dialect.is_plain:
        dialect = copy_plain(dialect, asked)
    census = take_census(dialect)
    if not census.is_utf8:
        dialect = copy_plain(dialect, asked)
        census = take_census(dialect)
    dialect, census = _settle_lines(dialect, asked, census)
    dialect = _settle_quotes(dialect, asked, census)
    if dialect.is_without_quotes:
        # What stands between marks has line ends and separators like all else.
        dialect, census = _settle_lines(dialect, asked, take_census(dialect))
        dialect = replace(dialect, rows=census.lines)
    dialect = _look_at_fields(dialect, asked)
    if _is_even(dialect, census):
        return dialect
    mended = _mend(dialect, asked)
    if mended is None:
        raise DataError(describe_ragged_line(dialect))
    return mended


def _settle_lines(dialect: Dialect, asked: TextFormat, census: Census) -> tuple[Dialect, Census]:
    """Copies a file with CRs that end lines, or with empty lines, and looks through the copy."""
    if census.lone_returns:
        dialect = replace(dialect, line_end="mixed")
    if census.lone_returns or census.has_blank_lines:
        dialect = copy_plain(dialect, asked)
        census = take_census(dialect)
    return dialect, census


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
        return replace(dialect, quote="", is_without_quotes=True)
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
    return census.separators == (dialect.rows + dialect.header) * (len(dialect.columns) - 1)


def _mend(dialect: Dialect, asked: TextFormat) -> Dialect | None:
    """Reads a file in which some quotation marks enclose fields and others are part of a text.

    Marks enclose a field if they stand at both of its ends, on one line.

    Returns:
        The dialect; None if the lines are not equally wide even so.
    """
    if not dialect.is_without_quotes:
        return None
    mended = copy_plain(replace(dialect, is_mended=True, quote='"'), asked)
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


def _numbered_lines(dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yields the number and the fields of each line of the file that is no comment and not empty.

    A line whose fields hold line breaks has the number of its last line.
    """
    with (
        open_bytes(dialect.path) as file,
        io.TextIOWrapper(file, dialect.encoding, errors="replace", newline=None) as text,
    ):
        for _ in range(dialect.preamble):
            text.readline(MOST_CHARACTERS)
        lines = (to_plain(line, dialect) or "\n" for line in text)
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
