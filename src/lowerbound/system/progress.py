"""Progress of long work on standard error.

A terminal, and a notebook that has ipywidgets, show a bar: the rate, the time left and the current
bound. Everything else, such as a file, gets plain lines now and then.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import IO, Any, Protocol, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .console import print_line

LINE_SECONDS = 5.0
"""Lines follow each other after this many seconds or more."""

QUIET_SECONDS = 300.0
"""Within an epoch, a file gets a line after this many seconds, a notebook after `LINE_SECONDS`."""

LONG_SECONDS = 600.0
"""Of a fit that takes longer than this, the whole time is told after its first steps."""

LOOK_SECONDS = 10.0
"""The whole time is estimated from this many seconds of steps."""


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


def _can_draw(console: Console) -> bool:
    """Says whether bars that move can be shown, rather than lines one below the other."""
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return is_terminal and console.is_interactive


# Times ------------------------------------------------------------------------------------------


def about(seconds: float) -> str:
    """Words a time by its largest unit, "7 hours"; from two of a unit on, it is told in that unit.

    >>> about(25_000), about(7_000), about(90), about(0.2)
    ('7 hours', '117 minutes', '90 seconds', '1 second')
    """
    count, unit = max(1, round(seconds)), "second"
    for size, name in ((60, "minute"), (3600, "hour"), (86400, "day")):
        if seconds >= 2 * size:
            count, unit = round(seconds / size), name
    if count == 1:
        return f"{count} {unit}"
    return f"{count:,} {unit}s"


class Pace:
    """How fast a fit is, from its first report on; what comes before, such as compiling, is left
    out.

    Args:
        total: number of examples of the whole fit, each epoch anew.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] = (0.0, 0)

    def note(self, now: float, examples: int) -> None:
        """Notes how many examples the fit has trained on at a time, in seconds of any clock."""
        self._last = (now, examples)
        if self._first is None:
            self._first = self._last

    @property
    def seconds(self) -> float:
        """The seconds between the first and the last report."""
        if self._first is None:
            return 0.0
        return self._last[0] - self._first[0]

    @property
    def rate(self) -> float:
        """Examples per second; 0 before there are two reports."""
        if self._first is None or not self.seconds:
            return 0.0
        return (self._last[1] - self._first[1]) / self.seconds

    @property
    def left(self) -> float | None:
        """The seconds that are left, or None where that is not known yet."""
        if not self.rate:
            return None
        return (self.total - self._last[1]) / self.rate


def estimate(left: float, epochs: int, seconds_per_epoch: float) -> str | None:
    """Words how long a fit will take. It is None for a fit that is not long.

    Args:
        left: seconds that are left.
        epochs: number of epochs of the whole fit.
        seconds_per_epoch: the time of one.
    """
    if left < LONG_SECONDS:
        return None
    line = f"this fit takes about {about(left)} on this machine"
    fewer = max(1, int(LONG_SECONDS / seconds_per_epoch))
    if fewer > epochs / 2:
        return line
    first_look = about(fewer * seconds_per_epoch)
    return f"{line}; --set training.epochs={fewer} takes about {first_look}, for a first look"


# A fit ------------------------------------------------------------------------------------------


class FitProgress(Protocol):
    """It is told how far a fit is, every few steps and after each epoch.

    Args of both:
        epoch: number of the epoch, from 1.
        examples: training examples so far, each epoch anew.
        text: the bound so far.
    """

    def steps(self, epoch: int, examples: int, text: str) -> None: ...

    def epoch(self, epoch: int, examples: int, text: str) -> None: ...


class Silent:
    """Shows no progress."""

    def steps(self, epoch: int, examples: int, text: str) -> None:
        """Shows nothing."""

    def epoch(self, epoch: int, examples: int, text: str) -> None:
        """Shows nothing."""


class _Told:
    """Tells the whole time of a long fit once, after its first steps. Subclasses show the rest.

    Args:
        epochs: number of epochs of the fit.
        examples: number of training examples in one epoch.
    """

    def __init__(self, epochs: int, examples: int) -> None:
        self.epochs = epochs
        self.examples = examples
        self.pace: Pace = Pace(epochs * examples)
        self._has_told: bool = False

    def steps(self, epoch: int, examples: int, text: str) -> None:
        """Notes the time, and shows how far the fit is within an epoch."""
        self._note(examples)
        if examples < epoch * self.examples:  # else the epoch is about to be told of
            self.show(epoch, examples, text, ends_epoch=False)

    def epoch(self, epoch: int, examples: int, text: str) -> None:
        """Notes the time, and shows what the epoch has come to."""
        self._note(examples)
        self.show(epoch, examples, text, ends_epoch=True)

    def show(self, epoch: int, examples: int, text: str, *, ends_epoch: bool) -> None:
        """Shows how far the fit is."""
        raise NotImplementedError

    def _note(self, examples: int) -> None:
        self.pace.note(time.monotonic(), examples)
        left = self.pace.left
        if self._has_told or left is None or self.pace.seconds < LOOK_SECONDS:
            return
        self._has_told = True
        line = estimate(left, self.epochs, self.examples / self.pace.rate)
        if line:
            print_line(line)


