"""From values with gaps to values without: weighted draws of the latent variables of each row.

For a row with the observed cells x_o, draws z_1 ... z_L of a proposal r are weighted by
w_l ~ p(x_o, z_l) / r(z_l), which makes of them draws of the posterior p(z | x_o), however good the
encoder is. Since the cells are independent given z,

    E[x_m | x_o]  = sum_l w_l E[x_m | z_l]                          (single imputation)
    x_m ~ p(x_m | z_l) with l drawn with probability w_l            (multiple imputation)

The second is sampling importance resampling (Rubin 1987; Mattei & Frellsen 2019, "MIWAE", section
3.2). To take the mean of a cell at the mean of z, or draws of means, would be neither: both lack
the spread of the cell itself, or that of z.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Independent

from ..batch import Batch
from ..columns import Coding, ColumnSchema
from ..evaluation.batches import evaluating, placed, restart
from ..evaluation.proposal import DEFENSIVE, Proposal, Sampler, fitting
from ..families.columns import ColumnsHead, TableDistribution
from ..model import VAE
from ..training.seeds import derive_seed

IMPUTATION_SAMPLES = 1000
"""Draws of the latent variables for each row with gaps, unless somebody asks for another number.

They are of the mixture that log p(x) is measured by. By `benchmarks/imputation_proposals.py`, on
120 rows of adult with half of the cells hidden, 1,000 of its draws are worth 296 (median) where the
encoder is right, and those of the posterior alone 455, with the same error. Where the posterior is
half as wide they are worth 120 and 7, and 123 and 59 where it is one and a half times as wide.
"""

BLOCK = 1024
"""So many rows of a source, one after another, have one random stream.

