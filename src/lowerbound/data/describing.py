"""What a source would be read as, said before anything is fitted, without reading all of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..system.files import expand_home
from .files.description import Description
from .files.folders import has_pictures
from .files.sizes import AUTO
from .files.sources import AS_IT_IS, Wanted, all_readers, describe_raw, find_reader, reason
from .files.tables import Table, describe_frame
from .interactions.columns import Columns
from .interactions.description import TIMED, describe_log
from .interactions.folders import holds_pieces, list_files, matches, parts_of
from .interactions.forms import JSON, find_ending
from .interactions.logs import Writing
from .named.entries import NAMED, find_path
from .splits import OwnParts, SplitSizes, cut

if TYPE_CHECKING:
    from .memory import DataSource, InMemory

INTERACTIONS = "interactions"
"""The kind of a log of users and items."""

COMMANDS = {
    "image": "fit images --data {}",
    "table": "fit table --data {}",
    "vector": "fit table --data {}",
    INTERACTIONS: "fit multvae --data {}",
}
"""What people do with data of each kind."""

MAY_BE_LOG = (
    "columns without names may be users and items too: lowerbound fit multvae reads them so, and "
    "describe --interactions shows it"
)
"""What is said of a file that may be a table or a log."""

NOT_LEVELS = (
    "the recipe images reads 256 levels: save pixels as whole numbers of 8 bits (uint8), or set "
    "model.likelihood.levels to the number of levels, which a fit names, or another "
    "model.likelihood for real numbers"
)
"""What is said of images that the recipe for images does not take as it is."""

SPARSE_SUFFIX = ".npz"
"""A matrix of users and items is kept in such a file."""


TABLES_IN_FOLDER = (
    "{} holds {} without columns of users and items, and from a folder logs of "
    "these alone are read; of a table give one file, such as {}; of a log name its columns by "
    "--set data.interactions.user=... and data.interactions.item=..."
)
"""What is said of a folder with a table in parts or in pieces."""

OF_ANY_SIZE = replace(AS_IT_IS, size=AUTO)
"""Pictures may be of any sizes, as for the recipe that is proposed."""


@dataclass(frozen=True)
class Reading:
    """How a source is to be read, where the user has said so.

    Attributes:
        wanted: what is asked of the reader, and how texts are written.
        columns: the columns of a log.
        is_log: the source is a log of interactions; None: it is one if it looks so.
    """

    wanted: Wanted = OF_ANY_SIZE
    columns: Columns = TIMED
    is_log: bool | None = None


AS_IT_LOOKS = Reading()
"""Everything is found from the source."""


def describe(source: "DataSource", reading: Reading = AS_IT_LOOKS) -> Description:
    """Says what a source would be read as: its kind, shape, columns, labels, parts and traps.

    A log of interactions is told from a table by its columns: one of users and one of items, by
    their usual names.

    Args:
        source: the name of a set, the path of a file or folder, or data in memory.
        reading: how it is to be read, where that is not to be found.

    Raises:
        DataError: it is missing, of no known kind, or cannot even be looked at.
    """
    found = _describe(source, reading)
    if found.kind == "image" and found.levels is None and found.problem is None:
        return replace(found, notes=(*found.notes, NOT_LEVELS))
    return found


def _describe(source: "DataSource", reading: Reading) -> Description:
    """Describes a source, whatever a recipe makes of it."""
    if not isinstance(source, str | PathLike):
        return _describe_memory(source, reading)
    source = str(source)
    if source in NAMED:
        return _describe_named(source)
    if matches(source):
        return _describe_as_log(expand_home(source), reading)
    path = find_path(source)
    try:
        if reading.is_log:
            return _describe_as_log(path, reading)
        log = None
        if reading.is_log is None:
            log = _describe_if_log(path, reading)
        may_be_table = log is not None and _is_without_header(log) and not path.is_dir()
        if log is not None and not may_be_table:
            return log
        found = find_reader(path).describe(path, reading.wanted)
        if log is not None:
            return replace(found, notes=(*found.notes, MAY_BE_LOG))
        return found
    # A folder may not be looked into, or holds paths that are too long to be looked at.
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}") from None


def _describe_as_log(path: Path, reading: Reading) -> Description:
    """Describes a source as a log, whatever it looks like."""
    wanted = reading.wanted
    return describe_log(path, Writing(wanted.text, wanted.columns), reading.columns)


def _describe_folder_if_log(path: Path, reading: Reading) -> Description | None:
    """Describes a folder as a log if it has the files of one, and no pictures, and else not.

    Raises:
        DataError: its files are of no one log, and of nothing else.
    """
    try:
        is_parted = bool(parts_of(path))
    except DataError:
        return None
    is_other = any(reader.claims(path) and not reader.fallback for reader in all_readers())
    if not is_parted and (is_other or not holds_pieces(path) or has_pictures(path)):
        return None
    parts = list_files(path).parts
    log = _describe_as_log(path, reading)
    first = parts[0][0].path
    if log.problem is None or not Table().claims(first):
        return log
    held = "files"
    if len(parts) > 1:
        held = "train and test files"
    found = Table().describe(first, reading.wanted)
    return replace(found, problem=TABLES_IN_FOLDER.format(path, held, first))


def _describe_if_log(path: Path, reading: Reading) -> Description | None:
    """Describes a source as a log if it has the files or the columns of one, and else not."""
    if path.is_dir():
        return _describe_folder_if_log(path, reading)
    is_table = Table().claims(path)
    is_lines = (find_ending(path) or "").startswith(JSON)
    is_typed = find_ending(path) in (".feather", ".arrow", ".ipc")
    if not is_table and not is_lines and not is_typed and not _is_sparse(path):
        return None
    try:
        found = _describe_as_log(path, reading)
    except DataError:
        if not is_table:
            raise
        # Its reader says what is wrong with it as a table.
        return None
    uses = {column.use for column in found.columns}
    is_log = found.problem is None and {"user", "item"} <= uses
    if is_table and not is_log:
        return None
    return found


def _is_without_header(found: Description) -> bool:
    """Says whether columns were found by their places alone, which a table may have too."""
    return any(column.name.startswith("column_") for column in found.columns)


def _is_sparse(path: Path) -> bool:
    """Says whether a file holds a sparse matrix of SciPy, by the names of its members."""
    import zipfile

    if path.suffix.lower() != SPARSE_SUFFIX:
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return "format.npy" in names and "shape.npy" in names


def _describe_memory(source: "InMemory", reading: Reading) -> Description:
    """Describes examples in memory."""
    # This needs torch, which takes longer than all else here.
    from .memory import read_examples, to_frame, to_plain

    frame = to_frame(source)
    if frame is None and _has_names(source):
        frame = to_frame(to_plain(source))
    if frame is not None:
        return describe_frame(frame, reading.wanted, "the frame")
    return describe_raw(read_examples(source, reading.wanted))


def _has_names(source: "InMemory") -> bool:
    """Says whether this is a dict, or a list of dicts, which may be a table."""
    is_list = isinstance(source, list) and bool(source) and isinstance(source[0], Mapping)
    return is_list or isinstance(source, Mapping)


def _describe_named(name: str) -> Description:
    """Describes a named set, which is read if it is here."""
    entry = NAMED[name]
    place = entry.found()
    if place is None:
        return Description(name, entry.kind, None, (entry.summary, "not here yet"))
    if entry.kind == INTERACTIONS:
        return Description(name, entry.kind, None, (entry.summary, str(place)))
    found = describe_raw(entry.open())
    return replace(found, name=name, facts=(entry.summary, *found.facts))


def split_counts(found: Description, sizes: SplitSizes) -> dict[str, int]:
    """Counts the examples of each split that a fit would make; empty where that is not known.

    Raises:
        DataError: no training example would remain.
    """
    if found.count is None or found.kind == INTERACTIONS:
        return {}
    rows = cut(found.count, OwnParts(found.train, found.validation), sizes, found.name)
    return {
        "train": len(rows.train),
        "validation": len(rows.validation),
        "test": len(rows.test),
    }
