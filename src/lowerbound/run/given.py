"""The conditions of a conditional run: what a user names, and what the training rows have."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..columns import ColumnSchema
from ..data import Dataset, Schema
from ..data.files.cells import USUAL, CellFormat
from ..data.files.conditions import LABEL, NO_LABEL
from ..data.files.mixed import to_values
from ..data.frames import to_series, to_texts
from ..errors import ConfigError, RunError, one_line, unknown
from ..system.weights import load_tensors, save_tensors

FILE = "conditions.safetensors"
"""The conditions of training rows are in this file of the folder of a conditional run."""

MOST_KEPT = 20_000
"""The conditions of at most so many training rows are kept, drawn at random by a fixed seed."""

LEVELS_SHOWN = 12
"""A message shows at most so many levels."""

Given = Mapping[str, Any]
"""Conditions by name: a value for all examples, or one for each; None is not known."""


def write_conditions(folder: Path, dataset: Dataset) -> None:
    """Keeps the conditions of training rows, from which those that nobody names are drawn."""
    values = getattr(dataset.train, "conditions", None)
    if values is None or not dataset.schema.given:
        return
    if len(values) > MOST_KEPT:
        values = np.random.default_rng(0).choice(values, MOST_KEPT, replace=False)
    save_tensors(folder / FILE, {"conditions": torch.from_numpy(np.array(values, np.float64))})


def read_conditions(path: Path, schema: Schema) -> np.ndarray:
    """Reads the conditions of training rows, (M, G).

    Raises:
        RunError: the file is damaged, or holds values that no condition has.
    """
    values = load_tensors(path).get("conditions")
    is_table = isinstance(values, Tensor) and values.dim() == 2 and len(values) > 0
    if values is None or not is_table or values.shape[1] != len(schema.given):
        raise RunError(f"{path} does not hold the conditions of the rows of its run")
    conditions = values.double().numpy()
    for column, numbers in zip(schema.given, conditions.T, strict=True):
        known = numbers[~np.isnan(numbers)]
        is_sound = np.isfinite(known).all()
        if column.levels:
            is_sound &= np.isin(known, np.arange(len(column.levels))).all()
        if not is_sound:
            name = one_line(repr(column.name), 80)
            raise RunError(f"{path} holds values that the condition {name} does not have")
    return conditions


def words_of(column: ColumnSchema) -> CellFormat:
    """Says which words stand for a condition that is not known."""
    if column.name == LABEL:
        return NO_LABEL
    return USUAL


def refuse_unknown_conditions(given: Given, columns: Sequence[ColumnSchema]) -> None:
    """Refuses names of conditions that a run does not have.

    Raises:
        ConfigError: there are such names, or the run has no conditions at all.
    """
    if not given:
        return
    if not columns:
        raise ConfigError(
            f"this run is not conditional, so that it cannot be given {', '.join(given)}; fit one "
            "with data.given, such as --set data.given='[\"label\"]'"
        )
    names = [column.name for column in columns]
    for name in given:
        if name not in names:
            raise ConfigError(unknown("condition", str(name), names))


def read_given(given: Given, columns: Sequence[ColumnSchema], count: int) -> dict[str, np.ndarray]:
    """Reads conditions as a user has written them, in the words of the data.

    Args:
        given: a value, or `count` values, by the names of conditions.
        columns: the conditions of the run.
        count: the number of examples.

    Returns:
        The values by name, (count,) each; NaN where a condition is not known.

    Raises:
        ConfigError: there is no such condition, or it has no such value.
    """
    refuse_unknown_conditions(given, columns)
    found = {}
    for column in columns:
        if column.name in given:
            found[column.name] = _read_one(given[column.name], column, count)
    return found


def _read_one(value: Any, column: ColumnSchema, count: int) -> np.ndarray:
    """Reads the values of one condition, (count,)."""
    import polars

    entries = _entries(value)
    if len(entries) not in (1, count):
        raise ConfigError(
            f"given: {column.name!r} has {len(entries)} values; allowed: one, or one for each of "
            f"{count} examples"
        )
    try:
        series = polars.Series(column.name, entries, strict=True)
    except (TypeError, polars.exceptions.PolarsError):
        series = polars.Series(column.name, [_as_text(entry) for entry in entries])
    numbers, is_odd = to_values(series, column, words_of(column))
    if is_odd.any():
        got = entries[int(np.flatnonzero(is_odd)[0])]
        similar: list[str] = []
        if any(character.isalpha() for character in str(got)):
            similar = difflib.get_close_matches(str(got), column.levels, n=1, cutoff=0.5)
        hint = "allowed"
        if similar:
            hint = f"did you mean {one_line(repr(similar[0]), 60)}? Allowed"
        raise ConfigError(
            f"given: {column.name!r} ({column.kind}) has no value {one_line(repr(got), 60)}; "
            f"{hint}: {allowed_values(column)}"
        )
    if len(numbers) == count:
        return numbers
    return np.repeat(numbers, count)


def _entries(value: Any) -> list[Any]:
    """Returns values as a list of plain ones; a single one is a list of one."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    elif hasattr(value, "to_list"):
        value = value.to_list()
    if isinstance(value, list | tuple | range):
        return list(value)
    return [value]


