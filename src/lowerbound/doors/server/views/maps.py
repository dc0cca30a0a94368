"""The map of all examples of a run, or of all its items."""

import asyncio
from itertools import islice
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, StringConstraints
from starlette.responses import Response

from ..current import Chosen
from ..outputs import PNG, Answer
from ..problems import Problem
from .examples import OwnExamples, places_in, points_of
from .layout import Layout, dimensions_of, layout_job, methods_of

router: APIRouter = APIRouter(prefix="/map", tags=["page"])

EACH = 1024
"""So many small pictures are on one sheet."""

WIDE = 32
"""So many stand in a row."""

MOST_FOUND = 100_000
"""A search tells of so many points."""

MOST_VALUES = 100
"""At most so many values of a point are told."""

KEPT = {"Cache-Control": "private, max-age=3600"}
"""Sheets of pictures may be kept by the browser for a while."""

Level = Annotated[int, Query(ge=0, le=1000)]
Method = Annotated[Literal["codes", "PCA", "t-SNE"] | None, Query()]


class ColourDescription(BaseModel):
    """What points are coloured by: words, or numbers from low to high."""

    name: str
    levels: list[str] | None
    low: float
    high: float


class SpriteLayout(BaseModel):
    """How small pictures lie on a sheet: `wide` in a row, `each` on a sheet."""

    tile: int
    wide: int
    each: int


class MapDescription(BaseModel):
    """What there is of a map, or how far it has come."""

    ready: bool
    done: float
    count: int
    of: int
    method: str
    methods: list[str]
    level: int
    levels: int
    axes: list[str] | None
    note: str
    colours: list[ColourDescription]
    sprites: SpriteLayout | None


class MapRow(BaseModel):
    """One point: its number, its row in the data, its name and its values."""

    id: int
    row: int
    title: str
    values: dict[str, Any]


class MapRows(BaseModel):
    """Some points."""

    rows: list[MapRow]


class Found(BaseModel):
    """The points that a search has found."""

    ids: list[int]
    found: int


def _method_of(dimensions: list[int], level: int, method: str | None) -> str:
    """Returns how the codes of a level become points.

    Raises:
        Problem: there is no such level, or its codes do not become points in this way.
    """
    if level >= len(dimensions):
        raise Problem(404, f"levels of the map are 0 to {len(dimensions) - 1}, got {level}")
    methods = methods_of(dimensions[level])
    if method is None:
        return methods[0]
    if method not in methods:
        raise Problem(404, f"method: {', '.join(methods)} are allowed for this map, got {method}")
    return method


@router.get("", response_model=MapDescription)
async def describe_map(served: Chosen, level: Level = 0, method: Method = None) -> Response:
    """Describes the map, and begins to make it where there is none: until it is `ready`, `done`
    says how far it has come.
    """
    dimensions = await dimensions_of(served)
    way = _method_of(dimensions, level, method)
    points = await points_of(served)
    job = layout_job(served, level, way)
    described: dict[str, Any] = {
        "ready": job.is_ready,
        "done": job.done,
        "count": len(points),
        "of": points.of,
        "method": way,
        "methods": list(methods_of(dimensions[level])),
        "level": level,
        "levels": len(dimensions),
        "axes": None,
        "note": "",
        "colours": [],
        "sprites": None,
    }
    if points.tile is not None:
        described["sprites"] = {"tile": points.tile, "wide": WIDE, "each": EACH}
    if job.is_ready:
        layout: Layout = await job.result()
        described["axes"] = layout.axes
        described["note"] = layout.note
        described["colours"] = [colour.describe() for colour in layout.colours]
    return Answer(described)


