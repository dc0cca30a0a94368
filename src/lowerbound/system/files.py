"""Files that are written whole or not at all, and questions to paths that a user gave."""

import errno
import io
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import RunError, one_line

if TYPE_CHECKING:
    from polars import DataFrame

UNFINISHED = ".writing-"
"""Folders in which something is being written have names with this prefix.

A process that is killed leaves such a folder behind.
"""

LARGEST_JSON = 2**26
"""A JSON file with more bytes than this is not read."""


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes left unfinished. No other process may be writing the folder."""
    for leftover in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)


_is_scratch: ContextVar[bool] = ContextVar("is_scratch", default=False)
"""Whether a block of `scratch_folder` is open."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Gives an empty folder that is removed when the block ends.

    Nothing that is written within the block is forced onto the disk: it is not there to stay.
    """
    token = _is_scratch.set(True)
    try:
        with tempfile.TemporaryDirectory(prefix="lowerbound-") as folder:
            yield Path(folder)
    finally:
        _is_scratch.reset(token)


def sync(path: Path) -> None:
    """Forces the content of a file, or the names in a folder, onto the disk."""
    if _is_scratch.get():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def apply_umask(path: Path) -> None:
    """Gives a file or folder the permissions that the user's umask gives to new ones.

    Temporary files and folders are made for their owner alone.
    """
    # The system has no way to read the mask without setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    permissions = 0o777 if path.is_dir() else 0o666
    path.chmod(permissions & ~mask)


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Turns an OSError in the block into a RunError that says that `path` cannot be written."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path, whose file replaces `path` when the block ends without an error.

    The temporary file lies in a folder beside `path`. It is removed when the block fails.

    Raises:
        RunError: the folder cannot be written.
    """
    with replacing_all([path]) as (temporary,), writing(path):
        yield temporary


@contextmanager
def replacing_all(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Gives a temporary path for each of some, whose files replace these when the block ends
    without an error: none is replaced before all are on the disk.

    Raises:
        RunError: a folder cannot be written, or a path is a folder.
    """
    with ExitStack() as folders:
        temporaries = [folders.enter_context(_temporary(path)) for path in paths]
        yield temporaries
        for path, temporary in zip(paths, temporaries, strict=True):
            with writing(path):
                apply_umask(temporary)
                sync(temporary)
        for path, temporary in zip(paths, temporaries, strict=True):
            with writing(path):
                os.replace(temporary, path)
                sync(path.parent)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Gives a path of the same name in a folder beside `path`, which is removed in the end."""
    with writing(path):
        if path.is_dir() and not path.is_symlink():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent)
    try:
        yield Path(folder) / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # an error here would hide the one above


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_frame(path: Path, frame: "DataFrame") -> None:
    """Writes a Polars frame, whole or not at all.

    It is written as CSV where the path ends in `.csv`, else as Parquet.

    Raises:
        RunError: the file cannot be written.
    """
    is_csv = path.suffix.lower() == ".csv"
    write = frame.write_csv if is_csv else frame.write_parquet
    # Polars takes no path that is not UTF-8, and has errors of its own for a full disk.
    with replacing(path) as temporary, temporary.open("wb") as file, _writing_frames(path):
        write(file)


def write_frames(path: Path, frames: "Iterable[DataFrame]") -> int:
    """Writes frames of the same columns one below the other, whole or not at all.

    One frame at a time is in memory. The path says what is written, as for `write_frame`.

    Returns:
        The number of rows.

    Raises:
        RunError: the file cannot be written.
    """
    write = _append_parquet
    if path.suffix.lower() == ".csv":
        write = _append_csv
    with replacing(path) as temporary, temporary.open("wb") as file, _writing_frames(path):
        return write(file, frames, temporary.parent)


@contextmanager
def _writing_frames(path: Path) -> Iterator[None]:
    """Turns an error of Polars in the block into a RunError that says what cannot be written."""
    from polars.exceptions import PanicException, PolarsError

    try:
        yield
    except (PolarsError, PanicException) as error:
        raise RunError(f"cannot write {path}: {one_line(error, 160)}") from None


def _append_csv(file: BinaryIO, frames: "Iterable[DataFrame]", folder: Path) -> int:
    """Writes frames into an open file as CSV, and returns the number of their rows."""
    rows = 0
    for number, frame in enumerate(frames):
        frame.write_csv(file, include_header=number == 0)
        rows += len(frame)
    return rows


def _append_parquet(file: BinaryIO, frames: "Iterable[DataFrame]", folder: Path) -> int:
    """Writes frames into an open file as Parquet, and returns the number of their rows.

    Each frame becomes a file in the folder first, and these are then joined piece by piece.
    """
    import polars

    rows = 0
    parts = []
    for number, frame in enumerate(frames):
        part = io.BytesIO()
        frame.write_parquet(part)
        parts.append(folder / f"part-{number}")
        parts[-1].write_bytes(part.getbuffer())
        rows += len(frame)
    if len(parts) == 1:
        file.write(parts[0].read_bytes())
    else:
        polars.scan_parquet(parts, glob=False).sink_parquet(file)
    return rows


def write_bytes(path: Path, content: bytes) -> None:
    """Writes bytes, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, whole or not at all."""
    text = json.dumps(jsonable(value), indent=1, allow_nan=False)
    write_text(path, text + "\n")


def jsonable(value: Any) -> Any:
    """Converts a value to what JSON can hold.

    Numbers that are not finite become null, tuples become lists, and objects of any other type
    become their text.
    """
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float | bool | None):
        return value
    return str(value)


def refuse_unwritable(folder: Path) -> None:
    """Makes a folder, and tries whether files can be written in it.

    Raises:
        RunError: they cannot.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def exists(path: Path) -> bool:
    """Says whether something is at the path. A text that can be no path exists nowhere."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Says whether a regular file is at the path.

    Folders, pipes and devices are not regular files. The reader of a pipe may wait for ever.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def expand_home(path: str | Path) -> Path:
    """Replaces ~ by the home folder. The ~name of a user who is not known is left as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def refuse_special(path: Path) -> None:
    """Refuses a folder, a pipe or a device where a file is expected.

    A path where nothing is passes: whoever reads it then reports that.

    Raises:
        OSError: what is there is not a regular file.
    """
    if exists(path) and not is_file(path):
        raise OSError(f"{path.name} is not a regular file")


def within(folder: Path, name: str) -> Path:
    """Returns the path of a file in a folder.

    Raises:
        RunError: it is a link that leads out of the folder, so that the file of another would be
            read; or it cannot be a path.
    """
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise RunError(f"cannot read {one_line(path)}: {one_line(error, 160)}") from None
    if not inside:
        raise RunError(
            f"{path} leads out of its folder, to {path.resolve()}; put the file itself there"
        )
    return path


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        RunError: the file is missing, is no regular file, is not JSON, or is too large.
    """
    try:
        refuse_special(path)
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"it has {path.stat().st_size} bytes; allowed: {LARGEST_JSON}")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: nested too deep
        raise RunError(f"cannot read {path}: {str(error)[:200]}") from error
