"""Interactions as a source brings them.

Polars reads files lazily, and only the columns that are needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, LowerboundError
from ..files.dialect import AS_FOUND, MISSING, Dialect, TextFormat, is_number
from ..files.limits import refuse_bomb, refuse_packed, refuse_zip_bomb
from ..files.sources import reason
from ..files.tables import scan_parquet
from ..files.texts import TEXTS, find_dialect, scan_texts
from .columns import Columns, Found, find_columns, find_places
from .ids import Parsed, parse_whole_numbers
from .matrices import matrix_frame

if TYPE_CHECKING:
    from polars import DataFrame, Expr, LazyFrame

LOOKED_AT = 100
"""The first rows of a file without a header, which say whether its third column holds times."""


LEAST_TIME = 100_000_000
"""Numbers from here on are times and no ratings: seconds since 1970, in March 1973."""


MOST_KEYS = 1000
"""The lines of a file of JSON lines may have this many different keys."""


PART_STEMS = (
    ("train", "training"),
    ("valid", "validation", "val", "dev"),
    ("test", "testing"),
)
"""File names, without their endings, of a source that brings its own parts.

The position of a name here is the number of its part.
"""


@dataclass(frozen=True, eq=False)
class RawLog:
    """Interactions as a source brings them.

    Attributes:
        name: the source as it appears in messages.
        parts: {0: all}, or the source's own {0: train, 1: valid, 2: test}; valid may be missing.
        items: item, title and perhaps genres, where the source has them.
        dialects: how the parts from text files are written; all their columns are still texts.
        users: a row for each user, where the source has them.
        keeps_order: whether the draws of splits see the rows in their order, which for a published
            set is a part of it; else no split depends on the order.
    """

    name: str
    parts: "dict[int, LazyFrame]"
    items: "DataFrame | None" = None
    dialects: Mapping[int, Dialect] = field(default_factory=dict)
    users: "DataFrame | None" = None
    keeps_order: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how the text files are written."""
        notes: list[str] = []
        for _, dialect in sorted(self.dialects.items()):
            notes += dialect.notes()
        return tuple(notes)


# Files


def _scan_json_lines(path: Path) -> "LazyFrame":
    """Scans a file with one JSON object on each line, whose keys are columns.

    Raises:
        DataError: it is compressed, or there are more than `MOST_KEYS` keys.
    """
    import polars

    refuse_packed(path)
    frame = polars.scan_ndjson(path, infer_schema_length=None)
    width = len(frame.collect_schema())
    if width > MOST_KEYS:
        raise DataError(f"{path} has lines with {width} keys in all; allowed: {MOST_KEYS}")
    return frame


def _scan_npz(path: Path) -> "LazyFrame":
    """Reads a SciPy matrix: rows are users, columns are items, and values are weights."""
    from scipy.sparse import load_npz

    refuse_zip_bomb(path)
    stored = load_npz(path)  # which reads no pickles
    # SciPy follows a matrix's offsets out of bounds, so they are checked before any use.
    if hasattr(stored, "check_format"):
        stored.check_format(full_check=True)
    # A matrix by rows needs this memory even if it holds nothing.
    refuse_bomb(path, 8 * stored.shape[0], path.stat().st_size)
    return matrix_frame(stored).lazy()


SCANS: "dict[str, Callable[[Path], LazyFrame]]" = {
    ".parquet": scan_parquet,
    ".npz": _scan_npz,
    ".jsonl": _scan_json_lines,
    ".ndjson": _scan_json_lines,
}
"""The function that scans a file that is no text, by the file's ending."""


ENDINGS = (*TEXTS, *(f"{ending}.gz" for ending in TEXTS), *SCANS)
"""Files of interactions have one of these endings."""


ALLOWED = f"{', '.join(TEXTS)} (also with .gz), {', '.join(SCANS)}"
"""The endings of files of interactions, for messages."""


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
        raise DataError(f"{name} cannot be read as {content}: {reason(error)}") from None


