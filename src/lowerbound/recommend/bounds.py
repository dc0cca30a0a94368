"""The last layer of a recommender: scores of some items, and upper bounds of all."""

import threading

import torch
from torch import Tensor

from ..sparse import DeferredLinear
from .exact import on_grid

FEW_USERS = 16
"""Users up to whom the table of items is the left side of the product, which is then faster by
half.
"""


GATHERED_NUMBERS = 2**19
"""Numbers of the items' vectors that are scored exactly at a time."""


ROUNDING = 2.0**-8
"""The largest relative error of rounding to bfloat16."""


# The table of items


def _above(values: Tensor) -> Tensor:
    """In bfloat16, not below what they were."""
    return (values * (1 + 2 * ROUNDING)).bfloat16()


def _parts(values: Tensor) -> Tensor:
    """Float64 (I,) as the sum of three bfloat16 numbers each, (I, 3)."""
    parts = []
    for _ in range(3):
        parts.append(values.bfloat16())
        values = values - parts[-1].double()
    return torch.stack(parts, 1)


class ItemTable:
    """The last layer: its scores <h, w_i> + b_i, exactly for some items, and as upper bounds for
    all.

    With h~ and w~ for h and w in bfloat16, <h, w> = <h~, w~> + <h, w - w~> + <h - h~, w~>, of which
    the last two are at most |h| |w - w~| + |h - h~| |w~|. Both are inner products too, so that five
    columns beside those of w~ (two for the norms, three for the bias) make one product in bfloat16
    an upper bound. What that rounds by itself, it says in `margin`.
    """

    def __init__(self, layer: DeferredLinear) -> None:
        items, terms = layer.weight.shape
        self.bias = layer.bias.detach().double().cpu()
        self.weight = torch.empty(items, terms)
        self.bounds = torch.zeros(items, -(-(terms + 5) // 32) * 32, dtype=torch.bfloat16)
        for rows in torch.arange(items).split(4096):
            self._fill(slice(int(rows[0]), int(rows[-1]) + 1), layer.weight)
        self.bounds[:, terms + 2 : terms + 5] = _parts(self.bias)
        self.summed = (
            self.bounds.shape[1] * 2.0**-22
        )  # of float32, in sums of so many terms, at most
        self._kept = threading.local()
        self.slack = 2 * self.summed * float(self.bias.abs().max())

    def _fill(self, rows: slice, weight: Tensor) -> None:
        terms = weight.shape[1]
        exact = on_grid(weight[rows].detach().double().cpu(), terms)
        near = exact.bfloat16()
        self.weight[rows], self.bounds[rows, :terms] = exact, near
        self.bounds[rows, terms] = _above((exact - near).norm(dim=1))
        self.bounds[rows, terms + 1] = _above(near.double().norm(dim=1))

    def upper(self, h: Tensor) -> Tensor:
        """Upper bounds for h (B, K), up to `margin`: (B, I) bfloat16, in memory that the next call
        uses again.
        """
        terms, near = h.shape[1], h.bfloat16()
        left = torch.zeros(max(len(h), FEW_USERS), self.bounds.shape[1], dtype=torch.bfloat16)
        left[: len(h), :terms] = near
        left[: len(h), terms] = _above(h.norm(dim=1) * (1 + self.summed))
        left[: len(h), terms + 1] = _above(
            (h - near).norm(dim=1) + 2 * self.summed * near.double().norm(dim=1)
        )
        left[:, terms + 2 : terms + 5] = 1
        if len(h) > FEW_USERS:
            return torch.mm(left, self.bounds.T, out=self._space(len(h)))
        return torch.mm(self.bounds, left.T, out=self._space(FEW_USERS).view(-1, FEW_USERS))[
            :, : len(h)
        ].T.contiguous()

    def _space(self, rows: int) -> Tensor:
        """Memory for bounds (rows, I) that this thread keeps: to have it anew each time would take
        as long as the product.
        """
        width, kept = len(self.bounds), getattr(self._kept, "space", None)
        if kept is None or kept.numel() < rows * width:
            kept = self._kept.space = torch.empty(rows * width, dtype=torch.bfloat16)
        return kept[: rows * width].view(rows, width)

    def margin(self, bounds: Tensor) -> Tensor:
        """Scores (float32) that those of items with such bounds or lower, (B,), cannot exceed."""
        bounds = bounds.double()
        return (bounds + 2 * ROUNDING * bounds.abs() + self.slack).float()

    def exact(self, h: Tensor, items: Tensor) -> Tensor:
        """The scores of some items (B, c) for h (B, K): float32 (B, c)."""
        step = max(1, GATHERED_NUMBERS // (items.shape[1] * h.shape[1]))
        scores = torch.empty(items.shape, dtype=torch.float64)
        rows = torch.empty(min(step, len(h)) * items.shape[1], h.shape[1])
        precise = rows.double()
        for start in range(0, len(h), step):
            some = items[start : start + step]
            torch.index_select(self.weight, 0, some.flatten(), out=rows[: some.numel()])
            vectors = precise[: some.numel()].copy_(rows[: some.numel()]).view(*some.shape, -1)
            torch.bmm(
                vectors,
                h[start : start + step].unsqueeze(2),
                out=scores[start : start + step].unsqueeze(2),
            )
        return (scores + self.bias[items]).float()

    def all(self, h: Tensor) -> Tensor:
        """The scores of all items for h (B, K): float32 (B, I)."""
        products = [h @ rows.double().T for rows in self.weight.split(4096)]
        return (torch.cat(products, 1) + self.bias).float()
