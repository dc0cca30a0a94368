"""The queue in front of a recommender: what waits is answered together.

Nobody waits for a batch to fill. While one is answered the next requests gather, so that batches
are as large as the load makes them; the answers are those of each request alone, to the last bit.
"""

import asyncio
from collections.abc import Callable, Sequence

from ...recommend import ListRequest, RecommendedItems
from .problems import Problem
from .work import MOST_SECONDS, Work

MOST_TOGETHER = 64
"""So many requests are answered together."""

MOST_QUEUED = 2048
"""So many requests may wait; the next one is told that the server is busy."""

Waiting = tuple[ListRequest, "asyncio.Future[RecommendedItems]"]


class Batcher:
    """Answers requests of a recommender together.

    Its methods are called in the event loop; the recommender is used in the thread of the models.

    Attributes:
        note: is told how many requests each batch has.
    """

    def __init__(
        self,
        thread: Work,
        answer: Callable[[Sequence[ListRequest]], list[RecommendedItems]],
        note: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.note = note
        self._thread = thread
        self._answer = answer
        self._waiting: list[Waiting] = []
        self._is_running = False

    @property
    def queued(self) -> int:
        """The number of requests that wait."""
        return len(self._waiting)

    async def __call__(self, request: ListRequest) -> RecommendedItems:
        """Answers a request.

        Raises:
            Problem: too many wait already, or it takes too long.
        """
        if len(self._waiting) >= MOST_QUEUED:
            raise Problem(503, "too many requests wait already; try again", {"Retry-After": "1"})
        loop = asyncio.get_running_loop()
        future: asyncio.Future[RecommendedItems] = loop.create_future()
        self._waiting.append((request, future))
        if not self._is_running:
            self._start(loop)
        try:
            return await asyncio.wait_for(future, MOST_SECONDS)
        except TimeoutError:
            raise Problem(503, f"this took more than {MOST_SECONDS:g} seconds") from None

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Lets the thread answer the requests that have waited longest."""
        self._is_running = True
        taken = self._waiting[:MOST_TOGETHER]
        del self._waiting[:MOST_TOGETHER]
        self.note(len(taken))

        def work() -> None:
            answers: list[RecommendedItems] = []
            error: Exception | None = None
            try:
                answers = self._answer([request for request, _ in taken])
            except Exception as raised:
                error = raised
            loop.call_soon_threadsafe(self._finish, loop, taken, answers, error)

        try:
            self._thread.submit(work)
        except RuntimeError as raised:  # the server has ended
            self._finish(loop, taken, [], raised)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        taken: list[Waiting],
        answers: list[RecommendedItems],
        error: Exception | None,
    ) -> None:
        """Hands answers, or an error, to those who wait, and begins the next batch."""
        for position, (_, future) in enumerate(taken):
            if future.done():  # nobody waits for it any more
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(answers[position])
        self._is_running = False
        if self._waiting:
            self._start(loop)
