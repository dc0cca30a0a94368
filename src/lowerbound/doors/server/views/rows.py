"""Single examples of a run's own data, and the oddest rows of a table with what makes them odd."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel
from starlette.responses import Response

from ....anomalies.cells import OddCells
from ....anomalies.measures import Columns, Scorer, draw_rows, judged
from ....anomalies.reference import OwnScores, find_own
from ....data import Examples
from ....evaluation import percentile
from ....evaluation.likelihood import LIKELIHOOD_SAMPLES
from ....evaluation.measure import MeasureSettings
from ....training.seeds import derive_seed
from ..current import Chosen
from ..outputs import PNG, Answer, png_bytes, rounded
from ..problems import Problem
from ..served import Served
from .examples import OwnExamples, places_in, points_of
from .jobs import Job, in_turn, job_of

router: APIRouter = APIRouter(prefix="/rows", tags=["page"])

PIECE = 64
"""So many rows are measured before other requests have their turn."""

MOST_SCORED = 2_000
"""At most so many rows of a split are looked through for odd ones."""

MEASURED_FOR_REFERENCE = 500
"""So many held-out rows are measured where the run has kept no scores of them."""

MOST_LISTED = 200
"""A request may ask for so many rows."""

Place = Annotated[int, Path(ge=0, lt=2**53, alias="place")]


class OwnExample(BaseModel):
    """An example of a run's own data with its codes."""

    id: int
    title: str
    values: dict[str, Any]
    picture: list[list[list[float]]] | None
    given: dict[str, Any] | None
    codes: list[list[float | None]]


class OddCellOfRow(BaseModel):
    """A cell that makes a row odd, and how many nats it is below what is usual for its column."""

    column: str
    value: str | None
    below: float


class OddRow(BaseModel):
    """A row with the cells that make it odd."""

    id: int
    percentile: float
    log_likelihood: float
    values: dict[str, Any]
    odd: list[OddCellOfRow]


class OddRows(BaseModel):
    """The oddest rows of a table, or how far the measuring has come."""

    ready: bool
    done: float
    examples: int
    split: str
    reference: int
    reference_split: str
    score: str
    caveat: str | None
    rows: list[OddRow]


async def _own(served: Served) -> OwnExamples:
    """Returns the examples of a run's own data.

    Raises:
        Problem: the run is a recommender, or its data are not there.
    """
    served.refuse_kinds("recommender")
    points = await points_of(served)
    assert isinstance(points, OwnExamples)
    return points


@router.get("/{place}", response_model=OwnExample)
async def tell_row(served: Chosen, place: Place) -> Response:
    """Tells of one example of the run's own data: its values or its picture, and its codes."""
    own = await _own(served)
    ids = places_in([place], len(own))

    def work() -> dict[str, Any]:
        codes = served.run.encode(own.examples.take(ids))
        picture = None
        if own.tile is not None:
            picture = rounded(own.pictures(ids)[0], 4)
        return {
            "id": place,
            "title": own.titles(ids)[0],
            "values": own.values(ids)[0],
            "picture": picture,
            "given": own.given(ids)[0],
            "codes": [level[0].double().tolist() for level in codes],
        }

    return Answer(await served.work(work))


@router.get("/{place}/image", response_class=Response, responses={200: {"content": {PNG: {}}}})
async def give_image(served: Chosen, place: Place) -> Response:
    """Gives one image of the run's own data as PNG."""
    own = await _own(served)
    if own.tile is None:
        raise Problem(404, f"{served.name} has no pictures")
    ids = places_in([place], len(own))
    return Response(png_bytes(own.pictures(ids)), 200, {"Cache-Control": "no-store"}, PNG)


# The oddest rows


@dataclass(frozen=True, eq=False)
class Scored:
    """Scored rows of a split.

    Attributes:
        split: its name.
        examples: the rows that were measured.
        places: their places among all rows, (n,).
        columns: what was measured of them.
        percentiles: of each among held-out rows, (n,).
        own: what held-out rows score.
        scorer: that has measured them.
    """

    split: str
    examples: Examples
    places: np.ndarray
    columns: Columns
    percentiles: np.ndarray
    own: OwnScores
    scorer: Scorer


