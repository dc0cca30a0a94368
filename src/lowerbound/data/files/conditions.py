"""What a model is to be conditioned on: columns of a table, or the labels of images.

They are read by the rules of tables with columns of several kinds: numbers, dates and levels, of
which some may be missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...columns import ColumnSchema, fit_columns
from ...errors import DataError, one_line
from ..prepare import is_constant
from .cells import USUAL, CellFormat
from .choice import listed
from .kinds import FoundKind, find_kinds
from .mixed import plain_frame, read_columns_of_run, read_found
from .sources import Raw, Wanted

if TYPE_CHECKING:
    from polars import DataFrame, Series

    from .stored import StoredColumns

LABEL = "label"
"""The name of the condition that is the labels of images or vectors."""

NO_LABEL = CellFormat(missing=("",))
"""An empty label is none."""


@dataclass(frozen=True)
class Conditions:
    """The conditions of all examples of a source.

    Attributes:
        columns: what is known of each, G.
        values: (N, G) float64: numbers, positions of levels, days; NaN where nothing is known.
        notes: sentences on how they were read.
    """

    columns: tuple[ColumnSchema, ...]
    values: np.ndarray
    notes: tuple[str, ...] = ()

    def added_to(self, raw: Raw) -> Raw:
        """Returns a source with these conditions."""
        return replace(
            raw,
            given=self.columns,
            conditions=self.values,
            notes=(*raw.notes, *self.notes),
        )


def read_conditions(
    frame: "DataFrame | StoredColumns",
    names: Sequence[str],
    wanted: Wanted,
    name: str,
    cells: CellFormat = USUAL,
) -> Conditions:
    """Reads columns of a table as conditions.

    Args:
        frame: the columns of the table.
        names: those that are conditions.
        wanted: what is asked for: kinds that the user has named, or the conditions of a run.
        name: the table as it appears in messages.
        cells: how the cells are written.

    Raises:
        DataError: a column has no values that a model could be conditioned on.
        ConfigError: a kind that the user has named does not fit a column.
    """
    if wanted.conditions:
        values, notes = read_columns_of_run(frame, wanted.conditions, wanted, name, cells)
        return Conditions(wanted.conditions, values, notes)
    kinds = {}
    for column, kind in (wanted.kinds or {}).items():
        if column in names:
            kinds[column] = kind
    return _found(frame.select(names), kinds, name, cells)


def _found(
    frame: "DataFrame | StoredColumns", kinds: Mapping[str, str], name: str, cells: CellFormat
) -> Conditions:
    """Finds the kinds of columns, and reads them as conditions."""
    plain = plain_frame(frame, kinds, cells)
    found = find_kinds(frame, kinds, name, cells, plain)
    for each in found:
        _refuse_left_out(each, name)
    columns = tuple(each.column for each in found)
    values = np.empty((len(frame), len(columns)))
    for position, column in enumerate(columns):
        values[:, position] = read_found(frame, plain, column, cells)
    kinds_text = ", ".join(f"{column.name!r} ({column.kind})" for column in columns)
    note = f"{name}: the model is conditioned on {one_line(kinds_text, 240)}"
    gaps = int(np.isnan(values).sum())
    if gaps:
        note += f"; {gaps:,} of {values.size:,} conditions are not known"
    return Conditions(columns, values, (note,))


def _refuse_left_out(found: FoundKind, name: str) -> None:
    """Refuses a column that no model reads.

    Raises:
        DataError: it is one.
    """
    if not found.is_left_out:
        return
    column = found.column
    reason = found.why
    if not found.is_useless:
        reason = f"{column.kind}: {found.why}"
    raise DataError(
        f"{name}: a model cannot be conditioned on {one_line(repr(column.name), 80)} "
        f"({one_line(reason, 120)}); take it out of data.given, or name its kind in data.kinds"
    )


def read_label_condition(labels: np.ndarray, wanted: Wanted, name: str) -> Conditions:
    """Reads the labels (N,) of examples as their condition.

    Classes are levels, whether they are words or whole numbers; other numbers are real ones.

    Raises:
        DataError: all labels are the same, or there are too many different ones.
    """
    frame = _series_of(labels).to_frame()
    if wanted.conditions:
        return read_conditions(frame, (LABEL,), wanted, name, NO_LABEL)
    kinds = {}
    if _are_classes(labels):
        kinds[LABEL] = "categorical"
    return _found(frame, kinds, name, NO_LABEL)


def _series_of(labels: np.ndarray) -> "Series":
    """Makes a column of labels."""
    import polars

    if labels.dtype.kind in "biuf":
        return polars.Series(LABEL, labels)
    return polars.Series(LABEL, [str(label) for label in labels.tolist()])


def _are_classes(labels: np.ndarray) -> bool:
    """Says whether labels are classes: words, yes or no, or whole numbers."""
    if labels.dtype.kind != "f":
        return True
    known = labels[np.isfinite(labels)]
    return bool((known == np.round(known)).all())


def with_label(raw: Raw, wanted: Wanted) -> Raw:
    """Gives examples that are no rows of a frame the condition that their labels are.

    Raises:
        DataError: there are no labels, or another name is asked for.
    """
    if not wanted.given or raw.given:
        return raw
    others = [name for name in wanted.given if name != LABEL]
    if others:
        raise DataError(
            f"{raw.name} is of kind {raw.kind} and has no {listed(others)} (data.given); allowed: "
            f"{LABEL!r}, where there are labels, and the columns of a table"
        )
    if raw.labels is None and wanted.conditions:
        raise DataError(
            f"{raw.name} has no labels, which the run is conditioned on (data.given); give them "
            "beside the examples, as (x, y) in Python, or given={'label': ...} there"
        )
    if raw.labels is None:
        raise DataError(
            f"{raw.name} has no labels that a model could be conditioned on (data.given); "
            "allowed: images in folders of classes, a file of labels (data.labels), or (x, y)"
        )
    return read_label_condition(raw.labels, wanted, raw.name).added_to(raw)


def fit_conditions(
    conditions: Conditions, train_rows: np.ndarray, name: str
) -> tuple[ColumnSchema, ...]:
    """Measures the conditions in the training rows.

    Args:
        conditions: of all examples.
        train_rows: the positions of those to train on.
        name: the source as it appears in messages.

    Raises:
        DataError: one has a single value there, or none.
    """
    columns = conditions.columns
    useless = is_constant(conditions.values, train_rows)
    if useless.any():
        names = [column.name for column, is_so in zip(columns, useless, strict=True) if is_so]
        raise DataError(
            f"{name}: a model cannot be conditioned on {listed(names)}: one value only in the "
            "training split; take it out of data.given"
        )
    return fit_columns(columns, conditions.values, train_rows)
