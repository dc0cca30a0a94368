"""The lock of a run folder: one process writes it at a time, and notices when it was moved."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import RunError
from .files import writing

LOCK = "checkpoint/.lock"
"""The file in a run folder that stands for the lock."""

_held_locks: dict[Path, tuple[int, int] | None] = {}
"""The identity of the lock file of each run folder that this process has locked."""


@contextmanager
def locked(folder: Path, file: str = LOCK) -> Iterator[None]:
    """Keeps other processes from writing a run folder during the block.

    The lock ends with the process, however the process ends.

    Args:
        folder: of the run, or another folder that one process writes at a time.
        file: the file in it that stands for the lock.

    Raises:
        RunError: another process has the lock, or the folder cannot be written.
    """
    path = folder / file
    with writing(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout:  # caught here because it is an OSError, too
            raise RunError(
                f"{folder} is being written by another process; wait until it ends, or choose "
                "another --out"
            ) from None
    _held_locks[folder] = _file_identity(path)
    try:
        yield
    finally:
        _held_locks.pop(folder)
        lock.release()


def _file_identity(path: Path) -> tuple[int, int] | None:
    """Returns the device and inode of a file, or None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def refuse_moved(folder: Path) -> None:
    """Checks that a run folder that this process has locked is still the same folder.

    Raises:
        RunError: it was moved or removed; if a folder is there now, it belongs to something else.
    """
    if folder not in _held_locks:
        return
    if _file_identity(folder / LOCK) != _held_locks[folder]:
        raise RunError(
            f"{folder} was moved or removed while the fit wrote it; nothing more is written there"
        )
