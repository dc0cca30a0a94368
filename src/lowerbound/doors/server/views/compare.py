"""Two runs or more beside each other, on the very same examples."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from ....errors import LowerboundError, one_line
from ....report.comparison.measure import (
    Candidate,
    Comparison,
    Request,
    measure_candidates,
    prepare,
    refuse,
)
from ....report.comparison.text import (
    figures_table,
    models_table,
    settings_table,
    sizes,
    verdicts,
)
from ....report.records import Table
from ....run import Run
from ..current import Runs
from ..outputs import Answer, rounded, rows_of, shares
from ..problems import Problem
from ..schemas import Body
from ..served import Served
from .jobs import in_turn

router: APIRouter = APIRouter(tags=["page"])

MOST_EXAMPLES = 1_000
"""The first so many examples are measured: a comparison on all of them is `lowerbound compare`."""

SAMPLES = 20
"""Importance samples for each."""

PICTURES = 24
"""So many samples are drawn of each run on images."""

ROWS = 8
"""So many of each run on a table."""


class CompareBody(Body):
    """The runs by name; differences are to the first."""

    runs: Annotated[list[str], Field(min_length=2, max_length=4)]


@router.post("/compare", response_model=dict[str, Any])
async def compare_runs(runs: Runs, body: CompareBody) -> Response:
    """Measures runs on the same examples: paired figures as `lowerbound compare` has them, of the
    first thousand examples, and samples of each.
    """
    chosen = [runs.find(name) for name in body.runs]
    candidates, split = await in_turn(chosen[0], lambda: _prepare(chosen))
    found = await in_turn(
        chosen[0], lambda: measure_candidates(candidates, split, Request(samples=SAMPLES))
    )
    samples = [await in_turn(served, partial(_sampled, served)) for served in chosen]
    return Answer(describe(found, samples))


def _prepare(chosen: Sequence[Served]) -> tuple[list[Candidate], str]:
    """Opens the common examples of runs, and takes the first of them.

    Raises:
        Problem: the runs cannot be compared, or the data of one are not there.
    """
    runs: list[Run] = [served.run.looking_at(served.data) for served in chosen]
    names = [served.name for served in chosen]
    try:
        refuse(runs)
        split, candidates = prepare(runs, names, Request(samples=SAMPLES))
    except LowerboundError as error:
        raise Problem(409, one_line(error)) from None
    few = []
    for candidate in candidates:
        examples = candidate.examples.take(slice(0, MOST_EXAMPLES))
        few.append(replace(candidate, examples=examples))
    return few, split


def _sampled(served: Served) -> dict[str, Any]:
    """Draws samples of a run that has a prior to sample from."""
    run = served.run
    if served.kind == "recommender" or not run.recipe.objective.has_bound:
        return {"name": served.name}
    if served.kind == "images":
        pictures = shares(run.sample(PICTURES, seed=0), run.schema)
        return {"name": served.name, "pictures": rounded(pictures, 3)}
    return {"name": served.name, "rows": rows_of(run.sample(ROWS, seed=0), run.schema)}


def describe(found: Comparison, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Describes a comparison: tables as texts, and all numbers."""
    return {
        "sizes": sizes(found),
        "figures": _table(figures_table(found)),
        "models": _table(models_table(found)),
        "settings": _table(settings_table(found)),
        "verdicts": verdicts(found),
        "warnings": list(found.warnings),
        "numbers": found.describe(),
        "samples": samples,
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "head": list(table.head),
        "rows": [list(row) for row in table.rows],
        "caption": table.caption,
    }
