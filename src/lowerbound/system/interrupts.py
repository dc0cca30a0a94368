"""Ctrl-C and SIGTERM during work that is to end in order, at its next checkpoint."""

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
"""The signals that ask a process to stop."""

GRACE = 2.0
"""After the second signal, a process has this many seconds to leave by itself."""

ECHO = 1.0
"""A signal that follows another within this many seconds counts as the same one.

torchrun passes on a Ctrl-C that all processes have received already.
"""


@contextmanager
def interrupts() -> Iterator[Callable[[], int]]:
    """Catches Ctrl-C and SIGTERM during the block, so that the work can stop in order.

    A second signal stops the process at once. In other threads than the main one nothing is caught.

    Yields:
        A function that returns the number of the first signal that came, 0 if none did.
    """
    received: list[int] = []
    is_second_signal = _second_signal_detector()

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if is_second_signal():
            raise KeyboardInterrupt

    def first_signal() -> int:
        if received:
            return received[0]
        return 0

    if threading.current_thread() is not threading.main_thread():
        yield first_signal
        return
    handlers_before = {number: signal.signal(number, handle) for number in STOPPING}
    try:
        with _last_resort():
            yield first_signal
    finally:
        for number, handler in handlers_before.items():
            signal.signal(number, handler)


def _second_signal_detector() -> Callable[[], bool]:
    """Makes a function to call at each signal, which says whether that is a second one."""
    first_time = math.inf

    def is_second_signal() -> bool:
        nonlocal first_time
        now = time.monotonic()
        first_time = min(first_time, now)
        return now - first_time > ECHO

    return is_second_signal


@contextmanager
def _last_resort() -> Iterator[None]:
    """Ends the process after the second signal even where Python's handlers cannot run.

    They cannot while the process waits in an exchange with another process that hangs. The signals
    are therefore read by a thread as well, from the wake-up socket.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    descriptor_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_on_second_signal, args=(reader,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor_before)
        writer.close()


def _end_on_second_signal(signals: socket.socket) -> None:
    """Reads the numbers of signals until the other end of the socket is closed."""
    is_second_signal = _second_signal_detector()
    with signals:
        while received := signals.recv(1):
            number = received[0]
            if number not in STOPPING or not is_second_signal():
                continue
            if not _closes_within(signals, GRACE):
                print_line("stopped at once")
                os._exit(128 + number)


def _closes_within(connection: socket.socket, seconds: float) -> bool:
    """Waits for the other end to close and says whether it did within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        connection.settimeout(remaining)
        with suppress(TimeoutError):
            if not connection.recv(1):
                return True
