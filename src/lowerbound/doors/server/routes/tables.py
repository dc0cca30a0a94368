"""Filling the gaps of rows."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from ....imputation import impute
from ..current import Chosen
from ..inputs import FIRST, MOST_EXAMPLES, WHOLE, Row, read_rows
from ..outputs import Answer
from ..problems import Problem
from ..schemas import Body, Seed

router: APIRouter = APIRouter(tags=["tables"])

MOST_COPIES = 20
"""A request may ask for so many completed copies of its rows."""

MOST_DRAWS = 2**18
"""A request may ask for so many draws, over all its rows."""

SAMPLES = 1000
"""The draws of each row, where nothing else is asked for."""


class ImputeBody(Body):
    """Rows of a table; a column that a row does not name is a gap."""

    rows: Annotated[list[Row], Field(min_length=1, max_length=MOST_EXAMPLES), FIRST]
    multiple: Annotated[int, Field(ge=0, le=MOST_COPIES), WHOLE] = 0
    samples: Annotated[int, Field(ge=1, le=SAMPLES), WHOLE] = SAMPLES
    mode: Annotated[str, Field(pattern="^(mean|median)$")] = "mean"
    seed: Seed = 0


class ImputeAnswer(BaseModel):
    """The rows with single values in their gaps, and copies with draws in them."""

    rows: list[dict[str, Any]]
    copies: list[list[dict[str, Any]]]
    filled: dict[str, int]
    notes: list[str]
    warning: str | None


@router.post("/impute", response_model=ImputeAnswer)
async def impute_rows(served: Chosen, body: ImputeBody) -> Response:
    """Fills the gaps of rows by what the run has learned: means or medians of numbers, the most
    probable levels; and draws, where several copies are asked for.
    """
    served.refuse_kinds("recommender", "images", "vectors")
    run = served.run
    if not run.schema.table or not run.recipe.objective.has_bound:
        raise Problem(404, f"{served.name} does not know the kinds of its columns, and fills none")
    if body.samples * len(body.rows) > MOST_DRAWS:
        raise Problem(422, f"rows x samples: {MOST_DRAWS} draws are allowed")

    def work() -> dict[str, Any]:
        filled = impute(
            run,
            read_rows(run, body.rows),
            multiple=body.multiple or None,
            samples=body.samples,
            mode=body.mode,
            seed=body.seed,
            progress=False,
        )
        return {
            "rows": filled.frame.to_dicts(),
            "copies": [frame.to_dicts() for frame in filled.frames],
            "filled": filled.filled,
            "notes": list(filled.notes),
            "warning": filled.warning,
        }

    return Answer(await served.work(work))
