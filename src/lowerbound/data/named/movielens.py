"""The MovieLens sets in their publisher's files, each in its own format, and as CSV. Cite Harper
and Konstan (2015).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ..files.limits import refuse_packed
from ..files.tables import refuse_repeated
from ..interactions.logs import RawLog, guarded
from ..interactions.titles import read_titles

if TYPE_CHECKING:
    from polars import DataFrame, LazyFrame

COLUMNS = ("user", "item", "rating", "timestamp")


GENRES = (
    *(
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
    ),
    *(
        "Film-Noir",
        "Horror",
        "Musical",
        "Mystery",
        "Romance",
        "Sci-Fi",
        "Thriller",
        "War",
        "Western",
    ),
)
"""What the last 19 columns of u.item flag, in the order of u.genre."""


def _columns(path: Path, separator: str, at: tuple[int, ...]) -> "LazyFrame":
    """The four columns at these places of a file without a header."""
    import polars

    refuse_packed(path)
    lines = polars.scan_csv(
        path, separator=separator, has_header=False, quote_char=None, glob=False
    )
    names = lines.collect_schema().names()
    return lines.select(
        polars.col(names[k]).cast(polars.Int64).alias(as_)
        for k, as_ in zip(at, COLUMNS, strict=True)
    )


def _lines(path: Path, separator: str, fields: int) -> Iterator[list[str]]:
    """The fields of each line of an old file, which is in Latin-1. DataError for a line with too
    few.
    """
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):
        words = line.split(separator)
        if len(words) < fields:
            raise DataError(
                f"{path}, line {number}: {len(words)} fields; allowed: {fields} or more, parted by "
                f"{separator!r}"
            )
        yield words


def _films(rows: Iterator[tuple[str, str, str]]) -> "DataFrame":
    import polars

    ids, titles, genres = zip(*rows, strict=True)
    return polars.DataFrame({"item": [int(i) for i in ids], "title": titles, "genres": genres})


def _flags(words: list[str]) -> str:
    return "|".join(genre for genre, flag in zip(GENRES, words, strict=False) if flag == "1")


def _old(ratings: Path, items: Path) -> tuple["LazyFrame", "DataFrame"]:
    """MovieLens 100K: u.data and u.item."""
    return _columns(ratings, "\t", (0, 1, 2, 3)), _films(
        (w[0], w[1], _flags(w[5:])) for w in _lines(items, "|", 24)
    )


def _dat(ratings: Path, items: Path) -> tuple["LazyFrame", "DataFrame"]:
    """MovieLens 1M: ratings.dat and movies.dat. Read with one colon for a separator, every other
    column is empty.
    """
    return _columns(ratings, ":", (0, 2, 4, 6)), _films(
        (w[0], w[1], w[2]) for w in _lines(items, "::", 3)
    )


def _csv(ratings: Path, items: Path) -> tuple["LazyFrame", "DataFrame"]:
    """MovieLens 20M, and the others as CSV."""
    import polars

    refuse_packed(ratings)
    frame = polars.scan_csv(ratings, schema_overrides={"rating": polars.Float64}, glob=False)
    refuse_repeated(ratings, frame.collect_schema().names())
    return frame, read_titles(items)


FORMATS: "dict[tuple[str, str], Callable[[Path, Path], tuple[LazyFrame, DataFrame]]]" = {
    ("ratings.csv", "items.csv"): _csv,
    ("ratings.csv", "movies.csv"): _csv,
    ("ratings.dat", "movies.dat"): _dat,
    ("u.data", "u.item"): _old,
}
"""The two files that a folder holds, and how they are read."""


def _format(folder: Path) -> tuple[str, str] | None:
    return next((pair for pair in FORMATS if all((folder / file).is_file() for file in pair)), None)


def has_films(folder: Path) -> bool:
    """Whether a folder holds ratings and films in one of the formats."""
    return _format(folder) is not None


def read_films(folder: Path) -> RawLog:
    """Ratings and films. DataError if they cannot be read."""
    pair = _format(folder)
    if pair is None:
        raise DataError(
            f"{folder} holds no ratings and films; allowed: "
            f"{', '.join(' and '.join(p) for p in FORMATS)}"
        )
    ratings, films = guarded(str(folder), lambda: FORMATS[pair](*(folder / file for file in pair)))
    return RawLog(str(folder), {0: ratings}, films)
