"""Titles, genres and other columns of items, from a table beside the interactions."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError, one_line
from ..files.dialect import AS_FOUND, TextFormat
from ..files.texts import is_text, scan_texts
from .beside import find_ids, is_nested, read_beside, refuse_no_table
from .columns import ITEMS, find_usual
from .forms import guarded
from .history import OWN_COLUMNS
from .ids import positions, unify
from .logs import find_log_dialect

if TYPE_CHECKING:
    from polars import DataFrame, Series

TITLES = (
    *("title", "itemtitle", "movietitle", "booktitle", "tracktitle", "songtitle", "producttitle"),
    *("name", "itemname", "moviename", "artistname", "trackname", "songname", "productname"),
    *("gamename", "description"),
)
"""The usual names of columns of titles, without case and marks (`columns.plain_name`)."""

GENRES = ("genres", "genre")
"""The usual names of columns of genres."""


def _read_text(path: Path, text: TextFormat) -> "DataFrame":
    """Reads a text file; all its columns are texts.

    Nothing but an empty field is missing here: a film may be called None. In a file without a
    header the places count: item, title and, if there are three columns, genres.
    """
    dialect = find_log_dialect(path, text)
    frame = scan_texts(path, dialect).collect()
    if dialect.header:
        return frame
    places = ["item", "title"]
    if frame.width == 3:
        places.append("genres")
    return frame.rename(dict(zip(frame.columns, places, strict=False)))


def read_titles(
    path: Path,
    item: str = "item",
    text: TextFormat = AS_FOUND,
    key: str = "data.interactions.items",
) -> "DataFrame":
    """Reads a text or Parquet file of items.

    A column year goes into the title, `Fargo (1996)`. Names of columns are found whatever their
    case. How a text file is written is found from it: the log may be written in another way.

    Args:
        path: the file.
        item: the column of ids.
        text: how a text file is written, where that is known.
        key: what names the file, for messages.

    Returns:
        A frame as of `titled`; of a text file columns of numbers alone are numbers.

    Raises:
        DataError: the file cannot be read, or has no ids or no titles.
    """
    refuse_no_table(path, key, "items")
    read_text = partial(_read_text, text=text)
    frame = guarded(str(path), partial(read_beside, path, read_text), "titles of items")
    named = titled(frame, item, str(path))
    if is_text(path):
        return with_numbers(named)
    return named


def with_numbers(frame: "DataFrame") -> "DataFrame":
    """Makes numbers of the texts of each further column of a table of items that holds nothing but
    numbers: whole ones, or else floats.
    """
    import polars

    columns = []
    for name in frame.columns:
        texts = frame[name]
        if name in OWN_COLUMNS or texts.dtype != polars.String:
            continue
        trimmed = texts.str.strip_chars()
        missing = texts.null_count()
        for dtype in (polars.Int64, polars.Float64):
            numbers = trimmed.cast(dtype, strict=False)
            if numbers.null_count() == missing < len(texts):
                columns.append(numbers)
                break
    return frame.with_columns(columns)


def titled(frame: "DataFrame", item: str = "item", name: str = "the frame of items") -> "DataFrame":
    """Selects the columns item, title and, if there are any, genres of a frame of items, and all
    further columns of plain values, under their own names.

    Args:
        frame: the items, one a row.
        item: the column of ids.
        name: the frame as it appears in messages.

    Raises:
        DataError: ids or titles are missing.
    """
    import polars
    from polars import col

    ids = find_ids(frame.columns, item, ITEMS)
    found = find_usual([name for name in frame.columns if name != ids], TITLES)
    if ids is None or not found:
        raise DataError(_describe_missing(frame.columns, ids is None, not found, name))
    title = col(found[0]).cast(polars.String).str.normalize("NFC")
    years = find_usual(frame.columns, ("year",))
    if years:
        year = col(years[0])
        in_brackets = polars.format("({})", year)
        has_year = year.is_null() | title.str.ends_with(in_brackets)
        with_year = polars.format("{} {}", title, in_brackets)
        title = polars.when(has_year).then(title).otherwise(with_year)
    columns = [unify(frame[ids]).alias("item"), title.alias("title")]
    genres = find_usual(frame.columns, GENRES)
    if genres:
        text = col(genres[0]).cast(polars.String)
        columns.append(text.fill_null("").alias("genres"))
    columns += _further_columns(frame, (ids, found[0]))
    return frame.select(columns).drop_nulls("item")


def _further_columns(frame: "DataFrame", named: tuple[str, ...]) -> "list[Series]":
    """Returns the columns of plain values beside those of ids and titles, with types that every
    file of columns can hold.
    """
    import polars

    columns = []
    for column in frame.get_columns():
        dtype = column.dtype
        is_known = column.name in named or column.name.lower() in OWN_COLUMNS
        if is_known or is_nested(dtype) or dtype.is_object():
            continue
        if dtype in (polars.Categorical, polars.Enum):
            column = column.cast(polars.String)
        elif dtype.is_decimal():
            column = column.cast(polars.Float64)
        columns.append(column)
    return columns


def _describe_missing(columns: list[str], lacks_ids: bool, lacks_titles: bool, name: str) -> str:
    """Words the message for a file of items without ids or titles."""
    lacks = []
    if lacks_ids:
        lacks.append("no column of items (as data.interactions.item, or a usual name)")
    if lacks_titles:
        lacks.append("no column of titles (title, name, or a usual name)")
    return one_line(f"{name} has {' and '.join(lacks)}; its columns: {', '.join(columns)}")


def names_of(
    ids: np.ndarray, frame: "DataFrame | None"
) -> tuple[list[str] | None, list[str] | None]:
    """Looks up the titles and genres of items; the first row of an id counts.

    An item that the frame lacks is called by its id, and has the genres "".

    Returns:
        One title for each id and one text of genres for each id; None for what the frame lacks.
    """
    if frame is None:
        return None, None
    rows = frame.unique("item", keep="first", maintain_order=True)
    at = positions(ids, rows["item"].to_numpy()).tolist()
    known_titles = rows["title"].to_list()
    titles = []
    for row, item in zip(at, ids, strict=True):
        title = None
        if row >= 0:
            title = known_titles[row]
        if title is None:
            title = str(item)
        titles.append(title)
    if "genres" not in rows.columns:
        return titles, None
    known_genres = rows["genres"].to_list()
    known_genres.append("")  # at -1, for the items that the frame lacks
    return titles, [known_genres[row] for row in at]


def features_of(ids: np.ndarray, frame: "DataFrame | None") -> "DataFrame | None":
    """Looks up the further columns of items (see `titled`); the first row of an id counts.

    Returns:
        A frame with one row for each id, of nulls for an item that the frame lacks; None where
        there are no further columns.
    """
    import polars

    if frame is None:
        return None
    names = [name for name in frame.columns if name not in OWN_COLUMNS]
    if not names:
        return None
    rows = frame.unique("item", keep="first", maintain_order=True)
    at = polars.Series(positions(ids, rows["item"].to_numpy()))
    return rows.select(polars.col(names).gather(at.replace(-1, None)))


def describe_titles(path: Path, ids: np.ndarray, frame: "DataFrame") -> tuple[str, ...]:
    """Describes how a file of titles is written, and how many items of the log it lacks."""
    notes: tuple[str, ...] = ()
    if is_text(path):
        notes = find_log_dialect(path).notes()
    lacking = ids[positions(ids, frame["item"].to_numpy()) < 0].tolist()
    if lacking:
        examples = f"such as {lacking[0]!r}"
        if len(frame):
            examples += f"; its first is {frame['item'][0]!r}"
        notes += (
            f"{path.name} has no title for {len(lacking):,} of {len(ids):,} items, {examples}",
        )
    return notes


def genres_of(text: str | None) -> list[str]:
    """Parts the text of an item's genres: by "|", or where there is none by commas."""
    if not text:
        return []
    mark = "|"
    if mark not in text:
        mark = ","
    names = [name.strip() for name in text.split(mark)]
    return [name for name in names if name]
