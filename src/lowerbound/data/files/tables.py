"""Tables: text files and Parquet, through Polars, and frames of Polars.

A table of numbers alone becomes one here; `mixed` makes one of columns of several kinds.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError, DataError, LowerboundError, ShapeError, one_line
from ...system.files import refuse_special
from ...system.maps import is_mapped
from .cells import COLUMNS_AT_ONCE, LARGEST_EXACT, CellFormat, is_with_unit
from .choice import Choice, choose_columns, is_index, listed, normal_names, refuse_unknown
from .conditions import LABEL, read_conditions
from .description import Column, Description
from .dialect import AS_FOUND, MISSING, Dialect, TextFormat, is_value
from .kinds import LEAST_COUNTED, FoundKind, find_kinds, find_or_refuse
from .limits import refuse_bomb
from .mixed import mixed_table, plain_frame, read_table, table_of_found
from .parquet import refuse_unpacked
from .previews import HEAD_ROWS, describe_found
from .sources import Raw, Source, Wanted, reason
from .stored import StoredColumns, storing
from .texts import describe_ragged_line, find_dialect, is_text, normal_name, scan_texts

if TYPE_CHECKING:
    from polars import DataFrame, Expr, LazyFrame, Series

MOST_SHOWN = 10
"""A message shows so many columns."""

UNNAMED_INDEX = "index"
"""The name of an index that has none in its source."""

MOST_ROWS = 100_000
"""A description looks at so many rows of a table, if it has few columns."""

MOST_CELLS = 2_000_000
"""A description looks at so many cells, and at `HEAD_ROWS` rows at least."""

BOOLEANS = ("true", "false")
"""A column of these words, in any case, is read as ones and zeros."""

ARRAY_NAME = re.compile(r"x[1-9]\d*")
"""The names that columns of arrays get."""

GROUPED = re.compile(r"[+-]?\d{1,3}([,.'\s]\d{3})+([.,]\d+)?")
"""A number with marks between its thousands."""

COMMA_DECIMAL = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
"""A number that may have a decimal comma."""


class Table(Source):
    """Columns of a text file or a Parquet file: numbers alone, or of several kinds."""

    summary = "a table (.csv, .tsv, .txt, .dat, .data, .tab, also with .gz, .zst; .parquet)"

    def claims(self, path: Path) -> bool:
        """Says whether the name of the file is that of a text or of a Parquet file."""
        return path.is_file() and (is_text(path) or path.suffix.lower() == ".parquet")

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Reads the columns that `wanted` names.

        Raises:
            DataError: columns cannot be used; the message names them, and says why.
        """
        with refusing_damage(path):
            if path.suffix.lower() == ".parquet":
                _refuse_text_options(path, wanted)
                return _read_parquet(path, wanted)
            return _read_text(path, wanted)

    def describe(self, path: Path, wanted: Wanted) -> Description:
        """Describes a table by its first rows, without reading the others as numbers.

        Raises:
            DataError: the file cannot be read as rows and columns.
        """
        with refusing_damage(path):
            if path.suffix.lower() == ".parquet":
                return _describe_parquet(path, wanted)
            return _describe_text(path, wanted)


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Makes a `DataError` of what Polars raises in a block that reads a table."""
    from polars.exceptions import PanicException, PolarsError

    try:
        yield
    except LowerboundError:
        raise
    # Polars raises a TypeError for a name that is not UTF-8.
    except (PolarsError, PanicException, OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read as a table: {reason(error)}") from None


def read_column(path: Path, name: str, text: TextFormat = AS_FOUND) -> np.ndarray:
    """Reads one column of a table, of texts, numbers or booleans, (N,); a missing value is None.

    Args:
        path: a text file or a Parquet file.
        name: of the column.
        text: how a text file is written, where the user has said so.

    Raises:
        DataError: there is no such column, or the file cannot be read.
    """
    with refusing_damage(path):
        if path.suffix.lower() == ".parquet":
            frame = _read_parquet_columns(path, [name])
        else:
            dialect = find_dialect(path, text)
            refuse_unknown([name], dialect.columns, str(path))
            fields = scan_texts(path, dialect).select(normal_name(name)).collect()
            frame = parse_spelled_numbers(fields, dialect)
    return np.array(frame.to_series().to_list(), dtype=object)


def _refuse_text_options(path: Path, wanted: Wanted) -> None:
    """Refuses options that say how a text is written, for a file that is none.

    Texts in the cells of a table with columns of several kinds are read by two of them all the
    same.
    """
    for option, value in vars(wanted.text).items():
        if wanted.is_mixed and option in ("decimal", "missing"):
            continue
        if value is not None:
            raise ConfigError(f"data.{option} is for text files; {path} is none")


def table_of_frame(frame: "DataFrame", wanted: Wanted, name: str) -> Raw:
    """Makes a table of a frame: of its columns as they are wanted.

    Args:
        frame: numbers and booleans, or columns of any kinds where those are wanted; ids and labels
            may be of other types.
        wanted: what is asked for.
        name: the source as it appears in messages.

    Raises:
        DataError: columns are not there, or hold anything but finite numbers.
        ConfigError: the options contradict each other.
    """
    frame = frame.rename(normal_names(frame.columns, name))
    choice = choose_columns(frame.columns, wanted, name)
    return _make_table(frame.select(choice.all), choice, wanted, name, cells_of_frame(wanted.text))


def cells_of_frame(asked: TextFormat) -> CellFormat:
    """Says how texts in a frame or a Parquet file are written."""
    missing: tuple[str, ...] = MISSING
    if asked.missing is not None:
        missing = ("", *asked.missing)
    return CellFormat(missing, asked.decimal)


def cells_of_text(dialect: Dialect, asked: TextFormat) -> CellFormat:
    """Says how the cells of a text file are written.

    A decimal comma was found; a point stands for one where nothing was.
    """
    decimal = asked.decimal
    if dialect.decimal != ".":
        decimal = dialect.decimal
    return CellFormat(dialect.missing, decimal, is_text=True)


def array_names(count: int) -> list[str]:
    """Names the columns of an array, which have no names of their own: x1, x2, ..."""
    return [f"x{position}" for position in range(1, count + 1)]


def table_of_vectors(raw: Raw, wanted: Wanted) -> Raw:
    """Makes a table of an array (N, D), whose columns are x1 to xD.

    For a run whose columns have other names, they are those of the run, in its order.

    Args:
        raw: the array, with its labels and parts.
        wanted: what is asked for.

    Raises:
        ShapeError: the array has not the columns of the run.
        DataError: as `table_of_frame`.
    """
    import polars

    if LABEL in wanted.given and raw.labels is not None:
        wanted = replace(wanted, given=(), conditions=())  # the labels are no column
    names = array_names(raw.values.shape[1])
    if wanted.like is not None and wanted.like.table:
        names = _names_for_run(names, wanted.like.columns, raw)
    # Polars would take a square array with columns that are contiguous for one of columns.
    frame = polars.DataFrame(np.asarray(raw.values), schema=names, orient="row")
    table = table_of_frame(frame, wanted, raw.name)
    labels = raw.labels
    if labels is None:
        labels = table.labels
    return replace(
        table,
        labels=labels,
        train=raw.train,
        validation=raw.validation,
        notes=(*raw.notes, *table.notes),
    )


def _names_for_run(names: list[str], columns: Sequence[str], raw: Raw) -> list[str]:
    """Names the columns of an array that a run reads.

    Raises:
        ShapeError: it has other columns than the run.
    """
    if set(columns) <= set(names):
        return names
    is_array = all(ARRAY_NAME.fullmatch(column) for column in columns)
    if is_array or len(columns) != len(names):
        raise ShapeError(
            f"{raw.name} has {len(names)} columns without names, the run was fitted on the "
            f"{len(columns)} columns {listed(columns)}: give a frame with these, or an array of "
            "the same columns"
        )
    return list(columns)


def describe_frame(frame: "DataFrame", wanted: Wanted, name: str) -> Description:
    """Describes a frame by its first rows, and says what a fit would refuse of them.

    Args:
        frame: the table.
        wanted: what is asked for.
        name: the source as it appears in messages.

    Raises:
        DataError: two columns have the same name.
    """
    head = frame.head(_rows_looked_at(frame.width))
    head = head.rename(normal_names(frame.columns, name))
    found = _describe_head(head, wanted, name, cells_of_frame(wanted.text))
    return replace(found, count=len(frame))


# Files


def scan_parquet(path: Path) -> "LazyFrame":
    """Opens a Parquet file, of which nothing is read yet but its headers.

    Raises:
        DataError: it claims more than its size warrants: few bytes may stand for billions.
        OSError: it is no regular file (or another error of Polars, for one that is damaged).
    """
    import polars

    refuse_special(path)
    frame = polars.scan_parquet(path, glob=False)
    # For a file that is no Parquet, Polars raises an error in its own words here.
    width = len(frame.collect_schema())
    refuse_unpacked(path)
    rows = frame.select(polars.len()).collect().item()
    refuse_bomb(path, 8 * rows * max(1, width), path.stat().st_size)
    return frame


def text_bytes(frame: "DataFrame") -> int:
    """Counts the bytes that the texts of a frame need as Python strings.

    A text that stands in many rows is stored once in a file, but not then.
    """
    import polars

    lengths = frame.select(polars.col(polars.String).str.len_bytes().cast(polars.Int64).sum())
    if not lengths.width:
        return 0
    return sum(lengths.row(0))


def _read_parquet(path: Path, wanted: Wanted) -> Raw:
    """Reads a Parquet file: whole, or, if it is large, one column after another."""
    import polars

    scan = scan_parquet(path)
    names = scan.collect_schema().names()
    scan = scan.rename(normal_names(names, str(path)))
    choice = choose_columns(scan.collect_schema().names(), wanted, str(path))
    # Columns of other types are not unpacked: one text, or the list in one row, may be of any size.
    schema = scan.collect_schema()
    types = {name: schema[name] for name in choice.values}
    if wanted.is_mixed:
        choice = _leave_out_nested(choice, types, str(path))
    else:
        _refuse_other_types(types, str(path), wanted)
    _refuse_nested({name: schema[name] for name in choice.others}, str(path))
    cells = cells_of_frame(wanted.text)
    rows = scan.select(polars.len()).collect().item()
    if wanted.is_mixed and is_mapped((rows, len(choice.values))):
        stored = StoredColumns(scan, choice.all, rows, (partial(_without_long_texts, path),))
        return _make_table(stored, choice, wanted, str(path), cells)
    frame = scan.select(choice.all).collect()
    refuse_bomb(path, text_bytes(frame), path.stat().st_size)
    return _make_table(frame, choice, wanted, str(path), cells)


def _without_long_texts(path: Path, column: "Series") -> "Series":
    """Returns a column whose texts are not far longer than the file; refuses others."""
    refuse_bomb(path, text_bytes(column.to_frame()), path.stat().st_size)
    return column


def _leave_out_nested(choice: Choice, types: dict[str, Any], table: str) -> Choice:
    """Leaves out columns of lists, structures and bytes, which are not unpacked."""
    nested = {name: kind for name, kind in types.items() if _is_nested(kind)}
    if not nested:
        return choice
    values = tuple(name for name in choice.values if name not in nested)
    shown = ", ".join(f"{name!r} ({one_line(kind, 40)})" for name, kind in nested.items())
    if not values:
        raise DataError(f"{table} has no column that a model reads: {one_line(shown, 240)}")
    note = f"{table}: left out, and not unpacked: {one_line(shown, 240)}"
    return replace(choice, values=values, notes=(*choice.notes, note))


def _is_nested(kind: Any) -> bool:
    """Says whether values of a type are lists, structures, bytes or objects."""
    import polars

    return bool(kind.is_nested()) or kind in (polars.Binary, polars.Object)


def _read_parquet_columns(path: Path, columns: Sequence[str]) -> "DataFrame":
    """Reads columns of numbers or texts."""
    scan = scan_parquet(path)
    scan = scan.rename(normal_names(scan.collect_schema().names(), str(path)))
    schema = scan.collect_schema()
    refuse_unknown(columns, schema.names(), str(path))
    chosen = [normal_name(column) for column in columns]
    _refuse_nested({name: schema[name] for name in chosen}, str(path))
    frame = scan.select(chosen).collect()
    refuse_bomb(path, text_bytes(frame), path.stat().st_size)
    return frame


def _read_text(path: Path, wanted: Wanted) -> Raw:
    """Reads a text file: whole, or, if it is large, one column after another."""
    dialect = find_dialect(path, wanted.text)
    choice = choose_columns(dialect.columns, wanted, str(path))
    if not wanted.is_mixed:
        numbers, dialect = _read_numbers(dialect, choice, wanted)
        return _table_of_text(numbers, dialect, choice, wanted)
    texts = scan_texts(path, dialect).select(choice.all)
    if not is_mapped((dialect.rows, len(choice.values))):
        return _table_of_text(_collect_texts(texts, dialect), dialect, choice, wanted)
    with _refusing_ragged(dialect), storing(texts) as stored:
        return _table_of_text(stored, dialect, choice, wanted)


def _table_of_text(
    frame: "DataFrame | StoredColumns", dialect: Dialect, choice: Choice, wanted: Wanted
) -> Raw:
    """Makes a table of the columns of a text file."""
    path = str(dialect.path)
    if len(frame) != dialect.rows:
        raise DataError(
            f"{path} has {dialect.rows} lines of values, and {len(frame)} rows were read; see "
            "data.quote and data.separator"
        )
    choice = _leave_out_empty(frame, dialect, choice, wanted)
    cells = cells_of_text(dialect, wanted.text)
    wanted = replace(wanted, text=replace(wanted.text, decimal=dialect.decimal))
    raw = _make_table(frame, choice, wanted, path, cells)
    return replace(raw, notes=(*dialect.notes(), *raw.notes))


def _read_numbers(dialect: Dialect, choice: Choice, wanted: Wanted) -> "tuple[DataFrame, Dialect]":
    """Reads the columns of a text file: of numbers, where all fields are numbers.

    Returns:
        The columns, and the dialect by which they were read.
    """
    frame = _read_fields(dialect, choice)
    may_have_commas = dialect.separator == ";" and wanted.text.decimal is None
    if may_have_commas and _has_texts(frame, choice):
        # The first number with a decimal comma may stand below the sample.
        with_commas = replace(dialect, decimal=",")
        read_again = _read_fields(with_commas, choice)
        if not _has_texts(read_again, choice):
            return read_again, with_commas
    return frame, dialect


def _has_texts(frame: "DataFrame", choice: Choice) -> bool:
    """Says whether a column of values holds texts."""
    import polars

    return any(frame.schema[name] == polars.String for name in choice.values)


def _read_fields(dialect: Dialect, choice: Choice) -> "DataFrame":
    """Reads the columns of a text file: of numbers, where all fields are numbers."""
    from polars.exceptions import ComputeError

    texts = scan_texts(dialect.path, dialect)
    numbers = _plain_numbers(dialect, choice.values)
    try:
        scan = scan_texts(dialect.path, dialect, numbers=numbers)
        frame = scan.select(choice.values).collect()
    except ComputeError:
        # Some field below the sample is no number, or has a blank beside it.
        frame = _collect_texts(texts.select(choice.values), dialect)
    frame = parse_spelled_numbers(frame, dialect)
    if choice.others:
        frame = frame.hstack(texts.select(choice.others).collect())
    return frame


def _collect_texts(texts: "LazyFrame", dialect: Dialect) -> "DataFrame":
    """Reads columns of texts. DataError if a line has too many fields."""
    with _refusing_ragged(dialect):
        return texts.collect()


@contextmanager
def _refusing_ragged(dialect: Dialect) -> Iterator[None]:
    """Makes a DataError of what Polars raises in a block that reads a line of too many fields."""
    from polars.exceptions import ComputeError

    try:
        yield
    except ComputeError:
        raise DataError(describe_ragged_line(dialect)) from None


def _plain_numbers(dialect: Dialect, columns: Sequence[str]) -> list[str]:
    """Returns those of the columns whose fields in the sample are numbers without blanks.

    With a decimal comma there are none, since Polars then takes a point for one too.
    """
    plain: list[str] = []
    if dialect.decimal == ",":
        return plain
    for name, fields in zip(dialect.columns, zip(*dialect.sample, strict=False), strict=False):
        if all(field == field.strip() and is_value(field, dialect.decimal) for field in fields):
            plain.append(name)
    known = set(plain)
    return [name for name in columns if name in known]


def parse_spelled_numbers(frame: "DataFrame", dialect: Dialect) -> "DataFrame":
    """Converts those columns of texts to numbers whose texts all are numbers or Booleans.

    The rest stays as it is after more columns of other texts than a message shows.
    """
    import polars

    columns: list[Series] = []
    texts = 0
    for start in range(0, frame.width, COLUMNS_AT_ONCE):
        part = frame[:, start : start + COLUMNS_AT_ONCE]
        spelled = part.select(polars.col(polars.String))
        if spelled.width and texts <= MOST_SHOWN:
            part = part.with_columns(_parse_part(spelled, dialect))
            texts += part.select(polars.col(polars.String)).width
        columns += part.get_columns()
    return frame.with_columns(columns)


def _parse_part(frame: "DataFrame", dialect: Dialect) -> "list[Series]":
    """Converts some columns of texts, where that can be done."""
    import polars

    texts = polars.all().str.strip_chars()
    words = list(dialect.missing)
    frame = frame.with_columns(polars.when(~texts.is_in(words)).then(texts))
    numbers = frame.select(as_number(polars.all(), dialect.decimal))
    are_numbers = _are_equal(frame.null_count(), numbers.null_count())
    lowered = frame.select(polars.all().str.to_lowercase())
    booleans = lowered.select(polars.all() == "true")
    are_booleans = lowered.select(polars.all().is_in(list(BOOLEANS)).all()).row(0)
    columns = []
    for position, text in enumerate(frame.iter_columns()):
        if are_numbers[position]:
            columns.append(numbers.to_series(position))
        elif are_booleans[position]:
            columns.append(booleans.to_series(position))
        else:
            columns.append(text)
    return columns


def _are_equal(first: "DataFrame", second: "DataFrame") -> list[bool]:
    """Says of each column whether two frames of one row have the same in it."""
    return [one == other for one, other in zip(first.row(0), second.row(0), strict=True)]


def as_number(text: "Expr", decimal: str = ".") -> "Expr":
    """Converts texts to float64; a text that is no number becomes missing."""
    import polars

    text = text.str.strip_chars().str.to_lowercase()
    if decimal == ",":
        # A point is no decimal mark here, and may stand between thousands.
        text = polars.when(~text.str.contains(".", literal=True)).then(text)
        text = text.str.replace(",", ".", literal=True)
    return text.cast(polars.Float64, strict=False)


def _leave_out_empty(
    frame: "DataFrame | StoredColumns", dialect: Dialect, choice: Choice, wanted: Wanted
) -> Choice:
    """Leaves out columns without a name and without values, as of a separator after each line."""
    empty = []
    for position, name in enumerate(dialect.columns, 1):
        is_unnamed = dialect.header and name == f"column_{position}"
        if is_unnamed and name in choice.values and frame[name].null_count() == len(frame):
            empty.append(name)
    if not empty or wanted.columns is not None or len(empty) == len(choice.values):
        return choice
    note = (
        f"{dialect.path}: columns without a name and without values are left out: {listed(empty)}"
    )
    values = tuple(name for name in choice.values if name not in empty)
    return replace(choice, values=values, notes=(*choice.notes, note))


# Descriptions


def _describe_text(path: Path, wanted: Wanted) -> Description:
    """Describes a text file by its dialect and its first rows."""
    dialect = find_dialect(path, wanted.text)
    rows = _rows_looked_at(len(dialect.columns))
    head = _collect_texts(scan_texts(path, dialect).head(rows), dialect)
    found = _describe_head(head, wanted, str(path), cells_of_text(dialect, wanted.text))
    return replace(found, count=dialect.rows, notes=(*dialect.notes(), *found.notes))


def _describe_parquet(path: Path, wanted: Wanted) -> Description:
    """Describes a Parquet file by its header and its first rows, where these are of plain types."""
    import polars

    scan = scan_parquet(path)
    scan = scan.rename(normal_names(scan.collect_schema().names(), str(path)))
    schema = scan.collect_schema()
    flat = [name for name, kind in schema.items() if not _is_nested(kind)]
    head = scan.select(flat).head(_rows_looked_at(len(flat))).collect()
    rows = scan.select(polars.len()).collect().item()
    found = _describe_head(head, wanted, str(path), cells_of_frame(wanted.text), schema)
    nested = []
    for name, kind in schema.items():
        if _is_nested(kind):
            why = f"values of type {one_line(kind, 60)}"
            nested.append(Column(name, "text", "left out", 0, (), why))
    return replace(found, count=rows, columns=(*found.columns, *nested))


def _rows_looked_at(width: int) -> int:
    """Says how many rows of a table of so many columns are looked at for a description."""
    return max(HEAD_ROWS, min(MOST_ROWS, MOST_CELLS // max(width, 1)))


def _describe_head(
    head: "DataFrame",
    wanted: Wanted,
    name: str,
    cells: CellFormat,
    schema: Mapping[str, Any] | None = None,
) -> Description:
    """Describes a table by its first rows, and says what a fit would refuse of them.

    Args:
        head: the rows.
        wanted: what is asked for.
        name: the table as it appears in messages.
        cells: how the cells are written.
        schema: the types of all columns of a file, where those that are not unpacked are not in
            `head`.
    """
    problem = None
    notes: tuple[str, ...] = ()
    uses: dict[str, str] = {}
    kinds: dict[str, FoundKind | DataError] = {}
    try:
        choice = choose_columns(list(schema or head.columns), wanted, name)
        if schema is not None:
            choice = _leave_out_nested(choice, {each: schema[each] for each in choice.values}, name)
            _refuse_nested({each: schema[each] for each in choice.others}, name)
        notes = choice.notes
        uses = _uses_of(choice, head.columns)
        frame = head.select(choice.values)
        found, raw = _look_at_kinds(frame, wanted.kinds or {}, name, cells)
        kinds = dict(zip(frame.columns, found, strict=True))
        notes += raw.notes
    except LowerboundError as error:
        problem = str(error)
    return Description(
        name,
        "table",
        len(head),
        columns=_describe_columns(head, kinds, uses, name, cells),
        looked_at=len(head),
        notes=notes,
        problem=problem,
    )


def _look_at_kinds(
    frame: "DataFrame", kinds: Mapping[str, str], name: str, cells: CellFormat
) -> "tuple[list[FoundKind], Raw]":
    """Finds the kinds of the columns of a table, and makes the table.

    Raises:
        DataError: a column can be read in two ways, or none is left.
        ConfigError: a kind that the user has named does not fit.
    """
    plain = plain_frame(frame, kinds, cells)
    found = find_kinds(frame, kinds, name, cells, plain)
    found, values = read_table(frame, plain, found, kinds, cells)
    return found, table_of_found(frame, found, values, name, cells)


def _describe_columns(
    head: "DataFrame",
    kinds: "dict[str, FoundKind | DataError]",
    uses: Mapping[str, str],
    name: str,
    cells: CellFormat,
) -> tuple[Column, ...]:
    """Describes the columns of the first rows of a table.

    Args:
        head: the rows.
        kinds: the kinds of columns, where they are found already.
        uses: what each column would be used for.
        name: the table as it appears in messages.
        cells: how the cells are written.
    """
    others = head.drop(list(kinds))
    found = find_or_refuse(others, {}, name, cells, plain_frame(others, {}, cells))
    kinds = {**kinds, **dict(zip(others.columns, found, strict=True))}
    columns = []
    for series in head.iter_columns():
        use = uses.get(series.name, "left out")
        columns.append(describe_found(kinds[series.name], series, cells, use))
    return tuple(columns)


def _uses_of(choice: Choice, names: Sequence[str]) -> dict[str, str]:
    """Says what each column is used for; one that is left out has no entry."""
    uses = dict.fromkeys((name for name in names if is_index(name, names)), "index")
    uses |= dict.fromkeys(choice.values, "value")
    uses |= dict.fromkeys(choice.ids, "id")
    if choice.labels is not None:
        uses[choice.labels] = "label"
    uses |= dict.fromkeys(choice.given, "condition")
    return uses


# Numbers


def _make_table(
    frame: "DataFrame | StoredColumns",
    choice: Choice,
    wanted: Wanted,
    name: str,
    cells: CellFormat,
) -> Raw:
    """Makes a table of the chosen columns of a frame."""
    if wanted.is_mixed or isinstance(frame, StoredColumns):
        raw = mixed_table(frame, choice, wanted, name, cells)
    else:
        raw = _table_of_numbers(frame, choice, wanted, name)
    names = {column or UNNAMED_INDEX: _as_names(frame[column]) for column in choice.ids}
    labels = None
    if choice.labels is not None:
        labels = _as_names(frame[choice.labels])
    notes = (*choice.notes, *raw.notes)
    raw = replace(raw, labels=labels, names=names, notes=notes)
    if choice.given:
        raw = read_conditions(frame, choice.given, wanted, name, cells).added_to(raw)
    return raw


def _table_of_numbers(frame: "DataFrame", choice: Choice, wanted: Wanted, name: str) -> Raw:
    """Makes a table of numbers alone, without gaps; ids and labels are not in it."""
    values = to_numbers(frame.select(choice.values), name, wanted)
    notes = _note_rounded(frame, choice, values, name)
    if not wanted.is_run:
        notes += _note_counts(values, choice, name)
    return Raw(name, "table", values, None, columns=choice.values, notes=notes)


def _as_names(column: "Series") -> np.ndarray:
    """Converts ids or labels to whole numbers, if each is written just so, or else to texts.

    For example 1 is a whole number, and 001 is a text. A missing one is the empty text.
    """
    import polars

    texts = column.cast(polars.String, strict=False)
    numbers = texts.cast(polars.Int64, strict=False)
    if numbers.cast(polars.String).equals(texts) and not texts.null_count():
        return numbers.to_numpy()
    return np.array(texts.fill_null("").to_list(), dtype=object)


def _note_rounded(
    frame: "DataFrame", choice: Choice, values: np.ndarray, name: str
) -> tuple[str, ...]:
    """Tells of columns with numbers so large that float64 lacks some whole numbers beside them."""
    is_large = (np.abs(values) >= LARGEST_EXACT).any(axis=0)
    columns = [column for column, large in zip(choice.values, is_large, strict=True) if large]
    if not columns:
        return ()
    note = (
        f"{name}: numbers from 2^53 on are rounded in {listed(columns)}; if they are ids, name "
        "them in data.ids or data.exclude"
    )
    return (note,)


def _note_counts(values: np.ndarray, choice: Choice, name: str) -> tuple[str, ...]:
    """Notes columns that count the rows, which may be an index under a name of its own.

    Args:
        values: the numbers of the table, (N, D).
        choice: their columns.
        name: the table as it appears in messages.
    """
    if len(values) < LEAST_COUNTED:
        return ()
    # Few columns begin so, and only those are looked through.
    head = values[:LEAST_COUNTED]
    may_count = np.isin(head[0], (0, 1)) & (np.diff(head, axis=0) == 1).all(axis=0)
    counted = []
    for position in np.flatnonzero(may_count):
        if (np.diff(values[:, position]) == 1).all():
            counted.append(choice.values[position])
    if not counted:
        return ()
    note = (
        f"{name}: a value that only counts the rows: {listed(counted)}; if it is an index leave it "
        "out (data.exclude), or keep it beside the codes (data.ids)"
    )
    return (note,)


def to_numbers(frame: "DataFrame", name: str, wanted: Wanted) -> np.ndarray:
    """Converts a frame to float64 (N, D), rows contiguous.

    Args:
        frame: the columns of values.
        name: the table as it appears in messages.
        wanted: what is asked for; a message says what to change of it.

    Raises:
        DataError: there is anything but finite numbers.
    """
    import polars

    # A column that is all missing passes here: `_refuse_missing` names it.
    types = {}
    for column in frame:
        if column.null_count() < len(column):
            types[column.name] = column.dtype
    _refuse_other_types(types, name, wanted, frame)
    numbers = frame.select(polars.all().cast(polars.Float64))
    values = np.ascontiguousarray(numbers.to_numpy())
    _refuse_missing(frame, values, name, wanted)
    return values


def _refuse_nested(types: dict[str, Any], table: str) -> None:
    """Refuses ids and labels of types that are no words: lists, structures, bytes."""
    for name, kind in types.items():
        if _is_nested(kind):
            raise DataError(
                f"{table} has the column {name!r} of type {one_line(kind, 80)}; allowed as ids "
                "and labels (data.ids, data.labels): texts and numbers"
            )


def _refuse_other_types(
    types: dict[str, Any], table: str, wanted: Wanted, frame: "DataFrame | None" = None
) -> None:
    """Refuses columns of types that hold no numbers.

    Args:
        types: the types of columns by their names.
        table: the table as it appears in messages.
        wanted: what is asked for.
        frame: the columns, where they are read: of texts the message shows the first that is no
            number.

    Raises:
        DataError: a column holds no numbers.
    """
    import polars

    others = {}
    for name, kind in types.items():
        if not kind.is_numeric() and kind not in (polars.Boolean, polars.Null):
            others[name] = kind
    descriptions = []
    hints = set()
    for name, kind in list(others.items())[:MOST_SHOWN]:
        description = str(kind)
        if frame is not None and kind == polars.String:
            row, word = _first_word(frame[name], wanted.text.decimal or ".")
            description = f"{one_line(repr(word), 40)} in row {row}"
            hints.add(_explain(word))
        descriptions.append(f"{name!r} ({description})")
    if not descriptions:
        return
    if len(others) > MOST_SHOWN:
        descriptions.append("and others")
    shown = one_line(", ".join(descriptions), 240)
    explanation = "".join(sorted(hints))
    raise DataError(
        f"{table} has columns that are not numbers: {shown}{explanation}; {_way_out(wanted)}"
    )


def _way_out(wanted: Wanted) -> str:
    """Says what can be done with columns that are no numbers."""
    if wanted.is_run:
        return "the run needs a number in each row"
    return (
        "data.kinds={} reads columns of all kinds (with model.likelihood.type=Columns, as in the "
        "recipe table), or leave them out through data.exclude"
    )


def _explain(word: str) -> str:
    """Explains why a word that looks like a number is none."""
    word = word.strip()
    if COMMA_DECIMAL.fullmatch(word):
        return "; if the comma is a decimal mark set data.decimal=',', else write plain numbers"
    if GROUPED.fullmatch(word):
        return "; marks between thousands are not read: write plain numbers"
    if is_with_unit(word):
        return "; currency signs, percent signs and units are not read: write plain numbers"
    return ""


def _first_word(texts: "Series", decimal: str) -> tuple[int, str]:
    """Returns the first text of a column that is no number, after its row.

    Rows are counted from 1 below the header.
    """
    import polars

    # The text stands beside its number, whatever the column is called.
    frame = texts.to_frame().select(word=polars.first(), number=as_number(polars.first(), decimal))
    is_no_number = polars.col("number").is_null() & polars.col("word").is_not_null()
    rows = frame.with_row_index("row", 1)
    words = rows.filter(is_no_number)
    if words.is_empty():
        words = rows.filter(polars.col("word").is_not_null())
    row, word, _ = words.row(0)
    return row, word


def _refuse_missing(frame: "DataFrame", values: np.ndarray, table: str, wanted: Wanted) -> None:
    """Refuses columns with missing, NaN or infinite values, or some beyond float32.

    Raises:
        DataError: there are such columns.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        is_bad = ~np.isfinite(values.astype(np.float32))
    descriptions = []
    for name, is_bad_row in zip(frame.columns, is_bad.T, strict=True):
        rows = np.flatnonzero(is_bad_row) + 1
        if len(rows):
            descriptions.append(
                f"{name!r} ({len(rows)} of {len(frame)} rows, first in row {rows[0]})"
            )
    if not descriptions:
        return
    shown = one_line(", ".join(descriptions), 240)
    way_out = (
        "data.kinds={} takes them for gaps (with model.likelihood.type=Columns, as in the recipe "
        "table), or fill or drop them, or leave the column out through data.exclude"
    )
    if wanted.is_run:
        way_out = "the run needs a number in each row: fill or drop them"
    raise DataError(
        f"{table} has values that are missing, NaN, infinite or beyond float32 in {shown}; "
        f"{way_out}"
    )