It depends on the seed and on the place of the rows in the source, so that nothing depends on how
many rows are read at a time.
"""

CHUNK_NUMBERS = 2**21
"""About this many numbers describe the cells of all draws that are computed at a time."""

LEAST_WIDTH = 128
"""The layers of a decoder have about so many numbers, however few its output has."""

LARGEST_CODE = 1e30
"""A code beyond this one is taken for this one: float32 has no numbers beyond 3e38."""

PRIOR_ALONE = Proposal((), 1.0)
"""The proposal for rows without any observed cell, whose posterior is the prior."""

MODES = ("mean", "median")
"""What a number may be filled with: its mean or its median, given what was observed."""


class Completed(NamedTuple):
    """Rows without gaps.

    Attributes:
        values: the observed values, and single imputations in place of gaps, (N, D).
        tables: the observed values, and draws in place of gaps, (M, N, D).
        effective: the effective number of draws of each row, (N,); NaN for rows without gaps.
        low: the lower ends of intervals of the numbers that are gaps, (N, D), NaN elsewhere.
        high: the upper ends.
    """

    values: np.ndarray
    tables: np.ndarray
    effective: np.ndarray
    low: np.ndarray
    high: np.ndarray


class _Filled(NamedTuple):
    """The same for all cells of some rows with gaps."""

    values: np.ndarray
    tables: np.ndarray
    effective: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Completer:
    """Fills the gaps of the rows of a table.

    Attributes:
        model: whose likelihood is `families.Columns`.
        columns: the D columns.
        samples: draws of the latent variables for each row, L.
        multiple: the number of tables of draws, M.
        mode: what single imputations of numbers are. Levels are the most probable ones; with
            "median" those with an order are the median ones.
        interval: the probability of the intervals; None makes none.
        seed: of the draws.
        proposal: what they are drawn from.
        given: the G conditions of a conditional model, else empty.
    """

    model: VAE
    columns: tuple[ColumnSchema, ...]
    samples: int = IMPUTATION_SAMPLES
    multiple: int = 0
    mode: str = "mean"
    interval: float | None = None
    seed: int = 0
    proposal: Proposal = DEFENSIVE
    given: tuple[ColumnSchema, ...] = ()

    @cached_property
    def coding(self) -> Coding:
        """The codes of the columns."""
        return Coding(self.columns)

    @cached_property
    def rows_at_a_time(self) -> int:
        """The number of rows whose draws are computed together."""
        return max(1, self.draws_at_a_time // self.samples)

    @cached_property
    def draws_at_a_time(self) -> int:
        """The number of draws that are computed together, of one row or of several."""
        width = 0
        for module in self.model.decoder.modules():
            if isinstance(module, ColumnsHead):
                width += sum(group.features for group in module.groups)
        return max(1, CHUNK_NUMBERS // max(width, LEAST_WIDTH))

    def complete(
        self,
        values: np.ndarray,
        first_row: int = 0,
        begin: Callable[[int], None] = lambda row: None,
        conditions: np.ndarray | None = None,
    ) -> Completed:
        """Fills the gaps of rows that follow each other in a source.

        Args:
            values: (N, D), NaN for a gap.
            first_row: the place of the first of them in the source, a multiple of `BLOCK`.
            begin: is called with the place of the first row of each block as it begins.
            conditions: of a conditional model, (N, G), NaN where one is not known.
        """
        codes = self._codes_of(conditions, len(values))
        assert first_row % BLOCK == 0
        count = len(values)
        completed = Completed(
            np.array(values, np.float64),
            np.repeat(np.array(values, np.float64)[None], self.multiple, axis=0),
            np.full(count, np.nan),
            np.full(values.shape, np.nan),
            np.full(values.shape, np.nan),
        )
        device = next(self.model.parameters()).device
        with evaluating(self.model, 0):
            for start in range(0, count, BLOCK):
                begin(first_row + start)
                restart(derive_seed(self.seed, (first_row + start) // BLOCK), device)
                self._complete_block(completed, slice(start, start + BLOCK), codes)
        return completed

    def _codes_of(self, conditions: np.ndarray | None, count: int) -> Tensor | None:
        """Returns the codes of conditions (N, G); None for a model that has none."""
        if not self.given:
            return None
        if conditions is None:
            conditions = np.full((count, len(self.given)), np.nan)
        return torch.from_numpy(Coding(self.given).encode(conditions))

    def _complete_block(self, completed: Completed, block: slice, given: Tensor | None) -> None:
        """Fills the gaps of one block, in place; `given` are the conditions of all rows."""
        is_gap = np.isnan(completed.values[block])
        is_empty = is_gap.all(axis=1)
        some = np.flatnonzero(is_gap.any(axis=1) & ~is_empty) + block.start
        empty = np.flatnonzero(is_empty) + block.start
        for rows, proposal in ((some, self.proposal), (empty, PRIOR_ALONE)):
            for start in range(0, len(rows), self.rows_at_a_time):
                part = rows[start : start + self.rows_at_a_time]
                of_part = None
                if given is not None:
                    of_part = given[part]
                self._put(completed, part, self._fill(completed.values[part], proposal, of_part))

    def _put(self, completed: Completed, rows: np.ndarray, filled: _Filled) -> None:
        """Puts what was found for the gaps of some rows in their places."""
        is_gap = np.isnan(completed.values[rows])
        numbers = is_gap & np.array([column.is_number for column in self.columns])
        completed.values[rows] = np.where(is_gap, filled.values, completed.values[rows])
        completed.tables[:, rows] = np.where(is_gap, filled.tables, completed.tables[:, rows])
        completed.low[rows] = np.where(numbers, filled.low, np.nan)
        completed.high[rows] = np.where(numbers, filled.high, np.nan)
        completed.effective[rows] = filled.effective

    def _fill(self, values: np.ndarray, proposal: Proposal, given: Tensor | None) -> _Filled:
        """Fills all cells of B rows, with at least one gap each."""
        batch = placed(self.model, self._batch(values, given))
        sampler = Sampler(self.model, fitting(proposal, self.model, batch), self.samples)
        parts = [self._part(sampler, batch, draws) for draws in self._portions()]
        return self._joined(batch, parts)

    def _portions(self) -> Iterator[range]:
        """Yields the draws that are computed together."""
        for start in range(0, self.samples, self.draws_at_a_time):
            yield range(start, min(start + self.draws_at_a_time, self.samples))

    def _batch(self, values: np.ndarray, given: Tensor | None) -> Batch:
        """Makes a batch of values (B, D) and codes of conditions (B, G)."""
        codes = self.coding.encode(values)
        observed = ~np.isnan(codes)
        codes = np.where(observed, codes, 0).clip(-LARGEST_CODE, LARGEST_CODE)
        return Batch(torch.from_numpy(codes), given, torch.from_numpy(observed))

    @cached_property
    def greatest(self) -> Tensor:
        """The greatest training value of each column of positive numbers; infinity elsewhere, (D,).

        The mean of a log-normal distribution grows as the exponential of the variance of the log:
        of a draw of no weight it may be beyond all numbers.
        """
        greatest = [math.inf] * len(self.columns)
        for place, column in enumerate(self.columns):
            if column.kind == "positive" and column.observed:
                greatest[place] = column.high
        return torch.tensor(greatest, device=next(self.model.parameters()).device)

    @property
    def _needs_cells(self) -> bool:
        """Whether draws of the cells themselves are needed for single imputations or intervals."""
        return self.mode == "median" or self.interval is not None

    def _part(self, sampler: Sampler, batch: Batch, draws: range) -> "_Part":
        """Draws a portion of the draws, and takes the means over them."""
        drawn = sampler.draws(batch, draws)
        log_weights = drawn.log_weights.nan_to_num(nan=-torch.inf)
        table = table_of(drawn.likelihood)
        cells = None
        if self._needs_cells:
            cells = table.sample()
        zs = drawn.zs
        if not self.multiple:
            zs = []
        means = _means(table, normalised(log_weights), self.greatest)
        return _Part(log_weights, means, zs, cells)

    def _joined(self, batch: Batch, parts: Sequence["_Part"]) -> _Filled:
        """Joins the portions of all draws."""
        log_weights = torch.cat([part.log_weights for part in parts])
        weights = normalised(log_weights)
        codes = self._expected(parts)
        low = np.full(codes.shape, np.nan)
        high = low
        if self._needs_cells:
            cells = torch.cat([part.cells for part in parts if part.cells is not None])
            quantiles = self._quantiles(cells, weights)
            low = quantiles[0]
            high = quantiles[-1]
            if self.mode == "median":
                is_number = np.array([column.is_number for column in self.columns])
                codes = np.where(is_number, quantiles[1], codes)
        tables = np.empty((0, *codes.shape))
        if self.multiple:
            tables = self.coding.decode(self._draw_tables(parts, weights, batch))
        return _Filled(codes, tables, effective_draws(log_weights), low, high)

    def _expected(self, parts: Sequence["_Part"]) -> np.ndarray:
        """Returns the means of numbers and the most probable levels, in values, (B, D)."""
        masses = torch.stack([torch.logsumexp(part.log_weights, 0) for part in parts])
        shares = normalised(masses)
        found = np.empty((len(masses[0]), len(self.columns)))
        for number, (positions, _) in enumerate(parts[0].means):
            total = torch.zeros(())
            for share, part in zip(shares, parts, strict=True):
                mean = part.means[number][1]
                total = total + share[:, None, None] * mean
            places = positions.cpu().numpy()
            found[:, places] = self._values_of_means(places, total.cpu().numpy())
        return self.coding.rounded(found)

    def _values_of_means(self, places: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Makes values of the means of a group of n columns, see `_means`, (B, n)."""
        columns = [self.columns[place] for place in places]
        if columns[0].is_number:
            # Codes keep digits that float32 lacks far from zero, as of dates.
            decoded = means[..., 0] * self.coding.scale[places] + self.coding.mean[places]
            is_linear = [column.kind in LINEAR and not column.atoms for column in columns]
            return np.where(is_linear, decoded, means[..., 1])
        most_probable = means.argmax(-1)
        if self.mode == "mean":
            return most_probable
        is_ordered = [column.kind == "ordinal" for column in columns]
        return np.where(is_ordered, _median_levels(means), most_probable)

    def _quantiles(self, cells: Tensor, weights: Tensor) -> np.ndarray:
        """Returns the lower end, the median and the upper end of each cell, in values (3, B, D)."""
        interval = 0.0
        if self.interval is not None:
            interval = self.interval
        parts = [(1 - interval) / 2, 0.5, (1 + interval) / 2]
        return self.coding.decode(weighted_quantiles(cells, weights, parts).cpu().numpy())

    def _draw_tables(self, parts: Sequence["_Part"], weights: Tensor, batch: Batch) -> np.ndarray:
        """Draws cells by the weights of the draws of z, in codes (M, B, D)."""
        chosen = torch.multinomial(weights.T, self.multiple, replacement=True).T
        zs = []
        for level in zip(*(part.zs for part in parts), strict=True):
            joined = torch.cat(level)
            places = chosen.unsqueeze(-1).expand(*chosen.shape, joined.shape[-1])
            zs.append(joined.gather(0, places.to(joined.device)))
        return table_of(self.model.decode_levels(zs, batch)).sample().double().cpu().numpy()