def find_ending(path: Path) -> str | None:
    """Finds the ending of a file among `ENDINGS`, whatever its case; None for others."""
    name = path.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), None)


def _scan(path: Path, text: TextFormat) -> "tuple[LazyFrame, Dialect | None]":
    """Scans a file of interactions.

    Returns:
        The frame and, of a text file, how it is written. All columns of a text file are texts then,
        of which `_parse_texts` makes numbers.

    Raises:
        DataError: it is of no known kind, or cannot be read.
    """
    ending = find_ending(path)
    if ending is None:
        raise DataError(
            f"{path} is no file of interactions; allowed: {ALLOWED}, or a folder with train and "
            "test"
        )
    if ending in SCANS:
        return SCANS[ending](path), None
    dialect = find_log_dialect(path, text)
    return scan_texts(path, dialect), dialect


def find_log_dialect(path: Path, text: TextFormat = AS_FOUND) -> Dialect:
    """Finds how a text file of a log, or of its items, is written.

    A first line that begins with a number, or with a word and a number, is no header here, whatever
    its other words are like.
    """
    dialect = find_dialect(path, text)
    has_number = any(is_number(name) for name in dialect.columns[:2])
    if text.header is None and has_number:
        return find_dialect(path, replace(text, header=False))
    return dialect


