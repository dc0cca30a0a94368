"""Arrays too large to be held in memory: they lie in temporary files that nobody else sees."""

import os
import shutil
import tempfile

import numpy as np

from ..errors import ConfigError

MOST_IN_MEMORY = 2**24
"""Arrays of more float64 numbers than these, 128 MiB, lie in a temporary file."""


def is_mapped(shape: tuple[int, ...]) -> bool:
    """Says whether an array of this shape lies in a temporary file."""
    return int(np.prod(shape, dtype=np.int64)) > MOST_IN_MEMORY


def new_array(shape: tuple[int, ...]) -> np.ndarray:
    """Makes an array of float64 numbers, in memory or, if it is large, in a temporary file.

    The file lies in the temporary folder of the system, which TMPDIR sets, has no name, and is gone
    when the array is, or the process, however it ends. The system holds as much of it in memory as
    it has memory to spare.

    Raises:
        ConfigError: the folder has no room for it.
    """
    if not is_mapped(shape):
        return np.empty(shape)
    with tempfile.TemporaryFile() as file:
        _reserve(file.fileno(), shape)
        return np.asarray(np.memmap(file, np.float64, "w+", shape=shape))


def tell_map(shape: tuple[int, ...]) -> str:
    """Says where the numbers of an array of this shape are that lies in a temporary file."""
    size = 8 * int(np.prod(shape, dtype=np.int64)) / 2**30
    return (
        f"{shape[0]:,} x {shape[1]:,} numbers are held in a temporary file of {size:.2f} GiB in "
        f"{tempfile.gettempdir()} (TMPDIR), not in memory"
    )


def _reserve(descriptor: int, shape: tuple[int, ...]) -> None:
    """Reserves the room of an array in an open file.

    A process that writes to a map where the disk is full is killed without a word.

    Raises:
        ConfigError: there is no room.
    """
    folder = tempfile.gettempdir()
    needed = 8 * int(np.prod(shape, dtype=np.int64))
    free = shutil.disk_usage(folder).free
    has_room = needed <= free
    if has_room and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, needed)
        except OSError:
            has_room = False
    if not has_room:
        raise ConfigError(
            f"a table of {shape[0]:,} x {shape[1]:,} numbers needs {needed:,} bytes in the "
            f"temporary folder {folder}, which has {free:,} free; set TMPDIR to a folder with more"
        )