@router.get("", response_model=OddRows)
async def list_odd_rows(
    served: Chosen,
    by: Annotated[Literal["score"], Query()] = "score",
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 20,
) -> Response:
    """Lists the least likely rows of a table among its held-out rows, and the cells that make them
    so. The first request begins the measuring: until it is `ready`, `done` says how far it has
    come.
    """
    own = await _own(served)
    served.refuse_kinds("images", "vectors")
    if not served.run.recipe.objective.has_bound:
        raise Problem(404, f"{served.name} is an autoencoder, which has no likelihood")
    split, examples = _held_out(served)
    job = job_of(served, "rows", partial(_score, served, own, split, examples))
    answer: dict[str, Any] = {
        "ready": job.is_ready,
        "done": job.done,
        "examples": len(examples),
        "split": split,
        "reference": 0,
        "reference_split": "",
        "score": "log-likelihood",
        "caveat": None,
        "rows": [],
    }
    if job.is_ready:
        scored: Scored = await job.result()
        answer |= await in_turn(served, lambda: _describe(served, own, scored, limit))
    return Answer(answer)


def _held_out(served: Served) -> tuple[str, Examples]:
    """Returns the split whose rows are listed: one that the model was not trained on, where there
    is one; of a large one some rows, drawn by a fixed seed.
    """
    data = served.data
    name = "train"
    for part in ("test", "validation"):
        if getattr(data, part) is not None:
            name = part
            break
    split = data.split(name)
    assert isinstance(split, Examples)
    return name, split.take(draw_rows(len(split), MOST_SCORED, 0))


async def _score(
    served: Served, own: OwnExamples, split: str, examples: Examples, job: Job
) -> Scored:
    """Measures rows, piece by piece."""
    kept = served.reference
    samples = LIKELIHOOD_SAMPLES
    most: int | None = MEASURED_FOR_REFERENCE
    if kept is not None:
        samples = kept.samples
        most = None
    scorer = Scorer(served.run, None, MeasureSettings(seed=0, samples=samples))
    scores = await in_turn(served, lambda: find_own(scorer, most))
    scorer = replace(scorer, usual=scores.usual)
    parts: list[Columns] = []
    for start in range(0, len(examples), PIECE):
        piece = examples.take(slice(start, start + PIECE))
        settings = replace(scorer.settings, seed=derive_seed(0, start))
        measured = replace(scorer, settings=settings)
        parts.append(await in_turn(served, partial(measured.measure, piece)))
        job.done = min(1.0, (start + PIECE) / len(examples))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    percentiles = percentile(judged(columns), judged(scores.reference))
    places = _places_of(own, examples)
    return Scored(split, examples, places, columns, percentiles, scores, scorer)


def _places_of(own: OwnExamples, examples: Examples) -> np.ndarray:
    """Finds the places of examples among all that the page knows; -1 where it does not know one."""
    order = np.argsort(own.examples.rows, kind="stable")
    known = own.examples.rows[order]
    at = np.minimum(np.searchsorted(known, examples.rows), len(known) - 1)
    return np.where(known[at] == examples.rows, order[at], -1)


def _describe(served: Served, own: OwnExamples, scored: Scored, limit: int) -> dict[str, Any]:
    """Describes the oddest rows that the page knows."""
    likely = judged(scored.columns)
    order = np.argsort(likely, kind="stable")
    order = order[scored.places[order] >= 0][:limit]
    odd = scored.scorer.odd_cells(scored.examples.take(order))
    places = scored.places[order]
    rows = []
    for at, (row, values) in enumerate(zip(order.tolist(), own.values(places), strict=True)):
        rows.append(
            {
                "id": int(scored.places[row]),
                "percentile": float(scored.percentiles[row]),
                "log_likelihood": float(likely[row]),
                "values": values,
                "odd": _cells(odd, at),
            }
        )
    name = "log-likelihood"
    if "adjusted" in scored.columns:
        name = "log-likelihood, adjusted for gaps"
    return {
        "reference": len(judged(scored.own.reference)),
        "reference_split": scored.own.reference_split,
        "score": name,
        "caveat": served.run.caveat(scored.examples),
        "rows": rows,
    }


def _cells(odd: OddCells | None, at: int) -> list[dict[str, Any]]:
    """Describes the odd cells of one row."""
    if odd is None:
        return []
    found = odd.columns_of(slice(at, at + 1))
    cells = []
    for place in range(odd.positions.shape[1]):
        name = f"odd_{place + 1}"
        if found[name][0] is not None:
            cells.append(
                {
                    "column": found[name][0],
                    "value": found[f"{name}_value"][0],
                    "below": found[f"{name}_below"][0],
                }
            )
    return cells
