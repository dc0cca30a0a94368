"""The number of threads that a step is computed on.

The usual number is counted from the operations of a step, so that it is the same when a run goes
on. Where other numbers give the very same bits, which is found out by trying, the fastest of them
is chosen by the time that steps take: at the start, and again when steps have become slow because
another process needs the cores.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from ..data import Split
from ..evaluation.batches import evaluating, placed
from ..model import VAE
from ..objectives import Objective
from ..recipe import Training
from ..system.machine import allowed_cores

PER_THREAD = 3e8
"""Operations of a step for which one more thread pays. Small models are faster on one thread
(measured: benchmarks/training.py).
"""

TRIALS = 5
"""A number of threads is tried by so many steps, of which the median counts."""

WINDOW = 50
"""So many steps are looked at together, to see whether steps have become slow."""

SLOW = 1.5
"""Steps are slow when they take this many times as long as they did before."""

GAIN = 1.1
"""Another number than the usual one must be this many times as fast to be chosen."""


# The usual number -------------------------------------------------------------------------------


def operations(step: Callable[[], Any]) -> int:
    """Counts the floating-point operations of the matrix products and convolutions in a call."""
    # Imported where it is used, because it takes a third of a second.
    from torch.utils.flop_counter import FlopCounterMode

    # The counter hooks into the gradients of what a module is given. Where there are none, it fails
    # on a module that is given a view of a parameter.
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def step_operations(
    model: VAE,
    train: Split,
    settings: Training,
    objective: Objective,
    processes: int,
) -> int:
    """Counts the floating-point operations of one training step in one of the processes.

    The backward pass has twice the operations of the forward pass. Two examples are counted for
    all.
    """
    examples = min(2, len(train))
    with evaluating(model, 0):
        batch = placed(model, train.batch(slice(0, examples)))
        forward = operations(lambda: model.terms(batch, settings.samples, objective.kl))
    both_passes = 3 * forward
    return both_passes * settings.batch_size // (examples * processes)


@contextmanager
def threads(count: int | Literal["auto"], operations: Callable[[], int]) -> Iterator[int]:
    """Sets the number of threads for matrix products within the block, and yields it.

    Args:
        count: the number, or "auto" for as many as a step keeps busy, of those that PyTorch has and
            of the cores that this process may use.
        operations: counts the operations of a step; it is called where there is a choice only.
    """
    before = torch.get_num_threads()
    chosen = count
    if chosen == "auto":
        chosen = _busy_threads(min(before, allowed_cores()), operations)
    torch.set_num_threads(chosen)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _busy_threads(available: int, operations: Callable[[], int]) -> int:
    """Returns how many of the threads a step keeps busy, at least one."""
    if available == 1:
        return 1
    busy = max(1, round(operations() / PER_THREAD))
    return min(available, busy)


# The choice among numbers that give the same ----------------------------------------------------


def numbers_to_try(usual: int, most: int) -> list[int]:
    """Returns numbers of threads that may be faster than the usual one: powers of two, and the
    largest number, from a quarter of the usual one to four times as many.

    >>> numbers_to_try(2, 6)
    [1, 2, 4, 6]
    """
    numbers = {usual, most}
    power = 1
    while power < most:
        numbers.add(power)
        power *= 2
    return sorted(number for number in numbers if usual <= 4 * number <= 16 * usual)


def same_bits(work: Callable[[], Sequence[Tensor | None]], usual: int, most: int) -> list[int]:
    """Finds the numbers of threads on which some work has the very bits of the usual number.

    Kernels that add up in parts, one for each thread, as those of convolutions do, round otherwise
    with another number of threads.

    Args:
        work: computes some tensors; whether its results hang on the number of threads depends on
            the shapes that it sees, and not on the values.
        usual: the number of threads whose results hold. It is set again at the end.
        most: the largest number that is tried.

    Returns:
        The numbers, the usual one first.
    """
    others = [number for number in numbers_to_try(usual, most) if number != usual]
    same = [usual]
    if not others:
        return same
    wanted = [_copy(tensor) for tensor in work()]
    try:
        for number in others:
            torch.set_num_threads(number)
            if all(map(_is_equal, work(), wanted)):
                same.append(number)
    finally:
        torch.set_num_threads(usual)
    return same


def _copy(tensor: Tensor | None) -> Tensor | None:
    if tensor is None:
        return None
    return tensor.detach().clone()


def _is_equal(found: Tensor | None, wanted: Tensor | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    if found.is_sparse:
        return torch.equal(found.to_dense(), wanted.to_dense())
    return torch.equal(found, wanted)


class ThreadChoice:
    """It chooses among numbers of threads by the time that steps take on them.

    Args:
        numbers: that give the same results, the usual one first. A single one is no choice.
        clock: tells the time in seconds.

    Attributes:
        number: of threads for the next step.
    """

    def __init__(
        self, numbers: Sequence[int], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.numbers: list[int] = list(numbers)
        self.usual: int = self.numbers[0]
        self.number: int = self.usual
        self._clock = clock
        self._tried: dict[int, list[float]] = {}
        self._window: list[float] = []
        self._best: float = 0.0
        self._begin_trial()

    @contextmanager
    def for_step(self) -> Iterator[None]:
        """Sets the number of threads for a step within the block; outside it is the usual one."""
        if len(self.numbers) == 1:
            yield
            return
        torch.set_num_threads(self.number)
        started = self._clock()
        try:
            yield
        finally:
            torch.set_num_threads(self.usual)
        self._note(self._clock() - started)

    def _note(self, seconds: float) -> None:
        """Notes the time of a step, and chooses when there is enough to choose by."""
        if self._tried:
            self._note_trial(seconds)
            return
        self._window.append(seconds)
        if len(self._window) < WINDOW:
            return
        median = statistics.median(self._window)
        self._window.clear()
        if median > SLOW * self._best:
            self._begin_trial()
        self._best = min(self._best, median)

    def _begin_trial(self) -> None:
        """Lets the numbers take turns, so that a moment that is slow meets all of them."""
        self._tried = {number: [] for number in self.numbers}
        self.number = self.usual

    def _note_trial(self, seconds: float) -> None:
        """Notes the time of a step of a trial. After the last one the fastest number is chosen."""
        self._tried[self.number].append(seconds)
        position = (self.numbers.index(self.number) + 1) % len(self.numbers)
        self.number = self.numbers[position]
        if len(self._tried[self.number]) < TRIALS:
            return
        medians = {number: statistics.median(each) for number, each in self._tried.items()}
        fastest = min(self.numbers, key=lambda number: medians[number])
        self.number = self.usual
        if medians[self.usual] > GAIN * medians[fastest]:
            self.number = fastest
        self._best = medians[self.number]
        self._tried = {}
