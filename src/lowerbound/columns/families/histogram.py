"""Histograms: numbers of any distribution, by the probabilities of bins."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ...specs.checked import checked
from ..coding import Coding
from ..schema import TAIL_RANKS, ColumnSchema
from .base import ColumnDistribution, ColumnFamily
from .factors import FollowedFactors, scores_of_numbers

UNKNOWN_ROWS = 1000
"""A column of which nothing is known has the tails of one of so many rows."""

WIDEST_UNKNOWN = 4.0
"""The bins of a column of which nothing is known lie between minus this and this."""

FEW_BINS = 16
"""Of fewer bins none are narrow ones at the ends."""

LEAST_WIDTH = 1e-6
"""Bins of codes with densities are at least so wide."""


class _Histograms(ColumnDistribution):
    """Distributions that are uniform within bins and fall exponentially beyond them.

    Args:
        log_shares: the log-probabilities of the bins, (..., n, B).
        bins: where the bins lie.
    """

    def __init__(self, log_shares: Tensor, bins: "_Bins") -> None:
        self.log_shares = log_shares
        self.bins = bins
        super().__init__(log_shares.shape[:-1], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        bins = self.bins
        positions = bins.find(value)
        log_density = self.log_shares - bins.log_widths
        shape = torch.broadcast_shapes(positions.shape, self.batch_shape)
        table = log_density.expand(*shape, log_density.shape[-1])
        inside = table.gather(-1, positions.expand(shape).unsqueeze(-1)).squeeze(-1)
        inside = torch.where(value < bins.low, bins.below(value), inside)
        return torch.where(value > bins.high, bins.above(value), inside)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            bins = self.bins
            tails = bins.log_tails.expand(*self.batch_shape, 2)
            log_shares = torch.cat([self.log_shares, tails], dim=-1)
            count = log_shares.shape[-1]
            table = log_shares.exp().expand(*shape, count)
            drawn = torch.multinomial(table.reshape(-1, count), 1).reshape(*shape, 1)
            uniform = torch.rand(shape, dtype=table.dtype, device=table.device)
            position = drawn.clamp(max=count - 3)
            low = bins.edges[..., :-1].expand(*shape, count - 2).gather(-1, position).squeeze(-1)
            width = bins.log_widths.exp().expand(*shape, count - 2).gather(-1, position).squeeze(-1)
            inside = bins.round(low + uniform * width)
            beyond = torch.where(
                drawn.squeeze(-1) == count - 2, bins.draw_below(uniform), bins.draw_above(uniform)
            )
            return torch.where(drawn.squeeze(-1) < count - 2, inside, beyond)

    @property
    def mean(self) -> Tensor:
        centres = (self.bins.edges[..., :-1] + self.bins.edges[..., 1:]) / 2
        inside = (self.log_shares.exp() * centres.nan_to_num()).sum(-1)
        return inside + (self.bins.log_tails.exp() * self.bins.tail_means).sum(-1)

    @property
    def jumps(self) -> Tensor:
        edges = self.bins.edges
        return torch.where(edges.isnan(), self.bins.high.unsqueeze(-1), edges)

    def mean_exponential(self, factor: Tensor) -> Tensor:
        """Returns E[exp(factor * code)], (..., n), by the means within the bins.

        What lies beyond the bins, hardly anything, counts as if it lay at their ends.
        """
        edges = self.bins.edges.nan_to_num()
        powers = factor.unsqueeze(-1)
        widths = self.bins.log_widths.exp()
        steps = powers * widths
        within = torch.exp(powers * edges[..., :-1]) * torch.expm1(steps) / steps
        inside = (self.log_shares.exp() * within.nan_to_num()).sum(-1)
        ends = torch.stack([self.bins.low, self.bins.high], dim=-1)
        return inside + (self.bins.log_tails.exp() * torch.exp(powers * ends)).sum(-1)


class _Bins(nn.Module):
    """Where the bins of n columns lie, and the tails beyond them.

    Args:
        columns: the n columns.
        count: the most bins that a column has, B.
    """

    def __init__(self, columns: Sequence[ColumnSchema], count: int) -> None:
        super().__init__()
        edges = np.full((len(columns), count + 1), np.nan)
        tails = np.zeros((len(columns), 2))
        scales = np.ones(len(columns))
        for row, column in enumerate(columns):
            found = find_edges(column, count)
            edges[row, : len(found)] = found
            tails[row] = 1 / ((column.observed or UNKNOWN_ROWS) + 2)
            if column.kind == "count" and found[0] <= 0:
                tails[row, 0] = 0
            scales[row] = (found[-1] - found[0]) / (len(found) - 1)
        widths = np.diff(edges, axis=1)
        with np.errstate(divide="ignore"):
            log_tails = np.log(tails)
        self._keep("edges", edges)
        self._keep("log_widths", np.log(np.nan_to_num(widths, nan=1.0)))
        self._keep("low", np.nanmin(edges, axis=1))
        self._keep("high", np.nanmax(edges, axis=1))
        self._keep("log_tails", log_tails)
        self._keep("log_inside", np.log1p(-tails.sum(1)))
        self._keep("tail_scale", scales)
        self._keep("is_there", np.where(np.isnan(widths), -np.inf, 0.0))
        self._keep("start", np.log(np.nan_to_num(_shares(columns, edges), nan=1.0)))
        is_count = torch.tensor([column.kind == "count" for column in columns])
        self.register_buffer("is_count", is_count, persistent=False)
        last = torch.tensor(((~np.isnan(widths)).sum(1) - 1).tolist(), dtype=torch.long)
        self.register_buffer("last", last, persistent=False)
        self.edges: Tensor
        self.log_widths: Tensor
        self.low: Tensor
        self.high: Tensor
        self.log_tails: Tensor
        self.log_inside: Tensor
        self.tail_scale: Tensor
        self.is_there: Tensor
        self.start: Tensor
        self.is_count: Tensor
        self.last: Tensor

    def _keep(self, name: str, values: np.ndarray) -> None:
        tensor = torch.tensor(values.tolist(), dtype=torch.get_default_dtype())
        self.register_buffer(name, tensor, persistent=False)

    def find(self, value: Tensor) -> Tensor:
        """Returns the bin of each code (..., n); codes beyond the bins are in the outer ones."""
        columns = value.detach().movedim(-1, 0).reshape(len(self.edges), -1).contiguous()
        inner = self.edges[:, 1:-1].nan_to_num(nan=torch.inf).contiguous()
        found = torch.searchsorted(inner, columns, right=True)
        # The greatest code is in the last bin that its column has, which may have fewer than B.
        found = torch.minimum(found, self.last.unsqueeze(-1))
        return found.reshape(value.shape[-1], *value.shape[:-1]).movedim(0, -1)

    def below(self, value: Tensor) -> Tensor:
        """Returns the log-density, or log-probability, of codes below the bins, (..., n)."""
        distance = (self.low - value).clamp(min=0)
        density = -distance / self.tail_scale - self.tail_scale.log()
        # There are as many whole numbers from 0 on as the lowest edge, a half below one, says.
        even = -(self.low + 0.5).clamp(min=1).log()
        return self.log_tails[:, 0] + torch.where(self.is_count, even, density)

    def above(self, value: Tensor) -> Tensor:
        """Returns the log-density, or log-probability, of codes above the bins, (..., n)."""
        distance = (value - self.high).clamp(min=0)
        density = -distance / self.tail_scale - self.tail_scale.log()
        # A geometric distribution of the whole numbers from the first above the bins on.
        log_stay = -1 / self.tail_scale
        steps = distance - 0.5
        geometric = steps * log_stay + torch.log(-torch.expm1(log_stay))
        return self.log_tails[:, 1] + torch.where(self.is_count, geometric, density)

    @property
    def tail_means(self) -> Tensor:
        """The means of the tails below and above the bins, (n, 2)."""
        # Of counts: all below the lowest edge alike, and a geometric distribution above.
        stay = torch.exp(-1 / self.tail_scale)
        below_of_counts = (self.low - 0.5) / 2
        steps_of_counts = 0.5 + stay / (1 - stay)
        below = torch.where(self.is_count, below_of_counts, self.low - self.tail_scale)
        steps = torch.where(self.is_count, steps_of_counts, self.tail_scale)
        return torch.stack([below, self.high + steps], dim=-1)

    def round(self, value: Tensor) -> Tensor:
        """Rounds what is drawn of counts to whole numbers."""
        return torch.where(self.is_count, torch.ceil(value - 0.5), value)

    def draw_below(self, uniform: Tensor) -> Tensor:
        """Draws codes below the bins, (..., n), of uniform numbers."""
        whole = torch.floor(uniform * (self.low + 0.5)).clamp(min=0)
        return torch.where(self.is_count, whole, self.low + torch.log1p(-uniform) * self.tail_scale)

    def draw_above(self, uniform: Tensor) -> Tensor:
        """Draws codes above the bins, (..., n), of uniform numbers."""
        exponential = -torch.log1p(-uniform) * self.tail_scale
        whole = self.high + 0.5 + torch.floor(exponential)
        return torch.where(self.is_count, whole, self.high + exponential)


def find_edges(column: ColumnSchema, count: int) -> np.ndarray:
    """Finds the edges of at most `count` bins of a column, in codes, ascending.

    The bins hold about as many training values each. Those of counts lie between whole numbers.
    """
    if not column.quantiles and column.kind == "count":
        return np.arange(count + 1) - 0.5
    if not column.quantiles:
        return np.linspace(-WIDEST_UNKNOWN, WIDEST_UNKNOWN, count + 1)
    grid = np.interp(edge_ranks(count), *column.ranked())
    if column.kind == "count":
        inner = np.unique(np.floor(grid[1:-1]) + 0.5)
        low = np.floor(grid[0]) - 0.5
        high = np.floor(grid[-1]) + 0.5
        inner = inner[(inner > low) & (inner < high)]
        return np.array([low, *inner, high])
    codes = Coding([column]).encode(grid[:, None])[:, 0].astype(np.float32).astype(np.float64)
    edges = [codes[0]]
    for code in codes[1:]:
        if code > edges[-1] + LEAST_WIDTH:
            edges.append(code)
    if len(edges) == 1:
        edges.append(edges[0] + 1.0)
    return np.array(edges)


def edge_ranks(count: int) -> np.ndarray:
    """Returns the ranks of the edges of `count` bins: at equal steps, and narrower at the ends.

    The outermost of few bins of equal shares would spread its share far beyond where it lies.
    """
    if count < FEW_BINS:
        return np.linspace(0, 1, count + 1)
    even = np.linspace(0, 1, count - len(TAIL_RANKS) + 1)
    return np.sort(np.concatenate([even, TAIL_RANKS]))


def _shares(columns: Sequence[ColumnSchema], edges: np.ndarray) -> np.ndarray:
    """Returns the share of the training values in each bin, about, (n, B)."""
    shares = np.full((len(columns), edges.shape[1] - 1), np.nan)
    for row, column in enumerate(columns):
        known = edges[row][~np.isnan(edges[row])]
        ranks = np.linspace(0, 1, len(known))
        if column.quantiles:
            known_ranks, grid = column.ranked()
            if column.kind != "count":
                grid = Coding([column]).encode(grid[:, None])[:, 0]
            # Of equal quantiles the last rank counts: so many values are not above it.
            places = np.searchsorted(grid, known, side="right")
            ranks = known_ranks[np.maximum(places - 1, 0)]
            ranks[0] = 0
            ranks[-1] = 1
        share = np.diff(ranks) + 0.1 / len(known)
        shares[row, : len(share)] = share / share.sum()
    return shares


class _HistogramHead(nn.Module):
    """Makes histograms of scores (..., n, B), each score added to the log-share of its bin."""

    def __init__(self, columns: Sequence[ColumnSchema], count: int) -> None:
        super().__init__()
        self.bins: _Bins = _Bins(columns, count)

    def forward(self, scores: Tensor) -> _Histograms:
        bins = self.bins
        log_shares = torch.log_softmax(scores + bins.start + bins.is_there, dim=-1)
        return _Histograms(log_shares + bins.log_inside.unsqueeze(-1), bins)


@checked
class Histogram(ColumnFamily):
    """Numbers of any distribution: the probabilities of bins that lie between quantiles.

    Within a bin numbers are uniform (the logs of positive numbers, whole numbers of counts). What
    lies beyond the training values has a fixed probability of 1 / (n + 2) at either end, where n
    values were seen, and falls exponentially.

    Args:
        bins: the most bins that a column has; of 16 or more, six are narrow ones at the ends.
    """

    kinds: ClassVar[tuple[str, ...]] = ("real", "positive", "count", "datetime")

    bins: Annotated[int, Field(ge=2, le=1024)] = 38

    def parameters(self, column: ColumnSchema) -> int:
        return self.bins

    def head(self, columns: Sequence[ColumnSchema]) -> nn.Module:
        return _HistogramHead(columns, self.bins)

    def follow(
        self, column: ColumnSchema, followed: FollowedFactors
    ) -> tuple[np.ndarray, np.ndarray]:
        edges = find_edges(column, self.bins)
        centres = (edges[1:] + edges[:-1]) / 2
        if column.kind == "count":
            centres = (np.log1p(centres.clip(0)) - column.mean) / column.scale
        return scores_of_numbers(centres, followed, self.bins)
