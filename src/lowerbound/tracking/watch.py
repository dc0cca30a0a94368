"""Experiment trackers that follow a run: numbers after each epoch, pictures now and then, the
report at the end.

`metrics.csv` is always written; a tracker is an extra, through its own library, which is imported
only where it is used. A tracker that fails is told of once and then left alone: it never ends a
run.
"""

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
    """The trackers there are, by the name that a recipe has for them."""
    return {name.lower(): kind for name, kind in members(__package__, Tracker).items()}


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
    """Which trackers follow a run.

    Args:
        to: names of trackers; a single one may stand alone.
        project: under which they file it.
        pictures_every: epochs between pictures.
    """

    to: tuple[str, ...] = ()
    project: str = "lowerbound"
    pictures_every: PositiveInt = 5

    @field_validator("to", mode="before")
    @classmethod
    def _several(cls, names: Any) -> Any:
        return (names,) if isinstance(names, str) else names

    @field_validator("to")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            tracker_class(name)
        return names


def installed(tracking: Tracking) -> None:
    """ConfigError with the line that installs it, for a tracker whose library is missing."""
    for name in tracking.to:
        for module in tracker_class(name).needs:
            found = find_spec(module)
            if (
                found is None or found.origin is None
            ):  # a mere folder of that name, such as wandb makes, has no origin
                if is_user_name(name):
                    raise ConfigError(f"tracking.to: {name} needs {module}, which is not installed")
                raise ConfigError(
                    f'tracking.to: {module} is not installed; pip install "lowerbound[{name}]"'
                )


class Watch:
    """All trackers of a run as one; what fails is left out from then on."""

    def __init__(self, open_: Mapping[str, Tracker], pictures_every: int = 1) -> None:
        self.open, self.pictures_every = dict(open_), pictures_every

    def _each(self, method: str, *arguments: Any) -> None:
        for name, tracker in list(self.open.items()):
            with redirect_stdout(sys.stderr):
                with _left_out(name) as failed:
                    getattr(tracker, method)(*arguments)
                if failed:
                    del self.open[name]
                    with suppress(Exception):
                        tracker.close("failed")

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """Numbers of an epoch."""
        self._each("scalars", values, epoch)

    def looks(self, epoch: int) -> bool:
        """Whether pictures are wanted of this epoch."""
        return bool(self.open) and (epoch == 1 or epoch % self.pictures_every == 0)

    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        """An image (H, W, C) of uint8."""
        self._each("picture", name, image, epoch)

    def file(self, path: Path) -> None:
        """A file that belongs to the run."""
        self._each("file", path.resolve())

    def close(self, status: str) -> None:
        """The end: "finished", "interrupted" or "failed"."""
        self._each("close", status)


@contextmanager
def _left_out(name: str) -> Iterator[list[Exception]]:
    """Tells of an error in one line of standard error, and goes on; gives the list that then holds
    it.
    """
    failed: list[Exception] = []
    try:
        yield failed
    except Exception as error:  # whatever a tracker's library raises is no reason to lose a run
        failed.append(error)
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        print_line(f"tracker {name} failed and is left out: {why}")


def _opened(name: str, folder: Path, project: str, config: Mapping[str, Any]) -> Tracker:
    """A tracker that follows the run in the folder, or goes on to."""
    place = folder / "tracking" / f"{name.replace(':', '.')}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    known = read_json(place)["id"] if place.is_file() else ""
    tracker = tracker_class(name)(folder, project, config, known)
    if tracker.id != known:
        write_json(place, {"id": tracker.id})
    return tracker


@contextmanager
def watching(
    tracking: Tracking, folder: Path, config: Mapping[str, Any], *, first: bool = True
) -> Iterator[Watch]:
    """The trackers of a run, open; `first`: this process is the one that tells them.

    Args:
        tracking: which they are.
        folder: the run folder; a run that goes on there goes on in the same run of each tracker.
        config: the tables of the recipe.
        first: of several processes, one tells the trackers.
    """
    watch = Watch({}, tracking.pictures_every)
    for name in dict.fromkeys(tracking.to) if first else ():
        with _left_out(name), redirect_stdout(sys.stderr):
            watch.open[name] = _opened(name, folder.resolve(), tracking.project, config)
    status = "failed"
    try:
        yield watch
        status = "finished"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        watch.close(status)
