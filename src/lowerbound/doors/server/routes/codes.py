"""Encoding, decoding, sampling and reconstructing."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Query, UploadFile
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from ..current import Chosen
from ..inputs import MOST_EXAMPLES, read_examples, read_file
from ..outputs import Answer, describe_values, png_answer, shares
from ..problems import Problem
from ..reconstructing import reconstruct
from ..schemas import (
    DecodeBody,
    EncodeAnswer,
    EncodeBody,
    ReconstructAnswer,
    ReconstructBody,
    SampleBody,
    ValuesAnswer,
)
from ..served import Served
from .recommend import MOST_HISTORY, MOST_WEIGHT, History

router: APIRouter = APIRouter(tags=["codes"])

Accept = Annotated[str, Header(include_in_schema=False)]

Format = Annotated[
    str | None,
    Query(
        alias="format",
        pattern="^(json|png)$",
        description="png: one picture; as `Accept: image/png`.",
    ),
]

PICTURE_TOO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}


def _wants_picture(served: Served, form: str | None, accept: str) -> bool:
    """Says whether an answer is to be a picture."""
    is_asked = form == "png" or (form is None and accept.startswith("image/png"))
    if is_asked and served.kind != "images":
        raise Problem(406, f"{served.name} is a run of kind {served.kind}; only images are drawn")
    return is_asked


def _present(served: Served, values: Any, is_picture: bool) -> Response:
    """Answers with values in the units of the data, or with one picture of them."""
    if is_picture:
        return png_answer(shares(values, served.run.schema))
    return Answer(describe_values(values, served.run.schema))


@router.post("/encode", response_model=EncodeAnswer)
async def encode(served: Chosen, body: EncodeBody) -> Response:
    """Gives the posterior means of each level."""

    def work() -> Response:
        run = served.run
        if served.kind == "recommender":
            histories = read_histories(body.examples)
            codes: list[np.ndarray] = [
                served.recommender.codes(histories, given=body.given or None)
            ]
        else:
            x = read_examples(run, body.examples)
            codes = [level.numpy() for level in run.encode(x, given=body.given or None)]
        levels = [{"level": at, "z": z.astype(float).tolist()} for at, z in enumerate(codes)]
        return Answer({"levels": levels, "notes": served.notes})

    return await served.work(work)


HISTORIES: TypeAdapter[list[Any]] = TypeAdapter(list[History])
"""Histories, within the limits that recommending has for them."""


def read_histories(examples: list[Any]) -> dict[int, Any]:
    """Reads histories as `Recommender.codes` takes them.

    Raises:
        Problem: one is neither a list of items nor an object of weights, or is too long.
    """
    try:
        histories = HISTORIES.validate_python(examples, strict=True)
    except ValidationError:
        raise Problem(
            422,
            f"examples: a history is a list of items, or an object of weights above 0 and up to "
            f"{MOST_WEIGHT:g}, of {MOST_HISTORY:,} at most",
        ) from None
    return dict(enumerate(histories))


@router.post("/decode", response_model=ValuesAnswer, responses=PICTURE_TOO)
async def decode(
    served: Chosen,
    body: DecodeBody,
    form: Format = None,
    accept: Accept = "",
) -> Response:
    """Gives the means of p(x | z)."""
    served.refuse_kinds("recommender")
    is_picture = _wants_picture(served, form, accept)
    if (body.z is None) == (body.levels is None):
        raise Problem(422, "one of z and levels is needed")

    def work() -> Response:
        if body.levels is not None:
            zs = [_as_codes(level) for level in body.levels]
            _refuse_uneven(zs)
            values = served.run.decode_levels(zs, given=body.given or None)
        else:
            values = served.run.decode(_as_codes(body.z), body.level, given=body.given or None)
        return _present(served, values, is_picture)

    return await served.work(work)


def _as_codes(values: Any) -> np.ndarray:
    """Makes an array (n, d) of one vector, or of several.

    Raises:
        Problem: they have different lengths, or are too many.
    """
    try:
        z = np.array(values, np.float64)
    except ValueError:
        raise Problem(422, "z: all vectors need one length") from None
    if z.ndim == 1:
        z = z[None]
    if not 1 <= len(z) <= MOST_EXAMPLES:
        raise Problem(422, f"z: 1 to {MOST_EXAMPLES} vectors are allowed, got {len(z)}")
    if np.abs(z).max(initial=0) > MOST_CODE:
        raise Problem(422, f"z: numbers from -{MOST_CODE:g} to {MOST_CODE:g} are allowed")
    return z


MOST_CODE = 1e6
"""Values of latents are at most so large."""


def _refuse_uneven(zs: list[np.ndarray]) -> None:
    """Refuses levels of different numbers of vectors."""
    counts = {len(z) for z in zs}
    if len(counts) > 1:
        raise Problem(422, "levels: all need the same number of vectors")


@router.post("/sample", response_model=ValuesAnswer, responses=PICTURE_TOO)
async def sample(
    served: Chosen,
    body: SampleBody,
    form: Format = None,
    accept: Accept = "",
) -> Response:
    """Draws from the model."""
    served.refuse_kinds("recommender")
    is_picture = _wants_picture(served, form, accept)

    def work() -> Response:
        values = served.run.sample(
            body.n,
            given=body.given or None,
            mean=body.mean,
            temperature=body.temperature,
            seed=body.seed,
        )
        return _present(served, values, is_picture)

    return await served.work(work)


@router.post("/reconstruct", response_model=ReconstructAnswer)
async def reconstruct_examples(served: Chosen, body: ReconstructBody) -> Response:
    """Encodes examples and decodes them again: originals, means, residuals and scores."""
    served.refuse_kinds("recommender")

    def work() -> Response:
        x = read_examples(served.run, body.examples)
        return Answer(reconstruct(served, x, body.given or None, body.samples, body.seed))

    return await served.work(work)


@router.post("/reconstruct/file", response_model=ReconstructAnswer)
async def reconstruct_file(served: Chosen, file: UploadFile) -> Response:
    """Does what `reconstruct` does with a picture (PNG, JPEG and so on), or with a table's rows in
    a text file (.csv).
    """
    served.refuse_kinds("recommender")
    content = await file.read()

    def work() -> Response:
        x = read_file(served.run, file.filename or "", content)
        return Answer(reconstruct(served, x, None, None, 0))

    return await served.work(work)