LINEAR = ("real", "datetime")
"""The kinds whose values are their codes times a scale plus a mean."""


class _Part(NamedTuple):
    """Some of the draws of B rows.

    Attributes:
        log_weights: (k, B).
        means: over these draws by their weights, see `_means`.
        zs: the draws, (k, B, d) of each level, where they are needed.
        cells: the codes of cells that were drawn with them, (k, B, D), where they are needed.
    """

    log_weights: Tensor
    means: list[tuple[Tensor, Tensor]]
    zs: list[Tensor]
    cells: Tensor | None


def table_of(likelihood: object) -> TableDistribution:
    """Returns the distributions of the cells of rows."""
    assert isinstance(likelihood, Independent)
    table = likelihood.base_dist
    assert isinstance(table, TableDistribution)
    return table


def normalised(log_weights: Tensor) -> Tensor:
    """Returns weights (K, B) that sum to one; equal ones where all are zero."""
    is_nothing = log_weights.isneginf().all(0)
    return torch.softmax(torch.where(is_nothing, 0.0, log_weights), 0)


def effective_draws(log_weights: Tensor) -> np.ndarray:
    """Returns (sum w)^2 / sum w^2 of each row, (B,); 0 where all weights are zero."""
    total = torch.logsumexp(log_weights, 0)
    effective = torch.exp(2 * total - torch.logsumexp(2 * log_weights, 0))
    return effective.nan_to_num(nan=0.0).cpu().numpy()


