"""Checks that a source fits the options of a recipe, and the model that it is for.

Each check raises an error of one line, or does nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import compress

import numpy as np

from ..errors import ConfigError, DataError, ShapeError, one_line
from .files.sources import Raw
from .levels import advise_scaling, extremes, from_shares
from .prepare import take_columns
from .schema import Schema


def refuse_misplaced_options(raw: Raw, options: Mapping[str, tuple[object, str]]) -> None:
    """Refuses an option that is set but is for sources of other kinds.

    Args:
        raw: the source.
        options: for each option its value and the kinds that it is for ("image", "table or
            vector").

    Raises:
        ConfigError: an option does not fit the source.
    """
    for option, (value, kinds) in options.items():
        if value and raw.kind not in kinds.split(" or "):
            raise ConfigError(
                f"data.{option} is for sources of kind {kinds}; {raw.name} is of kind {raw.kind}; "
                f"leave the option out, or take the recipe that lowerbound describe names"
            )


def refuse_constant_columns(raw: Raw, is_constant: np.ndarray) -> None:
    """Refuses columns that have one value only in the training split.

    Args:
        raw: the source.
        is_constant: (D,) bool, for each column.

    Raises:
        DataError: there are such columns.
    """
    _refuse_columns(raw, is_constant, "one value only")


def leave_out_constant(raw: Raw, is_constant: np.ndarray, seed: int) -> Raw:
    """Leaves the columns out of a table that have one value only in the training split.

    A model can learn nothing of them, and nothing to standardise them by.

    Args:
        raw: the table.
        is_constant: (D,) bool, for each column.
        seed: the seed of the split, which the note names: another split may have other values.

    Returns:
        The table, with a note on what is left out; the same if nothing is.

    Raises:
        DataError: all columns have one value only.
    """
    if is_constant.all():
        refuse_constant_columns(raw, is_constant)
    if not is_constant.any():
        return raw
    names = np.array(raw.columns, dtype=object)
    left_out = names[is_constant].tolist()
    shown = one_line(", ".join(map(repr, left_out)), 160)
    note = (
        f"{raw.name}: {len(left_out)} of {len(raw.columns)} columns have one value only in the "
        f"training split (data.seed={seed}) and are left out: {shown}"
    )
    return replace(
        raw,
        values=take_columns(raw.values, ~is_constant),
        columns=tuple(names[~is_constant]),
        table=tuple(compress(raw.table, ~is_constant)),
        notes=(*raw.notes, note),
    )


def refuse_narrow_columns(raw: Raw, scale: np.ndarray) -> None:
    """Refuses columns whose deviation in the training split is too small to divide by.

    Args:
        raw: the source.
        scale: (D,), the deviation of each column.

    Raises:
        DataError: there are such columns.
    """
    least = float(np.finfo(np.float32).tiny)
    _refuse_columns(
        raw,
        scale < least,
        f"values that deviate by less than {least:.2g}, the least normal number of float32,",
    )


def _refuse_columns(raw: Raw, is_bad: np.ndarray, fault: str) -> None:
    """Raises DataError for the columns of a table or vector where `is_bad`."""
    positions = np.flatnonzero(is_bad)
    if not len(positions):
        return
    if raw.columns:
        names = [raw.columns[position] for position in positions]
        advice = "leave it out through data.exclude"
    else:
        names = [str(position) for position in positions]
        advice = "leave it out, or set data.standardize=false"
    shown = one_line(", ".join(map(repr, names)), 240)
    raise DataError(f"{raw.name}: {fault} in the training split's column {shown}; {advice}")


def refuse_beyond_one(raw: Raw) -> None:
    """Refuses a source unless each of its values can be the probability of a pixel.

    Raises:
        DataError: it is a table, or a value lies outside [0, 1].
    """
    if raw.levels is not None:
        return
    low, high = extremes(raw.values)
    if raw.kind == "table" or low < 0 or high > 1:
        raise DataError(
            f"{raw.name} cannot be binarised: its values run from {low:g} to {high:g}; "
            "allowed: images or vectors of probabilities in [0, 1]; else set data.binarize=none"
        )


def match_kind(raw: Raw, schema: Schema) -> Raw:
    """Gives a source the kind of the schema of a run, where both are numbers in columns.

    Vectors are rows of the run's table, and rows of a table are the run's vectors.

    Raises:
        DataError: the source is of another kind.
    """
    if {raw.kind, schema.kind} == {"table", "vector"}:
        return replace(raw, kind=schema.kind, columns=schema.columns)
    if raw.kind != schema.kind:
        raise DataError(
            f"{raw.name} is of kind {raw.kind}, the model was trained on kind {schema.kind}"
            f"{_hint_at_one(raw, schema)}"
        )
    return raw


def match_shape(raw: Raw, schema: Schema) -> Raw:
    """Gives a source of the kind of a run the channels of its schema.

    Grey images are repeated over the channels for a model of colour images.

    Raises:
        ShapeError: its examples are of another shape.
    """
    shape = raw.values.shape[1:]
    is_image = raw.kind == "image"
    if is_image and shape == (1, *schema.shape[1:]):
        values = np.broadcast_to(raw.values, (len(raw.values), *schema.shape))
        return replace(raw, values=values)
    if shape != schema.shape:
        hint = ""
        if is_image:
            hint = "; data.size=HxW and data.grey=true, when a run is fitted, change images"
        raise ShapeError(
            f"{raw.name} has examples of shape {shape}, the model was trained on "
            f"{schema.shape}{hint}"
        )
    return raw


def _hint_at_one(raw: Raw, schema: Schema) -> str:
    """Says what is missing where a single image was given, as a clause; "" elsewhere."""
    if raw.kind == "vector" and raw.values.shape == schema.shape[1:]:
        return "; of one image its first axis must be 1"
    return ""


def match_levels(raw: Raw, schema: Schema, is_binarized: bool) -> Raw:
    """Gives a source the levels of the schema of a run, where its values can be in them.

    Whole numbers that the levels of the run hold are on them. Real numbers that all are shares
    k / (levels - 1) become these levels. A run on real numbers takes whole ones within its span.

    Raises:
        DataError: the values cannot be on these levels; the message names both.
    """
    levels = raw.levels
    if is_binarized:
        levels = 2
    if levels == schema.levels:
        return raw
    matched = None
    if not is_binarized:
        matched = _try_levels(raw, schema)
    if matched is not None:
        return matched
    raise DataError(
        f"{raw.name} has {_describe_levels(levels)}, the model was trained on "
        f"{_describe_levels(schema.levels)}{_hint_at_levels(raw, schema)}"
    )


def _try_levels(raw: Raw, schema: Schema) -> Raw | None:
    """Returns a source on the levels of a schema, or None if its values cannot be on them."""
    if raw.levels is None:
        if schema.levels is None:
            return raw
        levels = from_shares(raw.values, schema.levels)
        if levels is None:
            return None
        return replace(raw, values=levels, levels=schema.levels)
    greatest = extremes(raw.values)[1]
    if schema.levels is None:
        is_within = greatest <= max(1.0, schema.high)
    else:
        # True is white, and no level.
        is_within = raw.values.dtype != np.bool_ and greatest < schema.levels
    if not is_within:
        return None
    return replace(raw, levels=schema.levels)


def _hint_at_levels(raw: Raw, schema: Schema) -> str:
    """Says how a source gets the levels of a schema, as a clause; "" where nothing is known."""
    if schema.levels == 2:
        return "; data.binarize, when a run is fitted, makes 2 levels of images"
    if schema.levels is None and raw.levels is not None and schema.low >= 0 and schema.high <= 1:
        return f" in [0, 1]; divide by {raw.levels - 1}"
    if raw.levels is None and schema.levels is not None:
        return f"; {advise_scaling(*extremes(raw.values), schema.levels)}"
    if raw.levels is not None and schema.levels is not None and raw.levels > schema.levels:
        return f"; x // {-(-raw.levels // schema.levels)} has {schema.levels} levels"
    return ""


def _describe_levels(levels: int | None) -> str:
    """Describes the values of a source for a message."""
    if levels is None:
        return "real numbers"
    return f"{levels} levels"
