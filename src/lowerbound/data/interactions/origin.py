"""The files that a log was read from, and whether they have changed since."""

import hashlib
import os
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import RunError, one_line
from ...system.files import exists, expand_home, is_file, read_json, within

LOG = "split/log.json"
"""What the log of a run was is in this file of its folder."""

MOST_FILES = 10_000
"""Of a log of more files than these it is not said whether it has changed."""


class _Strict(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True)


class _File(_Strict):
    """What one file of a log was."""

    name: str
    size: Annotated[int, Field(ge=0)]
    modified: int
    sha256: str


class Origin(_Strict):
    """What the log of a run was: its files, those of its table of users, and sentences on how they
    were read.
    """

    files: list[_File] = []
    users: list[_File] = []
    notes: list[str] = []


def find_files(source: str) -> dict[str, Path]:
    """Finds the files of a log: that at a path, those below a folder, or those of a pattern.

    Returns:
        Their paths by their names below the source.
    """
    path = expand_home(source)
    files = {}
    if not exists(path):
        for name in sorted(glob(str(path), recursive=True)):
            if Path(name).is_dir():
                below = {f"{name}/{file}": at for file, at in find_files(name).items()}
                files.update(below)
            else:
                files[name] = Path(name)
        return files
    if path.is_file():
        return {path.name: path}
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in sorted(names):
            if not name.startswith((".", "_")):
                file = Path(folder, name)
                files[file.relative_to(path).as_posix()] = file
        if len(files) > MOST_FILES:
            break
    return files


def describe_origin(source: str | None, users: str | None, notes: Sequence[str]) -> Origin:
    """Describes the files of a log by their sizes, times and digests.

    There are none where the source is no file and no folder, or has more than `MOST_FILES`.

    Args:
        source: where the log is; None if it is in memory, or is a named set, which does not change.
        users: where its table of users is; None if it has none.
        notes: sentences on how the log was read.
    """
    return Origin(files=_describe(source), users=_describe(users), notes=list(notes))


def _describe(source: str | None) -> list[_File]:
    """Describes the files of a source."""
    if source is None:
        return []
    files = find_files(source)
    found = []
    for name, path in files.items():
        if path.is_file() and len(files) <= MOST_FILES:
            size, modified = _stamp(path)
            found.append(_File(name=name, size=size, modified=modified, sha256=_digest(path)))
    return found


def _stamp(path: Path) -> tuple[int, int]:
    """Returns the size of a file in bytes, and the time of its last change in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tell_changed(folder: Path, source: str | None, users: str | None = None) -> str | None:
    """Says that the log of a run is not what it was at the fit.

    Files of the same sizes and times are not read.

    Args:
        folder: of the run, which keeps its split.
        source: where the log is; None if it is in no file that may change.
        users: where its table of users is; None if it has none.

    Returns:
        A sentence; None where nothing has changed, nothing is known of the files, or they are gone,
        so that nobody would expect to measure them.
    """
    origin = read_origin(folder)
    changed = []
    if source is not None and _has_changed(origin.files, source):
        changed.append(source)
    if users is not None and _has_changed(origin.users, users):
        changed.append(users)
    if not changed:
        return None
    verb = "has"
    if len(changed) > 1:
        verb = "have"
    return (
        f"{one_line(' and '.join(changed), 200)} {verb} changed since the fit: the users and items "
        "are those of the fit, as the run keeps them, and new rows are not among them (--data "
        "measures a log as it is now)"
    )


def _has_changed(described: Sequence[_File], source: str) -> bool:
    """Says whether the files of a source are there, and are not those that are described."""
    files = find_files(source)
    if not described or not files:
        return False
    known = {entry.name: entry for entry in described}
    if known.keys() != files.keys():
        return True
    return not all(_is_same(known[name], files[name]) for name in files)


def _is_same(entry: _File, path: Path) -> bool:
    """Says whether a file is what it was."""
    try:
        size, modified = _stamp(path)
        if size != entry.size:
            return False
        return modified == entry.modified or _digest(path) == entry.sha256
    except OSError:
        return False


def read_origin(folder: Path) -> Origin:
    """Reads what the log of a run was. Of a run that does not tell nothing is known.

    Raises:
        RunError: the file is damaged.
    """
    path = within(folder, LOG)
    if not is_file(path):
        return Origin()
    content = read_json(path)
    try:
        return Origin.model_validate(content)
    except ValidationError as error:
        message = f"{path} does not hold what a run wrote: {error}"
        raise RunError(one_line(message)) from None