def _means(
    table: TableDistribution, weights: Tensor, greatest: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Takes weighted means over draws (K, B) of what the cells are expected to be.

    Args:
        table: the distributions of the cells, of batch shape (K, B).
        weights: of the draws, (K, B).
        greatest: a mean given one draw is at most this, (D,).

    Returns:
        For each group the positions of its n columns, and in float64 (B, n, 2) the mean of the
        codes and of the values of numbers, or (B, n, L) the probabilities of levels.
    """
    found = []
    for positions, distribution in table.groups:
        expected = distribution.probabilities
        if expected is None:
            data_mean = distribution.data_mean.minimum(greatest[positions])
            expected = torch.stack([distribution.mean, data_mean], -1)
            expected = expected.nan_to_num()
        mean = torch.einsum("kb,kbnl->bnl", weights, expected.double())
        found.append((positions, mean))
    return found


def _median_levels(probabilities: np.ndarray) -> np.ndarray:
    """Returns the first level by which half of the probability is reached, (B, n)."""
    reached = probabilities.cumsum(-1) >= 0.5 * probabilities.sum(-1, keepdims=True)
    return reached.argmax(-1)


def weighted_quantiles(cells: Tensor, weights: Tensor, parts: Sequence[float]) -> Tensor:
    """Returns the least of the draws by which a part of the weight is reached.

    Args:
        cells: draws, (K, B, D).
        weights: that sum to one over the draws, (K, B).
        parts: the parts, from 0 to 1.

    Returns:
        (len(parts), B, D), in the type of the draws.
    """
    ordered, places = cells.sort(0)
    share = weights.unsqueeze(-1).expand(cells.shape).gather(0, places).cumsum(0)
    share = share / share[-1]
    found = []
    for part in parts:
        first = (share < part).sum(0, keepdim=True).clamp(max=len(cells) - 1)
        found.append(ordered.gather(0, first).squeeze(0))
    return torch.stack(found)
