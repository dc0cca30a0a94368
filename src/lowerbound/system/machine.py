"""The machine that a run is made on: what it is, and how it hands out memory."""

import ctypes
import os
import platform
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from ..errors import ConfigError, one_line


def available_memory() -> float:
    """Bytes of memory that can still be had; infinity where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        return found["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        return unused_physical_memory()


def unused_physical_memory() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return float("inf")


def refuse_beyond_available(needed: int, what: str) -> None:
    """Refuse what would not fit, before it is begun."""
    had = available_memory()
    if needed > had:
        raise ConfigError(
            f"{what} needs {needed:,} bytes of memory, and {int(had):,} are available"
        )


def processor() -> str:
    """The name of the processor, as far as the system tells it."""
    known = Path("/proc/cpuinfo")
    lines = (
        known.read_text(encoding="utf-8", errors="replace").splitlines() if known.is_file() else []
    )
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def hardware(device: str = "cpu") -> str:
    """One line: the device that the weights are on, the processor, its cores and the threads in
    use.
    """
    cpu = f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{torch.cuda.get_device_name(device)}; {cpu}" if device.startswith("cuda") else cpu


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


_spared = threading.Event()


def never_keep_freed_memory() -> None:
    """From here on `keep_freed_memory` does nothing in this process: what is freed is to go back at
    once.
    """
    _spared.set()


def keep_freed_memory() -> None:
    """Lets the allocator of glibc keep tensors of up to 256 MiB that were freed, instead of giving
    them back at each step.

    Each page that comes back costs a fault, and a step of a convolutional model has thousands
    (test_machine.py counts some). Elsewhere this does nothing.
    """
    if not _spared.is_set():
        _keep()


@cache
def _keep() -> None:
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return
    adjust(_MMAP_THRESHOLD, 2**28)
    adjust(_TRIM_THRESHOLD, 2**30)


def give_back_memory() -> None:
    """Gives freed memory back to the system, where `keep_freed_memory` had it kept: between parts
    of a long work.
    """
    with suppress(AttributeError, OSError, TypeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


def refuse_beyond_memory(numbers: int, what: str) -> None:
    """ConfigError if so many float32 are more than the memory of this machine, where its size is
    known.
    """
    if hasattr(os, "sysconf") and 4 * numbers > os.sysconf("SC_PAGE_SIZE") * os.sysconf(
        "SC_PHYS_PAGES"
    ):
        needed = one_line(f"{(4 * numbers + 2**29) // 2**30:,}", 60)
        raise ConfigError(
            f"{one_line(what, 120)} need {needed} GiB, more memory than this machine has"
        )
