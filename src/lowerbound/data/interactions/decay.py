"""Histories whose interactions count less the older they are."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError, one_line
from .cleaning import clean
from .dataset import map_to_catalogue, matrix_of
from .history import History, Items
from .ids import positions
from .logs import RawLog
from .spec import Interactions

SECONDS_PER_DAY = 86_400

UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))
"""Times from so large on are in units of so many seconds since 1970; smaller ones in seconds."""

LEAST_WEIGHT = 2.0**-20
"""An interaction counts at least this fraction of what it did when it was new."""


def fading(time: np.ndarray, user: np.ndarray, half_life: float) -> np.ndarray:
    """Returns what is left of the weight of each interaction, (n,): 2^(-age / half-life), where the
    age is the time since the user's last interaction, so that the last one counts in full.

    Args:
        time: (n,) seconds since 1970, or milli-, micro- or nanoseconds, which are told by their
            size.
        user: (n,) the number of the user of each, from 0.
        half_life: in days.
    """
    times = time.astype(np.float64)
    largest = float(np.abs(times).max(initial=0))
    unit = next((seconds for least, seconds in UNITS if largest >= least), 1.0)
    latest = np.full(int(user.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(latest, user, times)
    days = (latest[user] - times) * (unit / SECONDS_PER_DAY)
    return np.maximum(np.exp2(-days / half_life), LEAST_WEIGHT)


def check_half_life(half_life: Any) -> float:
    """Returns a half-life. ConfigError if it is no number of days above 0."""
    is_number = isinstance(half_life, int | float | np.number) and not isinstance(half_life, bool)
    if not is_number or not math.isfinite(half_life) or half_life <= 0:
        raise ConfigError(
            f"half_life must be a number of days above 0, got {one_line(repr(half_life), 60)}"
        )
    return float(half_life)


def faded(
    history: History, source: RawLog, how: Interactions, items: Items, half_life: float
) -> History:
    """Returns the same users, whose interactions fade, see `fading`.

    The weights of a run whose interactions count 1 fade too: the history is one of weights then
    (`levels` is None).

    Args:
        history: the users, of this source.
        source: it has the times.
        how: it is read so.
        items: the catalogue of the run.
        half_life: in days.

    Raises:
        DataError: the source has no times, or cannot be read.
    """
    columns = replace(how.columns, timed=True)
    log = map_to_catalogue(clean(source, columns, how.threshold, how.binary), items)
    if log.time is None:
        raise DataError(
            f"{source.name} has no times, which half_life needs; data.interactions.timestamp names "
            "their column"
        )
    weight = fading(log.time + float(log.since), log.user, half_life)
    if log.weight is not None:
        weight = weight * log.weight
    matrix = matrix_of(replace(log, weight=weight))
    return replace(history, matrix=matrix[positions(history.users, log.users)], levels=None)
