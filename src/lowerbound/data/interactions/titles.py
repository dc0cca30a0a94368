"""What items are called: a file of titles and genres beside the interactions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, one_line, unknown
from ...system.files import is_file
from ..files.limits import refuse_bomb, refuse_packed
from ..files.tables import TEXTS, refuse_repeated, scan_parquet, separator, text_bytes
from .history import series
from .logs import ITEM, guarded, whole

if TYPE_CHECKING:
    from polars import DataFrame, Series


def _text(path: Path, item: str) -> "DataFrame":
    """A CSV or TSV file; its ids are whole numbers or texts, as those of the interactions are."""
    import polars

    form: dict[str, Any] = {"separator": separator(path), "encoding": "utf8-lossy", "glob": False}
    refuse_packed(path)
    columns = polars.read_csv(path, n_rows=0, **form).columns
    refuse_repeated(path, columns)
    ids = _id_column(columns, item)
    # Nothing but an empty field is missing here: a film may be called None.
    types = {} if ids is None else {ids: polars.String}
    frame = polars.read_csv(path, infer_schema_length=None, schema_overrides=types, **form)
    if ids is None:
        return frame
    number, fits = whole(polars.col(ids))
    return frame.with_columns(number) if frame.select(fits).item() else frame


def _parquet(path: Path) -> "DataFrame":
    import polars

    frame = scan_parquet(path)
    # Lists and bytes are not unpacked: in a file, few bytes may stand for any number of them.
    flat = [
        name
        for name, kind in frame.collect_schema().items()
        if not (kind.is_nested() or kind == polars.Binary)
    ]
    found = frame.select(flat).collect()
    refuse_bomb(path, text_bytes(found), path.stat().st_size)
    return found


def _id_column(columns: list[str], item: str) -> str | None:
    """The column of ids, whatever its case; None if there is none."""
    names = {column.lower(): column for column in columns}
    return next((names[n.lower()] for n in (item, "item", *ITEM) if n.lower() in names), None)


def read_titles(path: Path, item: str = "item") -> "DataFrame":
    """A CSV, TSV or Parquet file of items as the columns item, title and, if it has them, genres.

    A column year goes into the title, `Fargo (1996)`. Names of columns are found whatever their
    case. DataError if the file cannot be read, or has no ids or no titles.
    """

    if path.suffix.lower() not in (*TEXTS, ".parquet"):
        raise DataError(
            f"data.interactions.items={path} is no file of items; allowed: .csv, .tsv, .parquet"
        )
    if not is_file(path):
        raise DataError(f"data.interactions.items={path}: there is no such file")
    text = path.suffix.lower() in TEXTS
    frame = guarded(
        str(path), lambda: _text(path, item) if text else _parquet(path), "titles of items"
    )
    return titled(frame, item, str(path))


def titled(frame: "DataFrame", item: str = "item", name: str = "the frame of items") -> "DataFrame":
    """A frame of items as the columns item, title and, if it has them, genres. DataError if ids or
    titles are missing.
    """
    import polars
    from polars import col

    names = {column.lower(): column for column in frame.columns}
    ids = _id_column(frame.columns, item)
    if ids is None or "title" not in names:
        raise DataError(
            one_line(
                unknown("column", item if ids is None else "title", frame.columns, f" in {name}")
            )
        )
    title = col(names["title"]).cast(polars.String)
    if "year" in names:
        year = col(names["year"])
        title = (
            polars.when(year.is_null()).then(title).otherwise(polars.format("{} ({})", title, year))
        )
    genres = (
        [col(names["genres"]).cast(polars.String).fill_null("").alias("genres")]
        if "genres" in names
        else []
    )
    return frame.select(col(ids).alias("item"), title.alias("title"), *genres)


def same_type(one: "Series", other: "Series") -> "tuple[Series, Series]":
    """Two columns of ids made comparable: those that differ in type as texts."""
    import polars

    if one.dtype == other.dtype:
        return one, other
    return one.cast(polars.String), other.cast(polars.String)


def positions(ids: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Where each of `ids` stands in `among`, (n,) int64; -1 for those that are not there."""
    import polars

    wanted, known = same_type(series(ids), series(among))
    where = polars.int_range(len(known), eager=True)
    return wanted.replace_strict(known, where, default=-1, return_dtype=polars.Int64).to_numpy()


def names_of(
    ids: np.ndarray, frame: "DataFrame | None"
) -> tuple[list[str] | None, list[str] | None]:
    """The titles and genres of these items; an item that the frame lacks is called by its id. The
    first row of an id counts.
    """
    if frame is None:
        return None, None
    rows = frame.unique("item", keep="first", maintain_order=True)
    at = positions(ids, rows["item"].to_numpy()).tolist()
    titles, genres = (
        rows["title"].to_list(),
        rows["genres"].to_list() if "genres" in rows.columns else None,
    )
    called = [
        titles[k] if k >= 0 and titles[k] is not None else str(i)
        for k, i in zip(at, ids, strict=True)
    ]
    return called, None if genres is None else [genres[k] if k >= 0 else "" for k in at]
