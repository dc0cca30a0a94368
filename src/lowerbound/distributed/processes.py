"""Batches and measures that several processes share, with the noise that one process would draw.

Each process has the very random numbers that a single process would have drawn for its examples. If
each drew noise of its own, training with two processes would be another run than with one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor


class Share(NamedTuple):
    """The part of a batch that this process computes: the examples `rank`, `rank + world`, ...

    A process without any example computes the first one, and its result does not count.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        whole: number of examples in the whole batch.
        counts: number of entries of each example of the whole batch, (whole,), where the examples
            are sparse rows.
        gather: the exchange of `Processes`; None in one process.
    """

    rank: int
    world: int
    whole: int
    counts: Tensor | None = None
    gather: Callable[[Tensor], Tensor] | None = None

    @property
    def rows(self) -> Tensor:
        """The numbers of the examples in the whole batch that this process computes, (B,)."""
        first = self.rank
        if first >= self.whole:
            first = 0
        rows = torch.arange(first, self.whole, self.world)
        return rows[: max(1, self.size)]

    @property
    def entries(self) -> Tensor:
        """The positions of this process's entries among those of the whole batch of sparse rows."""
        counts = torch.as_tensor(self.counts)
        is_local = torch.zeros(self.whole, dtype=torch.bool).index_fill(0, self.rows, True)
        return is_local.repeat_interleave(counts).nonzero().flatten()

    @property
    def size(self) -> int:
        """The number of examples that count here; 0 for a process that computes one in vain."""
        return len(range(self.rank, self.whole, self.world))

    def part(self, number: int, parts: int) -> "Share":
        """Returns one of so many parts of this share, number 0 the first.

        The parts have every example of the share once. What they are the parts of does not matter:
        one of three parts in one process is as one of three processes, which gathers nothing.
        """
        rank = self.rank + number * self.world
        return Share(rank, self.world * parts, self.whole, self.counts)


class Processes(NamedTuple):
    """The processes that work on the same examples, seen from one of them.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        gather: stacks the tensors of all processes, which have the same shape: (...) ->
            (world, ...). With several processes the result is on the CPU.
    """

    rank: int = 0
    world: int = 1
    gather: Callable[[Tensor], Tensor] = lambda values: values.unsqueeze(0)

    def share(self, whole: int) -> Share:
        """Returns the part of this process in a batch of `whole` examples."""
        if self.world == 1:
            return Share(self.rank, self.world, whole)
        return Share(self.rank, self.world, whole, gather=self.gather)

    def whole(self, values: Tensor, examples: Tensor, total: int) -> Tensor:
        """Collects the values of all examples from all processes.

        Args:
            values: those of the examples of this process, (n, ...); n may be 0.
            examples: the numbers of these examples, (n,). Each example belongs to exactly one
                process. One process alone has all of them, in order.
            total: number of examples of all processes together.

        Returns:
            The values in the order of the examples, (total, ...).
        """
        if self.world == 1:
            return values
        # `gather` takes the same shape from all, so that each process pads to the largest part.
        longest = int(self.gather(torch.tensor(len(examples))).max())
        padded_values = values.new_zeros(longest, *values.shape[1:])
        padded_values[: len(values)] = values
        padded_examples = torch.full((longest,), -1, dtype=torch.long)
        padded_examples[: len(examples)] = examples
        all_values = self.gather(padded_values).flatten(0, 1)
        all_examples = self.gather(padded_examples).flatten()
        is_example = all_examples >= 0
        ordered = values.new_zeros(total, *values.shape[1:])
        ordered[all_examples[is_example]] = all_values[is_example]
        return ordered


ONE_PROCESS = Processes()
"""The processes of a run that has only one."""

_current: list[Share] = []
"""The shares of the `noise_of` blocks that are open; the last one holds."""


@contextmanager
def noise_of(share: Share) -> Iterator[None]:
    """Makes `draw_shared` and `mean_of_all` work on a share of a batch during the block."""
    _current.append(share)
    try:
        yield
    finally:
        _current.pop()


_common: ContextVar[int | None] = ContextVar("common", default=None)
"""The seed of the block of `common_noise` that is open, if there is one."""


