"""The cells that make rows of a table odd, and what is usual for the columns of a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns import ColumnSchema
from ..data import Examples
from ..data.frames import to_series
from ..data.prepare import chunks
from ..evaluation import column_likelihoods
from ..evaluation.cells import cells_of
from ..evaluation.detection import Numbers
from ..model import VAE

if TYPE_CHECKING:
    from polars import Series

MOST_CELLS = 3
"""So many cells of a row are named at most."""


def usual_of(model: VAE, examples: Examples, seed: int) -> Numbers:
    """Measures what is usual for the columns of a table: the mean log-likelihood of the observed
    cells of each, (D,) nats; nan where none is observed.
    """
    columns = column_likelihoods(model, examples, seed=seed)
    return np.array([column.log_likelihood_term for column in columns])


def usual_of_gaps(examples: Examples, usual: Numbers) -> Numbers:
    """Sums up what is usual for the cells that a row lacks, (N,) nats.

    Added to log p(x_obs) of the row it gives a number that can be compared with that of rows that
    have other cells.

    Args:
        examples: the rows.
        usual: for each column, (D,); nan counts as 0.
    """
    known = np.nan_to_num(usual)
    sums = []
    for _, values in chunks(examples.values, examples.rows):
        sums.append(np.isnan(examples.schema.coding.encode(values)) @ known)
    return np.concatenate(sums)


@dataclass(frozen=True, eq=False)
class OddCells:
    """The cells of each row whose log-likelihood is furthest below what is usual for its column.

    Attributes:
        columns: the D columns of the table.
        positions: the columns of up to k cells of each row, the oddest first, (N, k); -1 where no
            more cells are below what is usual.
        values: their values as numbers, see `columns`, (N, k).
        below: their log-likelihoods less what is usual, nats below 0, (N, k); nan without a cell.
        gaps: the number of cells that each row lacks, (N,).
    """

    columns: tuple[ColumnSchema, ...]
    positions: np.ndarray
    values: np.ndarray
    below: np.ndarray
    gaps: np.ndarray

    def columns_of(self, rows: slice) -> dict[str, Any]:
        """Returns the columns `gaps`, and `odd_1`, `odd_1_value` and `odd_1_below` and so on, of
        some rows: the name of the column of a cell, its value as a text, and how far it is below.
        """
        found: dict[str, Any] = {"gaps": self.gaps[rows]}
        for place in range(self.positions.shape[1]):
            name = f"odd_{place + 1}"
            positions = self.positions[rows, place]
            found[name] = self._names(positions)
            found[f"{name}_value"] = self._texts(positions, self.values[rows, place])
            found[f"{name}_below"] = _nulls(self.below[rows, place])
        return found

    def _names(self, positions: np.ndarray) -> "Series":
        import polars

        names = [column.name for column in self.columns]
        return polars.Series(positions, dtype=polars.Int64).replace_strict(
            list(range(len(names))), names, default=None, return_dtype=polars.String
        )

    def _texts(self, positions: np.ndarray, values: np.ndarray) -> "Series":
        """Writes values as texts in the types of their columns; null without a cell."""
        import polars

        texts = np.full(len(values), None, object)
        for position in np.unique(positions[positions >= 0]):
            rows = np.flatnonzero(positions == position)
            written = to_series(self.columns[position], values[rows]).cast(polars.String)
            texts[rows] = written.to_numpy()
        return polars.Series(texts.tolist(), dtype=polars.String)


def _nulls(numbers: np.ndarray) -> "Series":
    """Returns numbers as a column with null in place of nan."""
    import polars

    return polars.Series(numbers, dtype=polars.Float64, nan_to_null=True)


def find_odd_cells(model: VAE, examples: Examples, usual: Numbers, seed: int) -> OddCells:
    """Finds the cells that make rows odd.

    Args:
        model: the model.
        examples: rows of a table with columns of several kinds.
        usual: for each column, see `usual_of`, (D,).
        seed: of the draws.
    """
    columns = examples.schema.table
    most = min(MOST_CELLS, len(columns))
    count = len(examples)
    positions = np.full((count, most), -1, np.int32)
    values = np.full((count, most), np.nan)
    below = np.full((count, most), np.nan)
    gaps = np.zeros(count, np.int32)
    for rows, cells in _with_rows(cells_of(model, examples, seed=seed, shares_noise=True)):
        gaps[rows] = np.isnan(cells).sum(1)
        found = _lowest(cells - usual, most)
        nats = np.take_along_axis(cells - usual, found, axis=1)
        is_below = nats < 0
        positions[rows] = np.where(is_below, found, -1)
        below[rows] = np.where(is_below, nats, np.nan)
        own = np.take_along_axis(examples.values_at(rows), found, axis=1)
        values[rows] = np.where(is_below, own, np.nan)
    return OddCells(columns, positions, values, below, gaps)


def _with_rows(pieces: Iterator[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields pieces one after another, each with the rows that it has among all."""
    start = 0
    for piece in pieces:
        yield slice(start, start + len(piece)), piece
        start += len(piece)


def _lowest(numbers: np.ndarray, most: int) -> np.ndarray:
    """Finds the positions of the lowest numbers of each row, the lowest first; nan is no number."""
    order = np.argsort(np.where(np.isnan(numbers), np.inf, numbers), axis=1, kind="stable")
    return np.asarray(order[:, :most])
