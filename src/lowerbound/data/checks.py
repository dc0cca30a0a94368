"""Does this source fit what was asked of it, and the model it is for? Each check raises one line,
or does nothing.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import ConfigError, DataError, ShapeError, one_line
from .files.sources import Raw
from .prepare import span
from .schema import Schema


def refuse_unfit(raw: Raw, options: Mapping[str, tuple[object, str]]) -> None:
    """ConfigError for an option that was set but is for other kinds: option -> (its value, the
    kinds it is for).
    """
    for option, (value, kinds) in options.items():
        if value and raw.kind not in kinds.split(" or "):
            raise ConfigError(
                f"data.{option} is for sources of kind {kinds}; {raw.name} is of kind {raw.kind}"
            )


def refuse_constant(raw: Raw, constant: np.ndarray) -> None:
    """DataError that names the columns which have one value only in the training split."""
    _refuse_columns(raw, constant, "one value only")


def refuse_narrow(raw: Raw, scale: np.ndarray) -> None:
    """DataError that names the columns whose deviation in the training split is too small to be
    divided by.
    """
    least = float(np.finfo(np.float32).tiny)
    _refuse_columns(
        raw,
        scale < least,
        f"values that deviate by less than {least:.2g}, the least normal number of float32,",
    )


def _refuse_columns(raw: Raw, bad: np.ndarray, why: str) -> None:
    """DataError for the columns of a table or vector where `bad`."""
    names = [raw.columns[at] if raw.columns else str(at) for at in np.flatnonzero(bad)]
    if names:
        advice = (
            "leave it out through data.columns"
            if raw.columns
            else "leave it out, or set data.standardize=false"
        )
        raise DataError(
            f"{raw.name}: {why} in the training split's column "
            f"{one_line(', '.join(map(repr, names)), 240)}; {advice}"
        )


def refuse_beyond_one(raw: Raw) -> None:
    """DataError unless every value can be the probability of a pixel."""
    if raw.levels is not None:
        return
    low, high = (end(bound) for end, bound in zip((np.min, np.max), span(raw.values), strict=True))
    if raw.kind == "table" or low < 0 or high > 1:
        raise DataError(
            f"{raw.name} cannot be binarised: its values run from {low:g} to {high:g}; "
            "allowed: images or vectors of probabilities in [0, 1]"
        )


def _on(levels: int | None) -> str:
    """In words."""
    return "real numbers" if levels is None else f"{levels} levels"


def of_kind(raw: Raw, schema: Schema) -> Raw:
    """The source with the channels of the schema (grey images are repeated for a model of colour
    images).

    DataError if it is of another kind, ShapeError if of another shape.
    """
    if raw.kind != schema.kind:
        raise DataError(
            f"{raw.name} is of kind {raw.kind}, the model was trained on kind {schema.kind}"
        )
    shape = raw.values.shape[1:]
    if raw.kind == "image" and shape == (1, *schema.shape[1:]):
        return replace(raw, values=np.broadcast_to(raw.values, (len(raw.values), *schema.shape)))
    if shape != schema.shape:
        hint = (
            "; data.size=HxW and data.grey=true, when a run is fitted, change images"
            if raw.kind == "image"
            else ""
        )
        raise ShapeError(
            f"{raw.name} has examples of shape {shape}, the model was trained on "
            f"{schema.shape}{hint}"
        )
    return raw


def on_levels(raw: Raw, schema: Schema, binarize: bool) -> Raw:
    """The source with the levels of the schema. DataError if it has others."""
    if raw.levels == 2 and raw.values.dtype == np.uint8 and schema.levels == 256:
        return replace(raw, levels=256)  # grey images that happen to be all but black
    levels = 2 if binarize else raw.levels
    if levels != schema.levels:
        hint = (
            "; data.binarize, when a run is fitted, makes 2 levels of images"
            if schema.levels == 2
            else ""
        )
        raise DataError(
            f"{raw.name} has {_on(levels)}, the model was trained on {_on(schema.levels)}{hint}"
        )
    return raw
