"""What the server counts of itself, as Prometheus reads it."""

import time
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from .guards import App, Message, Receive, Scope, Send
from .served import Shelf

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
"""The bounds of the histogram of times."""

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""The bounds of the histogram of batches."""

ELSEWHERE = "other"
"""Paths that there are not are counted together: their names are made by whoever asks."""

OF_RUN = "/runs/{name}"
"""The paths of one run begin so."""

UNKNOWN_STATUS = 500
"""The status of a request that was never answered."""


class Metrics:
    """The counters of one application."""

    def __init__(self, shelf: Shelf) -> None:
        self.registry: CollectorRegistry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "lowerbound_requests",
            "Requests that were answered.",
            ("method", "path", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lowerbound_request_seconds",
            "Time from a request to its answer.",
            ("path",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "lowerbound_batch_requests",
            "Requests of a recommender that were answered together.",
            ("run",),
            buckets=SIZES,
            registry=self.registry,
        )
        in_flight = Gauge(
            "lowerbound_waiting",
            "Pieces of work that wait for the models or run.",
            registry=self.registry,
        )
        in_flight.set_function(lambda: shelf.thread.waiting)
        queued = Gauge(
            "lowerbound_queued",
            "Requests of a recommender that wait for their batch.",
            ("run",),
            registry=self.registry,
        )
        for served in shelf.values():
            if served.kind == "recommender":
                served.note_batch = self._batches.labels(served.name).observe
                queued.labels(served.name).set_function(_queue_of(served))
        self._counters: dict[tuple[str, str, int], Any] = {}
        self._clocks: dict[str, Any] = {}

    def note(self, method: str, path: str, status: int, seconds: float) -> None:
        """Counts a request that was answered."""
        key = (method, path, status)
        if key not in self._counters:
            self._counters[key] = self._requests.labels(method, path, str(status))
        self._counters[key].inc()
        if path not in self._clocks:
            self._clocks[path] = self._seconds.labels(path)
        self._clocks[path].observe(seconds)

    def text(self) -> bytes:
        """Returns all counters as Prometheus reads them."""
        return generate_latest(self.registry)


def _queue_of(served: Any) -> Any:
    """Returns a function that tells how many requests of a recommender wait."""
    return lambda: served.queued


class Timed:
    """Counts all requests, and the time to their answers.

    Args:
        app: what answers.
        metrics: the counters.
    """

    def __init__(self, app: App, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = UNKNOWN_STATUS

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        finally:
            path = path_of(scope)
            method = scope["method"]
            if path == ELSEWHERE:
                method = ELSEWHERE
            self.metrics.note(method, path, status, time.perf_counter() - begun)


def path_of(scope: Scope) -> str:
    """Returns the path of a request as its route has it, such as `/runs/{name}/score`."""
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str):
        return ELSEWHERE
    # Some versions of FastAPI give the path that a route has in its own router.
    is_named = "name" in scope.get("path_params", {})
    if is_named and not path.startswith(OF_RUN):
        return OF_RUN + path
    return path or "/run"
