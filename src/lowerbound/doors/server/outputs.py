"""What answers hold: images as numbers or PNG, rows in the data's own words, numbers as JSON."""

import base64
import io
from typing import Any

import numpy as np
import torch
from pydantic_core import to_json
from starlette.responses import Response

from ...data import Schema
from ...report.text import column_names
from ...system.image_grid import tiles, to_unit_interval

PNG = "image/png"

NOT_KEPT = {"Cache-Control": "no-store"}
"""Answers to questions are kept by nobody."""


class Answer(Response):
    """An answer of JSON, written quickly; numbers that are not finite become null."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200) -> None:
        super().__init__(content, status_code, NOT_KEPT)

    def render(self, content: Any) -> bytes:
        return to_json(content, inf_nan_mode="null", fallback=str)


def png_answer(images: np.ndarray) -> Response:
    """Answers with one picture of images (N, C, H, W) in [0, 1]: a grid of several."""
    return Response(png_bytes(images), 200, NOT_KEPT, PNG)


def png_bytes(images: np.ndarray) -> bytes:
    """Writes images (N, C, H, W) in [0, 1] side by side as one PNG."""
    from PIL import Image

    pixels = tiles(images, gap=min(1, len(images) - 1))
    if pixels.shape[-1] == 1:
        pixels = pixels.squeeze(-1)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="PNG")
    return written.getvalue()


def png_url(image: np.ndarray) -> str:
    """Writes an image (C, H, W) in [0, 1] as a `data:` URL."""
    content = base64.b64encode(png_bytes(image[None])).decode("ascii")
    return f"data:{PNG};base64,{content}"


def shares(images: torch.Tensor, schema: Schema) -> np.ndarray:
    """Returns images as shares of white in [0, 1], (N, C, H, W)."""
    values = to_unit_interval(images.double().numpy(), schema.low, schema.high)
    return np.clip(np.nan_to_num(values), 0, 1)


def rounded(values: np.ndarray, digits: int = 6) -> list[Any]:
    """Returns numbers as nested lists, with so many decimals as a picture needs."""
    nested: list[Any] = np.round(np.asarray(values, np.float64), digits).tolist()
    return nested


def describe_values(values: Any, schema: Schema) -> dict[str, Any]:
    """Describes what a run gives back in the units of the data: images, rows or vectors."""
    if schema.kind == "image":
        return {"images": rounded(shares(values, schema))}
    return {"rows": rows_of(values, schema)}


def rows_of(values: Any, schema: Schema) -> list[dict[str, Any]]:
    """Returns rows of a table, or vectors, as objects by column."""
    if hasattr(values, "to_dicts"):
        rows: list[dict[str, Any]] = values.to_dicts()
        return rows
    names = column_names(schema.columns, schema.shape[0], "x")
    return [dict(zip(names, row, strict=True)) for row in values.double().tolist()]
