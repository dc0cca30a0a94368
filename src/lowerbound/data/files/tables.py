"""Tables of numbers: CSV, TSV and Parquet, through Polars."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, one_line, unknown
from ...system.files import refuse_special
from .limits import refuse_bomb, refuse_packed
from .parquet import refuse_unpacked
from .sources import Raw, Source, Wanted, reason

if TYPE_CHECKING:
    from polars import DataFrame, Expr, LazyFrame, Series

MISSING = ["NA", "N/A", "null", "NULL", "None", "?"]
"""These words stand for a missing value in a CSV, beside the empty field."""

TEXTS = (".csv", ".tsv")
"""Files with these suffixes are texts."""


class Table(Source):
    """Numeric and boolean columns of a CSV, TSV or Parquet file."""

    summary = "a table of numbers (.csv, .tsv, .parquet)"

    def claims(self, path: Path) -> bool:
        """Says whether the file has one of the suffixes of `READERS`."""
        return path.is_file() and path.suffix.lower() in READERS

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Reads the columns that `wanted` names.

        Raises:
            DataError: columns cannot be used; the message names them, and says why.
        """
        frame = _read_frame(path, wanted.columns)
        if path.suffix.lower() != ".parquet":
            _refuse_no_header(frame, path)
        frame = select_columns(frame, wanted.columns, path)
        values = to_numbers(frame, path)
        return Raw(str(path), "table", values, None, columns=tuple(frame.columns))


def separator(path: Path) -> str:
    """Returns the character that separates the fields of a text file."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    return ","


def _text_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the number and the fields of each line of a text file that is not empty.

    A line whose fields hold line breaks has the number of its last line.

    Raises:
        ValueError: some kinds of damage.
    """
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = csv.reader(file, delimiter=separator(path))
        try:
            for fields in lines:
                if fields:
                    yield lines.line_num, fields
        except csv.Error as error:
            raise ValueError(str(error)) from None


def refuse_repeated(path: Path, columns: list[str]) -> None:
    """Refuses a header that has a name twice.

    Args:
        path: a text file.
        columns: its columns as Polars read them, which renames a second `a` to `a_duplicated_0`.

    Raises:
        DataError: the header has a name more than once.
    """
    if not any("_duplicated_" in column for column in columns):
        return
    _, names = next(_text_lines(path))
    for name, count in Counter(names).items():
        if count > 1 and name:
            raise DataError(
                f"{path} has the column {one_line(repr(name), 120)} more than once; allowed: each "
                "name once"
            )


def unread(path: Path, error: BaseException) -> str:
    """Explains in one line why Polars could not read a file, or one of a folder."""
    if "found more fields" not in str(error):
        return reason(error)
    files = [path]
    if path.is_dir():
        files = sorted(path.iterdir())
    messages = []
    try:
        for file in files:
            if file.is_file() and file.suffix.lower() in TEXTS:
                messages.append(_describe_ragged_line(file))
    except (OSError, ValueError):
        return reason(error)
    for message in messages:
        if message:
            return one_line(message)
    return reason(error)


def _describe_ragged_line(path: Path) -> str | None:
    """Describes the first line of a text file that has more fields than its header, if any has."""
    lines = _text_lines(path)
    _, header = next(lines, (0, []))
    for number, fields in lines:
        if len(fields) > len(header):
            return (
                f"line {number} of {path.name} has {len(fields)} fields, its header {len(header)} "
                f"(parted by {separator(path)!r})"
            )
    return None


def scan_parquet(path: Path) -> "LazyFrame":
    """Opens a Parquet file, of which nothing is read yet but its headers.

    Raises:
        DataError: it claims more than its size warrants: few bytes may stand for billions.
        OSError: it is no regular file (or another error of Polars, for one that is damaged).
    """
    import polars

    refuse_special(path)
    frame = polars.scan_parquet(path, glob=False)
    # For a file that is no Parquet, Polars raises an error in its own words here.
    width = len(frame.collect_schema())
    refuse_unpacked(path)
    rows = frame.select(polars.len()).collect().item()
    refuse_bomb(path, 8 * rows * max(1, width), path.stat().st_size)
    return frame


def text_bytes(frame: "DataFrame") -> int:
    """Counts the bytes that the texts of a frame need as Python strings.

    A text that stands in many rows is stored once in a file, but not then.
    """
    import polars

    lengths = frame.select(polars.col(polars.String).str.len_bytes().cast(polars.Int64).sum())
    if not lengths.width:
        return 0
    return sum(lengths.row(0))


def _read_text(path: Path, columns: tuple[str, ...] | None) -> "DataFrame":
    """Reads all columns of a text file; `columns` are chosen later, once its header is checked."""
    import polars

    refuse_packed(path)
    frame = polars.read_csv(
        path, separator=separator(path), null_values=MISSING, infer_schema_length=None, glob=False
    )
    refuse_repeated(path, frame.columns)
    return _parse_spelled_numbers(frame)


def _parse_spelled_numbers(frame: "DataFrame") -> "DataFrame":
    """Converts those columns of texts to numbers whose texts all are numbers.

    For a `nan`, an `Inf` or a space Polars takes a whole column for texts.
    """
    import polars

    texts = polars.col(polars.String)
    is_numeric = frame.select((_as_number(texts).is_not_null() | texts.is_null()).all())
    numeric = [name for name in is_numeric.columns if is_numeric[name].item()]
    return frame.with_columns(_as_number(polars.col(name)) for name in numeric)


def _as_number(text: "Expr") -> "Expr":
    """Converts texts to float64; a text that is no number becomes missing."""
    import polars

    return text.str.strip_chars().str.to_lowercase().cast(polars.Float64, strict=False)


