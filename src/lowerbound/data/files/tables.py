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
"""Words that stand for a missing value in a CSV, beside the empty field."""


TEXTS = (".csv", ".tsv")
"""Files of text."""


def separator(path: Path) -> str:
    """What parts the fields of a text file."""
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line of a text file that is not empty, after the number of its last line.
    ValueError for some damage.
    """
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = csv.reader(file, delimiter=separator(path))
        try:
            yield from ((lines.line_num, line) for line in lines if line)
        except csv.Error as error:
            raise ValueError(str(error)) from None


def refuse_repeated(path: Path, columns: list[str]) -> None:
    """DataError for a header with a name twice: Polars, which read these columns, has renamed the
    second `a_duplicated_0`.
    """
    if not any("_duplicated_" in column for column in columns):
        return
    _, names = next(_lines(path))
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise DataError(
            f"{path} has the column {one_line(repr(twice[0]), 120)} more than once; allowed: each "
            "name once"
        )


def _ragged(path: Path) -> str | None:
    """The first line of a text file that has more fields than its header; None if there is none."""
    lines = _lines(path)
    _, header = next(lines, (0, []))
    told = f"its header {len(header)} (parted by {separator(path)!r})"
    longer = ((number, len(line)) for number, line in lines if len(line) > len(header))
    return next(
        (f"line {number} of {path.name} has {width} fields, {told}" for number, width in longer),
        None,
    )


def unread(path: Path, error: BaseException) -> str:
    """Why Polars could not read a file, or one of a folder, in one line."""
    if "found more fields" in str(error):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        try:
            lines = [
                _ragged(file) for file in files if file.is_file() and file.suffix.lower() in TEXTS
            ]
        except (OSError, ValueError):
            lines = []
        if found := next(filter(None, lines), None):
            return one_line(found)
    return reason(error)


def _csv(path: Path, columns: tuple[str, ...] | None) -> "DataFrame":
    import polars

    refuse_packed(path)
    frame = polars.read_csv(
        path, separator=separator(path), null_values=MISSING, infer_schema_length=None, glob=False
    )
    refuse_repeated(path, frame.columns)
    return _spelled(frame)


def _number(text: "Expr") -> "Expr":
    import polars

    return text.str.strip_chars().str.to_lowercase().cast(polars.Float64, strict=False)


def _spelled(frame: "DataFrame") -> "DataFrame":
    """Columns of texts that are numbers as numbers: for a `nan`, an `Inf` or a space Polars takes a
    whole column for texts.
    """
    import polars

    texts = polars.col(polars.String)
    fit = frame.select((_number(texts).is_not_null() | texts.is_null()).all())
    return frame.with_columns(_number(polars.col(name)) for name in fit.columns if fit[name].item())


def scan_parquet(path: Path) -> "LazyFrame":
    """A Parquet file, not yet read.

    Raises:
        DataError: it claims more than its size warrants: few bytes may stand for billions.
        OSError: it is no regular file (or another error of Polars, for one that is damaged).
    """
    import polars

    refuse_special(path)
    frame = polars.scan_parquet(path, glob=False)
    frame.collect_schema()  # says in its own words what is no Parquet
    refuse_unpacked(path)
    rows = frame.select(polars.len()).collect().item()
    refuse_bomb(path, 8 * rows * max(1, len(frame.collect_schema())), path.stat().st_size)
    return frame


def text_bytes(frame: "DataFrame") -> int:
    """What the texts of a frame need as texts of Python; one that stands in many rows is there once
    in a file, but not then.
    """
    import polars

    lengths = frame.select(polars.col(polars.String).str.len_bytes().cast(polars.Int64).sum())
    return sum(lengths.row(0)) if lengths.width else 0


def _parquet(path: Path, columns: tuple[str, ...] | None) -> "DataFrame":
    import polars

    frame = scan_parquet(path)
    names = _pick(polars.DataFrame(schema=frame.collect_schema()), columns, path).columns
    chosen = frame.select(names)
    # Nothing else is unpacked: one text, or the list in one row, may be of any size.
    _refuse_types(dict(chosen.collect_schema()), path)
    return chosen.collect()


READERS: dict[str, Callable[[Path, tuple[str, ...] | None], "DataFrame"]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
}


def _frame(path: Path, columns: tuple[str, ...] | None) -> "DataFrame":
    from polars.exceptions import PanicException, PolarsError

    try:
        return READERS[path.suffix.lower()](path, columns)
    except DataError:
        raise
    except (
        PolarsError,
        PanicException,
        OSError,
        ValueError,
        TypeError,
    ) as error:  # the last for a name that is not UTF-8
        raise DataError(f"{path} cannot be read as a table: {unread(path, error)}") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _refuse_no_header(frame: "DataFrame", path: Path) -> None:
    if all(_is_number(column) for column in frame.columns):
        first = one_line(", ".join(frame.columns[:3]), 120)
        raise DataError(
            f"{path} has no names of columns: its first line is {first}, ...; put a line of names "
            "before it"
        )


def _pick(frame: "DataFrame", columns: tuple[str, ...] | None, path: Path) -> "DataFrame":
    """The columns that were asked for, in the order asked. DataError if one is not there."""
    missing = [column for column in columns or () if column not in frame.columns]
    if missing:
        others = f" (nor {', '.join(map(repr, missing[1:]))})" if missing[1:] else ""
        raise DataError(
            one_line(unknown("column", missing[0], frame.columns, f"{others} in {path}"))
        )
    return frame.select(columns) if columns is not None else frame


def _refuse_text(frame: "DataFrame", path: Path) -> None:
    """DataError for columns that hold no numbers; one that is all missing is for `_refuse_missing`
    to name.
    """
    _refuse_types(
        {column.name: column.dtype for column in frame if column.null_count() < len(column)},
        path,
        frame,
    )


def _refuse_types(types: dict[str, Any], path: Path, frame: "DataFrame | None" = None) -> None:
    """DataError for columns of a type that holds no numbers; of texts in a frame it shows the first
    that is none.
    """
    import polars

    fit = (polars.Boolean, polars.Null)
    odd = [name for name, kind in types.items() if not (kind.is_numeric() or kind in fit)]
    if odd:
        shown = (
            {}
            if frame is None
            else {n: _first_word(frame[n]) for n in odd if types[n] == polars.String}
        )
        told = ", ".join(f"{name!r} ({shown.get(name, types[name])})" for name in odd)
        raise DataError(
            f"{path} has columns that are not numbers: {one_line(told, 300)}; leave them out through "
            "data.columns"
        )


def _first_word(texts: "Series") -> str:
    """The first text of a column that is no number, and its row, counted from 1 below the header."""
    import polars

    frame = (
        texts.to_frame()
        .select(word=polars.first(), number=_number(polars.first()))
        .with_row_index("row", 1)
    )
    row, word, _ = frame.filter(
        polars.col("number").is_null() & polars.col("word").is_not_null()
    ).row(0)
    return f"{one_line(repr(word), 40)} in row {row}"


def _refuse_missing(frame: "DataFrame", values: np.ndarray, path: Path) -> None:
    """DataError for columns with missing, NaN or infinite values, or some beyond float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        odd = ~np.isfinite(values.astype(np.float32))
    found = (
        (name, np.flatnonzero(column) + 1)
        for name, column in zip(frame.columns, odd.T, strict=True)
    )
    bad = [
        f"{name!r} ({len(at)} of {len(frame)} rows, first in row {at[0]})"
        for name, at in found
        if len(at)
    ]
    if bad:
        raise DataError(
            f"{path} has values that are missing, NaN, infinite or beyond float32 in "
            f"{one_line(', '.join(bad), 240)}; "
            "fill or drop them, or leave the column out through data.columns"
        )


def _numbers(frame: "DataFrame", path: Path) -> np.ndarray:
    """The frame as float64 (N, D), rows contiguous. DataError where there is anything but finite
    numbers.
    """
    import polars

    _refuse_text(frame, path)
    values = np.ascontiguousarray(frame.select(polars.all().cast(polars.Float64)).to_numpy())
    _refuse_missing(frame, values, path)
    return values


class Table(Source):
    """Numeric and boolean columns of a CSV, TSV or Parquet file."""

    summary = "a table of numbers (.csv, .tsv, .parquet)"

    def claims(self, path: Path) -> bool:
        """By suffix."""
        return path.is_file() and path.suffix.lower() in READERS

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Read the wanted columns. DataError names the columns that cannot be used, and why."""
        frame = _frame(path, wanted.columns)
        if path.suffix.lower() != ".parquet":
            _refuse_no_header(frame, path)
        chosen = _pick(frame, wanted.columns, path)
        return Raw(str(path), "table", _numbers(chosen, path), None, columns=tuple(chosen.columns))
