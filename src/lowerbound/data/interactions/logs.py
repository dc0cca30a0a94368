"""Interactions as a source brings them.

Polars reads files lazily, and only the columns that are needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import DataError, LowerboundError, one_line, unknown
from ..files.dialect import AS_FOUND, TextFormat
from ..files.limits import refuse_bomb, refuse_packed, refuse_zip_bomb
from ..files.tables import MISSING, TEXTS, refuse_repeated, scan_parquet, separator, unread

if TYPE_CHECKING:
    from polars import DataFrame, Expr, LazyFrame

USER_ALIASES = ("user_id", "userId", "uid")
"""Columns that are read as users where the file has no column "user"."""


ITEM_ALIASES = ("item_id", "itemId", "movie_id", "movieId")
"""Columns that are read as items where the file has no column "item"."""


RATING_COLUMNS = ("rating", "weight")
"""Columns that are read as ratings where the recipe names none."""


TIME_COLUMNS = ("timestamp",)
"""Columns that are read as times where the recipe names none."""


PART_STEMS = (("train",), ("valid", "validation"), ("test",))
"""File names, without their endings, of a source that brings its own parts.

The position of a name here is the number of its part.
"""


@dataclass(frozen=True)
class Columns:
    """Which columns to read; `Interactions` describes them.

    A rating or a timestamp that is None is looked for under its usual names, and may be missing.
    Times are read only if `timed`.
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
        parts: {0: all}, or the source's own {0: train, 1: valid, 2: test}; valid may be missing.
        items: item, title and perhaps genres, where the source has them.
        texts: the parts from text files, all of whose columns are still texts.
    """

    name: str
    parts: "dict[int, LazyFrame]"
    items: "DataFrame | None" = None
    texts: frozenset[int] = frozenset()


# Files


def _scan_csv(path: Path) -> "LazyFrame":
    """Scans a CSV or TSV file with all columns as texts, and fails early if it is none.

    `_parse_texts` makes numbers of the texts.
    """
    import polars

    refuse_packed(path)
    frame = polars.scan_csv(path, separator=separator(path), infer_schema=False, glob=False)
    refuse_repeated(path, frame.collect_schema().names())
    return frame


def _scan_npz(path: Path) -> "LazyFrame":
    """Reads a SciPy matrix: rows are users, columns are items, and values are weights."""
    import polars
    from scipy.sparse import load_npz

    refuse_zip_bomb(path)
    stored = load_npz(path)  # which reads no pickles
    if stored.dtype.kind == "c":
        raise ValueError("its weights are complex numbers")
    # SciPy follows a matrix's offsets out of bounds, so they are checked before any use.
    if hasattr(stored, "check_format"):
        stored.check_format(full_check=True)
    # A matrix by rows needs this memory even if it holds nothing.
    refuse_bomb(path, 8 * stored.shape[0], path.stat().st_size)
    matrix: Any = stored.tocsr()  # type: ignore[misc]
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
"""The function that scans a file, by the file's ending."""


def guarded(name: str, read: Callable[[], Any], content: str = "interactions") -> Any:
    """Returns what `read` returns, and makes a `DataError` of any error of a library.

    Args:
        name: the source as it appears in messages.
        read: a function that reads the source, or a part of it.
        content: what the source should hold, as the message says it.

    Raises:
        DataError: a library cannot read the source. The message is one line that names it.
    """
    from polars.exceptions import PanicException

    try:
        return read()
    except LowerboundError:
        raise
    # The readers raise many kinds of errors for a damaged file.
    except (Exception, PanicException) as error:
        reason = unread(Path(name), error)
        raise DataError(f"{name} cannot be read as {content}: {reason}") from None


def _scan(path: Path) -> "LazyFrame":
    """Scans a file of interactions. DataError if it is of no known kind, or cannot be read."""
    scan = SCANS.get(path.suffix.lower())
    if scan is None:
        raise DataError(
            f"{path} is no file of interactions; allowed: {', '.join(SCANS)}, or a folder with "
            "train and test"
        )
    return guarded(str(path), lambda: scan(path))


def parts_of(folder: Path) -> dict[int, Path]:
    """Finds the files of a folder that brings its own parts, by their numbers in `PART_STEMS`.

    Of several files of one part the first by name counts.

    Raises:
        DataError: train or test is missing.
    """
    paths = sorted(folder.iterdir())
    parts: dict[int, Path] = {}
    for number, stems in enumerate(PART_STEMS):
        for path in paths:
            if path.stem in stems and path.suffix.lower() in SCANS and path.is_file():
                parts.setdefault(number, path)
    if 0 not in parts or 2 not in parts:
        raise DataError(
            f"{folder} holds no train and test (and perhaps valid) files; allowed: each as "
            f"{', '.join(SCANS)}"
        )
    return parts


