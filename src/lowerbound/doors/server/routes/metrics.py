"""What Prometheus reads."""

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

general: APIRouter = APIRouter(tags=["server"])

TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Metrics"}
}


@general.get("/metrics", response_class=Response, responses=TEXT)
async def give_metrics(request: Request) -> Response:
    """Gives counters, times and the lengths of queues, as Prometheus reads them."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
