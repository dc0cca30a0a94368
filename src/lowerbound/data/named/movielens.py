"""The MovieLens sets in their publisher's files, each in its own format, and as CSV.

Cite Harper and Konstan (2015).
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ..files.limits import refuse_packed
from ..files.texts import find_dialect
from ..interactions.forms import guarded
from ..interactions.logs import RawLog
from ..interactions.titles import read_titles

if TYPE_CHECKING:
    from polars import DataFrame, LazyFrame

COLUMNS = ("user", "item", "rating", "timestamp")
"""Ratings have these columns, in this order."""

GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""The last 19 columns of u.item flag these genres, in the order of u.genre."""


def read_films(folder: Path) -> RawLog:
    """Reads ratings and films.

    Raises:
        DataError: they cannot be read, or the folder holds none.
    """
    pair = _find_format(folder)
    if pair is None:
        pairs = ", ".join(" and ".join(files) for files in FORMATS)
        raise DataError(f"{folder} holds no ratings and films; allowed: {pairs}")
    ratings_file, films_file = pair
    read = FORMATS[pair]
    ratings, films = guarded(str(folder), lambda: read(folder / ratings_file, folder / films_file))
    return RawLog(str(folder), {0: ratings}, films)


def _find_format(folder: Path) -> tuple[str, str] | None:
    for pair in FORMATS:
        if all((folder / file).is_file() for file in pair):
            return pair
    return None


def _read_100k(ratings: Path, items: Path) -> tuple["LazyFrame", "DataFrame"]:
    """Reads MovieLens 100K: u.data and u.item."""
    log = _scan_ratings(ratings, "\t", (0, 1, 2, 3))
    films = []
    for fields in _split_lines(items, "|", 24):
        item, title = fields[:2]
        genres = [genre for genre, flag in zip(GENRES, fields[5:], strict=False) if flag == "1"]
        films.append((item, title, "|".join(genres)))
    return log, _to_frame(films)


def _read_1m(ratings: Path, items: Path) -> tuple["LazyFrame", "DataFrame"]:
    """Reads MovieLens 1M: ratings.dat and movies.dat.

    The separator of ratings.dat is two colons. It is read with one, so that every other column is
    empty.
    """
    log = _scan_ratings(ratings, ":", (0, 2, 4, 6))
    films = []
    for fields in _split_lines(items, "::", 3):
        item, title, genres = fields[:3]
        films.append((item, title, genres))
    return log, _to_frame(films)


def _read_20m(ratings: Path, items: Path) -> tuple["LazyFrame", "DataFrame"]:
    """Reads MovieLens 20M, and the others as CSV."""
    import polars

    # This refuses what is no plain text of equal lines.
    find_dialect(ratings)
    frame = polars.scan_csv(ratings, schema_overrides={"rating": polars.Float64}, glob=False)
    return frame, read_titles(items)


FORMATS: "dict[tuple[str, str], Callable[[Path, Path], tuple[LazyFrame, DataFrame]]]" = {
    ("ratings.csv", "items.csv"): _read_20m,
    ("ratings.csv", "movies.csv"): _read_20m,
    ("ratings.dat", "movies.dat"): _read_1m,
    ("u.data", "u.item"): _read_100k,
}
"""A folder holds two files of one of these pairs of names, and the function reads them."""


def _scan_ratings(path: Path, separator: str, positions: tuple[int, ...]) -> "LazyFrame":
    """Opens a file of ratings without a header, whose columns stand at these positions."""
    import polars

    refuse_packed(path)
    lines = polars.scan_csv(
        path, separator=separator, has_header=False, quote_char=None, glob=False
    )
    names = lines.collect_schema().names()
    columns = []
    for position, column in zip(positions, COLUMNS, strict=True):
        columns.append(polars.col(names[position]).cast(polars.Int64).alias(column))
    return lines.select(columns)


def _split_lines(path: Path, separator: str, least: int) -> Iterator[list[str]]:
    """Yields the fields of each line of an old file, which is in Latin-1.

    Raises:
        DataError: a line has fewer fields than `least`.
    """
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):
        fields = line.split(separator)
        if len(fields) < least:
            raise DataError(
                f"{path}, line {number}: {len(fields)} fields; allowed: {least} or more, parted by "
                f"{separator!r}"
            )
        yield fields


def _to_frame(films: Iterable[tuple[str, str, str]]) -> "DataFrame":
    """Makes a frame of the ids, titles and genres of films."""
    import polars

    ids, titles, genres = zip(*films, strict=True)
    items = [int(film_id) for film_id in ids]
    return polars.DataFrame({"item": items, "title": titles, "genres": genres})
