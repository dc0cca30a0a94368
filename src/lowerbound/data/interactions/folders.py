"""Which files a log is made of: one, those of a folder, or those that a pattern of paths names.

A folder may hold a file for each of its own parts (train, perhaps valid, and test), or the pieces
of one log, as Spark, DuckDB and others write them. What stands in the names of folders as
`key=value`, such as `date=2024-01-31`, is a column of the rows below (a partition of Hive).
"""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from ...errors import DataError, one_line
from ...system.files import exists, expand_home
from ..files.folders import natural_key
from ..files.texts import normal_name
from .forms import ALLOWED, find_ending

PART_STEMS = (
    ("train", "training"),
    ("valid", "validation", "val", "dev"),
    ("test", "testing"),
)
"""Names of files, without their endings, and of folders, in a source that brings its own parts.

The position of a name here is the number of its part.
"""

SHARD = re.compile(r"(.+)-\d+-of-\d+")
"""The name of one of several files of a part, such as train-00000-of-00002."""

WILD = "*?["
"""A source with one of these characters is a pattern, unless there is such a path."""

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""Hive and Spark call the folder of rows without a value so."""

TABLES = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}
"""Folders within those of tables that also keep the files of rows that they have dropped."""


@dataclass(frozen=True)
class LogFile:
    """A file of a log.

    Attributes:
        path: where it is.
        keys: the columns that the names of its folders tell; None where they tell of no value.
    """

    path: Path
    keys: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """The files of a log.

    Attributes:
        parts: the files of {0: all}, or of the source's own {0: train, 1: valid, 2: test}; valid
            may be missing.
        notes: a sentence on how many there are, and one on what was passed over.
    """

    parts: dict[int, tuple[LogFile, ...]]
    notes: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that the names of folders tell."""
        return keys_of(file for files in self.parts.values() for file in files)


def keys_of(files: Iterable[LogFile]) -> tuple[str, ...]:
    """Lists the columns that the names of the folders of files tell."""
    return tuple(dict.fromkeys(key for file in files for key in file.keys))


def is_pattern(source: str) -> bool:
    """Says whether a source is a pattern of paths, such as `plays/*.parquet`."""
    return any(character in source for character in WILD) and not exists(expand_home(source))


def matches(source: str) -> bool:
    """Says whether a source is a pattern that some path fits."""
    return is_pattern(source) and bool(glob.glob(str(expand_home(source)), recursive=True))


def absolute_pattern(source: str) -> str:
    """Returns a pattern that names the same paths from any folder."""
    return str(Path(glob.escape(os.getcwd())) / expand_home(source))


def list_files(path: Path) -> Listing:
    """Lists the files of a log.

    Args:
        path: a file, a folder, or a pattern of paths.

    Raises:
        DataError: there are none, or nobody can know what they are parts of.
        OSError: a folder cannot be looked into.
    """
    if is_pattern(str(path)):
        return _list_matches(path)
    if not path.is_dir():
        return Listing({0: (LogFile(path),)})
    parts = parts_of(path)
    if parts:
        return Listing(parts)
    return list_pieces(path)


# A folder with its own parts


def parts_of(folder: Path) -> dict[int, tuple[LogFile, ...]]:
    """Finds the files of a folder that brings its own parts, by their numbers in `PART_STEMS`.

    Returns:
        The files of each part; nothing where no file has the name of one.

    Raises:
        DataError: train or test is missing, or a part is there twice.
    """
    paths = sorted(folder.iterdir(), key=lambda path: natural_key(path.name))
    parts: dict[int, tuple[LogFile, ...]] = {}
    for number, stems in enumerate(PART_STEMS):
        of_part = [path for path in paths if _stem(path) in stems and _holds_log(path)]
        if len(of_part) > 1 and not all(SHARD.fullmatch(_bare_name(path)) for path in of_part):
            raise DataError(
                f"{folder} holds {of_part[0].name} and {of_part[1].name}; allowed: one file of "
                "each part"
            )
        files: list[LogFile] = []
        for path in of_part:
            if path.is_dir():
                files += list_pieces(path).parts[0]
            else:
                files.append(LogFile(path))
        if files:
            parts[number] = tuple(files)
    if parts and (0 not in parts or 2 not in parts):
        raise DataError(
            f"{folder} holds no train and test (and perhaps valid) files; allowed: each as "
            f"{ALLOWED}, or files of one log, none of which is called as a part"
        )
    return parts


def _bare_name(path: Path) -> str:
    """Returns the name of a folder, or that of a file without its ending, in small letters."""
    return path.name.lower().removesuffix(find_ending(path) or "")


