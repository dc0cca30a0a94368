"""Progress of long work: a bar, the rate, the time left and the current bound, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Report(Protocol):
    """Told after every few steps how far training is."""

    def __call__(self, epoch: int, examples: int, text: str) -> None: ...


def silent(epoch: int, examples: int, text: str) -> None:
    """No progress shown."""


@contextmanager
def bar(epochs: int, examples: int, done: int = 0, *, show: bool = True) -> Iterator[Report]:
    """A bar over all training examples of a run, of which `done` are behind us; the function it gives moves it."""
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
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as progress:
        task = progress.add_task("fit", total=epochs * examples, completed=done, epoch=1, rate="", text="")

        def report(epoch: int, examples: int, text: str) -> None:
            speed = progress.tasks[0].speed
            rate = f"{speed:,.0f} examples/s" if speed else ""
            progress.update(task, completed=examples, epoch=epoch, rate=rate, text=text)

        yield report
