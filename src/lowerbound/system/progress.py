"""Progress of long work on standard error: a bar, the rate, the time left and the current bound."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Protocol, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class _LossyStream:
    """Standard error that ignores errors of writing.

    Progress may be lost: a closed terminal or a full disk is no reason to lose the work itself.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # ValueError: a closed file
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _console() -> Console:
    if sys.stderr is None:
        return Console(stderr=True)
    return Console(file=cast(IO[str], _LossyStream(sys.stderr)))


class ProgressReport(Protocol):
    """A function that training calls after every few steps to report how far it is."""

    def __call__(self, epoch: int, examples: int, text: str) -> None: ...


def silent(epoch: int, examples: int, text: str) -> None:
    """Shows no progress."""


@contextmanager
def bar(
    epochs: int, examples: int, done: int = 0, *, show: bool = True
) -> Iterator[ProgressReport]:
    """Shows a bar over all training examples of a run.

    Args:
        epochs: number of epochs of the run.
        examples: number of training examples in one epoch.
        done: number of examples that an earlier part of the run has trained on.
        show: False for no bar.

    Yields:
        The function that moves the bar.
    """
    if not show:
        yield silent
        return
    columns = (
        TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f}%"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=_console(), refresh_per_second=4) as progress:
        task = progress.add_task(
            "fit", total=epochs * examples, completed=done, epoch=1, rate="", text=""
        )

        def report(epoch: int, examples: int, text: str) -> None:
            speed = progress.tasks[0].speed
            rate = f"{speed:,.0f} examples/s" if speed else ""
            progress.update(task, completed=examples, epoch=epoch, rate=rate, text=text)

        yield report


@contextmanager
def stages(what: str, total: int, *, show: bool = True) -> Iterator[Callable[[str], None]]:
    """Shows a bar over the stages of a long piece of work.

    Args:
        what: name of the work.
        total: number of stages.
        show: False for no bar.

    Yields:
        A function to call with the name of each stage as it begins.
    """
    if not show:
        yield lambda name: None
        return
    columns = (
        TextColumn(what),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[name]}"),
    )
    with Progress(*columns, console=_console(), refresh_per_second=4) as progress:
        task = progress.add_task(what, total=total, completed=-1, name="")
        yield lambda name: progress.update(task, advance=1, name=name)
        progress.update(task, completed=total, name="")
