"""Recommending, and finding items."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field, ValidationError, model_validator
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ....data import History as DataOfUsers
from ....errors import one_line
from ....recommend import ListRequest, Recommendation, RecommendedItems, Wishes
from ....recommend.expressions import LONGEST
from ....recommend.people import take_users
from ....run.given import refuse_unknown_conditions
from ..current import Chosen
from ..inputs import FIRST, MOST_EXAMPLES, WHOLE, Conditions
from ..outputs import Answer
from ..problems import Problem, word_invalid
from ..schemas import Body
from ..served import Served

router: APIRouter = APIRouter(tags=["recommend"])

MOST_HISTORY = 10_000
"""A history, and a list of items that are allowed or denied, may have so many items."""

MOST_EXPLAINED = 500
"""A history of so many items is explained: each of them is left out once."""

MOST_REASONS = 5
"""So many items of the history are named for a recommended one."""

MOST_ITEMS = 1000
"""A list may have so many items."""

MOST_DIVERSE = 100
"""A list that is made diverse may have so many items."""

MOST_BOOSTS = 20
"""So many conditions or lists of items are boosted."""

MOST_NATS = 1e4
"""A boost is at most so large."""

Item = int | float | str

Items = Annotated[list[Item], Field(max_length=MOST_HISTORY, default_factory=list), FIRST]

MOST_WEIGHT = 1e6
"""A weight of an item in a history is at most so large."""

Weight = Annotated[float, Field(gt=0, le=MOST_WEIGHT)]

History = (
    Annotated[list[Item], Field(max_length=MOST_HISTORY), FIRST]
    | Annotated[dict[str, Weight], Field(max_length=MOST_HISTORY)]
)


Condition = Annotated[str, Field(min_length=1, max_length=LONGEST)]
"""A condition on the columns of items, see `recommend.expressions`."""


class ConditionBoost(Body):
    """Nats that are added to the scores of the items of which a condition holds."""

    where: Condition
    nats: Annotated[float, Field(ge=-MOST_NATS, le=MOST_NATS)]


class ItemsBoost(Body):
    """Nats that are added to the scores of some items."""

    items: Annotated[list[Item], Field(min_length=1, max_length=MOST_HISTORY), FIRST]
    nats: Annotated[float, Field(ge=-MOST_NATS, le=MOST_NATS)]


class AtMost(Body):
    """So many items of each group of a column."""

    n: Annotated[int, Field(ge=1, le=MOST_ITEMS), WHOLE]
    per: Annotated[str, Field(min_length=1, max_length=200)]


Boosts = Annotated[
    list[ConditionBoost | ItemsBoost], Field(max_length=MOST_BOOSTS, default_factory=list)
]


class Limits(Body):
    """What may be recommended, and how it is ordered; see `recommend.Wishes`."""

    k: Annotated[int, Field(ge=1, le=MOST_ITEMS), WHOLE] = 10
    allow: Annotated[list[Item], Field(min_length=1, max_length=MOST_HISTORY), FIRST] | None = None
    deny: Items
    exclude_seen: bool = True
    where: Condition | None = None
    boost: Boosts
    less_popular: Annotated[float, Field(ge=0, le=100)] = 0.0
    at_most: AtMost | None = None
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def wishes(self) -> Wishes:
        """What `Recommender` is asked for.

        Raises:
            Problem: a diverse list is too long.
        """
        if self.diversity and self.k > MOST_DIVERSE:
            raise Problem(409, f"diversity is for lists of up to {MOST_DIVERSE} items")
        boost: list[tuple[Any, float]] = []
        for each in self.boost:
            if isinstance(each, ConditionBoost):
                boost.append((each.where, each.nats))
            else:
                boost.append((each.items, each.nats))
        wishes = Wishes(
            exclude_seen=self.exclude_seen,
            allow=self.allow,
            deny=self.deny,
            where=self.where,
            boost=boost,
            less_popular=self.less_popular,
            diversity=self.diversity,
        )
        if self.at_most is not None:
            wishes["at_most"] = self.at_most.n
            wishes["per"] = self.at_most.per
        return wishes


class RecommendBody(Limits):
    """The history of a user, as items by id or title, or as weights by item, or the id of a user of
    the run's own data; and, for a run that was fitted with some, what is known of the user.
    """

    history: History | None = None
    user: Item | None = None
    given: Conditions | None = None
    explain: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> "RecommendBody":
        if (self.history is None) == (self.user is None):
            raise ValueError("one of history and user is needed")
        return self


class BatchBody(Limits):
    """The histories of several users; and, for a run that was fitted with some, what is known of
    them: a value for all of them, or one for each.
    """

    histories: Annotated[list[History], Field(min_length=1, max_length=MOST_EXAMPLES), FIRST]
    given: Conditions | None = None


class ReasonLine(BaseModel):
    """An item of the history, and how much lower the score is without it."""

    item: Any
    title: str | None
    share: float


class RecommendedLine(BaseModel):
    """A recommended item."""

    item: Any
    title: str | None
    score: float
    because: list[ReasonLine] | None = None


class RecommendAnswer(BaseModel):
    """A list, the best first, and what the run does not know of the request; `popular` where
    nothing is known of the user, so that these are the most popular items.
    """

    items: list[RecommendedLine]
    unknown: list[Any]
    popular: bool


class BatchAnswer(BaseModel):
    """The lists of several users; one that has nothing known, or nothing left, is empty."""

    lists: list[RecommendAnswer]


class ItemLine(BaseModel):
    """An item; `popularity` counts the training users that have it."""

    item: Any
    title: str | None
    popularity: int


class ItemsAnswer(BaseModel):
    """Items that were found."""

    items: list[ItemLine]


@router.post("/recommend", response_model=RecommendAnswer)
async def recommend(served: Chosen, body: RecommendBody) -> Response:
    """Recommends the best items for a history."""
    return await answer_recommend(served, body)


async def recommend_quickly(request: Request) -> Response:
    """Does what `recommend` does, of the run that the path names, without the machinery of FastAPI,
    which takes longer than a recommendation among many.
    """
    request.scope["route"] = quick[0]  # as FastAPI notes it of its own routes
    served: Served = request.app.state.shelf.find(request.path_params["name"])
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("application/json"):
        raise Problem(422, "the body: JSON is needed, and Content-Type: application/json")
    try:
        body = RecommendBody.model_validate_json(await request.body())
    except ValidationError as error:
        raise Problem(422, word_invalid(list(error.errors(include_url=False)))) from None
    return await answer_recommend(served, body)


quick: list[BaseRoute] = [Route("/runs/{name}/recommend", recommend_quickly, methods=["POST"])]
"""These routes stand before all others."""


async def answer_recommend(served: Served, body: RecommendBody) -> Response:
    """Answers one history with its list."""
    recommender = served.recommender
    history: Any = body.history
    if body.user is not None:
        history = await served.work(lambda: _history_of(served, body.user))

    def read() -> ListRequest:
        return recommender.prepare(history, body.k, given=body.given or None, **body.wishes)

    if _looks_at_all_items(body):
        request = await served.look_up(read)
    else:
        request = read()
    if body.explain and len(request.columns) > MOST_EXPLAINED:
        raise Problem(409, f"a history of {MOST_EXPLAINED} items at most is explained")
    found = await served.batcher(request)
    if not found:
        raise Problem(409, "nothing is left to recommend: the history holds every item")
    lines = [_line(recommendation) for recommendation in found]
    if body.explain and not found.popular:
        columns = recommender.catalogue.columns(line["item"] for line in lines)
        reasons = await served.work(lambda: recommender.reasons(request, columns, MOST_REASONS))
        for line, because in zip(lines, reasons, strict=True):
            line["because"] = [reason._asdict() for reason in because]
    return Answer(_told(lines, found))


def _history_of(served: Served, user: Any) -> Any:
    """Looks up all that is known of a user of the run's own data.

    Raises:
        UnknownUserError: there is no such user.
        Problem: the data are not there.
    """
    whole = served.data.whole
    assert isinstance(whole, DataOfUsers)
    return take_users([user], whole, "this run", suggests=False)


def _looks_at_all_items(limits: Limits) -> bool:
    """Says whether to read a request takes so long that others must not wait for it."""
    return limits.where is not None or bool(limits.boost) or limits.at_most is not None


def _told(lines: list[dict[str, Any]], found: RecommendedItems) -> dict[str, Any]:
    """Returns what is told of a list."""
    return {"items": lines, "unknown": found.unknown, "popular": found.popular}


def _line(recommendation: Recommendation) -> dict[str, Any]:
    """Returns one item of a list."""
    item, title, score = recommendation
    return {"item": item, "title": title, "score": score}


@router.post("/recommend/batch", response_model=BatchAnswer)
async def recommend_to_many(served: Chosen, body: BatchBody) -> Response:
    """Recommends to several users what each alone is recommended."""
    recommender = served.recommender
    columns_given = served.run.schema.given
    refuse_unknown_conditions(body.given or {}, columns_given)
    if not (columns_given or recommender.knows_popular or all(body.histories)):
        raise Problem(422, "histories: one is empty, and nothing else is known of users here")
    given = _given_to_each(body.given or {}, len(body.histories))

    def read() -> list[ListRequest | None]:
        requests: list[ListRequest | None] = []
        for history, known in zip(body.histories, given, strict=True):
            is_known = any(recommender.catalogue.find(item) is not None for item in history)
            is_known = is_known or any(value is not None for value in known.values())
            request = None
            if is_known or recommender.knows_popular:
                request = recommender.prepare(history, body.k, given=known or None, **body.wishes)
            requests.append(request)
        return requests

    requests = await served.look_up(read)

    def work() -> list[RecommendedItems]:
        return recommender.answer([request for request in requests if request is not None])

    found = iter(await served.work(work))
    lists: list[dict[str, Any]] = []
    for history, request in zip(body.histories, requests, strict=True):
        if request is None:
            lists.append({"items": [], "unknown": list(history), "popular": False})
            continue
        answer = next(found)
        lists.append(_told([_line(recommendation) for recommendation in answer], answer))
    return Answer({"lists": lists})


def _given_to_each(given: Conditions, count: int) -> list[Conditions]:
    """Returns what is given of each of so many users.

    Raises:
        Problem: there are not as many values of a name as users.
    """
    for name, values in given.items():
        if isinstance(values, list) and len(values) != count:
            raise Problem(
                422,
                f"given.{one_line(name, 80)}: one value for all histories, or one for each of the "
                f"{count}, got {len(values)}",
            )
    of_each: list[Conditions] = []
    for position in range(count):
        of_one = {}
        for name, values in given.items():
            of_one[name] = values
            if isinstance(values, list):
                of_one[name] = values[position]
        of_each.append(of_one)
    return of_each


@router.get("/items", response_model=ItemsAnswer)
async def find_items(
    served: Chosen,
    q: Annotated[str, Query(max_length=200, description="What was typed.")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Response:
    """Finds items as somebody types; the most popular ones where nothing is typed."""
    search = served.search
    columns = await served.look_up(lambda: search.find(q, limit))
    return Answer({"items": [item_line(served, column) for column in columns]})


@router.get("/items/{item}", response_model=ItemLine)
async def describe_item(
    served: Chosen, item: Annotated[str, Path(description="An id or a title.")]
) -> Response:
    """Tells one item."""
    column = served.recommender.catalogue.find(item)
    if column is None:
        raise Problem(404, served.recommender.catalogue.describe_unknown(item))
    return Answer(item_line(served, column))


def item_line(served: Served, column: int) -> dict[str, Any]:
    """Returns what is told of the item in a column of the catalogue."""
    catalogue = served.recommender.catalogue
    return {
        "item": catalogue.ids[column : column + 1].tolist()[0],
        "title": catalogue.title(column),
        "popularity": int(served.search.popularity[column]),
    }
