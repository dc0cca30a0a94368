"""The trackers that a recipe names, opened together for a run; none of them can end the run."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PositiveInt, field_validator

from ..errors import ConfigError, Interrupted, unknown
from ..specs.checked import checked
from ..specs.registry import members
from ..specs.user_code import find_class, is_user_name
from ..system.console import print_line
from ..system.files import read_json, write_json
from .base import Tracker


def trackers() -> dict[str, type[Tracker]]:
    """Returns the trackers by the names that recipes use."""
    return {name.lower(): tracker for name, tracker in members(__package__, Tracker).items()}


def tracker_class(name: str) -> type[Tracker]:
    """The tracker that a recipe names, of this package or a user's `package.module:Class`.

    Raises:
        ConfigError: there is none of this name, or its module may not be imported.
    """
    if is_user_name(name):
        return find_class(name, Tracker, is_part=False)
    if name not in trackers():
        raise ConfigError(unknown("tracker", name, trackers()))
    return trackers()[name]


@checked
class Tracking:
    """The table of a recipe that says which trackers follow a run.

    Args:
        to: names of trackers (see `lowerbound list trackers`); a single name may be given without a
            list.
        project: the name under which the trackers file the run.
        pictures_every: number of epochs between pictures.
    """

    to: tuple[str, ...] = ()
    project: str = "lowerbound"
    pictures_every: PositiveInt = 5

    @field_validator("to", mode="before")
    @classmethod
    def _accept_single_name(cls, names: Any) -> Any:
        if isinstance(names, str):
            return (names,)
        return names

    @field_validator("to")
    @classmethod
    def _refuse_unknown(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            tracker_class(name)
        return names


def installed(tracking: Tracking) -> None:
    """Checks that the libraries of all trackers are installed.

    Raises:
        ConfigError: one is missing; the message holds the command that installs it.
    """
    for name in tracking.to:
        for module in tracker_class(name).needs:
            spec = find_spec(module)
            # A mere folder of that name, such as wandb makes, has no origin.
            if spec is None or spec.origin is None:
                if is_user_name(name):
                    raise ConfigError(f"tracking.to: {name} needs {module}, which is not installed")
                raise ConfigError(
                    f'tracking.to: {module} is not installed; pip install "lowerbound[{name}]"'
                )


class Watch:
    """All trackers of a run as one. A tracker that fails is left out from then on.

    Attributes:
        open: the trackers that still follow the run, by name.
        pictures_every: number of epochs between pictures.
    """

    def __init__(self, open_: Mapping[str, Tracker], pictures_every: int = 1) -> None:
        self.open: dict[str, Tracker] = dict(open_)
        self.pictures_every = pictures_every

    def _call_each(self, method: str, *arguments: Any) -> None:
        for name, tracker in list(self.open.items()):
            # Standard output belongs to the command, not to what a tracker's library prints.
            with redirect_stdout(sys.stderr):
                with _surviving_failure(name) as failures:
                    getattr(tracker, method)(*arguments)
                if failures:
                    del self.open[name]
                    with suppress(Exception):
                        tracker.close("failed")

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """Records numbers of an epoch."""
        self._call_each("scalars", values, epoch)

    def looks(self, epoch: int) -> bool:
        """Says whether the trackers want pictures of this epoch."""
        if not self.open:
            return False
        return epoch == 1 or epoch % self.pictures_every == 0

    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        """Records an image (H, W, C) of uint8."""
        self._call_each("picture", name, image, epoch)

    def file(self, path: Path) -> None:
        """Records a file that belongs to the run."""
        self._call_each("file", path.resolve())

    def close(self, status: str) -> None:
        """Ends the tracking; the status is "finished", "interrupted" or "failed"."""
        self._call_each("close", status)


@contextmanager
def _surviving_failure(name: str) -> Iterator[list[Exception]]:
    """Reports an error of a tracker on one line of standard error, and goes on.

    Yields:
        A list, which holds the error after the block if there was one.
    """
    failures: list[Exception] = []
    try:
        yield failures
    except Exception as error:  # whatever a tracker's library raises is no reason to lose a run
        failures.append(error)
        message = str(error).strip() or type(error).__name__
        first_line = message.splitlines()[0]
        print_line(f"tracker {name} failed and is left out: {first_line}")


@contextmanager
def watching(
    tracking: Tracking, folder: Path, config: Mapping[str, Any], *, first: bool = True
) -> Iterator[Watch]:
    """Opens the trackers of a run for the block, and closes them with the status of its end.

    Args:
        tracking: the names of the trackers.
        folder: the run folder. A run that is resumed there goes on in the same run of each tracker.
        config: the tables of the recipe.
        first: whether this process is the one of several that opens the trackers.
    """
    watch = Watch({}, tracking.pictures_every)
    names = dict.fromkeys(tracking.to) if first else {}
    for name in names:
        with _surviving_failure(name), redirect_stdout(sys.stderr):
            watch.open[name] = _open_tracker(name, folder.resolve(), tracking.project, config)
    status = "failed"
    try:
        yield watch
        status = "finished"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        watch.close(status)


def _open_tracker(name: str, folder: Path, project: str, config: Mapping[str, Any]) -> Tracker:
    """Opens a tracker for the run in the folder, which it may have followed before."""
    # The name of a user's tracker holds a colon, which not every file system takes.
    id_file = folder / "tracking" / f"{name.replace(':', '.')}.json"
    id_file.parent.mkdir(parents=True, exist_ok=True)
    known = ""
    if id_file.is_file():
        known = read_json(id_file)["id"]
    tracker = tracker_class(name)(folder, project, config, known)
    if tracker.id != known:
        write_json(id_file, {"id": tracker.id})
    return tracker
