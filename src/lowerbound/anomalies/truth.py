"""The truth about a source: which of its rows are anomalies, by a column of the user's own."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Split, named_sets
from ..data.files.dialect import TextFormat
from ..data.files.tables import Table, read_column
from ..data.memory import DataSource, is_in_memory, source_text, to_frame
from ..errors import ConfigError, DataError, one_line, unknown
from ..run import Run
from ..system.files import expand_home

FORM = re.compile(r"(?P<column>.+?)(?P<sign>!?=)(?P<values>.+)", re.DOTALL)
"""A column, and the values that are anomalies or, behind `!=`, those that are not."""

BY_ITSELF = {"1": True, "true": True, "0": False, "false": False}
"""The values of a column that says itself which rows are anomalies."""


@dataclass(frozen=True)
class Truth:
    """Which values of a column mark the anomalies.

    Attributes:
        text: as the user wrote it.
        column: the name of the column.
        values: the values that are named; empty where the column holds 0 and 1, or false and true.
        are_anomalies: whether rows with one of these values are the anomalies, or all others.
    """

    text: str
    column: str
    values: tuple[str, ...] = ()
    are_anomalies: bool = True

    @classmethod
    def parse(cls, text: str) -> "Truth":
        """Reads `COLUMN`, `COLUMN=VALUE,...` or `COLUMN!=VALUE,...`.

        >>> Truth.parse("label!=good").values
        ('good',)
        """
        found = FORM.fullmatch(text)
        if found is None:
            return cls(text, text)
        values = tuple(value.strip() for value in found["values"].split(","))
        return cls(text, found["column"].strip(), values, found["sign"] == "=")

    def marks(self, cells: np.ndarray) -> np.ndarray:
        """Says which rows are anomalies, (N,) bool.

        Args:
            cells: the values of the column, (N,).

        Raises:
            ConfigError: the values do not say it.
            DataError: all rows are anomalies, or none is.
        """
        words = np.array([word_of(cell) for cell in cells.tolist()], dtype=object)
        marks = self._marks_of_values(words)
        if not self.values:
            marks = self._marks_by_itself(words)
        if marks.all() or not marks.any():
            which = "no row is"
            if marks.all():
                which = "every row is"
            raise DataError(
                f"truth {self.text}: {which} an anomaly; its values are {_listed(words)}"
            )
        return marks

    def _marks_of_values(self, words: np.ndarray) -> np.ndarray:
        known = set(words)
        for value in self.values:
            if value not in known:
                raise ConfigError(
                    f"truth {self.text}: no row has the value {value!r}; its values are "
                    f"{_listed(words)}"
                )
        is_named = np.isin(words.astype(str), self.values)
        if self.are_anomalies:
            return is_named
        return ~is_named

    def _marks_by_itself(self, words: np.ndarray) -> np.ndarray:
        lowered = [word.lower() for word in words]
        if not set(lowered) <= BY_ITSELF.keys():
            raise ConfigError(
                f"truth {self.text}: which values are anomalies? They are {_listed(words)}; write "
                f"{self.column}=VALUE, or {self.column}!=VALUE for all but the ordinary one (0 and "
                "1, or false and true, need no value)"
            )
        return np.array([BY_ITSELF[word] for word in lowered])


def _listed(words: np.ndarray) -> str:
    """Lists the values of a column, the most frequent first."""
    values, counts = np.unique(words.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [repr(str(values[at])) for at in order[:8]]
    if len(values) > len(shown):
        shown.append("...")
    return one_line(", ".join(shown), 160)


def word_of(cell: Any) -> str:
    """Writes the value of a cell as a user would: 1 for 1.0, true for True."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def read_truth(
    truth: str | np.ndarray, run: Run, source: DataSource | None, examples: Split
) -> np.ndarray:
    """Finds which examples of a source are anomalies, (N,) bool.

    Args:
        truth: a column of the source, see `Truth.parse`, or one boolean for each example.
        run: whose model has not read the column.
        source: the source; None for the run's own data.
        examples: the examples.

    Raises:
        ConfigError: there is no such column, the model reads it, or its values do not say which
            rows are anomalies.
        DataError: a row has no value, or all rows are anomalies, or none is.
    """
    if not isinstance(truth, str):
        return _one_for_each(truth, len(examples))
    asked = Truth.parse(truth)
    if asked.column in run.schema.columns:
        raise ConfigError(
            f"truth {asked.text}: the model itself reads the column {asked.column!r}; leave it out "
            "of the fit through data.columns"
        )
    if source is None:
        source = run.recipe.data.source
        if run.held is not None:
            source = run.held
    return asked.marks(_cells(asked, run, source, examples))


def _one_for_each(truth: np.ndarray, count: int) -> np.ndarray:
    marks = np.asarray(truth)
    if marks.shape != (count,) or not np.isin(marks, (0, 1)).all():
        raise ConfigError(
            f"truth must be one boolean for each of the {count:,} examples, or the name of a "
            f"column; got values of shape {marks.shape}"
        )
    marks = marks.astype(bool)
    if marks.all() or not marks.any():
        raise DataError("truth must have an anomaly and an ordinary example, got one kind alone")
    return marks


def _cells(asked: Truth, run: Run, source: DataSource, examples: Split) -> np.ndarray:
    """Finds the values of the column for each example, (N,)."""
    named = examples.names_of_rows()
    if asked.column in named:
        return np.asarray(named[asked.column])
    path = source_text(source)
    column = _read_column_of(source, asked.column, run.recipe.data.text_format())
    if column is None:
        names = [name for name in named if name != "row"]
        raise ConfigError(unknown("column", asked.column, names, f" in {path} as truth"))
    if len(column) <= examples.rows.max():
        raise DataError(
            f"{path} has {len(column):,} rows in the column {asked.column!r}, fewer than there are "
            "examples"
        )
    cells = column[examples.rows]
    missing = [int(row) for row, cell in zip(examples.rows, cells, strict=True) if cell is None]
    if missing:
        raise DataError(
            f"{path} has no value in the column {asked.column!r} in {len(missing):,} rows, the "
            f"first of them {missing[0]} (counted from 0)"
        )
    return cells


def _read_column_of(source: DataSource, name: str, text: TextFormat) -> np.ndarray | None:
    """Reads a column of a table in a file or in memory, (N,); None where there is no such table.

    Raises:
        DataError: there is no such column, or the file cannot be read.
    """
    if is_in_memory(source):
        frame = to_frame(source)
        if frame is None or name not in frame.columns:
            return None
        return np.array(frame[name].to_list(), dtype=object)
    path = expand_home(source_text(source))
    if source in named_sets() or not Table().claims(path):
        return None
    return read_column(path, name, text)
