"""The application: all routers, what stands in front of them, and the page."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from ... import __version__
from ...errors import ConfigError
from ...run import Run
from .current import choose_named, choose_only
from .guards import LOOPBACK, Admission, Bounded, Headed
from .metrics import Metrics, Timed
from .openapi import describe_itself
from .problems import LOGGER, ProblemDetails, install, responses
from .routes import codes, metrics, recommend, runs, scores, similar, tables, tensors
from .served import Shelf
from .views import routers_of_all, routers_of_runs
from .work import Work

PAGE = Path(__file__).parent / "page"
"""The built files of the page."""


class Readiness:
    """Whether the runs are warm.

    Attributes:
        is_ready: they are.
        is_ending: the server is about to end.
        reason: why the runs are not ready.
    """

    def __init__(self) -> None:
        self.is_ready: bool = False
        self.is_ending: bool = False
        self.reason: str = "the runs are being warmed up"

    def become_ready(self) -> None:
        """Notes that the runs are warm."""
        self.is_ready = True

    def stop(self) -> None:
        """Notes that the server is about to end, so that nobody sends new requests."""
        self.is_ready = False
        self.is_ending = True
        self.reason = "the server is about to end"


def create_app(
    served_runs: Iterable[Run],
    *,
    sources: Sequence[Any] = (),
    token: str | None = None,
    hosts: tuple[str, ...] | None = LOOPBACK,
    ancestors: str = "'self'",
) -> FastAPI:
    """Makes the application that serves runs, for any ASGI server.

    It must be the one application of its process: the models run in one thread of its own, and
    PyTorch's settings are those of the process.

    Args:
        served_runs: the runs; their names are those of their folders.
        sources: where the own data of each are, if not where the runs look for them; None leaves
            one as it is.
        token: that every request must bring; None asks for none.
        hosts: the names by which the server may be asked where there is no token; None: any.
        ancestors: which pages may show the page in a frame, in the words of CSP `frame-ancestors`.

    Raises:
        ConfigError: there is no run.
    """
    thread = Work()
    shelf = Shelf(served_runs, thread, sources)
    if not shelf:
        raise ConfigError("there is no run to serve")
    readiness = Readiness()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm_up(shelf, readiness))
        yield
        warming.cancel()
        shelf.close()

    app = FastAPI(
        title="lowerbound",
        version=__version__,
        description="Encodes, decodes, scores, fills and recommends by fitted runs.",
        docs_url=None,  # its page would be loaded from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.shelf = shelf
    app.state.readiness = readiness
    app.state.metrics = Metrics(shelf)
    install(app)
    _include(app, shelf)
    describe_itself(app, shelf)
    _include_page(app)
    app.add_middleware(Bounded)
    app.add_middleware(Admission, token=token, hosts=hosts)
    app.add_middleware(Headed, ancestors=ancestors, ends=lambda: readiness.is_ending)
    app.add_middleware(Timed, metrics=app.state.metrics)
    return app


async def _warm_up(shelf: Shelf, readiness: Readiness) -> None:
    """Warms the runs up one by one, between the requests that come already."""
    try:
        for served in shelf.values():
            await asyncio.wrap_future(shelf.thread.submit(served.warm_up))
        readiness.become_ready()
    except Exception as error:
        readiness.reason = f"a run cannot be warmed up: {error}"
        LOGGER.error("warming up", exc_info=error)


def _include(app: FastAPI, shelf: Shelf) -> None:
    """Puts all routers into an application; those of one run in both of their forms."""
    app.router.routes[:0] = recommend.quick
    refusals = responses(400, 401, 403, 404, 406, 409, 413, 415, 422, 500, 503)
    of_all = (runs.general, metrics.general, tensors.general, *routers_of_all())
    for router in of_all:
        app.include_router(router, responses=refusals)
    of_runs: list[APIRouter] = [
        recommend.router,
        codes.router,
        scores.router,
        tables.router,
        similar.router,
        *routers_of_runs(),
    ]
    for router in (runs.router, *of_runs):
        app.include_router(
            router,
            prefix="/runs/{name}",
            dependencies=[Depends(choose_named)],
            responses=refusals,
        )
    if len(shelf) == 1:
        app.include_router(
            runs.router,
            prefix="/run",
            dependencies=[Depends(choose_only)],
            include_in_schema=False,
        )
        for router in of_runs:
            app.include_router(router, dependencies=[Depends(choose_only)], include_in_schema=False)


def _include_page(app: FastAPI) -> None:
    """Serves the files of the page: each at its name, and the first one at `/`.

    A mount at `/` would answer for all paths, also where another method is allowed.
    """
    for entry in sorted(PAGE.iterdir()):
        if entry.is_dir():
            app.mount(f"/{entry.name}", StaticFiles(directory=entry), name=entry.name)
        else:
            _include_file(app, f"/{entry.name}", entry)
    _include_file(app, "/", PAGE / "index.html")


def _include_file(app: FastAPI, path: str, file: Path) -> None:
    """Serves one file."""

    async def give_file() -> Response:
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    app.add_api_route(path, give_file, methods=["GET", "HEAD"], include_in_schema=False)


__all__ = ["PAGE", "ProblemDetails", "create_app"]
