"""Tables that are written piece by piece, whole or not at all."""

import gzip
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from ..data.files.copies import open_bytes
from ..data.files.dialect import BLANKS, UTF8, Dialect, usual_separator
from ..data.files.texts import TEXTS, is_text
from ..errors import ConfigError, RunError, one_line
from ..system.files import writing
from .sources import PARQUET

if TYPE_CHECKING:
    from polars import DataFrame

UNIT_SEPARATOR = "\x1f"
"""A character that is in no text; it stands for a separator of several characters."""

MARK = "\ufeff"
"""The mark of the encoding at the beginning of a file."""

COMPRESSED = 6
"""The level of gzip."""


class Writer(ABC):
    """Writes the rows of a table, some after others."""

    @abstractmethod
    def write(self, frame: "DataFrame") -> None:
        """Writes the next rows."""

    @abstractmethod
    def finish(self) -> None:
        """Writes what is left to write, after the last rows."""


@contextmanager
def table_writer(path: Path, temporary: Path, dialect: Dialect | None) -> Iterator[Writer]:
    """Gives a writer of a file that is whole when the block ends without an error.

    Args:
        path: of a text file or a Parquet file, by its ending; messages name it.
        temporary: where the file is written; other files may lie beside it for a while.
        dialect: of the text file whose cells are written; None for other sources.

    Raises:
        RunError: the file cannot be written.
    """
    from polars.exceptions import PanicException, PolarsError

    with writing(path):
        try:
            if path.suffix.lower() == PARQUET:
                writer: Writer = _ParquetWriter(temporary)
                yield writer
                writer.finish()
            else:
                with _opened(temporary) as file:
                    writer = _TextWriter(file, make_layout(path, dialect))
                    yield writer
                    writer.finish()
        except (PolarsError, PanicException) as error:
            raise RunError(f"cannot write {path}: {one_line(error, 160)}") from None


def refuse_other_endings(path: Path) -> None:
    """Refuses files whose ending is none of a table.

    Raises:
        ConfigError: says which endings are allowed.
    """
    is_written = is_text(path) and path.suffix.lower() != ".zst"  # which is read alone
    if is_written or path.suffix.lower() == PARQUET:
        return
    endings = ", ".join((*TEXTS, PARQUET))
    got = path.suffix or "none"
    raise ConfigError(f"--out {path}: the ending must be one of {endings}, got {got}")


def _opened(path: Path) -> IO[bytes]:
    """Opens a file to write, compressed if its name ends in `.gz`."""
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "wb", COMPRESSED))
    return path.open("wb")


# Text --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How a text file is laid out.

    Attributes:
        separator: of the fields.
        quote: the mark around fields that need one; empty where marks are part of the text.
        line_end: what ends a line.
        header: the names as the first line has them; None for those of the columns; empty for no
            line of names.
        mark: the file begins with the mark of its encoding.
    """

    separator: str = ","
    quote: str = '"'
    line_end: str = "\n"
    header: tuple[str, ...] | None = None
    mark: bool = False


def make_layout(path: Path, dialect: Dialect | None) -> Layout:
    """Lays out a text file as its source is, but for a separator that the ending calls for."""
    if dialect is None:
        return Layout(usual_separator(path))
    separator = dialect.separator
    if usual_separator(path) != usual_separator(dialect.path):
        separator = usual_separator(path)
    header: tuple[str, ...] = ()
    if dialect.header:
        header = _names_as_written(dialect)
    return Layout(separator, dialect.quote, _line_end(dialect), header, _has_mark(dialect))


def _names_as_written(dialect: Dialect) -> tuple[str, ...]:
    """Reads the names of the columns with their blanks, and empty ones where there are none."""
    import polars

    first = polars.scan_csv(
        dialect.plain,
        separator=dialect.plain_separator,
        quote_char=dialect.quote or None,
        has_header=False,
        infer_schema=False,
        n_rows=1,
        glob=False,
    )
    return tuple(name or "" for name in first.collect().row(0))


def _line_end(dialect: Dialect) -> str:
    """Finds whether lines end in CR LF."""
    with open_bytes(dialect.path) as file:
        # UTF-16 has a zero beside each of them.
        line = file.readline().replace(b"\0", b"")
    if line.endswith(b"\r\n"):
        return "\r\n"
    return "\n"


def _has_mark(dialect: Dialect) -> bool:
    with open_bytes(dialect.path) as file:
        return file.read(3) == MARK.encode()


class _TextWriter(Writer):
    """Writes a text file.

    Args:
        file: where to.
        layout: how.
    """

    def __init__(self, file: IO[bytes], layout: Layout) -> None:
        self.file = file
        self.layout = layout
        self.has_begun = False

    def write(self, frame: "DataFrame") -> None:
        if not self.has_begun:
            self._begin(frame)
        self._write_rows(frame)

    def finish(self) -> None:
        """Writes nothing: there is one frame at least."""

    def _begin(self, frame: "DataFrame") -> None:
        """Writes what stands above the first row."""
        import polars

        self.has_begun = True
        if self.layout.mark:
            self.file.write(MARK.encode())
        names = self.layout.header
        if names is None:
            names = tuple(frame.columns)
        if names:
            # A name that is nothing is written as nothing, not as an empty text in quotes.
            row = {str(place): [name or None] for place, name in enumerate(names)}
            self._write_rows(polars.DataFrame(row))

    def _write_rows(self, frame: "DataFrame") -> None:
        separator = self.layout.separator
        if len(separator) > 1:
            separator = UNIT_SEPARATOR
        options: dict[str, Any] = {"quote_style": "never"}
        if self.layout.quote:
            options = {"quote_char": self.layout.quote, "quote_style": "necessary"}
        text = frame.write_csv(
            include_header=False,
            separator=separator,
            line_terminator=self.layout.line_end,
            **options,
        )
        if separator != self.layout.separator:
            text = text.replace(UNIT_SEPARATOR, self.layout.separator)
        self.file.write(text.encode())


def tell_layout(path: Path, dialect: Dialect | None) -> tuple[str, ...]:
    """Says what of a text file is written in another way than its source."""
    if dialect is None or not is_text(path):
        return ()
    notes = []
    if dialect.encoding not in UTF8:
        notes.append(
            f"{path} is written in UTF-8; the encoding of the source is {dialect.encoding}"
        )
    if dialect.passed_over:
        notes.append(
            f"{path} lacks the {dialect.passed_over:,} lines of the source that are comments or "
            "empty"
        )
    if dialect.separator == BLANKS:
        notes.append(f"{path} has one blank between fields")
    return tuple(notes)


# Parquet -----------------------------------------------------------------------------------------


class _ParquetWriter(Writer):
    """Writes each piece to a file of its own, and all of them to one in the end.

    Args:
        path: where to; the others lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: list[Path] = []

    def write(self, frame: "DataFrame") -> None:
        part = self.path.with_name(f"part-{len(self.parts)}{PARQUET}")
        frame.write_parquet(part)
        self.parts.append(part)

    def finish(self) -> None:
        import polars

        scans = [polars.scan_parquet(part, glob=False) for part in self.parts]
        polars.concat(scans, how="vertical_relaxed").sink_parquet(self.path, maintain_order=True)
        for part in self.parts:
            part.unlink()
