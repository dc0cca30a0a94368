"""The columns of samples of several runs beside those of the same examples."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from ...columns import ColumnSchema
from ...data import Examples
from ...data.files.mixed import to_values
from ...data.frames import to_series
from ...errors import DataError
from ...evaluation.columns import associations, distances_by_kind
from ...evaluation.statistics import column_distances
from ...run import Run
from ..figures import column_marginals, marginals
from ..records import Picture, Section, Table
from ..text import column_names, format_number
from .measure import Comparison, Entry

SHOWN_COLUMNS = 12
"""Columns whose marginals are drawn."""

COMPARED_ROWS = 2_000
"""Examples, and samples of each run, whose columns are laid beside each other."""

ASSOCIATED_COLUMNS = 40
"""Associations are measured of at most this many columns."""

OF_NUMBERS = "the greatest difference of the distribution functions (Kolmogorov and Smirnov)"
"""What the distance of two columns of numbers is."""


def column_section(found: Comparison, entries: Sequence[Entry]) -> Section | None:
    """Shows how far the samples of each run are from the examples, column by column.

    Args:
        found: the comparison.
        entries: its runs that have a prior to sample from.
    """
    if not entries:
        return None
    columns = found.first.run.schema.table
    if columns:
        return _mixed_columns(found, entries, columns)
    schema = found.first.run.schema
    assert isinstance(found.first.examples, Examples)
    data = schema.restore(found.first.examples.tensor(slice(0, COMPARED_ROWS)).numpy())
    samples = [_samples(entry.run, found.seed) for entry in entries]
    titles = column_names(schema.columns, schema.shape[0])
    distances = np.stack([column_distances(data, part) for part in samples], axis=1)
    order = np.argsort(-distances.mean(1), kind="stable")[:SHOWN_COLUMNS]
    shown = [titles[i] for i in order]
    table = _distance_table(found, entries, titles, distances, order, OF_NUMBERS)
    pictures = []
    for i, (entry, part) in enumerate(zip(entries, samples, strict=True), 1):
        draw = partial(marginals, data[:, order], part[:, order], shown)
        pictures.append(_picture(f"columns_{i}", entry.name, draw))
    return Section("Columns of samples", tables=(table,), pictures=tuple(pictures))


def _samples(run: Run, seed: int) -> np.ndarray:
    """Returns draws of a run in the units of its source, or the values of its columns, (M, D)."""
    drawn = run.sample(COMPARED_ROWS, mean=False, seed=seed, units="model")
    return np.asarray(run.schema.restore(drawn.numpy()))


def _picture(file: str, name: str, draw: Callable[..., Figure]) -> Picture:
    text = "Examples (filled) and samples from the model (line)."
    return Picture(file, name, text, lambda ax: draw(ax=ax), wide=True)


def _distance_table(
    found: Comparison,
    entries: Sequence[Entry],
    titles: Sequence[str],
    distances: np.ndarray,
    order: np.ndarray,
    measure: str,
    more: Sequence[tuple[str, ...]] = (),
) -> Table:
    """Makes the table of the distances (D, runs) of some columns, and of their mean over all."""
    which = "All columns"
    if len(titles) > SHOWN_COLUMNS:
        which = f"The {SHOWN_COLUMNS} columns of {len(titles)} that differ most"
    examples = min(len(found.first.examples), COMPARED_ROWS)
    caption = (
        f"{which}: {measure} of {examples:,} {found.split} examples and {COMPARED_ROWS:,} samples "
        "of each run."
    )
    head = ("column", *(entry.name for entry in entries))
    rows = [_distance_row("mean of all columns", _known_mean(distances)), *more]
    for i in order:
        rows.append(_distance_row(titles[i], distances[i]))
    return Table(head, tuple(rows), caption)


def _known_mean(distances: np.ndarray) -> np.ndarray:
    """Returns the mean of the columns that have distances (D, runs) to all runs, (runs,)."""
    known = np.isfinite(distances).all(1)
    if not known.any():
        return np.full(distances.shape[1], np.nan)
    return np.asarray(distances[known].mean(0))


def _distance_row(name: str, distances: np.ndarray) -> tuple[str, ...]:
    return (name, *(format_number(distance, 3) for distance in distances))


# Tables with columns of several kinds ------------------------------------------------------------


def _mixed_columns(
    found: Comparison, entries: Sequence[Entry], columns: Sequence[ColumnSchema]
) -> Section:
    """Shows the columns of a table by the kinds that they have in the first run."""
    examples = found.first.examples
    assert isinstance(examples, Examples)
    data = np.asarray(examples.values_at(slice(0, COMPARED_ROWS)), np.float64)
    samples = [values_in(columns, entry.run, _samples(entry.run, found.seed)) for entry in entries]
    distances = np.stack([distances_by_kind(columns, data, part) for part in samples], axis=1)
    means = np.nan_to_num(distances, nan=-1.0).mean(1)
    order = np.argsort(-means, kind="stable")[:SHOWN_COLUMNS]
    measure = f"of numbers {OF_NUMBERS}, of levels half the sum of the differences of their shares,"
    table = _distance_table(
        found,
        entries,
        [column.name for column in columns],
        distances,
        order,
        measure,
        _association_rows(columns, data, samples, means),
    )
    shown = [columns[i] for i in order]
    pictures = []
    for i, (entry, part) in enumerate(zip(entries, samples, strict=True), 1):
        draw = partial(column_marginals, shown, data[:, order], part[:, order])
        pictures.append(_picture(f"columns_{i}", entry.name, draw))
    return Section("Columns of samples", tables=(table,), pictures=tuple(pictures))


def _association_rows(
    columns: Sequence[ColumnSchema],
    data: np.ndarray,
    samples: Sequence[np.ndarray],
    distances: np.ndarray,
) -> list[tuple[str, ...]]:
    """Tells how far the associations of pairs are from those of the data, in the mean."""
    if len(columns) < 2:
        return []
    shown = np.sort(np.argsort(-distances, kind="stable")[:ASSOCIATED_COLUMNS])
    some = [columns[i] for i in shown]
    of_data = associations(some, data[:, shown])
    apart = []
    for part in samples:
        gaps = np.abs(of_data - associations(some, part[:, shown]))
        pairs = gaps[np.triu_indices(len(some), 1)]
        known = pairs[np.isfinite(pairs)]
        apart.append(np.nan)
        if len(known):
            apart[-1] = float(known.mean())
    return [_distance_row("associations of pairs, mean difference", np.array(apart))]


def values_in(columns: Sequence[ColumnSchema], run: Run, values: np.ndarray) -> np.ndarray:
    """Converts values (M, D) of the columns of a run to those of other columns of these names.

    They go by the words of the source: another run may know other levels. A level that a column
    does not have gets the position after its last; what is no value of a column is a gap.
    """
    table = run.schema.table
    if not table:
        return np.asarray(values, np.float64)
    converted = np.full((len(values), len(columns)), np.nan)
    positions = {column.name: position for position, column in enumerate(table)}
    for at, column in enumerate(columns):
        position = positions.get(column.name)
        if position is not None:
            converted[:, at] = _values_in_column(column, table[position], values[:, position])
    return converted


def _values_in_column(
    column: ColumnSchema, known_as: ColumnSchema, values: np.ndarray
) -> np.ndarray:
    """Converts values (M,) of a column as one run knows it to those of another run."""
    if column.is_number and known_as.is_number:
        return values
    series = to_series(known_as, values)
    try:
        numbers, is_odd = to_values(series, column)
    except DataError:
        return np.full(len(values), np.nan)
    if not column.levels:
        return numbers
    return np.where(is_odd, len(column.levels), numbers)
