"""The one thread in which models run."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from .problems import Problem

MOST_WAITING = 256
"""So many requests may wait for the models; the next one is told that the server is busy."""

MOST_SECONDS = 60.0
"""A request waits at most this long for its work."""

Result = TypeVar("Result")


class Work:
    """Runs functions one after another in the thread that owns the models.

    PyTorch's settings and its random stream are those of the process, and models are put into
    evaluation mode while they are used, so that no two threads may use them at once.

    Attributes:
        waiting: the functions that wait or run.
    """

    def __init__(
        self,
        name: str = "models",
        most_waiting: int = MOST_WAITING,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self.most_waiting = most_waiting
        self.most_seconds = most_seconds
        self.waiting: int = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def __call__(self, function: Callable[[], Result]) -> Result:
        """Runs a function in the thread, and returns what it returns.

        Raises:
            Problem: too many wait already, or it takes too long.
        """
        if self.waiting >= self.most_waiting:
            raise Problem(
                503, f"{self.waiting} requests wait already; try again", {"Retry-After": "1"}
            )
        self.waiting += 1
        try:
            running = asyncio.wrap_future(self.submit(function))
            return await asyncio.wait_for(running, self.most_seconds)
        except TimeoutError:
            raise Problem(
                503, f"this took more than {self.most_seconds:g} seconds; ask for less"
            ) from None
        finally:
            self.waiting -= 1

    def submit(self, function: Callable[[], Result]) -> "Future[Result]":
        """Lets the thread run a function after those that wait, however many these are."""
        return self._thread.submit(function)

    def close(self) -> None:
        """Waits for what runs, and drops what waits."""
        self._thread.shutdown(wait=True, cancel_futures=True)
