"""Long work for the page: it goes on in pieces between the requests of others, and tells how far it
has come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from threading import Thread
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
        self._task.add_done_callback(_hear)

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


def _hear(task: "asyncio.Task[Result]") -> None:
    """Takes note of an error that perhaps nobody waits for, as when the server ends."""
    if not task.cancelled():
        task.exception()


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


async def aside(function: Callable[[], Result]) -> Result:
    """Runs a function that uses no model in a thread of its own, beside all else; one that still
    runs when the server ends does not keep it from ending.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def tell(answer: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            answer(value)

    def run() -> None:
        answer: Callable[[Any], None] = future.set_result
        try:
            value = function()
        except Exception as error:
            answer = future.set_exception
            value = error
        with suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(tell, answer, value)

    Thread(target=run, daemon=True).start()
    return await future