def _read_parquet(path: Path, columns: tuple[str, ...] | None) -> "DataFrame":
    import polars

    scan = scan_parquet(path)
    empty = polars.DataFrame(schema=scan.collect_schema())
    names = select_columns(empty, columns, path).columns
    chosen = scan.select(names)
    # Columns of other types are not unpacked: one text, or the list in one row, may be of any size.
    _refuse_other_types(dict(chosen.collect_schema()), path)
    return chosen.collect()


READERS: dict[str, Callable[[Path, tuple[str, ...] | None], "DataFrame"]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".parquet": _read_parquet,
}
"""The function that reads a file with each suffix."""


def _read_frame(path: Path, columns: tuple[str, ...] | None) -> "DataFrame":
    from polars.exceptions import PanicException, PolarsError

    try:
        return READERS[path.suffix.lower()](path, columns)
    except DataError:
        raise
    # Polars raises a TypeError for a name that is not UTF-8.
    except (PolarsError, PanicException, OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read as a table: {unread(path, error)}") from None


def read_column(path: Path, name: str) -> np.ndarray:
    """Reads one column of a table, of texts, numbers or booleans, (N,); a missing value is None.

    Raises:
        DataError: there is no such column, or the file cannot be read.
    """
    import polars

    if path.suffix.lower() != ".parquet":
        frame = select_columns(_read_frame(path, None), (name,), path)
    else:
        scan = scan_parquet(path)
        empty = polars.DataFrame(schema=scan.collect_schema())
        frame = scan.select(select_columns(empty, (name,), path).columns).collect()
        refuse_bomb(path, text_bytes(frame), path.stat().st_size)
    return np.array(frame.to_series().to_list(), dtype=object)


def _refuse_no_header(frame: "DataFrame", path: Path) -> None:
    """Refuses a text file whose first line holds nothing but numbers."""
    if all(_is_number(column) for column in frame.columns):
        beginning = one_line(", ".join(frame.columns[:3]), 120)
        raise DataError(
            f"{path} has no names of columns: its first line is {beginning}, ...; put a line of "
            "names before it"
        )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def select_columns(frame: "DataFrame", columns: tuple[str, ...] | None, path: Path) -> "DataFrame":
    """Selects columns, in the order that is asked for; None selects all.

    Raises:
        DataError: a column is not there.
    """
    if columns is None:
        return frame
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        others = ""
        if len(missing) > 1:
            others = f" (nor {', '.join(map(repr, missing[1:]))})"
        where = f"{others} in {path}"
        raise DataError(one_line(unknown("column", missing[0], frame.columns, where)))
    return frame.select(columns)


def to_numbers(frame: "DataFrame", path: Path) -> np.ndarray:
    """Converts a frame to float64 (N, D), rows contiguous.

    Raises:
        DataError: there is anything but finite numbers.
    """
    import polars

    # A column that is all missing passes here: `_refuse_missing` names it.
    types = {}
    for column in frame:
        if column.null_count() < len(column):
            types[column.name] = column.dtype
    _refuse_other_types(types, path, frame)
    numbers = frame.select(polars.all().cast(polars.Float64))
    values = np.ascontiguousarray(numbers.to_numpy())
    _refuse_missing(frame, values, path)
    return values


def _refuse_other_types(
    types: dict[str, Any], path: Path, frame: "DataFrame | None" = None
) -> None:
    """Refuses columns of types that hold no numbers.

    Args:
        types: the types of columns by their names.
        path: the file, for the message.
        frame: the columns, where they are read: of texts the message shows the first that is no
            number.

    Raises:
        DataError: a column holds no numbers.
    """
    import polars

    descriptions = []
    for name, kind in types.items():
        if kind.is_numeric() or kind in (polars.Boolean, polars.Null):
            continue
        description = str(kind)
        if frame is not None and kind == polars.String:
            description = _describe_first_word(frame[name])
        descriptions.append(f"{name!r} ({description})")
    if descriptions:
        shown = one_line(", ".join(descriptions), 300)
        raise DataError(
            f"{path} has columns that are not numbers: {shown}; leave them out through data.columns"
        )


def _describe_first_word(texts: "Series") -> str:
    """Describes the first text of a column that is no number, with its row.

    Rows are counted from 1 below the header.
    """
    import polars

    # The text stands beside its number, whatever the column is called.
    frame = texts.to_frame().select(word=polars.first(), number=_as_number(polars.first()))
    is_no_number = polars.col("number").is_null() & polars.col("word").is_not_null()
    words = frame.with_row_index("row", 1).filter(is_no_number)
    if words.is_empty():
        return "numbers written as texts"
    row, word, _ = words.row(0)
    return f"{one_line(repr(word), 40)} in row {row}"


def _refuse_missing(frame: "DataFrame", values: np.ndarray, path: Path) -> None:
    """Refuses columns with missing, NaN or infinite values, or some beyond float32.

    Raises:
        DataError: there are such columns.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        is_bad = ~np.isfinite(values.astype(np.float32))
    descriptions = []
    for name, is_bad_row in zip(frame.columns, is_bad.T, strict=True):
        rows = np.flatnonzero(is_bad_row) + 1
        if len(rows):
            descriptions.append(
                f"{name!r} ({len(rows)} of {len(frame)} rows, first in row {rows[0]})"
            )
    if descriptions:
        shown = one_line(", ".join(descriptions), 240)
        raise DataError(
            f"{path} has values that are missing, NaN, infinite or beyond float32 in {shown}; "
            "fill or drop them, or leave the column out through data.columns"
        )
