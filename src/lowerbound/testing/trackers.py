"""The laws of experiment trackers."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..tracking import Tracker
from .spec import require

STATUSES = ("failed", "interrupted", "finished")
"""The ways in which a run ends, in the order in which the checks end one."""

PROJECT = "lowerbound-laws"
"""The project under which the checks file their run."""


def check_tracker(kind: type[Tracker], folder: Path) -> None:
    """Checks a kind of tracker on a run that ends in each of the three ways and goes on between.

    The laws: it names the modules that it needs; it takes nested tables as configuration, also a
    changed one when the run goes on; it takes numbers that are not finite, pictures in grey and in
    colour, a file, and each status; it finds a run again by its id, which is a string; it changes
    nothing that it is given, and in the run folder it writes below `tracking/` alone.

    Args:
        kind: the class. Where it sends the run is up to its own settings, such as environment
            variables: set them so that nothing leaves this machine.
        folder: a run folder, which is made if it is not there.

    Raises:
        AssertionError: says which law was broken.
    """
    name = kind.__name__
    folder = folder.resolve()
    (folder / "tracking").mkdir(parents=True, exist_ok=True)
    report = folder / "report" / "index.html"
    report.parent.mkdir(exist_ok=True)
    report.write_text("<h1>report</h1>")
    require(
        isinstance(kind.needs, tuple) and all(isinstance(module, str) for module in kind.needs),
        f"{name}.needs must be a tuple of names of modules",
    )
    before = _read_outside(folder)
    known = ""
    for session, status in enumerate(STATUSES):
        config = {
            "model": {"latent": [2], "network": {"type": "MLP", "hidden": [8]}},
            "training": {"epochs": 2 + 2 * session, "clip": None, "compile": False},
        }
        epochs = (1 + 2 * session, 2 + 2 * session)
        tracker = _open(kind, folder, config, known)
        _check_session(tracker, epochs, report, status)
        if known:
            require(tracker.id == known, f"{name}: the run {known!r} went on as {tracker.id!r}")
        known = tracker.id
    require(_read_outside(folder) == before, f"{name}: wrote in the run folder outside tracking/")


def _read_outside(folder: Path) -> dict[Path, bytes]:
    """Returns what is in each file of a run folder that is not below `tracking/`."""
    contents = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (folder / "tracking") not in path.parents:
            contents[path] = path.read_bytes()
    return contents


def _open(kind: type[Tracker], folder: Path, config: dict[str, Any], known: str) -> Tracker:
    """Opens a tracker and checks its id and that it leaves the configuration alone."""
    name = kind.__name__
    before = copy.deepcopy(config)
    tracker = _call(f"{name} for a run", kind, folder, PROJECT, config, known)
    require(config == before, f"{name}: changed the configuration")
    require(isinstance(tracker.id, str), f"{name}.id is {tracker.id!r}, not a string")
    return tracker


def _check_session(tracker: Tracker, epochs: tuple[int, ...], report: Path, status: str) -> None:
    """Follows some epochs of a run to an end with this status."""
    name = type(tracker).__name__
    first_id = tracker.id
    colour = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    pictures = {"samples": colour, "grey": np.ascontiguousarray(colour[..., :1])}
    for epoch in epochs:
        scalars = {"train_objective": 1 / epoch, "nan@1": math.nan, "inf": math.inf}
        before = list(scalars.items())
        _call(f"{name}.scalars with NaN and inf", tracker.scalars, scalars, epoch)
        # The same objects: NaN is not equal to itself, but a list takes it for itself.
        require(list(scalars.items()) == before, f"{name}: changed the scalars")
        for label, picture in pictures.items():
            image = picture.copy()
            shape = f"a picture {image.shape}"
            _call(f"{name}.picture with {shape}", tracker.picture, label, image, epoch)
            require(np.array_equal(image, picture), f"{name}: changed {shape}")
    _call(f"{name}.file", tracker.file, report)
    _call(f"{name}.close with {status!r}", tracker.close, status)
    require(tracker.id == first_id, f"{name}: the id changed while the run was followed")


def _call(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a tracker; an exception breaks a law."""
    try:
        return function(*arguments)
    except Exception as error:
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error
