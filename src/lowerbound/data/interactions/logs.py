"""Interactions as a source brings them.

Polars reads files lazily, and only the columns that are needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, DataError, one_line
from ..files.cells import find_number_forms, number_expression
from ..files.dialect import AS_FOUND, MISSING, Dialect, TextFormat, is_number
from ..files.texts import find_dialect, scan_texts
from .columns import ITEMS, USERS, Columns, Found, are_places, find_columns, find_places, find_usual
from .folders import LogFile, list_files
from .forms import ALLOWED, SCANS, find_ending, guarded
from .ids import Parsed, parse_whole_numbers
from .pieces import join_texts, join_typed, tell_dialects, with_keys

if TYPE_CHECKING:
    from polars import DataFrame, Expr, LazyFrame

LOOKED_AT = 100
"""The first rows of a file without a header, which say whether its third column holds times."""


LEAST_TIME = 100_000_000
"""Numbers from here on are times and no ratings: seconds since 1970, in March 1973."""


@dataclass(frozen=True, eq=False)
class RawLog:
    """Interactions as a source brings them.

    Attributes:
        name: the source as it appears in messages.
        parts: {0: all}, or the source's own {0: train, 1: valid, 2: test}; valid may be missing.
        items: item, title and perhaps genres, where the source has them.
        dialects: how the parts from text files are written; all their columns are still texts.
        users: a row for each user, where the source has them.
        text: what the user has said of the way its texts are written.
        notes: sentences on the files and on how the texts among them are written.
        keys: the columns that the names of folders tell.
        keeps_order: whether the draws of splits see the rows in their order, which for a published
            set is a part of it; else no split depends on the order.
    """

    name: str
    parts: "dict[int, LazyFrame]"
    items: "DataFrame | None" = None
    dialects: Mapping[int, Dialect] = field(default_factory=dict)
    users: "DataFrame | None" = None
    text: TextFormat = AS_FOUND
    notes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    keeps_order: bool = False


# Files


@dataclass(frozen=True)
class Writing:
    """How the files of a log are written, where the user has said so.

    Attributes:
        text: how its texts are written.
        names: the columns to read, or the names of the columns of a text without a header.
        is_other: a run reads other data than its own, for which nobody can say anything: what does
            not fit them is found from them.
    """

    text: TextFormat = AS_FOUND
    names: tuple[str, ...] | None = None
    is_other: bool = False


AS_WRITTEN = Writing()
"""Everything is found from the files."""


def _scan(path: Path, how: Writing) -> "tuple[LazyFrame, Dialect | None]":
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
            f"{path} is no file of interactions; allowed: {ALLOWED}, or a folder with files of one "
            "log, or with train and test"
        )
    if ending in SCANS:
        return SCANS[ending](path), None
    if how.is_other:
        dialect = _find_other_dialect(path, how.text)
    else:
        dialect = find_log_dialect(path, how.text)
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


def _find_other_dialect(path: Path, text: TextFormat) -> Dialect:
    """Finds how a text file that a run reads later is written: as the run's own, where it can be,
    and else as it is found.

    Words for missing values stay those of the run. A header is one where its words are the usual
    names of users and items, and none where the file has none.
    """
    as_found = TextFormat(missing=text.missing)
    try:
        dialect = find_log_dialect(path, text)
    except (DataError, ConfigError):
        return find_log_dialect(path, as_found)
    if text.header is None:
        return dialect
    found = find_log_dialect(path, replace(text, header=None))
    has_names = all(find_usual(list(found.columns), usual) for usual in (USERS, ITEMS))
    if has_names or not found.header:
        return found
    return dialect


def read_log(path: Path, how: Writing = AS_WRITTEN) -> RawLog:
    """Reads a file, the files of a folder, or those that a pattern names.

    Args:
        path: the file, the folder or the pattern.
        how: how its files are written, where the user has said so.

    Raises:
        DataError: it is of no known kind, or cannot be read.
    """
    name = str(path)
    listing = guarded(name, partial(list_files, path))
    frames = {}
    dialects = {}
    notes = listing.notes
    for number, files in listing.parts.items():
        frame, dialect, how_written = _read_part(name, files, how)
        if dialect is not None:
            dialects[number] = dialect
        frames[number] = frame
        notes += how_written
    return RawLog(name, frames, dialects=dialects, text=how.text, notes=notes, keys=listing.keys)


def name_columns(log: RawLog, how: Writing) -> RawLog:
    """Names the columns of texts without a header, and chooses those of other files, where the user
    has said so.

    Raises:
        DataError: there are other columns than the user says.
    """
    if how.names is None:
        return log
    frames = dict(log.parts)
    dialects = dict(log.dialects)
    for number, frame in log.parts.items():
        dialect = dialects.get(number)
        if dialect is not None and not dialect.header:
            frames[number], dialects[number] = _name_places(log.name, frame, dialect, how)
        elif not how.is_other:
            choose = partial(_choose_names, log.name, frame, how.names, dialect is not None)
            frames[number] = guarded(log.name, choose)
    return replace(log, parts=frames, dialects=dialects)


def _read_part(
    name: str, files: Sequence[LogFile], how: Writing
) -> "tuple[LazyFrame, Dialect | None, tuple[str, ...]]":
    """Reads the files of a part as one frame.

    Returns:
        The frame, how it is written where it is a text, and sentences on that.
    """
    frames = []
    dialects = []
    paths = [file.path for file in files]
    for path in paths:
        frame, dialect = guarded(str(path), partial(_scan, path, how))
        frames.append(frame)
        if dialect is not None:
            dialects.append(dialect)
    if dialects and len(dialects) < len(files):
        raise DataError(
            f"{name} holds texts and files of other forms, such as {paths[0].name} and "
            f"{paths[-1].name}; give those of one form, such as {name}/*{paths[0].suffix}"
        )
    frames = guarded(name, partial(with_keys, frames, files, bool(dialects)))
    if not dialects:
        names = how.names
        if how.is_other:
            names = None
        return guarded(name, partial(join_typed, name, paths, frames, names)), None, ()
    frame, dialect = guarded(name, partial(join_texts, name, frames, dialects))
    return frame, dialect, tell_dialects(dialects)


def _name_places(
    name: str, frame: "LazyFrame", dialect: Dialect, how: Writing
) -> "tuple[LazyFrame, Dialect]":
    """Names the columns of a text without a header as the user has said; of data that a run reads
    later only where there are as many.

    Raises:
        DataError: it has another number of columns.
    """
    names = how.names or ()
    width = len(dialect.columns)
    if width != len(names) and how.is_other:
        return frame, dialect
    if width != len(names):
        raise DataError(
            f"{name} has no line of names and {width} columns, and data.columns names "
            f"{len(names)}; allowed: one name for each, in their order"
        )
    renamed = frame.rename(dict(zip(dialect.columns, names, strict=True)))
    return renamed, replace(dialect, columns=names)


def _choose_names(
    name: str, frame: "LazyFrame", names: Sequence[str], is_text: bool
) -> "LazyFrame":
    """Selects the columns that the user has named.

    Raises:
        DataError: some are not there; the message names them all.
    """
    there = frame.collect_schema().names()
    absent = [one for one in names if one not in there]
    if absent:
        hint = ""
        if is_text:
            hint = "; if its first line holds values, set data.header=false"
        raise DataError(
            one_line(
                f"{name} has no columns {', '.join(map(repr, absent))}, which data.columns names; "
                "what each of its own is, data.interactions.user, .item and so on say"
                f"{hint} (its columns: {', '.join(there)})"
            )
        )
    return frame.select(names)


# Columns


def _parse_numbers(text: "Expr", dtype: Any, decimal: str) -> Parsed:
    """Parses texts as numbers of a type; a missing text fits too.

    Beside a decimal comma a point would stand between thousands, and such texts do not fit.
    """
    import polars

    has_point = polars.lit(False)
    if decimal == ",":
        has_point = text.str.contains(".", literal=True)
        text = text.str.replace(",", ".", literal=True)
    number = text.cast(dtype, strict=False)
    return Parsed(number, ((number.is_not_null() & ~has_point) | text.is_null()).all())


def _clear_missing(name: str, missing: tuple[str, ...]) -> "Expr":
    """Makes null of the words for missing values in a column of texts; of ids only those that the
    user has named.
    """
    import polars

    text = polars.col(name)
    if name not in ("user", "item"):
        return text.str.strip_chars().replace(dict.fromkeys(missing))
    if missing == MISSING:
        return text
    return text.replace(dict.fromkeys(missing))


def _list_choices(name: str, text: "Expr", decimal: str) -> list[Parsed]:
    """Lists the numbers that the texts of a column may be, the first to be tried first."""
    import polars

    if name in ("user", "item"):
        return [parse_whole_numbers(text)]
    if name == "event":
        return []
    reals = _parse_numbers(text, polars.Float64, decimal)
    if name == "rating":
        return [reals]
    return [_parse_numbers(text, polars.Int64, decimal), reals]


def _parse_texts(
    source: RawLog, frame: "LazyFrame", dialect: Dialect, times_are_texts: bool
) -> "tuple[LazyFrame, tuple[str, ...]]":
    """Parses each column of texts as the first type that all its texts fit.

    This takes a pass over the file, since the last text may be no number. Ids are whole numbers or
    stay texts. Only the empty id is missing, since an item may be called None, and what the user
    has named as missing.

    Args:
        source: the log.
        frame: the columns of one part.
        dialect: how its file is written.
        times_are_texts: times are written in a format that the user has given.

    Returns:
        The columns, and a sentence on how ratings are written.
    """
    texts: dict[str, Expr] = {}
    choices: dict[str, list[Parsed]] = {}
    for name in frame.collect_schema().names():
        texts[name] = _clear_missing(name, dialect.missing)
        choices[name] = _list_choices(name, texts[name], dialect.decimal)
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
    parsed_frame = frame.with_columns(columns)
    if fits.get("rating 0", True):
        return parsed_frame, ()
    decimal = source.text.decimal
    if dialect.decimal == ",":
        decimal = ","
    numbers, notes = _read_marked(source.name, frame, texts["rating"], decimal)
    return parsed_frame.with_columns(numbers.alias("rating")), notes


def _read_marked(
    name: str, frame: "LazyFrame", texts: "Expr", decimal: str | None
) -> "tuple[Expr, tuple[str, ...]]":
    """Reads ratings that may have marks between thousands, by the rules of tables (`cells`).

    Args:
        name: the source as it appears in messages.
        frame: the columns of one part.
        texts: the ratings, null where they are missing.
        decimal: the decimal mark, where it is known.

    Returns:
        The numbers, or the texts as they are where they are no numbers; and a sentence.

    Raises:
        DataError: they may be numbers of two forms.
    """
    import polars

    words = frame.select(texts.unique()).collect(engine="streaming").to_series().drop_nulls()
    forms = find_number_forms(words, decimal)
    if forms == [""]:
        return texts.cast(polars.Float64, strict=False), ()
    if not forms:
        return texts, ()
    marked = words.filter(words.str.contains(r"\D")).sort()
    example = one_line(repr(marked[0]), 60)
    if len(forms) > 1:
        raise DataError(
            f"{name} has ratings such as {example}, whose mark may stand between thousands or be "
            "the decimal mark; data.decimal='.' or ',' says which mark is the decimal one"
        )
    note = f"ratings such as {example} are numbers written as {forms[0]} (data.decimal)"
    return number_expression(texts, forms[0]), (note,)


def choose_columns(source: RawLog, number: int, columns: Columns) -> Found:
    """Finds which columns of one part are users, items, ratings, times and events.

    Raises:
        DataError: columns are missing; the message names them all, and the keys.
    """
    frame = source.parts[number]
    names = list(guarded(source.name, frame.collect_schema))
    dialect = source.dialects.get(number)
    if dialect is not None and are_places(dialect.columns):
        is_time = _is_third_time(frame, list(dialect.columns))
        return find_places(names, columns, is_time, source.name)
    hint = ""
    if dialect is not None and columns.are_usual and source.text.header is None:
        hint = "; if its first line is no header, set data.header=false"
    return find_columns(names, columns, source.name, hint, source.keys)


def _select(source: RawLog, number: int, columns: Columns) -> "tuple[LazyFrame, tuple[str, ...]]":
    """Selects the columns user and item and, where they are there and of use, rating, time and
    event.

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


def _parse_part(
    source: RawLog, number: int, frame: "LazyFrame", columns: Columns
) -> "tuple[LazyFrame, tuple[str, ...]]":
    """Parses what is written as texts in the columns of one part."""
    import polars

    dialect = source.dialects.get(number)
    if dialect is not None:
        return _parse_texts(source, frame, dialect, columns.has_format)
    if frame.collect_schema().get("rating") != polars.String:
        return frame, ()
    texts = _clear_missing("rating", source.text.missing or MISSING)
    numbers, notes = _read_marked(source.name, frame, texts, source.text.decimal)
    return frame.with_columns(numbers.alias("rating")), notes


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
        selected, found = _select(source, number, columns)
        frames[number], how_written = _parse_part(source, number, selected, columns)
        notes += [*found, *how_written]
    names = [frame.collect_schema().names() for frame in frames.values()]
    common = set(names[0]).intersection(*names)
    shared = [name for name in names[0] if name in common]
    numbered = []
    for number, frame in frames.items():
        part = polars.lit(number, polars.UInt8).alias("part")
        numbered.append(frame.select(*shared, part))
    joined = polars.concat(numbered, how="vertical_relaxed")
    return joined, tuple(dict.fromkeys(notes))
