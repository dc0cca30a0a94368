"""Frames of a source, one after another: their gaps are found, filled and counted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..columns import ColumnSchema
from ..data.files.choice import is_index, listed
from ..data.files.dialect import Dialect
from ..data.files.mixed import ERROR
from ..data.files.texts import normal_name
from ..errors import DataError
from .cells import Cells, places_in, put_values, read_cells, widened
from .completion import BLOCK, Completer
from .texts import Style, parse_frame, without_missing

if TYPE_CHECKING:
    from polars import DataFrame

CHUNK = 16 * BLOCK
"""So many rows are read and filled at a time."""

LEAST_EFFECTIVE = 10
"""A row of fewer effective draws is filled poorly, and told of."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a source, filled.

    Attributes:
        frame: with single imputations.
        frames: with draws, M of them.
        rows: the places of the rows with gaps in the source, (n,).
        effective: the effective number of draws of these rows, (n,).
    """

    frame: "DataFrame"
    frames: "list[DataFrame]"
    rows: np.ndarray
    effective: np.ndarray


@dataclass(eq=False)
class Filler:
    """Fills the frames of a source, one after another, and counts what it fills.

    Attributes:
        completer: fills their values.
        source: the source as it appears in messages.
        names: of the columns of the source.
        dialect: how a text file is written, whose frames are of texts; None for other sources.
        as_texts: what comes of texts are texts again, and what was observed is as it was written.
        unseen: what a level is that the run does not know: "missing" or "error".
        begin: is called with the place of the first row of each block as it begins.
        read: the number of rows so far.
        filled: how many cells were filled so far, by column.
        unknown: how many cells have levels that the run does not know, by column.
        left: how many gaps there are in columns that the run does not know, by column.
    """

    completer: Completer
    source: str
    names: list[str]
    dialect: Dialect | None = None
    as_texts: bool = False
    unseen: str = "missing"
    begin: Callable[[int], None] = lambda row: None
    read: int = 0
    filled: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Finds the columns of the run.

        Raises:
            DataError: the source has none of them.
        """
        self.places = places_in(self.names, self.columns)
        self.style = Style()
        if self.dialect is not None:
            self.style = Style.of_dialect(self.dialect)
        if not self.places:
            raise DataError(
                f"{self.source} has none of the columns of the run: "
                f"{listed(column.name for column in self.columns)}; it has {listed(self.names)}"
            )

    @property
    def columns(self) -> tuple[ColumnSchema, ...]:
        """The columns of the run."""
        return self.completer.columns

    def fill(self, frame: "DataFrame") -> Part:
        """Fills the next rows, as many as a multiple of `BLOCK` but for the last ones.

        Raises:
            DataError: cells are no values of their columns.
        """
        typed = frame
        if self.dialect is not None:
            typed = parse_frame(frame, self.columns, self.dialect)
        cells = read_cells(typed, self.columns, self.places)
        self._count(cells)
        self._count_left(frame)
        has_gaps = np.asarray(cells.is_gap.any(axis=1))
        # What lacks in other rows nobody sees filled: it costs nothing.
        values = np.where(has_gaps[:, None], cells.values, 0.0)
        completed = self.completer.complete(values, self.read, self.begin)
        rows = np.flatnonzero(has_gaps) + self.read
        self.read += len(frame)
        if not self.as_texts:
            frame = widened(typed, self.columns, self.places)
        frames = [self._put(frame, cells.is_gap, table) for table in completed.tables]
        single = self._put(frame, cells.is_gap, completed.values)
        return Part(single, frames, rows, completed.effective[has_gaps])

    def _put(self, frame: "DataFrame", is_gap: np.ndarray, values: np.ndarray) -> "DataFrame":
        """Puts values (N, D) in the place of the gaps of a frame."""
        return put_values(frame, self.columns, self.places, is_gap, values, self.style)

    def _count(self, cells: Cells) -> None:
        """Counts the gaps of the columns of the run, and the levels that it does not know."""
        for place, name in self.places.items():
            _add(self.filled, name, int(cells.is_gap[:, place].sum()))
        for name, count in cells.unseen.items():
            _add(self.unknown, name, count)
        if self.unknown and self.unseen == ERROR:
            raise DataError(
                f"{self._tell_unknown(*next(iter(self.unknown.items())))}; "
                "data.unseen='missing' leaves them as they are"
            )

    def _count_left(self, frame: "DataFrame") -> None:
        """Counts the gaps of the other columns."""
        for name in self.other_columns:
            series = frame[name]
            if self.dialect is not None:
                series = without_missing(series, self.dialect)
            _add(self.left, name, series.null_count())

    @property
    def other_columns(self) -> list[str]:
        """The columns of the source that the run does not read."""
        known = set(self.places.values())
        return [name for name in self.names if name not in known]

    def _tell_unknown(self, name: str, count: int) -> str:
        return f"{self.source}: {count:,} cells of {name!r} have levels that the run does not know"

    def notes(self) -> tuple[str, ...]:
        """Returns sentences on what was left as it is."""
        notes = []
        absent = [column.name for i, column in enumerate(self.columns) if i not in self.places]
        if absent:
            notes.append(f"{self.source}: columns of the run that are not there: {listed(absent)}")
        others = [name for name in self.other_columns if not _is_row_name(name, self.names)]
        if others:
            notes.append(
                f"{self.source}: columns that the run does not read stay as they are: "
                f"{listed(others)}"
            )
        if self.left:
            count = sum(self.left.values())
            notes.append(f"{self.source}: {count:,} gaps in {listed(self.left)} stay gaps")
        for name, count in self.unknown.items():
            notes.append(f"{self._tell_unknown(name, count)}; they stay as they are")
        return tuple(notes)


def _is_row_name(name: str, names: list[str]) -> bool:
    """Says whether a column is an index."""
    return is_index(normal_name(name), [normal_name(other) for other in names])


def _add(counts: dict[str, int], name: str, count: int) -> None:
    if count:
        counts[name] = counts.get(name, 0) + count


def describe_filled(filled: dict[str, int], rows: int, total: int, source: str) -> str:
    """Says how many cells of how many rows were filled."""
    cells = sum(filled.values())
    if not cells:
        return f"{source} has no gaps in the columns that the run reads: nothing was filled"
    return f"{cells:,} cells filled in {rows:,} of {total:,} rows of {source}"


def warn_of_few(effective: np.ndarray, samples: int) -> str | None:
    """Says of how many rows the draws are worth few draws, or None."""
    few = int((effective < LEAST_EFFECTIVE).sum())
    if not few:
        return None
    return (
        f"{few:,} of {len(effective):,} rows with gaps have fewer than {LEAST_EFFECTIVE} effective "
        f"draws of {samples:,}: what fills them is less certain than it says; take more samples"
    )
