"""What the conditions of a conditional run do: samples of each class, and examples under others."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...columns import ColumnSchema
from ...data import Examples
from ...data.frames import to_texts
from ...run import Run
from ...run.given import Given, as_given
from ..figures import strips
from ..findings.dense import DenseFindings
from ..records import Picture, Section, Table
from ..text import format_number, shorten
from .summaries import summarise

MOST_VALUES = 10
"""At most this many values of a condition are shown: of levels the most frequent ones."""

MOST_CONDITIONS = 3
"""At most this many conditions have pictures or a table of their own."""

RANKS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles of a condition that is a number which are shown."""

SAMPLES_EACH = 8
"""So many samples of each class stand in a row."""

SWAPPED = 10
"""So many examples are shown under all classes."""

SHUFFLED_EXAMPLES = 500
"""The bound under the conditions of other examples is measured on at most so many."""

SAMPLED_ROWS = 1_000
"""So many rows of a table are drawn for each class."""

TABLE_VALUES = 3
"""A table has at most this many values of a condition, side by side."""

TABLE_COLUMNS = 12
"""A table has at most this many columns, those that differ most between the classes."""


class Shown(NamedTuple):
    """A value of a condition that is shown.

    Attributes:
        word: as the data have it.
        value: its number: the position of a level, or the number itself.
        given: as a run takes it.
    """

    word: str
    value: float
    given: Given


