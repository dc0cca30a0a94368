"""Files are written whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError, one_line

if TYPE_CHECKING:
    from polars import DataFrame

UNFINISHED = ".writing-"
"""What the names of folders begin with in which something is written; a process that is killed
leaves them.
"""


def remove_unfinished(folder: Path) -> None:
    """Removes what processes that were killed left unfinished in a folder that no other is writing."""
    for left in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def sync(path: Path) -> None:
    """Puts a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def apply_umask(path: Path) -> None:
    """Gives a file or folder the permissions that one has that is made without care; temporary ones
    are the owner's alone.
    """
    mask = os.umask(0o022)  # which can only be read so
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


@contextmanager
def writing(path: object) -> Iterator[None]:
    """RunError for what the system refuses while something is written there."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends well and vanishes
    when it does not.

    Raises:
        RunError: the folder cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent)
    temporary = Path(folder) / path.name
    try:
        with writing(path):
            yield temporary
            apply_umask(temporary)
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # an error here would hide the one above


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_frame(path: Path, frame: "DataFrame") -> None:
    """Writes a Polars frame, whole or not at all: as CSV where the path ends so, else as Parquet.

    Raises:
        RunError: it cannot be written.
    """
    from polars.exceptions import PanicException, PolarsError

    write = frame.write_csv if path.suffix.lower() == ".csv" else frame.write_parquet
    # Polars takes no path that is not UTF-8, and has errors of its own for a full disk.
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            write(file)
        except (PolarsError, PanicException) as error:
            raise RunError(f"cannot write {path}: {one_line(error, 160)}") from None


def write_bytes(path: Path, content: bytes) -> None:
    """Writes bytes, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def refuse_unwritable(folder: Path) -> None:
    """Makes a folder, and tries whether it can be written.

    Raises:
        RunError: it cannot.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def exists(path: Path) -> bool:
    """Whether something is at the path; what is too long or too odd to be one is nowhere."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether a file is at the path: no folder, nor a pipe or a device, whose reader may wait for
    ever.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def expand_home(path: str | Path) -> Path:
    """The path with the home folder in place of ~; one of a user who is not known stays as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def refuse_special(path: Path) -> None:
    """OSError for a folder, a pipe or a device where a file is expected; what is not there is for
    its reader to say.
    """
    if exists(path) and not is_file(path):
        raise OSError(f"{path.name} is not a regular file")


def jsonable(value: Any) -> Any:
    """The value as JSON can hold it: numbers that are not finite become null, tuples lists."""
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if not isinstance(value, str | int | float | bool | None):
        return str(value)
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, whole or not at all."""
    write_text(path, json.dumps(jsonable(value), indent=1, allow_nan=False) + "\n")


LARGEST_JSON = 2**26
"""Most bytes of a JSON file that is read."""


def within(folder: Path, name: str) -> Path:
    """The path of a file of a folder.

    Raises:
        RunError: it is a link that leads out of the folder, so that what is read would be
            another's; or it can be no path.
    """
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # the last for a link to itself
        raise RunError(f"cannot read {one_line(path)}: {one_line(error, 160)}") from None
    if not inside:
        raise RunError(
            f"{path} leads out of its folder, to {path.resolve()}; put the file itself there"
        )
    return path


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        RunError: it is missing, is no regular file, is not JSON, or is too large.
    """
    try:
        refuse_special(path)
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"it has {path.stat().st_size} bytes; allowed: {LARGEST_JSON}")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # the last where it is nested too deep
        raise RunError(f"cannot read {path}: {str(error)[:200]}") from error
