"""What requests bring: examples as numbers, as rows or as pictures -> what a run takes."""

import base64
import binascii
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from ...columns import ColumnSchema
from ...data import Examples as DenseExamples
from ...data.files.pictures import Form, decode, reading_pictures
from ...data.levels import type_of_levels
from ...errors import DataError, ShapeError, one_line, unknown
from ...run import Run
from ...run.given import Given
from ...run.run import Examples
from .problems import Problem, word_invalid

MOST_EXAMPLES = 256
"""A request may bring so many examples, or ask for so many."""

MOST_PIXELS = 2**22
"""A picture may have so many pixels, for which decoding takes 48 MiB."""

EXACT = ConfigDict(strict=True, allow_inf_nan=False)
"""Nothing is converted: a truth value is no number, and a number in quotes is a text."""


def _as_whole(value: Any) -> Any:
    """Returns 3 for 3.0: JSON does not tell them apart."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


WHOLE = BeforeValidator(_as_whole)
"""Marks a whole number of a body. It stands behind the bounds, so that the OpenAPI document has
them.
"""

Cell = bool | int | float | str | None
"""A cell of a table, or a condition; None is not known."""

FIRST: Any = Field(fail_fast=True)
"""Marks a list whose first mistake is told alone: to tell of a million takes seconds."""

MOST_KEYS = 5000
"""An object may have so many keys."""

Row = Annotated[dict[str, Cell], Field(max_length=MOST_KEYS)]
"""A row of a table: cells by column."""

Vector = Annotated[list[float], FIRST]
"""A list of numbers."""

Vectors = Annotated[list[Vector], FIRST]
"""Vectors, or the rows of an image of one channel."""

Planes = Annotated[list[Vectors], FIRST]
"""Images of one channel, or the channels of one image."""

Conditions = Annotated[dict[str, Cell | Annotated[list[Cell], FIRST]], Field(max_length=MOST_KEYS)]
"""Conditions by name: a value for all examples, or one for each."""

VECTORS: TypeAdapter[Any] = TypeAdapter(Vectors, config=EXACT)
PLANES: TypeAdapter[Any] = TypeAdapter(Planes, config=EXACT)
IMAGES: TypeAdapter[Any] = TypeAdapter(Annotated[list[Planes], FIRST], config=EXACT)
PICTURES: TypeAdapter[Any] = TypeAdapter(Annotated[list[str], FIRST], config=EXACT)
ROWS: TypeAdapter[Any] = TypeAdapter(Annotated[list[Row], FIRST], config=EXACT)

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
"""A file with such a name holds rows of a table."""


def checked(adapter: TypeAdapter[Any], values: Any) -> Any:
    """Returns values, if they are what an adapter asks for.

    Raises:
        Problem: they are not; the detail says where.
    """
    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        found: list[dict[str, Any]] = [{**each} for each in error.errors(include_url=False)]
        found[0]["loc"] = ("examples", *found[0]["loc"])
        raise Problem(422, word_invalid(found)) from None


def refuse_many(count: int) -> None:
    """Refuses more examples than one request may have, and none.

    Raises:
        Problem: there are none, or too many.
    """
    if not 1 <= count <= MOST_EXAMPLES:
        raise Problem(422, f"examples: 1 to {MOST_EXAMPLES} are allowed, got {count}")


def read_examples(run: Run, examples: list[Any]) -> Examples:
    """Reads the examples of a request of JSON.

    Args:
        run: whose examples they are.
        examples: images as numbers [height][width] or [channel][height][width], on the levels of
            the data or as shares of white, or as PNG or JPEG files in base64; rows of a table as
            objects of cells by column; vectors as numbers.

    Returns:
        What `Run.encode` takes: an array, or a frame.

    Raises:
        Problem: they are nothing of the kind.
        DataError: a picture cannot be read, or a row has a column that the run has not.
    """
    refuse_many(len(examples))
    schema = run.schema
    if schema.kind == "image" and isinstance(examples[0], str):
        pictures = [_from_base64(text) for text in checked(PICTURES, examples)]
        return np.stack([read_picture(run, picture) for picture in pictures])
    if schema.kind == "image":
        return _read_images(run, examples)
    if schema.columns:
        return read_rows(run, checked(ROWS, examples))
    return _as_array(checked(VECTORS, examples), examples)


def _read_images(run: Run, examples: list[Any]) -> np.ndarray:
    """Reads images as numbers, (N, C, H, W)."""
    has_channels = _depth(examples[0]) > 2
    adapter = PLANES
    if has_channels:
        adapter = IMAGES
    array = _as_array(checked(adapter, examples), examples)
    if not has_channels:
        array = array[:, None]
    if array.shape[1:] != run.schema.shape:
        raise ShapeError(
            f"examples: images of shape {run.schema.shape} are needed, got {array.shape[1:]}"
        )
    if run.schema.levels is not None and _are_levels(array):
        return _as_levels(array, run.schema.levels)
    return array


def _are_levels(array: np.ndarray) -> bool:
    """Says whether numbers are levels and no shares of white: they are whole, and were written so
    or are above 1.
    """
    if array.dtype.kind in "iu":
        return True
    return bool(array.max() > 1 and (array == np.rint(array)).all())


def _as_levels(array: np.ndarray, levels: int) -> np.ndarray:
    """Returns whole numbers in the type that levels have; images of two levels are read as grey.

    Raises:
        DataError: a number is no level.
    """
    greatest = levels - 1
    if levels == 2:
        greatest = 2**8 - 1
    if array.min() < 0 or array.max() > greatest:
        raise DataError(
            f"examples: whole numbers are levels from 0 to {greatest}, got {array.min()} to "
            f"{array.max()}; shares of white from 0.0 to 1.0 are allowed too"
        )
    return array.astype(type_of_levels(greatest + 1))


def _depth(values: Any) -> int:
    """Counts how deep lists are nested, by their first entries."""
    depth = 0
    while isinstance(values, list) and values:
        depth += 1
        values = values[0]
    return depth


def _as_array(numbers: Any, given: list[Any]) -> np.ndarray:
    """Makes an array of numbers that were checked.

    Whole numbers stay what they are: on levels they mean something else than shares of white.
    """
    try:
        array = np.array(given)
        if array.dtype.kind not in "iuf":
            array = np.array(numbers, np.float64)
    except (ValueError, OverflowError):
        raise Problem(422, "examples: all need one shape, without gaps") from None
    return array


def read_rows(run: Run, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Makes a frame of rows of a table; a column that a row does not name is a gap.

    Raises:
        DataError: a row has a column that the run has not.
    """
    import polars

    schema = run.schema
    known = [*schema.columns, *schema.names_of_conditions]
    named = {name for row in rows for name in row}
    for name in sorted(named):
        if name not in known:
            raise DataError(one_line(unknown("column", name, known), 300))
    types = {column.name: column for column in (*schema.table, *schema.given)}
    made = []
    for name in known:
        if name in schema.columns or name in named:
            cells = [row.get(name) for row in rows]
            made.append(_series(name, cells, types.get(name)))
    return polars.DataFrame(made)


