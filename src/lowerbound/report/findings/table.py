"""What the page of a run on a table with columns of several kinds shows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...baselines import MeanMode
from ...batch import Batch
from ...columns import ColumnSchema
from ...data import Examples
from ...data.frames import to_texts
from ...evaluation.columns import (
    associations,
    correlation_ratio,
    distances_by_kind,
)
from ...imputation.completion import Completer
from ...imputation.errors import CellErrors, deviations
from ...imputation.hiding import hide_cells, impute_by
from .dense import DenseFindings

MOST_EXAMPLES = 20_000
"""Rows of a split that are measured, at most, drawn at random."""

DISPERSION_EXAMPLES = 2_000
"""Rows that the dispersion is measured on."""

DISPERSION_DRAWS = 4
"""So many pairs of draws are made for each row."""

LEAST_CELLS = 100
"""The dispersion of a column is measured on at least this many cells."""

HIDDEN_ROWS = 1_000
"""Rows of which cells are hidden and filled again, at most."""

HIDDEN_SHARE = 0.2
"""The share of the observed cells that are hidden."""

HIDDEN_DRAWS = 200
"""Draws of the latent variables for each row whose cells are filled."""

BASELINE_ROWS = 20_000
"""Training rows that the means and the modes are of, at most."""

COLOURINGS = 2
"""The maps of a table without labels are coloured by at most this many of its columns."""


@dataclass(frozen=True)
class HiddenCells:
    """Cells that were hidden from a model, and what it fills them with.

    Attributes:
        model: the truth, what the model fills the hidden cells with given the others, and how far
            that is from the truth.
        constant: the same of one value for each column: the mean, or the most frequent level.
        effective: the effective number of draws of each row, (n,); NaN of a row without gaps.
    """

    model: CellErrors
    constant: CellErrors
    effective: np.ndarray

    @property
    def columns(self) -> tuple[ColumnSchema, ...]:
        """The D columns."""
        return self.model.columns

    @property
    def truth(self) -> np.ndarray:
        """The hidden values of the rows, (n, D); NaN where nothing was hidden."""
        return self.model.truth

    @cached_property
    def count(self) -> int:
        """The number of hidden cells."""
        return int((~np.isnan(self.truth)).sum())


class TableFindings(DenseFindings):
    """All that was measured of a run on a table with columns of several kinds and with gaps.

    Values are those of `lowerbound.columns`: numbers, positions of levels, days; a gap is NaN.
    """

    @property
    def columns(self) -> tuple[ColumnSchema, ...]:
        """The columns of the table."""
        return self.run.schema.table

    @cached_property
    def examples(self) -> Examples:
        """The rows of the split, or some of them, drawn at random."""
        split = self.data.examples(self.split)
        most = self.most or MOST_EXAMPLES
        if len(split) <= most:
            return split
        chosen = np.random.default_rng(0).permutation(len(split))[:most]
        return split.take(np.sort(chosen))

    choice = "Drawn at random,"

    @cached_property
    def values(self) -> np.ndarray:
        """The mapped rows, (N, D)."""
        return np.asarray(self.mapped.values_at(slice(None)), np.float64)

    @cached_property
    def distances(self) -> np.ndarray:
        """How far each column of the samples is from the data, (D,)."""
        return distances_by_kind(self.columns, self.values, self.samples)

    def associations(self, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the associations of some columns in the data and in samples, (d, d) each."""
        columns = [self.columns[position] for position in shown]
        of_data = associations(columns, self.values[:, shown])
        return of_data, associations(columns, self.samples[:, shown])

    def cells_of(self, rows: np.ndarray) -> list[list[str]]:
        """Writes the cells of some of the examples, by column; "" for a gap."""
        values = np.asarray(self.examples.values_at(rows), np.float64)
        by_column = []
        for position, column in enumerate(self.columns):
            by_column.append(to_texts(column, values[:, position]))
        return [list(cells) for cells in zip(*by_column, strict=True)]

    @cached_property
    def hidden(self) -> HiddenCells:
        """Some of the observed cells of some of the rows, filled by the model from the others."""
        rows = self.examples.take(slice(0, HIDDEN_ROWS))
        values = np.asarray(rows.values_at(slice(None)), np.float64)
        given, truth = hide_cells(values, HIDDEN_SHARE, seed=0)
        completer = Completer(
            self.run.model, self.columns, samples=HIDDEN_DRAWS, given=self.run.schema.given
        )
        completed = completer.complete(given, conditions=rows.conditions)
        training = self._training_values
        constant = impute_by(MeanMode(), training, given, self.columns)
        deviation = deviations(training)
        return HiddenCells(
            CellErrors(self.columns, truth, completed.values, deviation),
            CellErrors(self.columns, truth, completer.coding.rounded(constant), deviation),
            completed.effective,
        )

    @property
    def _training_values(self) -> np.ndarray:
        """The values of training rows that means and modes are of, (N, D)."""
        train = self.data.train
        assert isinstance(train, Examples)
        rows = np.linspace(0, len(train) - 1, min(len(train), BASELINE_ROWS)).astype(np.int64)
        return np.asarray(train.values_at(rows), np.float64)

    @cached_property
    def colourings(self) -> list[tuple[str, list[str]]]:
        """What maps are coloured by: the labels, or else the levels of which codes tell most."""
        if self.labels is not None:
            return super().colourings
        levelled = [position for position, column in enumerate(self.columns) if column.levels]
        told = {position: self._told_by_codes(position) for position in levelled}
        best = sorted(levelled, key=lambda position: -told[position])[:COLOURINGS]
        found = []
        for position in best:
            column = self.columns[position]
            found.append((column.name, to_texts(column, self.values[:, position])))
        return found

    def _told_by_codes(self, position: int) -> float:
        """Measures how far the levels of a column tell codes apart: the mean of the squared
        correlation ratios of the dimensions of the first level.
        """
        levels = self.values[:, position]
        known = ~np.isnan(levels)
        if not known.any():
            return 0.0
        ratios = []
        for codes in self.means[0].T:
            ratios.append(correlation_ratio(codes[known], levels[known]) ** 2)
        return float(np.mean(ratios))

    @cached_property
    def dispersions(self) -> dict[str, float]:
        """The variance of the numbers of a column about p(x | z), z from the posterior, over that
        of draws from p(x | z), by the name of the column; 1 where the likelihood fits.

        With y and y' drawn from p(x | z), E(x - y)^2 is the sum of both variances, and E(y - y')^2
        twice that of the draws. Counts are measured by log(1 + x), atoms are left out.
        """
        sums = np.zeros((2, len(self.columns)))
        cells = np.zeros((2, len(self.columns)))
        for batch, inference in self._inferred(self.examples.take(slice(0, DISPERSION_EXAMPLES))):
            p = self.run.model.decode(inference.context[0], batch.given)
            for _ in range(DISPERSION_DRAWS):
                pairs = self._squares(batch, p.sample(), p.sample())
                for i, (squares, known) in enumerate(pairs):
                    sums[i] += squares.sum(0).double().cpu().numpy()
                    cells[i] += known.sum(0).cpu().numpy() / DISPERSION_DRAWS
        found = {}
        for position, column in enumerate(self.columns):
            if not column.is_number or cells[:, position].min() < LEAST_CELLS:
                continue
            to_data, of_draws = sums[:, position] / cells[:, position]
            if of_draws > 0:
                found[column.name] = float(max(2 * to_data / of_draws - 1, 1e-12))
        return found

    def _squares(self, batch: Batch, first: Tensor, second: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Returns the squared distances of data to draws and of draws to each other, each with the
        cells that count, (B, D).
        """
        assert isinstance(batch.x, Tensor)
        assert batch.observed is not None
        known = batch.observed & ~self._are_atoms(batch.x)
        are_free = ~self._are_atoms(first)
        places = self._spread_out(first)
        pairs = (
            (self._spread_out(batch.x), known & are_free),
            (self._spread_out(second), are_free & ~self._are_atoms(second) & batch.observed),
        )
        return [(torch.where(kept, (x - places) ** 2, 0), kept) for x, kept in pairs]

    def _spread_out(self, codes: Tensor) -> Tensor:
        """Returns codes (B, D), of counts their logs."""
        is_count = torch.tensor([column.kind == "count" for column in self.columns])
        return torch.where(is_count.to(codes.device), codes.clamp(min=0).log1p(), codes)

    def _are_atoms(self, codes: Tensor) -> Tensor:
        """Says which codes are those of atoms, (B, D)."""
        found = torch.zeros_like(codes, dtype=torch.bool)
        for position, atoms in enumerate(self.run.schema.coding.atoms()):
            if len(atoms):
                found[:, position] = torch.isin(
                    codes[:, position], torch.from_numpy(atoms).to(codes)
                )
        return found