@router.get(
    "/points",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def give_points(served: Chosen, level: Level = 0, method: Method = None) -> Response:
    """Gives the points as float32, the least byte first: all x, all y, then one block a colour."""
    dimensions = await dimensions_of(served)
    way = _method_of(dimensions, level, method)
    layout: Layout = await layout_job(served, level, way).result()
    return Response(
        layout.to_bytes(), 200, {"Cache-Control": "no-store"}, "application/octet-stream"
    )


@router.get("/sprites/{number}", response_class=Response, responses={200: {"content": {PNG: {}}}})
async def give_sprites(served: Chosen, number: Annotated[int, Path(ge=0)]) -> Response:
    """Gives a sheet of small pictures of the points from 1024 * number on."""
    points = await points_of(served)
    if not isinstance(points, OwnExamples) or points.tile is None:
        raise Problem(404, f"{served.name} has no pictures")
    if number * EACH >= len(points):
        raise Problem(404, f"sheets have the numbers 0 to {(len(points) - 1) // EACH}")
    content = await asyncio.to_thread(_sheet, points, number)
    return Response(content, 200, KEPT, PNG)


def _sheet(points: OwnExamples, number: int) -> bytes:
    """Draws a sheet as PNG."""
    from io import BytesIO

    from PIL import Image

    assert points.tile is not None
    ids = np.arange(number * EACH, min((number + 1) * EACH, len(points)))
    small = np.stack([_shrunk(picture, points.tile) for picture in points.pictures(ids)])
    pixels = _side_by_side(np.rint(255 * small).astype(np.uint8))
    if pixels.shape[-1] == 1:
        pixels = pixels.squeeze(-1)
    written = BytesIO()
    Image.fromarray(pixels).save(written, format="PNG", compress_level=1)
    return written.getvalue()


def _side_by_side(squares: np.ndarray) -> np.ndarray:
    """Places squares (N, C, T, T) in rows of `WIDE`, (rows * T, WIDE * T, C), without gaps."""
    count, channels, side, _ = squares.shape
    rows = -(-count // WIDE)
    padded = np.zeros((rows * WIDE, channels, side, side), squares.dtype)
    padded[:count] = squares
    grid = padded.reshape(rows, WIDE, channels, side, side).transpose(0, 3, 1, 4, 2)
    return grid.reshape(rows * side, WIDE * side, channels)


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """Shrinks an image (C, H, W) into a square, in its middle on black."""
    from PIL import Image

    channels, height, width = picture.shape
    longest = max(height, width)
    if height == width == side:
        return picture
    if longest > side:
        size = (max(1, width * side // longest), max(1, height * side // longest))
        planes = []
        for plane in picture:
            image = Image.fromarray(plane.astype(np.float32))
            planes.append(np.asarray(image.resize(size, Image.Resampling.BOX)))
        picture = np.stack(planes)
        height, width = picture.shape[1:]
    square = np.zeros((channels, side, side), np.float32)
    top = (side - height) // 2
    left = (side - width) // 2
    square[:, top : top + height, left : left + width] = picture
    return square


@router.get("/rows", response_model=MapRows)
async def tell_rows(
    served: Chosen,
    ids: Annotated[str, Query(pattern=r"^[0-9]{1,9}(,[0-9]{1,9}){0,199}$")],
) -> Response:
    """Tells of some points: `ids` are up to 200 of their numbers, with commas between them."""
    points = await points_of(served)
    numbers = [int(text) for text in ids.split(",")]
    places = places_in(numbers, len(points))
    return Answer({"rows": await asyncio.to_thread(_rows, points, places)})


def _rows(points: Any, places: np.ndarray) -> list[dict[str, Any]]:
    """Describes some points; of long vectors the first values."""
    rows = []
    titles = points.titles(places)
    values = points.values(places)
    for at, title, row in zip(places.tolist(), titles, values, strict=True):
        some = dict(islice(row.items(), MOST_VALUES))
        rows.append({"id": at, "row": points.row_of(at), "title": title, "values": some})
    return rows


@router.get("/places", response_model=Found)
async def find_places(
    served: Chosen,
    of: Annotated[list[Annotated[str, StringConstraints(max_length=200)]], Query(max_length=200)],
) -> Response:
    """Finds the points of rows of the data, or of items, by their numbers or ids; those that have
    no point are left out.
    """
    points = await points_of(served)
    found = await asyncio.to_thread(points.places, of)
    return Answer({"ids": found, "found": len(found)})


@router.get("/search", response_model=Found)
async def search(
    served: Chosen, q: Annotated[str, Query(min_length=1, max_length=200)]
) -> Response:
    """Finds the points of a label, a row, a part of a name or title, or a word of a table."""
    points = await points_of(served)
    found = await asyncio.to_thread(points.search, q.strip())
    return Answer({"ids": found[:MOST_FOUND].tolist(), "found": len(found)})
