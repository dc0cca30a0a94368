"""Tables of numbers: CSV, TSV and Parquet, through Polars."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, unknown
from .limits import brief, refuse_bomb, refuse_packed
from .sources import Raw, Source, Wanted, reason

if TYPE_CHECKING:
    from polars import DataFrame, LazyFrame

MISSING = ["NA", "N/A", "null", "NULL", "None", "?"]
"""Words that stand for a missing value in a CSV, beside the empty field."""


def _csv(path: Path, columns: tuple[str, ...] | None) -> "DataFrame":
    import polars

    refuse_packed(path)
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    return polars.read_csv(path, separator=separator, null_values=MISSING, infer_schema_length=None, glob=False)


def scan_parquet(path: Path) -> "LazyFrame":
    """A Parquet file, not yet read. DataError if it claims more rows than its size warrants: few bytes may stand for billions."""
    import polars

    frame = polars.scan_parquet(path, glob=False)
    rows = frame.select(polars.len()).collect().item()
    refuse_bomb(path, 8 * rows * max(1, len(frame.collect_schema())), path.stat().st_size)
    return frame


def text_bytes(frame: "DataFrame") -> int:
    """What the texts of a frame need as texts of Python; one that stands in many rows is there once in a file, but not then."""
    import polars

    lengths = frame.select(polars.col(polars.String).str.len_bytes().sum())
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
    except (PolarsError, PanicException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a table: {reason(error)}") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _refuse_no_header(frame: "DataFrame", path: Path) -> None:
    if all(_is_number(column) for column in frame.columns):
        first = brief(", ".join(frame.columns[:3]), 120)
        raise DataError(f"{path} has no names of columns: its first line is {first}, ...; put a line of names before it")


def _pick(frame: "DataFrame", columns: tuple[str, ...] | None, path: Path) -> "DataFrame":
    """The columns that were asked for, in the order asked. DataError if one is not there."""
    missing = [column for column in columns or () if column not in frame.columns]
    if missing:
        others = f" (nor {', '.join(map(repr, missing[1:]))})" if missing[1:] else ""
        raise DataError(brief(unknown("column", missing[0], frame.columns, f"{others} in {path}")))
    return frame.select(columns) if columns is not None else frame


def _refuse_text(frame: "DataFrame", path: Path) -> None:
    """DataError for columns that hold no numbers; one that is all missing is for `_refuse_missing` to name."""
    _refuse_types({column.name: column.dtype for column in frame if column.null_count() < len(column)}, path)


def _refuse_types(types: dict[str, Any], path: Path) -> None:
    """DataError for columns of a type that holds no numbers."""
    import polars

    fit = (polars.Boolean, polars.Null)
    text = [f"{name!r} ({kind})" for name, kind in types.items() if not (kind.is_numeric() or kind in fit)]
    if text:
        odd = brief(", ".join(text), 300)
        raise DataError(f"{path} has columns that are not numbers: {odd}; leave them out through data.columns")


def _refuse_missing(frame: "DataFrame", values: np.ndarray, path: Path) -> None:
    """DataError for columns with missing, NaN or infinite values, or some beyond float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        counts = (~np.isfinite(values.astype(np.float32))).sum(0)
    bad = [f"{name!r} ({n})" for name, n in zip(frame.columns, counts, strict=True) if n]
    if bad:
        raise DataError(
            f"{path} has values that are missing, NaN or infinite in {brief(', '.join(bad), 240)} of {len(frame)} rows; "
            "fill or drop them, or leave the column out through data.columns"
        )


def _numbers(frame: "DataFrame", path: Path) -> np.ndarray:
    """The frame as float64 (N, D), rows contiguous. DataError where there is anything but finite numbers."""
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
