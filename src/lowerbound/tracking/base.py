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
        folder: the run folder, absolute. What the tracker keeps on this machine goes into
            `tracking/` there, which exists.
        project: the name under which the tracker files the run.
        config: the tables of the recipe.
        known: the `id` that the tracker had when it followed this run before, or "".
    """

    needs: ClassVar[tuple[str, ...]]
    """The modules that the tracker imports. The extra of the tracker's name installs them."""

    id: str = ""
    """The tracker finds the run again by this, or by the folder alone where it is empty."""

    @abstractmethod
    def __init__(
        self, folder: Path, project: str, config: Mapping[str, Any], known: str
    ) -> None: ...

    @abstractmethod
    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """Records numbers of an epoch by name; they may be NaN or infinite."""

    @abstractmethod
    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        """Records an image (H, W, C) of uint8; C is 1 or 3."""

    @abstractmethod
    def file(self, path: Path) -> None:
        """Records a file that belongs to the run; the path is absolute."""

    @abstractmethod
    def close(self, status: str) -> None:
        """Ends the tracking; the status is "finished", "interrupted" or "failed"."""


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Flattens nested tables into one with dotted names; lists and null become JSON text.

    >>> flat({"model": {"latent": [2]}, "seed": 1})
    {'model.latent': '[2]', 'seed': 1}
    """
    flattened: dict[str, str | int | float | bool] = {}
    for key, value in jsonable(dict(table)).items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flattened |= flat(value, f"{name}.")
        elif isinstance(value, str | int | float | bool):
            flattened[name] = value
        else:
            flattened[name] = json.dumps(value)
    return flattened
