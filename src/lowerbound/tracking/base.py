"""The contract of experiment trackers."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..system.files import jsonable


class Tracker(ABC):
    """One tracker, open for one run.

    Args:
        folder: the run folder, absolute; what the tracker keeps on this machine goes into
        `tracking/` there, which exists.
        project: under which it files the run.
        config: the tables of the recipe.
        known: the `id` that it had when it followed this run before, or "".
    """

    needs: ClassVar[tuple[str, ...]]
    """Modules that it imports; the extra of the tracker's name installs them."""

    id: str = ""
    """By which the tracker finds the run again, unless it is by the folder alone."""

    @abstractmethod
    def __init__(
        self, folder: Path, project: str, config: Mapping[str, Any], known: str
    ) -> None: ...

    @abstractmethod
    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """Numbers of an epoch, by name; they may be NaN or infinite."""

    @abstractmethod
    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        """An image (H, W, C) of uint8, C is 1 or 3."""

    @abstractmethod
    def file(self, path: Path) -> None:
        """A file that belongs to the run; the path is absolute."""

    @abstractmethod
    def close(self, status: str) -> None:
        """The end: "finished", "interrupted" or "failed"."""


def flat(table: Mapping[str, Any], above: str = "") -> dict[str, str | int | float | bool]:
    """Tables within tables as one, by dotted name; lists and null as JSON.

    >>> flat({"model": {"latent": [2]}, "seed": 1})
    {'model.latent': '[2]', 'seed': 1}
    """
    found: dict[str, str | int | float | bool] = {}
    for key, value in jsonable(dict(table)).items():
        if isinstance(value, dict):
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = (
                value if isinstance(value, str | int | float | bool) else json.dumps(value)
            )
    return found
