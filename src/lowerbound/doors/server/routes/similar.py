"""What is most like an example or an item."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from ..current import Chosen
from ..inputs import WHOLE, read_examples
from ..outputs import Answer
from ..problems import Problem
from ..schemas import Body
from ..served import Served

router: APIRouter = APIRouter(tags=["similar"])


class SimilarBody(Body):
    """An item by id or title; or one of the run's own examples by its row, from 0, or an example as
    `encode` takes it.
    """

    to: int | float | str | list[Any] | dict[str, Any]
    k: Annotated[int, Field(ge=1, le=1000), WHOLE] = 10


class SimilarAnswer(BaseModel):
    """The most similar first: items with a cosine as `score`; or rows of the run's own data by what
    names them, with a distance or a cosine.
    """

    items: list[dict[str, Any]]
    metric: str
    caveat: str | None


@router.post("/similar", response_model=SimilarAnswer)
async def find_similar(served: Chosen, body: SimilarBody) -> Response:
    """Finds the items of a recommender that are most like one, or the run's own examples."""
    if served.kind == "recommender":
        return Answer(await served.work(lambda: similar_items(served, body)))
    return Answer(await served.work(lambda: similar_examples(served, body)))


def similar_items(served: Served, body: SimilarBody) -> dict[str, Any]:
    """Finds the items that are most like one, by the cosine of their vectors."""
    recommender = served.recommender
    if isinstance(body.to, list | dict):
        raise Problem(422, "to: an item by its id or its title is needed")
    if recommender.catalogue.find(body.to) is None:
        raise Problem(404, recommender.catalogue.describe_unknown(body.to))
    found = recommender.similar(body.to, body.k)
    lines = [recommendation._asdict() for recommendation in found]
    return {"items": lines, "metric": "cosine", "caveat": None}


def similar_examples(served: Served, body: SimilarBody) -> dict[str, Any]:
    """Finds the run's own examples whose codes are nearest to those of one."""
    served.run.schema.refuse_interactions("a recommender finds items")
    neighbours = served.neighbours
    to: Any = body.to
    if isinstance(to, float) and to.is_integer():
        to = int(to)
    if isinstance(to, int):
        _refuse_absent(served, to)
    elif isinstance(to, float):
        raise Problem(422, "to: a row is a whole number")
    else:  # a text is a picture here, and never the path of a file
        to = read_examples(served.run, [to])
    found = neighbours.nearest_to(to, body.k)
    return {
        "items": found.to_frame().to_dicts(),
        "metric": found.metric,
        "caveat": found.caveat,
    }


def _refuse_absent(served: Served, row: int) -> None:
    """Raises Problem if the run's own data have no such row."""
    rows = served.data.split("all").rows
    if row not in rows:
        raise Problem(404, f"the run's own data have {len(rows):,} rows, and none of number {row}")