def _stem(path: Path) -> str:
    """Returns the bare name without the number of a shard."""
    name = _bare_name(path)
    shard = SHARD.fullmatch(name)
    if shard is None:
        return name
    return shard[1]


def _holds_log(path: Path) -> bool:
    """Says whether this is a file of a log, or a folder with one."""
    if path.is_dir():
        return holds_pieces(path)
    return path.is_file() and find_ending(path) is not None


# The pieces of one log


def holds_pieces(folder: Path) -> bool:
    """Says whether there is a file of a log anywhere below a folder."""
    return any(find_ending(Path(name)) is not None for name in _walk(folder))


def _walk(folder: Path) -> Iterator[str]:
    """Yields the paths of the visible files anywhere below a folder, relative to it.

    Names that begin with a dot or an underscore are those of tools, such as `_SUCCESS`.
    """

    def stop(error: OSError) -> None:
        raise error

    for root, folders, names in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        for name in names:
            path = Path(root, name)
            if not name.startswith((".", "_")) and path.is_file():  # no pipe, which may never end
                yield path.relative_to(folder).as_posix()


def list_pieces(folder: Path) -> Listing:
    """Lists the files anywhere below a folder, which are the pieces of one log.

    Raises:
        DataError: it holds none, or is that of a table that keeps rows that it has dropped.
        OSError: it cannot be looked into.
    """
    _refuse_table(folder)
    names = sorted(_walk(folder), key=natural_key)
    pieces = [name for name in names if find_ending(Path(name)) is not None]
    if not pieces:
        raise DataError(f"{folder} holds no files of a log; allowed: {ALLOWED}")
    files = tuple(LogFile(folder / name, _read_keys(name)) for name in pieces)
    notes = tell_pieces(str(folder), files)
    others = [name for name in names if find_ending(Path(name)) is None]
    if others:
        examples = one_line(", ".join(others[:3]), 120)
        notes += (f"{folder}: files of other endings, passed over: {len(others):,} ({examples})",)
    return Listing({0: files}, notes)


def _refuse_table(folder: Path) -> None:
    """Refuses the folder of a table whose files are not all its rows."""
    kinds = [kind for name, kind in TABLES.items() if (folder / name).is_dir()]
    if any((folder / "metadata").glob("*.metadata.json")):
        kinds.append("Iceberg")
    if kinds:
        raise DataError(
            f"{folder} is a table of {kinds[0]}, which may keep the files of rows that it has "
            "dropped; give its rows as a frame from Python (Polars reads such tables), or write "
            "them to Parquet"
        )


def _list_matches(pattern: Path) -> Listing:
    """Lists the files that a pattern names, and those of the folders that it names.

    Raises:
        DataError: there are none.
    """
    files: list[LogFile] = []
    for name in sorted(glob.glob(str(pattern), recursive=True), key=natural_key):
        path = Path(name)
        if path.is_dir():
            for piece in list_pieces(path).parts[0]:
                files.append(LogFile(piece.path, _read_keys(str(piece.path))))
        elif find_ending(path) is not None:
            files.append(LogFile(path, _read_keys(name)))
    if not files:
        raise DataError(f"{pattern} names no files of a log; allowed: {ALLOWED}")
    once = tuple({file.path: file for file in files}.values())  # `**` names a folder and its files
    return Listing({0: once}, tell_pieces(str(pattern), once))


def _read_keys(name: str) -> dict[str, str | None]:
    """Reads the columns that the names of folders tell, as `key=value`."""
    keys: dict[str, str | None] = {}
    for folder in Path(name).parts[:-1]:
        key, mark, value = folder.partition("=")
        if key and mark:
            keys[normal_name(unquote(key))] = unquote(value)
        if value == NO_VALUE:
            keys[normal_name(unquote(key))] = None
    return keys


def tell_pieces(source: str, files: Sequence[LogFile]) -> tuple[str, ...]:
    """Says how many files a log has, and what the names of their folders tell."""
    if len(files) == 1 and not files[0].keys:
        return ()
    keys = keys_of(files)
    shown = 1 + bool(keys)  # the name of a partition tells its files apart
    first = Path(*files[0].path.parts[-shown:])
    last = Path(*files[-1].path.parts[-shown:])
    note = f"{source}: {len(files):,} files, {first} to {last}"
    if len(files) == 1:
        note = f"{source}: the file {first}"
    if keys:
        note += f"; columns from the names of folders: {', '.join(keys)}"
    return (note,)
