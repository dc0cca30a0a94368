"""The last layer of a recommender: scores of a few items, and upper bounds for all."""

import threading

import torch
from torch import Tensor

from .exact import on_grid

FEW_USERS = 16
"""Up to this many users the table of items is the left side of the product.

Measured: the product is then faster by half.
"""


GATHERED_NUMBERS = 2**19
"""The vectors of items that are scored exactly at a time have this many numbers."""


CHUNK_ITEMS = 2**12
"""The table is converted, and scored in whole, for this many items at a time."""


SMALL_TABLE = 2**20
"""A table of up to this many numbers is kept in float64, and all of its items are scored exactly.

Measured: this takes less time than bounds, and eight megabytes more.
"""


ROUNDING = 2.0**-8
"""Rounding to bfloat16 changes a number by at most this fraction of it."""


FLOAT_SLACK = 1e-6
"""A few operations in float32 are wrong by at most this fraction."""


SUM_ROUNDING = 2.0**-22
"""A sum in float32 is wrong by at most this fraction, for each of its terms."""


# The table of items


def _round_up(values: Tensor) -> Tensor:
    """Rounds to bfloat16, to no less than the values."""
    return (values * (1 + 2 * ROUNDING)).bfloat16()


def _split_in_three(values: Tensor) -> Tensor:
    """Splits float64 numbers (I,) into the sum of three bfloat16 numbers each, (I, 3)."""
    parts = []
    for _ in range(3):
        part = values.bfloat16()
        parts.append(part)
        values = values - part.double()
    return torch.stack(parts, 1)


class ItemTable:
    """The scores <h, w_i> + b_i of a linear layer, exactly for a few items, and as upper bounds for
    all.

    Args:
        weight: the vectors w_i of the items, (I, K).
        bias: (I,); None: 0.

    With h~ and w~ for h and w in bfloat16, <h, w> = <h~, w~> + <h, w - w~> + <h - h~, w~>. The last
    two terms are at most |h| |w - w~| + |h - h~| |w~|. These are inner products too. So five
    columns beside those of w~, two for the norms and three for the bias, make one product in
    bfloat16 an upper bound. `margin` adds the rounding of this product itself.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        items, terms = weight.shape
        if bias is None:
            bias = torch.zeros(items)
        self.bias: Tensor = bias.detach().double().cpu()
        self.weight: Tensor = torch.empty(items, terms)
        # The rows of the table are aligned to 32 numbers.
        columns = -(-(terms + 5) // 32) * 32
        self.bounds: Tensor = torch.zeros(items, columns, dtype=torch.bfloat16)
        for start in range(0, items, CHUNK_ITEMS):
            stop = min(start + CHUNK_ITEMS, items)
            self._fill(slice(start, stop), weight)
        self.bounds[:, terms + 2 : terms + 5] = _split_in_three(self.bias)
        self.sum_rounding: float = columns * SUM_ROUNDING
        largest_bias = float(self.bias.abs().max())
        self.slack: float = 2 * self.sum_rounding * largest_bias
        self._memory = threading.local()
        self._precise: Tensor | None = None
        if items * terms <= SMALL_TABLE:
            self._precise = self.weight.double().T.contiguous()

    @property
    def is_small(self) -> bool:
        """Whether all items are scored exactly at once, quicker than by bounds."""
        return self._precise is not None

    def _fill(self, rows: slice, weight: Tensor) -> None:
        """Fills the rows of the table of weights and of the table of bounds."""
        terms = weight.shape[1]
        exact = on_grid(weight[rows].detach().double().cpu(), terms)
        rounded = exact.bfloat16()
        error = (exact - rounded).norm(dim=1)
        norm = rounded.double().norm(dim=1)
        self.weight[rows] = exact
        bounds = self.bounds[rows]
        bounds[:, :terms] = rounded
        bounds[:, terms] = _round_up(error)
        bounds[:, terms + 1] = _round_up(norm)

    def upper(self, h: Tensor) -> Tensor:
        """Computes upper bounds for the scores of h (B, K), up to `margin`.

        Returns:
            (B, I) bfloat16, in memory that the next call of this thread uses again.
        """
        users, terms = h.shape
        rounded = h.bfloat16()
        norm = h.norm(dim=1) * (1 + self.sum_rounding)
        error = (h - rounded).norm(dim=1)
        error = error + 2 * self.sum_rounding * rounded.double().norm(dim=1)
        rows = max(users, FEW_USERS)
        columns = self.bounds.shape[1]
        left = torch.zeros(rows, columns, dtype=torch.bfloat16)
        left[:users, :terms] = rounded
        left[:users, terms] = _round_up(norm)
        left[:users, terms + 1] = _round_up(error)
        left[:, terms + 2 : terms + 5] = 1
        if users > FEW_USERS:
            upper = self._reserve(users)
            return torch.mm(left, self.bounds.T, out=upper)
        transposed = self._reserve(FEW_USERS).view(-1, FEW_USERS)
        torch.mm(self.bounds, left.T, out=transposed)
        return transposed[:, :users].T.contiguous()

    def _reserve(self, rows: int) -> Tensor:
        """Returns memory for bounds (rows, I) that this thread keeps.

        Measured: to have it anew each time would take as long as the product.
        """
        items = len(self.bounds)
        kept = getattr(self._memory, "numbers", None)
        if kept is None or kept.numel() < rows * items:
            kept = torch.empty(rows * items, dtype=torch.bfloat16)
            self._memory.numbers = kept
        return kept[: rows * items].view(rows, items)

    def margin(self, bounds: Tensor) -> Tensor:
        """Returns what no score of an item with such a bound can exceed, (B,) float32."""
        bounds = bounds.double()
        largest = bounds + 2 * ROUNDING * bounds.abs() + self.slack
        return largest.float()

    def upper_with_margin(self, h: Tensor) -> Tensor:
        """Computes what no score of an item can exceed, (B, I) float32 in a new tensor."""
        upper = self.upper(h).float()
        margin = upper.abs().mul_(2 * ROUNDING + FLOAT_SLACK)
        return upper.add_(margin).add_(self.slack * (1 + FLOAT_SLACK))

    def exact(self, h: Tensor, items: Tensor) -> Tensor:
        """Computes the exact scores of a few items (B, c) for h (B, K), (B, c) float32."""
        users, terms = h.shape
        count = items.shape[1]
        step = max(1, GATHERED_NUMBERS // (count * terms))
        scores = torch.empty(items.shape, dtype=torch.float64)
        # One buffer serves all steps: the vectors as they are stored, and in float64.
        stored = torch.empty(min(step, users) * count, terms)
        precise = stored.double()
        for start in range(0, users, step):
            block = slice(start, start + step)
            columns = items[block]
            size = columns.numel()
            torch.index_select(self.weight, 0, columns.flatten(), out=stored[:size])
            precise[:size].copy_(stored[:size])
            vectors = precise[:size].view(*columns.shape, -1)
            torch.bmm(vectors, h[block].unsqueeze(2), out=scores[block].unsqueeze(2))
        return (scores + self.bias[items]).float()

    def all(self, h: Tensor) -> Tensor:
        """Computes the exact scores of all items for h (B, K), (B, I) float32."""
        if self._precise is not None:
            return (h @ self._precise).add_(self.bias).float()
        products = []
        for weight in self.weight.split(CHUNK_ITEMS):
            products.append(h @ weight.double().T)
        return (torch.cat(products, 1) + self.bias).float()
