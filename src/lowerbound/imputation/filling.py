"""Frames of a source, one after another: their gaps are found, filled and counted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..columns import ColumnSchema
from ..data.files.cells import USUAL, CellFormat
from ..data.files.choice import is_index, listed
from ..data.files.mixed import ERROR, read_columns_of_run, tell_odd
from ..data.files.sources import Wanted
from ..data.files.texts import normal_name
from ..errors import DataError, counted
from .cells import (
    Cells,
    count_gaps,
    places_in,
    put_values,
    read_cells,
    typed_frame,
    widened,
)
from .completion import BLOCK, Completer
from .texts import Style

if TYPE_CHECKING:
    from polars import DataFrame

CHUNK = 16 * BLOCK
"""So many rows are read and filled at a time, fewer where many tables are drawn."""

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
        cells: how the cells are written; those of a text file are texts.
        as_texts: what comes of a text file are texts again, and what was observed is as it was
            written.
        unseen: what an odd cell is, which its column cannot hold: "missing" or "error".
        begin: is called with the place of the first row of each block as it begins.
        read: the number of rows so far.
        filled: how many cells were filled so far, by column.
        odd: how many cells their columns cannot hold, by the places of the columns.
        first_odd: the first of them.
        left: how many gaps there are in columns that the run does not fill, by column.
    """

    completer: Completer
    source: str
    names: list[str]
    cells: CellFormat = USUAL
    as_texts: bool = False
    unseen: str = "missing"
    begin: Callable[[int], None] = lambda row: None
    read: int = 0
    filled: dict[str, int] = field(default_factory=dict)
    odd: dict[int, int] = field(default_factory=dict)
    first_odd: dict[int, str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Finds the columns of the run.

        Raises:
            DataError: the source has none of them.
        """
        self.places: dict[int, str] = places_in(self.names, self.columns)
        self.given: dict[int, str] = places_in(self.names, self.completer.given)
        self.style: Style | None = None
        if not self.places:
            raise DataError(
                f"{self.source} has none of the columns of the run: "
                f"{listed(column.name for column in self.columns)}; it has {listed(self.names)}"
            )
        absent = [
            column.name for i, column in enumerate(self.completer.given) if i not in self.given
        ]
        if absent:
            raise DataError(
                f"{self.source} lacks {listed(absent)}, which the run is conditioned on "
                "(data.given); a column of gaps says that it is not known"
            )

    @property
    def columns(self) -> tuple[ColumnSchema, ...]:
        """The columns of the run."""
        return self.completer.columns

    def fill(self, frame: "DataFrame") -> Part:
        """Fills the next rows, as many as a multiple of `BLOCK` but for the last ones.

        Raises:
            DataError: there are odd cells and they are refused, or the type of a column with gaps
                holds no such values as the run has there.
        """
        if self.style is None:
            self.style = Style.of_frame(frame, self.cells)
        cells = read_cells(frame, self.columns, self.places, self.cells)
        self._count(cells)
        self._count_left(frame)
        has_gaps = np.asarray(cells.is_gap.any(axis=1))
        # What lacks in other rows nobody sees filled: it costs nothing.
        values = np.where(has_gaps[:, None], cells.values, 0.0)
        conditions = self._conditions_of(frame)
        completed = self.completer.complete(values, self.read, self.begin, conditions)
        rows = np.flatnonzero(has_gaps) + self.read
        self.read += len(frame)
        if self.cells.is_text and not self.as_texts:
            frame = typed_frame(frame, self.columns, self.places, cells.values, self.cells)
        frame = widened(frame, self.columns, self.places)
        frames = [self._put(frame, cells.is_gap, table) for table in completed.tables]
        single = self._put(frame, cells.is_gap, completed.values)
        return Part(single, frames, rows, completed.effective[has_gaps])

    def _conditions_of(self, frame: "DataFrame") -> np.ndarray | None:
        """Reads the conditions of rows, (N, G); None for a model that has none."""
        columns = self.completer.given
        if not columns:
            return None
        names = {name: columns[place].name for place, name in self.given.items()}
        renamed = frame.select(list(names)).rename(names)
        wanted = Wanted(unseen=self.unseen)
        values, _ = read_columns_of_run(renamed, columns, wanted, self.source, self.cells)
        return values

    def _put(self, frame: "DataFrame", is_gap: np.ndarray, values: np.ndarray) -> "DataFrame":
        """Puts values (N, D) in the place of the gaps of a frame."""
        assert self.style is not None
        return put_values(frame, self.columns, self.places, is_gap, values, self.style)

    def _count(self, cells: Cells) -> None:
        """Counts the gaps of the columns of the run, and the odd cells."""
        for place, name in self.places.items():
            _add(self.filled, name, int(cells.is_gap[:, place].sum()))
        for place, words in cells.odd.items():
            self.odd[place] = self.odd.get(place, 0) + len(words)
            self.first_odd.setdefault(place, words[0])
        if self.odd and self.unseen == ERROR:
            raise DataError(
                f"{self._tell_odd(next(iter(self.odd)))}; data.unseen=missing, when a run is "
                "fitted, leaves such cells as they are"
            )

    def _count_left(self, frame: "DataFrame") -> None:
        """Counts the gaps that are not filled: those of other columns, and of conditions."""
        for name in (*self.other_columns, *self.given.values()):
            _add(self.left, name, count_gaps(frame[name], self.cells))

    @property
    def other_columns(self) -> list[str]:
        """The columns of the source that the run does not read."""
        known = {*self.places.values(), *self.given.values()}
        return [name for name in self.names if name not in known]

    def _tell_odd(self, place: int) -> str:
        told = tell_odd(self.columns[place], self.odd[place], self.first_odd[place])
        return f"{self.source}: {told}"

    def _tell_kept(self, place: int) -> str:
        """Says what becomes of the odd cells of a column."""
        is_converted = self.cells.is_text and not self.as_texts
        if is_converted and self.columns[place].type != "text":
            return "what is no value of its type is null"
        if self.odd[place] == 1:
            return "it stays as it is"
        return "they stay as they are"

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
        for place in self.odd:
            notes.append(f"{self._tell_odd(place)}; {self._tell_kept(place)}")
        return (*notes, *self._tell_of_atoms())

    def _tell_of_atoms(self) -> list[str]:
        """Tells of means of columns most of whose numbers are one and the same."""
        told = []
        for place, name in self.places.items():
            column = self.columns[place]
            share = max(column.shares, default=0.0)
            is_filled = self.completer.mode == "mean" and name in self.filled
            if is_filled and column.is_number and share > 0.5:
                atom = column.atoms[column.shares.index(share)]
                told.append(
                    f"{name!r} is {atom:g} in {share:.0%} of the rows that the run was fitted to, "
                    "and its means lie between that and the others: the mode 'median' fills it "
                    "with values such as there are"
                )
        return told


def _is_row_name(name: str, names: list[str]) -> bool:
    """Says whether a column is an index."""
    return is_index(normal_name(name), [normal_name(other) for other in names])


def _add(counts: dict[str, int], name: str, count: int) -> None:
    if count:
        counts[name] = counts.get(name, 0) + count


def rows_of_a_piece(most: int, multiple: int) -> int:
    """Returns how many rows are filled at a time, a multiple of `BLOCK`.

    Args:
        most: so many at most.
        multiple: the number of tables that are drawn of each.
    """
    return max(BLOCK, most // (1 + multiple) // BLOCK * BLOCK)


def describe_filled(filled: dict[str, int], rows: int, total: int, source: str) -> str:
    """Says how many cells of how many rows were filled."""
    cells = sum(filled.values())
    if not cells:
        return f"{source} has no gaps in the columns that the run reads: nothing was filled"
    return f"{counted(cells, 'cell')} filled in {rows:,} of {counted(total, 'row')} of {source}"


def warn_of_few(effective: np.ndarray, samples: int) -> str | None:
    """Says of how many rows the draws are worth few draws, or None."""
    few = int((effective < LEAST_EFFECTIVE).sum())
    if not few:
        return None
    return (
        f"{few:,} of {len(effective):,} rows with gaps have fewer than {LEAST_EFFECTIVE} effective "
        f"draws of {samples:,}: what fills them is less certain than it says; take more samples"
    )
