"""Noise of a batch that several processes share: each has the very numbers that one process would
have drawn for its examples.

Without it each process would draw noise of its own, and training on two would be another run than
training on one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor


class Share(NamedTuple):
    """What this process has of a batch: the examples `rank`, `rank + world` ... of `whole`, or the
    first where that is none.

    `counts` (whole,) is how many entries each example of the batch has, where they are sparse rows;
    `gather` that of `Processes`.
    """

    rank: int
    world: int
    whole: int
    counts: Tensor | None = None
    gather: Callable[[Tensor], Tensor] | None = None

    @property
    def rows(self) -> Tensor:
        """Which examples of the whole batch, (B,)."""
        return torch.arange(self.rank if self.rank < self.whole else 0, self.whole, self.world)[
            : max(1, self.size)
        ]

    @property
    def entries(self) -> Tensor:
        """Which entries of the whole batch of sparse rows."""
        counts = torch.as_tensor(self.counts)
        mine = torch.zeros(self.whole, dtype=torch.bool).index_fill(0, self.rows, True)
        return mine.repeat_interleave(counts).nonzero().flatten()

    @property
    def size(self) -> int:
        """How many examples count for this process; one more is computed where it has none."""
        return len(range(self.rank, self.whole, self.world))


class Processes(NamedTuple):
    """Those that work on the same examples.

    Attributes:
        rank: this one.
        world: how many there are.
        gather: what each has, stacked, (world, ...), of numbers that have the same shape in all;
            from several, on the CPU.
    """

    rank: int = 0
    world: int = 1
    gather: Callable[[Tensor], Tensor] = lambda values: values.unsqueeze(0)

    def share(self, whole: int) -> Share:
        """This one's part of `whole` examples."""
        return Share(self.rank, self.world, whole, gather=self.gather if self.world > 1 else None)

    def whole(self, own: Tensor, at: Tensor, total: int) -> Tensor:
        """The values of all `total` examples, (total, ...), in order: `own` (n, ...) are those of
        the examples `at` (n,) here.

        Every example is that of exactly one process, which has its own in order; it may have none.
        """
        if self.world == 1:
            return own
        most = int(self.gather(torch.tensor(len(at))).max())
        padded = own.new_zeros(most, *own.shape[1:])
        padded[: len(own)] = own
        places = torch.full((most,), -1, dtype=torch.long)
        places[: len(at)] = at
        values, where = self.gather(padded).flatten(0, 1), self.gather(places).flatten()
        found = own.new_zeros(total, *own.shape[1:])
        found[where[where >= 0]] = values[where >= 0]
        return found


ONE_PROCESS = Processes()


_current: list[Share] = []


@contextmanager
def noise_of(share: Share) -> Iterator[None]:
    """Noise drawn in this block is that of the share."""
    _current.append(share)
    try:
        yield
    finally:
        _current.pop()


def mean_of_all(own: Tensor) -> Tensor:
    """The mean over the whole batch, given the mean of something over the examples of this process.

    Its gradient is that of the own mean, so that those of all processes have the mean that one
    process would have.
    """
    if not _current or _current[-1].world == 1 or (gather := _current[-1].gather) is None:
        return own
    share = _current[-1]
    return own + (gather(own.detach() * (share.size / share.whole)).sum(0).to(own) - own.detach())


def draw_shared(
    draw: Callable[[Tensor], Tensor], x: Tensor, dim: int = 0, entries: bool = False
) -> Tensor:
    """`draw(x)`, of which the result is of the shape of x; `dim` counts the examples, or the
    `entries` of sparse ones.

    Where a batch is shared, `draw` is given the whole batch, with zeros for the examples of others.
    """
    if not _current or _current[-1].world == 1:
        return draw(x)
    share = _current[-1]
    rows, shape = (share.entries if entries else share.rows).to(x.device), list(x.shape)
    shape[dim] = int(torch.as_tensor(share.counts).sum()) if entries else share.whole
    return draw(x.new_zeros(shape).index_copy(dim, rows, x)).index_select(dim, rows)
