"""What is told of work that other processes do: how many shards are done, and when nothing is."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ...system.console import print_line
from ...system.progress import LINE_SECONDS, stages
from .job import Job

LOOK_SECONDS = 0.5
"""The notes of finished shards are looked for after this many seconds."""

QUIET_SECONDS = 60.0
"""After this many seconds without a finished shard, a line says so."""


class Pulse:
    """Tells now and then how many rows have been read.

    Args:
        what: what is being done, for the lines.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._told_at: float = time.monotonic()

    def rows(self, count: int) -> None:
        """Prints how many rows have been read, if the last line is some seconds old."""
        now = time.monotonic()
        if now - self._told_at >= LINE_SECONDS:
            self._told_at = now
            print_line(f"{self.what}: {count:,} rows so far")


class Watch:
    """Looks for finished shards, whatever engine has them made.

    Args:
        job: the job.
        numbers: of the shards that are to be made.
        begin: is told of the next one after each finished shard.
        say: prints a line.
        quiet_seconds: after this many without a finished shard there is a line.
    """

    def __init__(
        self,
        job: Job,
        numbers: Sequence[int],
        begin: Callable[[str], None],
        say: Callable[[str], None] = print_line,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self.job = job
        self.total: int = len(numbers)
        self._waiting: set[int] = set(numbers)
        self._begin = begin
        self._say = say
        self._quiet_seconds = quiet_seconds
        self._since: float = time.monotonic()
        self._told_at: float = self._since

    def look(self) -> None:
        """Looks once for finished shards, and tells of them, or that there have been none."""
        finished = [number for number in self._waiting if self.job.found(number) is not None]
        now = time.monotonic()
        for number in sorted(finished):
            self._waiting.discard(number)
            self._begin(f"shard {number} is done")
        if finished:
            self._since = now
            self._told_at = now
        elif self._waiting and now - self._told_at >= self._quiet_seconds:
            self._told_at = now
            done = self.total - len(self._waiting)
            self._say(
                f"no shard was finished for {now - self._since:.0f} s: {done} of {self.total} are "
                "done; what is done stays, and the same command goes on after Ctrl-C"
            )


@contextmanager
def watching(
    job: Job, numbers: Sequence[int], quiet_seconds: float = QUIET_SECONDS
) -> Iterator[None]:
    """Shows the progress of the shards while the block makes them."""
    ended = threading.Event()
    with stages(job.what, len(numbers)) as begin:
        begin(f"{len(numbers)} shards")
        watch = Watch(job, numbers, begin, quiet_seconds=quiet_seconds)

        def look_now_and_then() -> None:
            while not ended.wait(LOOK_SECONDS):
                watch.look()

        thread = threading.Thread(target=look_now_and_then, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