def _as_text(entry: Any) -> str | None:
    if entry is None:
        return None
    return str(entry)


def allowed_values(column: ColumnSchema) -> str:
    """Says which values a condition may have, for a message."""
    if column.levels:
        shown = ", ".join(one_line(level, 40) for level in column.levels[:LEVELS_SHOWN])
        if len(column.levels) > LEVELS_SHOWN:
            shown += f" and {len(column.levels) - LEVELS_SHOWN:,} more"
        return shown
    low, high = to_texts(column, np.array([column.low, column.high]))
    kind = {"datetime": "dates", "count": "whole numbers from 0 on"}.get(column.kind, "numbers")
    return f"{kind}, such as those of the training rows from {low} to {high}"


def as_given(columns: Sequence[ColumnSchema], values: np.ndarray) -> Given:
    """Returns the values of conditions (N, G) as a user would give them."""
    given = {}
    for position, column in enumerate(columns):
        given[column.name] = to_series(column, values[:, position])
    return given


def refuse_none_given(given: Given, columns: Sequence[ColumnSchema]) -> None:
    """Refuses conditions of which none is named, or that a run does not have.

    Raises:
        ConfigError: none is named, or there is no such condition.
    """
    if columns and not given:
        names = ", ".join(column.name for column in columns)
        raise ConfigError(f"given: no condition is named; allowed: {names}")
    refuse_unknown_conditions(given or {"anything": None}, columns)


@dataclass(frozen=True, eq=False)
class KnownConditions:
    """The conditions of some training rows, from which those that nobody names are drawn.

    Attributes:
        columns: the G conditions.
        values: (M, G).
    """

    columns: tuple[ColumnSchema, ...]
    values: np.ndarray

    def draw(self, count: int, given: Given, seed: int) -> np.ndarray:
        """Draws the conditions of examples, (count, G).

        What is not given is drawn from the training rows that agree with the levels that are, or
        from all of them where none does. The first draws do not depend on how many there are.

        Raises:
            ConfigError: there is no such condition, or it has no such value.
        """
        named = read_given(given, self.columns, count)
        uniform = np.random.default_rng([seed, 1]).random(count)
        drawn = np.empty((count, len(self.columns)))
        asked = self._asked_levels(named, count)
        groups, members = np.unique(asked, axis=0, return_inverse=True)
        for number, levels in enumerate(groups):
            rows = self._agreeing(levels)
            mine = members.reshape(-1) == number
            places = (uniform[mine] * len(rows)).astype(np.int64)
            drawn[mine] = self.values[rows[places]]
        for position, column in enumerate(self.columns):
            if column.name in named:
                drawn[:, position] = named[column.name]
        return drawn

    def _asked_levels(self, named: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        """Returns the levels that are asked for, (count, G); -1 where any will do."""
        asked = np.full((count, len(self.columns)), -1.0)
        for position, column in enumerate(self.columns):
            if column.levels and column.name in named:
                asked[:, position] = np.nan_to_num(named[column.name], nan=-1.0)
        return asked

    def _agreeing(self, levels: np.ndarray) -> np.ndarray:
        """Returns the training rows that have these levels (G,), or all where none has."""
        agrees = ((self.values == levels) | (levels < 0)).all(axis=1)
        if not agrees.any():
            return np.arange(len(self.values))
        return np.flatnonzero(agrees)


def tell_drawn(given: Given, columns: Sequence[ColumnSchema]) -> str | None:
    """Says what is drawn from the training rows, or None where all is given."""
    others = [repr(column.name) for column in columns if column.name not in given]
    if not others:
        return None
    return f"not given, and drawn from the training rows: {one_line(', '.join(others), 200)}"


def complete_given(given: Given | None, columns: Sequence[ColumnSchema], count: int) -> np.ndarray:
    """Reads all conditions of a run, (count, G).

    Raises:
        ConfigError: one is missing, there is no such condition, or it has no such value.
    """
    named = read_given(given or {}, columns, count)
    missing = [column.name for column in columns if column.name not in named]
    if missing:
        example = ", ".join(f"{name!r}: ..." for name in missing)
        raise ConfigError(
            f"this run is conditional: given= lacks {', '.join(map(repr, missing))}; give "
            f"{{{example}}}, where None is not known"
        )
    return _side_by_side(named, columns, count)


def fill_given(given: Given | None, columns: Sequence[ColumnSchema], count: int) -> np.ndarray:
    """Reads the conditions of examples, (count, G); those that are not named are not known.

    Raises:
        ConfigError: there is no such condition, or it has no such value.
    """
    return _side_by_side(read_given(given or {}, columns, count), columns, count)


def _side_by_side(
    named: Mapping[str, np.ndarray], columns: Sequence[ColumnSchema], count: int
) -> np.ndarray:
    """Puts the values of conditions side by side, (count, G); NaN where one is not named."""
    values = np.full((count, len(columns)), np.nan)
    for position, column in enumerate(columns):
        if column.name in named:
            values[:, position] = named[column.name]
    return values


def to_codes(values: np.ndarray, schema: Schema) -> Tensor | None:
    """Makes the codes (N, G) that a model takes of conditions; None for a run that has none."""
    if not schema.given:
        return None
    return torch.from_numpy(schema.coding_of_conditions.encode(values)).float()
