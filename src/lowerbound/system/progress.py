"""Progress of long work: a bar, the rate, the time left and the current bound, on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Protocol, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class _Unheeded:
    """Standard error, for what may be lost: a terminal that was closed, or a full disk, is no
    reason to lose the work.
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
    return (
        Console(stderr=True)
        if sys.stderr is None
        else Console(file=cast(IO[str], _Unheeded(sys.stderr)))
    )


class ProgressReport(Protocol):
    """Told after every few steps how far training is."""

    def __call__(self, epoch: int, examples: int, text: str) -> None: ...


def silent(epoch: int, examples: int, text: str) -> None:
    """No progress shown."""


@contextmanager
def bar(
    epochs: int, examples: int, done: int = 0, *, show: bool = True
) -> Iterator[ProgressReport]:
    """A bar over all training examples of a run, of which `done` are behind us; the function it
    gives moves it.
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
    """A bar over the parts of some long work; the function it gives is told the name of each part
    as it begins.
    """
    if not show:
        yield lambda name: None
        return
    done = TextColumn("{task.completed:.0f}/{task.total:.0f}")
    columns = (
        TextColumn(what),
        BarColumn(bar_width=24),
        done,
        TimeElapsedColumn(),
        TextColumn("{task.fields[name]}"),
    )
    with Progress(*columns, console=_console(), refresh_per_second=4) as progress:
        task = progress.add_task(what, total=total, completed=-1, name="")
        yield lambda name: progress.update(task, advance=1, name=name)
        progress.update(task, completed=total, name="")
