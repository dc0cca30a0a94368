"""Ctrl-C and SIGTERM while something is under way that should come to an end by itself."""

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from .console import print_line

STOPPING = (signal.SIGINT, signal.SIGTERM)


GRACE = 2.0
"""Seconds that a process has to leave after the second signal."""


ECHO = 1.0
"""Seconds in which another signal is the same one again: torchrun passes on the Ctrl-C that all
processes got already.
"""


def _counting() -> Callable[[], bool]:
    """A function for each signal that comes, which tells whether it is a second one."""
    first = math.inf

    def second() -> bool:
        nonlocal first
        now = time.monotonic()
        first = min(first, now)
        return now - first > ECHO

    return second


@contextmanager
def interrupts() -> Iterator[Callable[[], int]]:
    """Catches Ctrl-C and SIGTERM: gives a function that tells which one came (0: none). A second
    one stops at once.
    """
    came: list[int] = []
    second = _counting()

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if second():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.signal(number, note) for number in STOPPING}
    try:
        with _last_resort():
            yield lambda: came[0] if came else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _last_resort() -> Iterator[None]:
    """Ends the process after the second signal where Python's handlers cannot: while it waits for
    another process that hangs.
    """
    ours, told = socket.socketpair()
    told.setblocking(False)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_on_second, args=(ours,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        told.close()


def _end_on_second(signals: socket.socket) -> None:
    """Reads the numbers of signals until the other end is closed."""
    second = _counting()
    with signals:
        while number := signals.recv(1):
            if number[0] in STOPPING and second() and not _closes(signals, GRACE):
                print_line("stopped at once")
                os._exit(128 + number[0])


def _closes(end: socket.socket, seconds: float) -> bool:
    """Whether the other end is closed within so many seconds."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        end.settimeout(left)
        with suppress(TimeoutError):
            if not end.recv(1):
                return True
    return False