def shown_values(column: ColumnSchema, most: int = MOST_VALUES) -> list[Shown]:
    """Chooses the values of a condition that are shown: its levels, or quantiles of numbers."""
    if column.levels:
        frequent = np.argsort(-np.asarray(column.shares), kind="stable")[:most]
        values = np.sort(frequent).astype(np.float64)
    else:
        ranks, numbers = column.ranked()
        values = np.unique(np.interp(RANKS[:: max(1, len(RANKS) // most)], ranks, numbers))
    shown = []
    for word, value in zip(to_texts(column, values), values.tolist(), strict=True):
        shown.append(Shown(word, value, as_given([column], np.array([[value]]))))
    return shown


def conditions(run: Run, findings: DenseFindings) -> Section | None:
    """Shows what the conditions do; None for a run that has none, or has no prior to sample from.

    Of images there are samples of each class at the same z, and examples under other classes; of
    tables the columns of samples beside those of the rows of each class.
    """
    if not run.schema.given or not findings.has_bound:
        return None
    sentences = [_tell_conditions(run), _tell_use(findings)]
    pictures: list[Picture] = []
    tables = []
    for column in run.schema.given[:MOST_CONDITIONS]:
        if run.schema.kind == "image":
            pictures.append(_samples_of_each(findings, column))
            pictures.append(_swaps(findings, column))
        else:
            tables.append(_table_of_each(findings, column))
    return Section("Conditions", tuple(sentences), tables=tuple(tables), pictures=tuple(pictures))


def _tell_conditions(run: Run) -> str:
    """Says what the model is conditioned on."""
    names = ", ".join(shorten(name, 40) for name in run.schema.names_of_conditions)
    prior = "The prior of z is the same whatever they are"
    if run.recipe.model.conditional_prior:
        prior = "The prior of z hangs on them too"
    return f"The model is conditioned on {names}: its figures are of log p(x | {names}). {prior}."


def _tell_use(findings: DenseFindings) -> str:
    """Says how much of the bound the conditions carry."""
    examples = findings.examples.take(slice(0, SHUFFLED_EXAMPLES))
    assert examples.conditions is not None
    # Each example gets the conditions of the next of a random order, and none keeps its own place.
    order = np.random.default_rng(0).permutation(len(examples))
    other = np.empty_like(examples.conditions)
    other[order] = examples.conditions[np.roll(order, 1)]
    shuffled = examples.conditioned(examples.schema, other)
    lost = _scores(findings, examples) - _scores(findings, shuffled)
    error = 0.0
    if len(lost) > 1:
        error = float(lost.std(ddof=1)) / math.sqrt(len(lost))
    return (
        f"With the conditions of another example in place of its own, the {findings.score_name} of "
        f"{len(lost):,} {findings.split} examples is {format_number(float(lost.mean()), 2)} ± "
        f"{format_number(error, 2)} nats lower."
    )


def _scores(findings: DenseFindings, examples: Examples) -> np.ndarray:
    """Returns the scores of some examples, (N,)."""
    return findings.scored(findings.looked_at(examples))


# Images -------------------------------------------------------------------------------------------


def _samples_of_each(findings: DenseFindings, column: ColumnSchema) -> Picture:
    """Draws samples of each class, in each row at the z of the others."""
    values = shown_values(column)
    rows = []
    for shown in values:
        samples = findings.run.sample(SAMPLES_EACH, given=shown.given)
        rows.append(findings.shown(samples))
    images = np.stack(rows)
    words = [shown.word for shown in values]
    return Picture(
        f"given_{_number(findings, column)}",
        f"Samples by {shorten(column.name, 30)}",
        f"Means of p(x | z, {shorten(column.name, 30)}): in each row one "
        f"{shorten(column.name, 30)}, in each column the same noise of the prior.",
        lambda ax: strips(images, ax, rows=words),
        photo=True,
    )


def _swaps(findings: DenseFindings, column: ColumnSchema) -> Picture:
    """Draws examples, and the same z under every class."""
    values = shown_values(column)
    count = min(SWAPPED, len(findings.examples))
    rows = np.random.default_rng(0).permutation(len(findings.examples))[:count]
    chosen = findings.examples.take(rows)
    columns = [findings.shown(chosen.tensor(slice(None)))]
    for shown in values:
        swapped = findings.run.swap(chosen, shown.given)
        columns.append(findings.shown(swapped))
    images = np.stack(columns, axis=1)
    words = ["original", *(shown.word for shown in values)]
    return Picture(
        f"swap_{_number(findings, column)}",
        f"Swaps of {shorten(column.name, 30)}",
        f"In each row a random {findings.split} example, and the mean of its z decoded with every "
        f"{shorten(column.name, 30)}.",
        lambda ax: strips(images, ax, columns=words),
        photo=True,
        wide=True,
    )


def _number(findings: DenseFindings, column: ColumnSchema) -> int:
    """Returns the number of a condition, from 1."""
    return findings.run.schema.given.index(column) + 1


# Tables -------------------------------------------------------------------------------------------


def _table_of_each(findings: DenseFindings, column: ColumnSchema) -> Table:
    """Lays the columns of samples of each class beside those of the rows that have it."""
    values = shown_values(column, TABLE_VALUES)[:TABLE_VALUES]
    parts = []
    head = ["column"]
    for shown in values:
        word = shorten(shown.word, 18)
        if column.levels:
            parts.append(_rows_with(findings, column, shown))
            head.append(f"{word}: data")
        parts.append(_sampled_rows(findings.run, column, shown))
        head.append(f"{word}: samples")
    rows = _summaries(findings, parts)
    caption = (
        f"Of the {findings.mapped_name} that have each {shorten(column.name, 30)}, and of "
        f"{SAMPLED_ROWS:,} samples given it: of numbers mean ± standard deviation, of levels the "
        "share of the level that most of all rows have; the columns first that differ most between "
        "the samples"
    )
    return Table(tuple(head), rows, f"{caption}.")


def _rows_with(findings: DenseFindings, column: ColumnSchema, shown: Shown) -> np.ndarray:
    """Returns the values of the mapped rows that have a level, (n, D)."""
    place = findings.run.schema.given.index(column)
    assert findings.mapped.conditions is not None
    return findings.values[findings.mapped.conditions[:, place] == shown.value]


def _sampled_rows(run: Run, column: ColumnSchema, shown: Shown) -> np.ndarray:
    """Draws rows that have a value, in the units of the source, (n, D)."""
    drawn = run.sample(SAMPLED_ROWS, given=shown.given, mean=False, units="model")
    return np.asarray(run.schema.restore(drawn.double().numpy()))


def _summaries(findings: DenseFindings, parts: Sequence[np.ndarray]) -> tuple[tuple[str, ...], ...]:
    """Sums up the columns of several tables (n, D), a row for each column."""
    schema = findings.run.schema
    columns = schema.table
    if not columns:
        names = schema.columns or tuple(f"x{i + 1}" for i in range(schema.shape[0]))
        columns = tuple(ColumnSchema(name) for name in names)
    means = np.stack([np.nanmean(part, axis=0) for part in parts if len(part)])
    scale = np.maximum(np.nanstd(findings.values, axis=0), 1e-12)
    spread = (means.max(0) - means.min(0)) / scale
    rows = []
    for position in np.argsort(-np.nan_to_num(spread), kind="stable")[:TABLE_COLUMNS]:
        column = columns[position]
        cells = [shorten(column.name, 30)]
        for part in parts:
            cells.append(summarise(column, part[:, position], findings.values[:, position]))
        rows.append(tuple(cells))
    return tuple(rows)
