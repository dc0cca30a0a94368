"""What the server answers when it cannot do what was asked: problem details (RFC 9457)."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ...errors import (
    ConditionError,
    LowerboundError,
    NothingAllowedError,
    NothingLeftError,
    RunError,
    UnknownItemError,
    UnknownUserError,
    one_line,
)
from ...specs.wording import wording

LOGGER = logging.getLogger("lowerbound.server")

MEDIA_TYPE = "application/problem+json"

NO_PLACES = ("body", "query", "path", "int", "float", "str", "bool", "none")
"""These parts of the place of a mistake say nothing: pydantic names the types that it tried."""

LONGEST_DETAIL = 600
"""A detail has at most so many characters."""


class ProblemDetails(BaseModel):
    """The body of every answer that is no success."""

    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """What was asked cannot be done.

    Attributes:
        status: of HTTP.
        detail: one line for people.
        headers: of the answer.
    """

    def __init__(self, status: int, detail: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail: str = one_line(detail, LONGEST_DETAIL)
        self.headers = headers


def answer_problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Makes the answer that tells a problem."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return Response(to_json(body), status, headers, MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describes, for the OpenAPI document, that these statuses come with problem details."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        described[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
    return described


def status_of(error: LowerboundError) -> int:
    """Returns the status that tells whose fault an error is, the request's or the run's."""
    if isinstance(error, UnknownItemError | UnknownUserError):
        return 404
    if isinstance(error, NothingLeftError | NothingAllowedError | ConditionError):
        return 409
    if isinstance(error, RunError) or error.exit_code != 2:
        return 500
    return 422


def word_invalid(errors: list[Any]) -> str:
    """Words in one line what is wrong with a request: where, what, and what else is wrong."""
    first = errors[0]
    places = [str(part) for part in first["loc"] if part not in NO_PLACES and "[" not in str(part)]
    place = ".".join(places) or "the body"
    if first["type"] == "json_invalid":
        return "the body is no JSON"
    if place == "the body" and first["type"].endswith("_type"):
        return "the body should be an object"
    line = f"{place}: {wording(first)}"
    if len(errors) > 1:
        line += f" (and {len(errors) - 1} more)"
    return line


def install(app: FastAPI) -> None:
    """Lets an application answer all errors with problem details."""

    @app.exception_handler(Problem)
    async def tell_problem(request: Request, error: Problem) -> Response:
        return answer_problem(error.status, error.detail, error.headers)

    @app.exception_handler(LowerboundError)
    async def tell_mistake(request: Request, error: LowerboundError) -> Response:
        return answer_problem(status_of(error), one_line(error, LONGEST_DETAIL))

    @app.exception_handler(RequestValidationError)
    async def tell_invalid(request: Request, error: RequestValidationError) -> Response:
        detail = one_line(word_invalid(list(error.errors())), LONGEST_DETAIL)
        return answer_problem(422, detail)

    @app.exception_handler(HTTPException)
    async def tell_refused(request: Request, error: HTTPException) -> Response:
        headers = None
        if error.headers:
            headers = dict(error.headers)
        return answer_problem(error.status_code, one_line(error.detail, LONGEST_DETAIL), headers)

    @app.exception_handler(Exception)
    async def tell_fault(request: Request, error: Exception) -> Response:
        LOGGER.error("%s %s", request.method, request.url.path, exc_info=error)
        return answer_problem(500, "a fault of the server; its log tells more")
