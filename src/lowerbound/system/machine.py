"""The machine that a run is made on: its processor, its memory, and how memory is handed out."""

import ctypes
import os
import platform
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from ..errors import ConfigError, one_line

_UNREADABLE = (OSError, LookupError, ValueError, RuntimeError, psutil.Error)
"""What psutil raises where the system does not tell its memory, as without `/proc`."""


def available_memory() -> float:
    """Returns the bytes of memory that can still be allocated.

    It is infinity where the system does not tell.
    """
    try:
        return psutil.virtual_memory().available
    except _UNREADABLE:
        return float("inf")


def total_memory() -> float:
    """Returns the bytes of memory of this machine, infinity where the system does not tell."""
    try:
        return psutil.virtual_memory().total
    except _UNREADABLE:
        return float("inf")


def refuse_beyond_available(needed: int, what: str) -> None:
    """Refuses work that needs more bytes than are available, before it begins.

    Raises:
        ConfigError: `what` needs more.
    """
    available = available_memory()
    if needed > available:
        raise ConfigError(
            f"{what} needs {needed:,} bytes of memory, and {int(available):,} are available"
        )


def refuse_beyond_memory(numbers: int, what: str) -> None:
    """Refuses float32 numbers that do not fit into the memory of this machine.

    Raises:
        ConfigError: `what` are too many.
    """
    if 4 * numbers > total_memory():
        gibibytes = (4 * numbers + 2**29) // 2**30
        needed = one_line(f"{gibibytes:,}", 60)
        raise ConfigError(
            f"{one_line(what, 120)} need {needed} GiB, more memory than this machine has"
        )


def processor() -> str:
    """Returns the name of the processor, as precisely as the system tells it."""
    name = ""
    processors = Path("/proc/cpuinfo")
    if processors.is_file():
        text = processors.read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return name or platform.processor() or platform.machine()


def allowed_cores() -> int:
    """Returns the number of cores that this process may use.

    These are fewer than the machine has where its affinity (`taskset`), or the share of processor
    time that its control group may take (a container), leaves it fewer.
    """
    # Imported where it is used, because it takes a tenth of a second.
    from joblib import cpu_count

    return max(1, cpu_count())


@cache
def limit_threads() -> None:
    """Lets PyTorch have no more threads than this process may use cores, once in a process.

    OpenMP knows the affinity, but not what a container may take. Whoever has set OMP_NUM_THREADS
    has chosen.
    """
    # Imported late: to look at data, nobody waits for it.
    import torch

    threads = torch.get_num_threads()
    if threads > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(threads, allowed_cores()))


def hardware(device: str = "cpu") -> str:
    """Describes the device of the weights, the processor, its cores and the threads in use."""
    import torch

    cpu = f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}; {cpu}"
    return cpu


_TRIM_THRESHOLD = -1
"""The number by which glibc's `mallopt` knows M_TRIM_THRESHOLD."""

_MMAP_THRESHOLD = -3
"""The number by which glibc's `mallopt` knows M_MMAP_THRESHOLD."""

_keeping_forbidden = threading.Event()


def never_keep_freed_memory() -> None:
    """Makes `keep_freed_memory` do nothing in this process from now on.

    Freed memory then goes back to the system at once, as a fit needs that is short of memory.
    """
    _keeping_forbidden.set()


def keep_freed_memory() -> None:
    """Lets the allocator of glibc keep freed tensors of up to 256 MiB for the next allocation.

    By default it gives them back to the system at each step. Each page that comes back costs a page
    fault, and a step of a convolutional model has thousands of them, of which
    tests/system/test_machine.py counts some. Without glibc this does nothing.
    """
    if not _keeping_forbidden.is_set():
        _keep()


@cache
def _keep() -> None:
    """Raises the thresholds of glibc's allocator, once in a process."""
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return
    set_option(_MMAP_THRESHOLD, 2**28)
    set_option(_TRIM_THRESHOLD, 2**30)


def give_back_memory() -> None:
    """Gives the system back the freed memory that `keep_freed_memory` has kept.

    A long piece of work calls this between its parts.
    """
    with suppress(AttributeError, OSError, TypeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)