class _Bar(_Told):
    """A bar over all training examples of a fit."""

    def __init__(self, epochs: int, examples: int, progress: Progress, done: int) -> None:
        super().__init__(epochs, examples)
        self._progress = progress
        self._task: Any = progress.add_task(
            "fit", total=epochs * examples, completed=done, epoch=1, rate="", text=""
        )

    def show(self, epoch: int, examples: int, text: str, *, ends_epoch: bool) -> None:
        """Moves the bar."""
        rate = _rate(self._progress.tasks[0].speed or 0.0)
        self._progress.update(self._task, completed=examples, epoch=epoch, rate=rate)
        if not ends_epoch:  # what an epoch has come to is too long for a line with a bar
            self._progress.update(self._task, text=text)


class _Lines(_Told):
    """Lines of text: one after each epoch, and in long epochs some within it.

    Args:
        epochs: number of epochs of the fit.
        examples: number of training examples in one epoch.
        print_text: prints a line.
        within: after this many seconds without a line, there is one within an epoch.
    """

    def __init__(
        self, epochs: int, examples: int, print_text: Callable[[str], None], within: float
    ) -> None:
        super().__init__(epochs, examples)
        self._print = print_text
        self._within = within
        self._printed_at: float = time.monotonic()

    def show(self, epoch: int, examples: int, text: str, *, ends_epoch: bool) -> None:
        """Prints a line, if it is time for one."""
        now = time.monotonic()
        wait = self._within
        if ends_epoch:
            wait = LINE_SECONDS
        if now - self._printed_at < wait:
            return
        self._printed_at = now
        parts = [f"epoch {epoch}/{self.epochs}"]
        if not ends_epoch:
            share = examples / self.examples - (epoch - 1)
            parts.append(f"{share:.0%} of it")
        parts.append(text)
        parts.append(_rate(self.pace.rate))
        left = self.pace.left
        if left:
            parts.append(f"{about(left)} left")
        self._print(", ".join(part for part in parts if part))


def _rate(speed: float) -> str:
    """Words examples per second; nothing where that is not known."""
    if not speed:
        return ""
    if speed < 10:
        return f"{speed:.1f} examples/s"
    return f"{speed:,.0f} examples/s"


@contextmanager
def bar(epochs: int, examples: int, done: int = 0, *, show: bool = True) -> Iterator[FitProgress]:
    """Shows how far a fit is, by a bar or by lines, and once how long it will take.

    Args:
        epochs: number of epochs of the run.
        examples: number of training examples in one epoch.
        done: number of examples that an earlier part of the run has trained on.
        show: False for nothing.

    Yields:
        What is told how far the fit is.
    """
    if not show:
        yield Silent()
        return
    console = _console()
    if not _can_draw(console):
        yield _Lines(epochs, examples, _printer(console), _seconds_within(console))
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
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        yield _Bar(epochs, examples, progress, done)


def _printer(console: Console) -> Callable[[str], None]:
    """Returns what prints a line to the stream of a console, without Rich."""
    return lambda text: print(text, file=console.file, flush=True)


def _seconds_within(console: Console) -> float:
    """Returns after how many seconds there is a line within an epoch."""
    if console.is_jupyter:
        return LINE_SECONDS
    return QUIET_SECONDS


# Other work -------------------------------------------------------------------------------------


@contextmanager
def stages(what: str, total: int, *, show: bool = True) -> Iterator[Callable[[str], None]]:
    """Shows the stages of a long piece of work, by a bar or by lines.

    Args:
        what: name of the work.
        total: number of stages.
        show: False for nothing.

    Yields:
        A function to call with the name of each stage as it begins.
    """
    if not show:
        yield lambda name: None
        return
    console = _console()
    if not _can_draw(console):
        yield _stage_lines(what, total, _printer(console))
        return
    columns = (
        TextColumn(what),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[name]}"),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        task = progress.add_task(what, total=total, completed=-1, name="")
        yield lambda name: progress.update(task, advance=1, name=name)
        progress.update(task, completed=total, name="")


def _stage_lines(what: str, total: int, print_text: Callable[[str], None]) -> Callable[[str], None]:
    """Returns what prints a line for a stage, if the last line is some seconds old."""
    printed_at = time.monotonic()
    done = 0

    def begin(name: str) -> None:
        nonlocal printed_at, done
        now = time.monotonic()
        if now - printed_at >= LINE_SECONDS:
            printed_at = now
            print_text(f"{what} {done}/{total}: {name}")
        done += 1

    return begin