def read_log(path: Path, text: TextFormat = AS_FOUND) -> RawLog:
    """Reads a file or a folder of interactions.

    Args:
        path: the file or folder.
        text: how its text files are written, where the user has said so.

    Raises:
        DataError: it is of no known kind, or cannot be read.
    """

    def find_files() -> dict[int, Path]:
        if path.is_dir():
            return parts_of(path)
        return {0: path}

    files = guarded(str(path), find_files)
    frames = {}
    texts = set()
    for number, file in files.items():
        frames[number] = _scan(file)
        if file.suffix.lower() in TEXTS:
            texts.add(number)
    return RawLog(str(path), frames, texts=frozenset(texts))


# Columns


class Parsed(NamedTuple):
    """A column of texts, parsed as numbers of one type.

    Attributes:
        numbers: the numbers, null where a text is none.
        fits: one Boolean, whether every text is such a number.
    """

    numbers: "Expr"
    fits: "Expr"


def parse_whole_numbers(text: "Expr") -> Parsed:
    """Parses texts as whole numbers; a text fits if the number would be written just so.

    For example 1 fits, and 001 does not.
    """
    import polars

    number = text.cast(polars.Int64, strict=False)
    return Parsed(number, number.cast(polars.String).eq_missing(text).all())


def _parse_numbers(text: "Expr", dtype: Any) -> Parsed:
    """Parses texts as numbers of a type; a missing text fits too."""
    number = text.cast(dtype, strict=False)
    return Parsed(number, (number.is_not_null() | text.is_null()).all())


def _parse_texts(frame: "LazyFrame") -> "LazyFrame":
    """Parses each column of texts as the first type that all its texts fit.

    This takes a pass over the file, since the last text may be no number. Ids are whole numbers or
    stay texts. Only the empty id is missing, since an item may be called None.
    """
    import polars

    texts: dict[str, Expr] = {}
    choices: dict[str, list[Parsed]] = {}
    for name in frame.collect_schema().names():
        text = polars.col(name).replace("", None)
        if name in ("user", "item"):
            choices[name] = [parse_whole_numbers(text)]
        else:
            text = text.str.strip_chars().replace(dict.fromkeys(MISSING))
            choices[name] = [_parse_numbers(text, polars.Float64)]
            if name != "rating":
                choices[name].insert(0, _parse_numbers(text, polars.Int64))
        texts[name] = text
    checks = []
    for name, parsed in choices.items():
        for position, choice in enumerate(parsed):
            checks.append(choice.fits.alias(f"{name} {position}"))
    fits = frame.select(checks).collect(engine="streaming").row(0, named=True)
    columns = []
    for name, parsed in choices.items():
        column = texts[name]
        for position, choice in reversed(list(enumerate(parsed))):
            if fits[f"{name} {position}"]:
                column = choice.numbers
        columns.append(column.alias(name))
    return frame.with_columns(columns)


def _find_column(
    columns: list[str], asked: str, default: str, aliases: tuple[str, ...], name: str
) -> str:
    """Finds the column that was asked for; if that is the default, its aliases count too.

    Raises:
        DataError: there is none.
    """
    candidates = [asked]
    if asked == default:
        candidates += aliases
    for candidate in candidates:
        if candidate in columns:
            return candidate
    raise DataError(one_line(unknown("column", asked, columns, f" in {name}")))


def _find_optional_column(
    columns: list[str], asked: str | None, usual: tuple[str, ...], name: str
) -> str | None:
    """Finds the column that was asked for; if none was, the first usual one, or None.

    Raises:
        DataError: a column was asked for that is not there.
    """
    if asked is not None:
        return _find_column(columns, asked, "", (), name)
    return next((column for column in usual if column in columns), None)


def _select(frame: "LazyFrame", columns: Columns, name: str) -> "LazyFrame":
    """Selects the columns user and item and, where they are there and of use, rating and time."""
    import polars

    available = guarded(name, lambda: frame.collect_schema().names())
    sources: dict[str, str | None] = {
        "user": _find_column(available, columns.user, "user", USER_ALIASES, name),
        "item": _find_column(available, columns.item, "item", ITEM_ALIASES, name),
        "rating": _find_optional_column(available, columns.rating, RATING_COLUMNS, name),
    }
    if columns.timed:
        sources["time"] = _find_optional_column(available, columns.timestamp, TIME_COLUMNS, name)
    selected = []
    for target, source in sources.items():
        if source is not None:
            selected.append(polars.col(source).alias(target))
    return frame.select(selected)


def join_parts(source: RawLog, columns: Columns) -> "LazyFrame":
    """Joins all parts to one frame with the column part, train first.

    A rating or a time that not all parts have is left out.
    """
    import polars

    frames = {}
    for number, frame in sorted(source.parts.items()):
        frames[number] = _select(frame, columns, source.name)
    for number in sorted(source.texts):
        frames[number] = _parse_texts(frames[number])
    names = [frame.collect_schema().names() for frame in frames.values()]
    common = set(names[0]).intersection(*names)
    shared = [name for name in names[0] if name in common]
    numbered = []
    for number, frame in frames.items():
        part = polars.lit(number, polars.UInt8).alias("part")
        numbered.append(frame.select(*shared, part))
    return polars.concat(numbered, how="vertical_relaxed")
