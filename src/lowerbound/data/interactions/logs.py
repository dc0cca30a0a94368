"""Interactions as a source brings them. Polars reads files lazily, and only the columns that are
needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, LowerboundError, one_line, unknown
from ..files.limits import refuse_bomb, refuse_packed, refuse_zip_bomb
from ..files.tables import MISSING, TEXTS, refuse_repeated, scan_parquet, separator, unread

if TYPE_CHECKING:
    from polars import DataFrame, Expr, LazyFrame

USER = ("user_id", "userId", "uid")


ITEM = ("item_id", "itemId", "movie_id", "movieId")
"""Names that stand for the columns user and item where those are not there."""


RATING = ("rating", "weight")


TIME = ("timestamp",)


PARTS = (("train",), ("valid", "validation"), ("test",))
"""Names of the files of a source that brings its own parts; a part is known by its position here.
"""


@dataclass(frozen=True)
class Columns:
    """Which columns to read (`Interactions` has them): a rating or a time that is None is looked
    for, or done without.
    """

    user: str = "user"
    item: str = "item"
    rating: str | None = None
    timestamp: str | None = None
    timed: bool = False


@dataclass(frozen=True, eq=False)
class RawLog:
    """Interactions as a source brings them.

    Attributes:
        name: the source as it appears in messages.
        parts: {0: all}, or the source's own {0: train, 1: valid, 2: test}, of which valid may be
        missing.
        items: item, title and perhaps genres, where the source has them.
        texts: the parts from text files, all of whose columns are still texts.
    """

    name: str
    parts: "dict[int, LazyFrame]"
    items: "DataFrame | None" = None
    texts: frozenset[int] = frozenset()


# Files


def _scan_csv(path: Path) -> "LazyFrame":
    """All columns as texts, which `_typed` makes numbers of; what is no CSV shows here."""
    import polars

    refuse_packed(path)
    frame = polars.scan_csv(path, separator=separator(path), infer_schema=False, glob=False)
    refuse_repeated(path, frame.collect_schema().names())
    return frame


def _scan_npz(path: Path) -> "LazyFrame":
    """A SciPy matrix: its row numbers are the users, its column numbers the items, its values the
    weights.
    """
    import polars
    from scipy.sparse import load_npz

    refuse_zip_bomb(path)
    stored = load_npz(path)  # which reads no pickles
    if stored.dtype.kind == "c":
        raise ValueError("its weights are complex numbers")
    if hasattr(
        stored, "check_format"
    ):  # before anything goes by its offsets, which SciPy follows out of bounds
        stored.check_format(full_check=True)
    refuse_bomb(
        path, 8 * stored.shape[0], path.stat().st_size
    )  # what a matrix of rows needs, whatever it holds
    matrix = stored.tocsr()
    matrix.check_format(full_check=True)
    matrix.eliminate_zeros()
    entries = matrix.tocoo()
    return polars.LazyFrame({"user": entries.row, "item": entries.col, "weight": entries.data})


SCANS: "dict[str, Callable[[Path], LazyFrame]]" = {
    ".csv": _scan_csv,
    ".tsv": _scan_csv,
    ".parquet": scan_parquet,
    ".npz": _scan_npz,
}


def guarded(name: str, act: Callable[[], Any], what: str = "interactions") -> Any:
    """What `act` returns. DataError, one line that names the source, where a library cannot read it
    as `what`.
    """
    from polars.exceptions import PanicException

    try:
        return act()
    except LowerboundError:
        raise
    except (
        Exception,
        PanicException,
    ) as error:  # the readers raise many kinds for a file that is damaged
        raise DataError(f"{name} cannot be read as {what}: {unread(Path(name), error)}") from None


def _scan(path: Path) -> "LazyFrame":
    scan = SCANS.get(path.suffix.lower())
    if scan is None:
        raise DataError(
            f"{path} is no file of interactions; allowed: {', '.join(SCANS)}, or a folder with "
            "train and test"
        )
    return guarded(str(path), lambda: scan(path))


def parts_of(folder: Path) -> dict[int, Path]:
    """The files of a folder that brings its own parts. DataError if train or test is missing."""
    found = {
        number: path
        for number, stems in enumerate(PARTS)
        for path in sorted(folder.iterdir(), reverse=True)
        if path.stem in stems and path.suffix.lower() in SCANS and path.is_file()
    }
    if not {0, 2} <= set(found):
        raise DataError(
            f"{folder} holds no train and test (and perhaps valid) files; allowed: each as "
            f"{', '.join(SCANS)}"
        )
    return found


def read_log(path: Path) -> RawLog:
    """A file or a folder of interactions. DataError if it is of no known kind, or cannot be read."""
    files = guarded(str(path), lambda: parts_of(path) if path.is_dir() else {0: path})
    texts = frozenset(number for number, file in files.items() if file.suffix.lower() in TEXTS)
    return RawLog(str(path), {number: _scan(file) for number, file in files.items()}, texts=texts)


# Columns


def whole(text: "Expr") -> "tuple[Expr, Expr]":
    """A column of texts as whole numbers, and whether each text is one just as it would be written:
    1 is, 001 is not.
    """
    import polars

    number = text.cast(polars.Int64, strict=False)
    return number, number.cast(polars.String).eq_missing(text).all()


def _number(text: "Expr", type_: Any) -> "tuple[Expr, Expr]":
    """A column of texts as numbers of a type, and whether each of them is one or missing."""
    number = text.cast(type_, strict=False)
    return number, (number.is_not_null() | text.is_null()).all()


def _typed(frame: "LazyFrame") -> "LazyFrame":
    """Columns of texts as what all their texts are; that is found in a pass over the file, as the
    last may be no number.

    Ids are whole numbers or stay texts, of which only the empty one is missing: an item may be
    called None.
    """
    import polars

    found: dict[str, tuple[Expr, list[tuple[Expr, Expr]]]] = {}
    for name in frame.collect_schema().names():
        text, real = polars.col(name).replace("", None), polars.Float64
        if name in ("user", "item"):
            found[name] = text, [whole(text)]
        else:
            text = text.str.strip_chars().replace(dict.fromkeys(MISSING))
            found[name] = (
                text,
                [_number(text, t) for t in ((real,) if name == "rating" else (polars.Int64, real))],
            )
    checks = [
        fits.alias(f"{name} {k}")
        for name, (_, ways) in found.items()
        for k, (_, fits) in enumerate(ways)
    ]
    fit = frame.select(checks).collect(engine="streaming").row(0, named=True)
    first = {
        n: next((as_ for k, (as_, _) in enumerate(w) if fit[f"{n} {k}"]), text)
        for n, (text, w) in found.items()
    }
    return frame.with_columns(as_.alias(name) for name, as_ in first.items())


def _named(
    columns: list[str], asked: str, default: str, aliases: tuple[str, ...], name: str
) -> str:
    """The column that was asked for; in place of a default one that is not there, the first of its
    aliases.
    """
    found = [c for c in (asked, *(aliases if asked == default else ())) if c in columns]
    if not found:
        raise DataError(one_line(unknown("column", asked, columns, f" in {name}")))
    return found[0]


def _perhaps(
    columns: list[str], asked: str | None, usual: tuple[str, ...], name: str
) -> str | None:
    """The column that was asked for, or a usual one that is there, or None."""
    if asked is not None:
        return _named(columns, asked, "", (), name)
    return next((c for c in usual if c in columns), None)


def _select(frame: "LazyFrame", wanted: Columns, name: str) -> "LazyFrame":
    """The columns user and item and, where they are there and of use, rating and time; nothing else
    is read.
    """
    import polars

    columns = guarded(name, lambda: frame.collect_schema().names())
    found = {
        "user": _named(columns, wanted.user, "user", USER, name),
        "item": _named(columns, wanted.item, "item", ITEM, name),
        "rating": _perhaps(columns, wanted.rating, RATING, name),
        "time": _perhaps(columns, wanted.timestamp, TIME, name) if wanted.timed else None,
    }
    return frame.select(polars.col(c).alias(as_) for as_, c in found.items() if c is not None)


def joined(tables: RawLog, wanted: Columns) -> "LazyFrame":
    """All parts as one frame with the column part, train first; a rating or time that not all parts
    have is left out.
    """
    import polars

    chosen = {
        number: _select(frame, wanted, tables.name)
        for number, frame in sorted(tables.parts.items())
    }
    chosen = {
        number: _typed(frame) if number in tables.texts else frame
        for number, frame in chosen.items()
    }
    columns = [frame.collect_schema().names() for frame in chosen.values()]
    shared = [c for c in columns[0] if all(c in others for others in columns)]
    numbered = (
        f.select(*shared, polars.lit(n, polars.UInt8).alias("part")) for n, f in chosen.items()
    )
    return polars.concat(numbered, how="vertical_relaxed")
