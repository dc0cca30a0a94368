"""What is told of runs, and whether the server lives."""

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from ..current import Chosen, Runs
from ..describing import describe, describe_in_line
from ..outputs import Answer
from ..problems import Problem
from ..schemas import RunDescription, RunLine

router: APIRouter = APIRouter(tags=["runs"])

general: APIRouter = APIRouter(tags=["server"])


class Health(BaseModel):
    """Whether the server is well."""

    status: str


@router.get("", response_model=RunDescription)
async def describe_run(served: Chosen) -> Response:
    """Tells all of a run: recipe, figures, columns, conditions, levels of latents."""
    return Answer(await served.work(lambda: describe(served)))


@general.get("/runs", response_model=list[RunLine])
async def list_runs(runs: Runs) -> Response:
    """Lists the runs that are served."""
    return Answer([describe_in_line(served) for served in runs.values()])


@general.get("/healthz", response_model=Health)
async def tell_alive() -> Response:
    """Says that the server lives."""
    return Answer({"status": "alive"})


@general.get("/readyz", response_model=Health)
async def tell_ready(request: Request) -> Response:
    """Says whether the runs are warm, so that no request waits for more than its own work."""
    readiness = request.app.state.readiness
    if not readiness.is_ready:
        raise Problem(503, readiness.reason)
    return Answer({"status": "ready"})
