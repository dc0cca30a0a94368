"""The lock of a run folder: one process writes it at a time, and it is still where it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import RunError
from .files import writing


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A run folder that no other process may write meanwhile; the lock ends with the process,
    however that ends.

    Raises:
        RunError: another process has it, or the folder cannot be written.
    """
    path = folder / "checkpoint" / ".lock"
    with writing(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout:  # which is an OSError, too
            raise RunError(
                f"{folder} is being written by another process; wait until it ends, or choose "
                "another --out"
            ) from None
    _locks[folder] = _place(path)
    try:
        yield
    finally:
        _locks.pop(folder)
        lock.release()


_locks: dict[Path, tuple[int, int] | None] = {}
"""Of run folders that this process writes: where the lock is on the disk."""


def _place(path: Path) -> tuple[int, int] | None:
    """Device and number of a file, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def refuse_moved(folder: Path) -> None:
    """Looks whether a run folder that this process locked is still at its place.

    Raises:
        RunError: it was moved or removed, and what is there now, if anything, is another's.
    """
    if folder in _locks and _place(folder / "checkpoint" / ".lock") != _locks[folder]:
        raise RunError(
            f"{folder} was moved or removed while the fit wrote it; nothing more is written there"
        )
