"""The phases of training: which part of the model learns in which epoch."""

from bisect import bisect_right
from itertools import accumulate

from ..recipe import Phase, Training


def phase_of(settings: Training, epoch: int) -> Phase:
    """Returns the phase of an epoch (from 0).

    The phases form a cycle that starts again and again. Without phases, every epoch is one phase
    that trains all of the model.
    """
    phases = _phases(settings)
    ends = _ends(phases)
    return phases[bisect_right(ends, epoch % ends[-1])]


def ends_phase(settings: Training, epochs: int) -> bool:
    """Says whether a phase ends after this number of epochs (from 1)."""
    ends = _ends(_phases(settings))
    return epochs % ends[-1] in (0, *ends)


def _phases(settings: Training) -> tuple[Phase, ...]:
    return settings.phases or (Phase(),)


def _ends(phases: tuple[Phase, ...]) -> list[int]:
    """Returns after how many epochs of a cycle each phase ends."""
    return list(accumulate(phase.epochs for phase in phases))