def parts_of(folder: Path) -> dict[int, Path]:
    """Finds the files of a folder that brings its own parts, by their numbers in `PART_STEMS`.

    Raises:
        DataError: train or test is missing, or a part is there twice.
    """
    paths = sorted(folder.iterdir())
    parts: dict[int, Path] = {}
    for number, stems in enumerate(PART_STEMS):
        for path in paths:
            ending = find_ending(path)
            is_part = ending is not None and path.name[: -len(ending)].lower() in stems
            if not is_part or not path.is_file():
                continue
            if number in parts:
                raise DataError(
                    f"{folder} holds {parts[number].name} and {path.name}; allowed: one file of "
                    "each part"
                )
            parts[number] = path
    if 0 not in parts or 2 not in parts:
        raise DataError(
            f"{folder} holds no train and test (and perhaps valid) files; allowed: each as "
            f"{ALLOWED}"
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
    dialects = {}
    for number, file in files.items():
        frame, dialect = guarded(str(file), partial(_scan, file, text))
        frames[number] = frame
        if dialect is not None:
            dialects[number] = dialect
    return RawLog(str(path), frames, dialects=dialects)


# Columns


def _parse_numbers(text: "Expr", dtype: Any, decimal: str) -> Parsed:
    """Parses texts as numbers of a type; a missing text fits too."""
    if decimal == ",":
        text = text.str.replace(",", ".", literal=True)
    number = text.cast(dtype, strict=False)
    return Parsed(number, (number.is_not_null() | text.is_null()).all())


def _clear_missing(name: str, dialect: Dialect) -> "Expr":
    """Makes null of the words for missing values in a column of texts; of ids only those that the
    user has named.
    """
    import polars

    text = polars.col(name)
    if name not in ("user", "item"):
        return text.str.strip_chars().replace(dict.fromkeys(dialect.missing))
    if dialect.missing == MISSING:
        return text
    return text.replace(dict.fromkeys(dialect.missing))


def _list_choices(name: str, text: "Expr", dialect: Dialect) -> list[Parsed]:
    """Lists the numbers that the texts of a column may be, the first to be tried first."""
    import polars

    if name in ("user", "item"):
        return [parse_whole_numbers(text)]
    reals = _parse_numbers(text, polars.Float64, dialect.decimal)
    if name == "rating":
        return [reals]
    return [_parse_numbers(text, polars.Int64, dialect.decimal), reals]


def _parse_texts(frame: "LazyFrame", dialect: Dialect, times_are_texts: bool) -> "LazyFrame":
    """Parses each column of texts as the first type that all its texts fit.

    This takes a pass over the file, since the last text may be no number. Ids are whole numbers or
    stay texts. Only the empty id is missing, since an item may be called None, and what the user
    has named as missing.

    Args:
        frame: the columns of one part.
        dialect: how its file is written.
        times_are_texts: times are written in a format that the user has given.
    """
    texts: dict[str, Expr] = {}
    choices: dict[str, list[Parsed]] = {}
    for name in frame.collect_schema().names():
        texts[name] = _clear_missing(name, dialect)
        choices[name] = _list_choices(name, texts[name], dialect)
        if name == "time" and times_are_texts:
            choices[name] = []
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


def choose_columns(source: RawLog, number: int, columns: Columns) -> Found:
    """Finds which columns of one part are users, items, ratings and times.

    Raises:
        DataError: columns are missing; the message names them all, and the keys.
    """
    frame = source.parts[number]
    names = list(guarded(source.name, frame.collect_schema))
    dialect = source.dialects.get(number)
    if dialect is not None and not dialect.header:
        is_time = _is_third_time(frame, names)
        return find_places(names, columns, is_time, source.name)
    hint = ""
    if dialect is not None and columns.are_usual:
        hint = "; if its first line is no header, set data.header=false"
    return find_columns(names, columns, source.name, hint)


def _select(source: RawLog, number: int, columns: Columns) -> "tuple[LazyFrame, tuple[str, ...]]":
    """Selects the columns user and item and, where they are there and of use, rating and time.

    Returns:
        The columns of one part, and sentences on how they were found.
    """
    import polars

    frame = source.parts[number]
    found = choose_columns(source, number, columns)
    schema = guarded(source.name, frame.collect_schema)
    selected = []
    for key, name in found.names.items():
        target = key.replace("timestamp", "time")
        selected.append(_plain_type(polars.col(name), schema[name]).alias(target))
    return frame.select(selected), found.notes


def _plain_type(column: "Expr", dtype: Any) -> "Expr":
    """Makes texts of categories, and moments without a zone of those with one, in UTC.

    The parts of a source may then have different categories and zones.
    """
    import polars

    if dtype in (polars.Categorical, polars.Enum):
        return column.cast(polars.String)
    if dtype == polars.Datetime and dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column


def _is_third_time(frame: "LazyFrame", names: list[str]) -> bool:
    """Says whether the last of three columns of texts holds times: dates, or large numbers."""
    import polars

    if len(names) != 3:
        return False
    texts = frame.select(polars.col(names[2]).cast(polars.String)).head(LOOKED_AT).collect()
    column = texts.to_series().drop_nulls()
    numbers = column.cast(polars.Float64, strict=False)
    is_large = (numbers >= LEAST_TIME).fill_null(False)
    is_date = column.str.contains(r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
    return bool((is_large | is_date).all()) and not column.is_empty()


def join_parts(source: RawLog, columns: Columns) -> "tuple[LazyFrame, tuple[str, ...]]":
    """Joins all parts to one frame with the column part, train first.

    A rating or a time that not all parts have is left out.

    Returns:
        The frame, and sentences on how its columns were found.
    """
    import polars

    frames = {}
    notes: list[str] = []
    for number in sorted(source.parts):
        frames[number], found = _select(source, number, columns)
        notes += found
    for number, dialect in source.dialects.items():
        frames[number] = _parse_texts(frames[number], dialect, columns.has_format)
    names = [frame.collect_schema().names() for frame in frames.values()]
    common = set(names[0]).intersection(*names)
    shared = [name for name in names[0] if name in common]
    numbered = []
    for number, frame in frames.items():
        part = polars.lit(number, polars.UInt8).alias("part")
        numbered.append(frame.select(*shared, part))
    joined = polars.concat(numbered, how="vertical_relaxed")
    return joined, tuple(dict.fromkeys(notes))