@contextmanager
def common_noise(seed: int) -> Iterator[None]:
    """Makes `draw_shared` draw the noise of one example for all of them during the block.

    What is computed of an example by such draws is a function of this example alone if the random
    stream also starts anew with each batch: of which others stand beside it, in which order and how
    many, nothing depends (common random numbers; Owen 2013, "Monte Carlo theory, methods and
    examples", section 8.6). The draws of several examples are no longer independent.

    Args:
        seed: where the random stream of each batch starts.
    """
    token = _common.set(seed)
    try:
        yield
    finally:
        _common.reset(token)


class HeldNoise:
    """The noise of a block of `common_noise`, held so that it can be given again.

    A graph that is exported holds it as numbers: it draws nothing.
    """

    def __init__(self) -> None:
        self.draws: list[Tensor] = []
        self._given = 0
        self._is_recording = False

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Holds what is drawn during the block."""
        with self._used(is_recording=True):
            yield

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """Gives what is held again during the block, from the first draw on."""
        with self._used(is_recording=False):
            yield

    @contextmanager
    def _used(self, *, is_recording: bool) -> Iterator[None]:
        self._given = 0
        self._is_recording = is_recording
        token = _held.set(self)
        try:
            yield
        finally:
            _held.reset(token)

    def draw(self, draw: Callable[[], Tensor]) -> Tensor:
        """Returns the next draw: one that is held, or a new one, which is held from now on."""
        if self._is_recording:
            self.draws.append(draw())
            return self.draws[-1]
        self._given += 1
        return self.draws[self._given - 1]


_held: ContextVar[HeldNoise | None] = ContextVar("held", default=None)
"""What holds the noise of the block of `common_noise` that is open, if something does."""


def seed_of_common_noise() -> int | None:
    """Returns the seed of the block of `common_noise` that is open; None outside of any."""
    return _common.get()


def mean_of_all(local_mean: Tensor) -> Tensor:
    """Turns a mean over the examples of this process into the mean over the whole batch.

    The gradient is that of the local mean. So the gradients of all processes have the mean that a
    single process would have computed.
    """
    if not _current:
        return local_mean
    share = _current[-1]
    if share.world == 1 or share.gather is None:
        return local_mean
    weighted = local_mean.detach() * (share.size / share.whole)
    mean = share.gather(weighted).sum(0).to(local_mean)
    return local_mean + (mean - local_mean.detach())


def draw_shared(
    draw: Callable[[Tensor], Tensor], x: Tensor, dim: int = 0, entries: bool = False
) -> Tensor:
    """Returns `draw(x)`, with the noise that one process would draw for the whole batch.

    Where a batch is shared, `draw` gets the whole batch, with zeros for the examples of others.
    Within a block of `common_noise`, what is drawn for zeros in place of one example is that of
    all; noise that hangs on the values or on the entries of an example cannot be shared so.

    Args:
        draw: returns a tensor of the shape of its argument.
        x: the examples of this process.
        dim: the dimension of x that counts the examples.
        entries: whether this dimension counts the entries of sparse rows instead.
    """
    if _common.get() is not None and not entries:
        return _draw_common(draw, x, dim)
    if not _current or _current[-1].world == 1:
        return draw(x)
    share = _current[-1]
    if entries:
        rows = share.entries.to(x.device)
        total = int(torch.as_tensor(share.counts).sum())
    else:
        rows = share.rows.to(x.device)
        total = share.whole
    whole_shape = list(x.shape)
    whole_shape[dim] = total
    whole_batch = x.new_zeros(whole_shape).index_copy(dim, rows, x)
    return draw(whole_batch).index_select(dim, rows)


def _draw_common(draw: Callable[[Tensor], Tensor], x: Tensor, dim: int) -> Tensor:
    """Draws for one example, and returns it for each, of the shape and type of x.

    It is drawn in float32, whatever that type is: a stream gives other numbers in float64, and what
    is computed in both is to differ by rounding alone.
    """
    shape_of_one = list(x.shape)
    shape_of_one[dim] = 1

    def draw_one() -> Tensor:
        return draw(x.new_zeros(shape_of_one, dtype=torch.float32)).to(x)

    held = _held.get()
    if held is None:
        return draw_one().expand(x.shape)
    return held.draw(draw_one).expand(x.shape)