def _series(name: str, cells: list[Any], column: ColumnSchema | None) -> Any:
    """Makes a column of cells: texts, where texts and numbers stand together."""
    import polars

    if all(cell is None for cell in cells):
        kind: Any = polars.Float64
        if column is not None and column.type == "integer":
            kind = polars.Int64
        elif column is not None and not column.is_number:
            kind = polars.String
        return polars.Series(name, cells, kind)
    try:
        return polars.Series(name, cells, strict=True)
    except (TypeError, OverflowError, polars.exceptions.PolarsError):
        texts = [None if cell is None else str(cell) for cell in cells]
        return polars.Series(name, texts, polars.String)


# Pictures


def _from_base64(text: str) -> bytes:
    """Returns the bytes of a picture in base64, perhaps as a `data:` URL."""
    content = text
    if text.startswith("data:"):
        content = text.partition(",")[2]
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(
            422, "examples: a text is no picture in base64, with or without data:image/png;base64,"
        ) from None


def read_picture(run: Run, content: bytes) -> np.ndarray:
    """Reads a picture in the size of the run's images, (C, H, W): on their levels, or, where these
    are none or two, as shares of white.

    Raises:
        DataError: it is no picture that can be read, or too large.
    """
    run.schema.refuse_interactions("a recommender takes no pictures")
    if run.schema.kind != "image":
        raise DataError("only a run on images takes pictures")
    channels, height, width = run.schema.shape
    levels = run.schema.levels
    has_levels = levels is not None and levels > 2
    form = Form(channels, height, width, levels if has_levels and levels else 2**8)
    with tempfile.TemporaryDirectory(prefix="lowerbound-") as folder:
        path = Path(folder) / "picture"
        path.write_bytes(content)
        try:
            with reading_pictures():
                pixels, _ = decode(path, form, MOST_PIXELS)
        except DataError as error:
            words = (
                one_line(error, 200)
                .replace("data.max_pixels=", "")
                .replace(", which can be raised", "")
            )
            raise DataError(f"the picture cannot be read: {words}") from None
    if has_levels:
        return np.asarray(pixels)
    return np.asarray(pixels, np.float64) / (form.levels - 1)


def read_file(run: Run, name: str, content: bytes) -> Examples:
    """Reads the examples of a file that a request brings: a picture, or rows of a table.

    Raises:
        DataError: it cannot be read.
        Problem: it holds too many rows.
    """
    if run.schema.kind == "image":
        return read_picture(run, content)[None]
    suffix = Path(name).suffix.lower()
    if suffix not in TABLE_ENDINGS:
        raise DataError(
            f"a file of rows needs a name that ends in {', '.join(TABLE_ENDINGS)}, got "
            f"{one_line(repr(name), 80)}"
        )
    with tempfile.TemporaryDirectory(prefix="lowerbound-") as folder:
        path = Path(folder) / f"rows{suffix}"
        path.write_bytes(content)
        try:
            split = run.other_data(path).split("all")
        except DataError as error:
            words = one_line(error, 300).replace(str(path), "the file")
            raise DataError(words) from None
    refuse_many(len(split))
    return split


def as_split(run: Run, x: Examples, given: Given | None) -> DenseExamples:
    """Returns examples as a split, which measures take.

    Args:
        run: the run.
        x: examples as `Run.encode` takes them.
        given: their conditions, see `Run.encode`.
    """
    split = run.seen(x, given)
    assert isinstance(split, DenseExamples)
    return split
