"""Long work for the page: it goes on in pieces between the requests of others, and tells how far it
has come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any
from weakref import WeakKeyDictionary

from ..problems import Problem
from ..served import Served

BUSY_SECONDS = 0.5
"""A piece waits so long where the thread of the models is busy, and tries again."""

Result = Any


class Job:
    """Long work that is on its way.

    Attributes:
        done: the part that is done, from 0 to 1.
    """

    def __init__(self, make: "Callable[[Job], Awaitable[Result]]") -> None:
        self.done: float = 0.0
        self._task = asyncio.ensure_future(make(self))

    @property
    def is_ready(self) -> bool:
        """Whether there is a result, or an error in its place."""
        return self._task.done()

    @property
    def has_failed(self) -> bool:
        """Whether there is an error."""
        return self.is_ready and (self._task.cancelled() or self._task.exception() is not None)

    async def result(self) -> Result:
        """Waits for the result; whoever stops waiting does not stop the work.

        Raises:
            Exception: what the work has raised.
        """
        return await asyncio.shield(self._task)


_OF_RUNS: "WeakKeyDictionary[Served, dict[Hashable, Job]]" = WeakKeyDictionary()


def job_of(served: Served, key: Hashable, make: Callable[[Job], Awaitable[Result]]) -> Job:
    """Returns the job of a run by its key, and begins it where there is none.

    One that has failed is begun anew after it has been asked for once more, so that whoever asked
    for it first hears of the error.
    """
    jobs = _OF_RUNS.setdefault(served, {})
    if key not in jobs:
        jobs[key] = Job(make)
    job = jobs[key]
    if job.has_failed:
        del jobs[key]
    return job


async def in_turn(served: Served, piece: Callable[[], Result]) -> Result:
    """Runs a piece of long work in the thread of the models; it waits where that is busy."""
    while True:
        try:
            return await served.work(piece)
        except Problem as problem:
            if problem.status != 503 or problem.headers is None:
                raise
        await asyncio.sleep(BUSY_SECONDS)
