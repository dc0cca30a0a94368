"""Schedules: pure functions from the step to a number, so that a resumed run continues exactly.

The same schedules serve the learning rate (as a factor) and the weight of the KL term (as a value).
"""

import math
from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import Field

from .specs.checked import checked
from .specs.registry import part


class Schedule(ABC):
    """A number that changes during training.

    `step` counts optimiser steps from 0 and does not restart with an epoch.
    """

    @abstractmethod
    def __call__(self, step: float, total: float) -> float:
        """Returns the value at `step` of `total` planned steps.

        `step = math.inf` gives the final value.
        """


@checked
class Constant(Schedule):
    """Always `value`.

    Args:
        value: the factor.
    """

    value: float = 1.0

    def __call__(self, step: float, total: float) -> float:
        return self.value


@checked
class Linear(Schedule):
    """From `start` to `stop` in a straight line over the first `steps` optimiser steps, then `stop`
    (KL annealing).

    Args:
        start: value at the first step.
        stop: value from step number `steps` on.
        steps: optimiser steps between the two.
    """

    start: float = 0.0
    stop: float = 1.0
    steps: int = Field(default=10_000, ge=1)

    def __call__(self, step: float, total: float) -> float:
        progress = min(step / self.steps, 1.0)
        rise = self.stop - self.start
        return self.start + rise * progress


@checked
class Cosine(Schedule):
    """From 1 to `final` along half a cosine over the whole run, after a linear rise over the
    fraction `warmup` of it.

    With a warm-up this is the one-cycle policy (Smith & Topin 2017) with one falling half-wave.

    Args:
        final: value at the end of the run.
        warmup: fraction of the run in which the value rises to 1.
        initial: value at the first step of the warm-up.
    """

    final: float = Field(default=0.0, ge=0)
    warmup: float = Field(default=0.0, ge=0, lt=1)
    initial: float = Field(default=0.0, ge=0)

    def __call__(self, step: float, total: float) -> float:
        done = min(step / total, 1.0)
        if done < self.warmup:
            rise = 1 - self.initial
            return self.initial + rise * done / self.warmup
        progress = (done - self.warmup) / (1 - self.warmup)
        half_wave = 1 + math.cos(math.pi * progress)
        fall = 1 - self.final
        return self.final + fall * half_wave / 2


@checked
class LinearDecay(Schedule):
    """1 for the fraction `after` of the run, and then in a straight line to `final`.

    Args:
        after: fraction of the run before the value falls.
        final: value at the end of the run.
    """

    after: float = Field(default=0.5, ge=0, lt=1)
    final: float = Field(default=0.05, ge=0)

    def __call__(self, step: float, total: float) -> float:
        done = min(step / total, 1.0)
        fall = 1 - self.final
        decay_time = max(done - self.after, 0.0)
        return 1 - fall * decay_time / (1 - self.after)


@checked
class OneCycle(Schedule):
    """The one-cycle policy (Smith & Topin 2017): a half-cosine up from `initial` over `warmup`, and
    one down to `final`.

    Args:
        warmup: fraction of the run in which the value rises to 1.
        initial: value at the first step.
        final: value at the end of the run.
    """

    warmup: float = Field(default=0.3, gt=0, lt=1)
    initial: float = Field(default=0.04, ge=0)
    final: float = Field(default=4e-6, ge=0)

    def __call__(self, step: float, total: float) -> float:
        done = min(step / total, 1.0)
        if done < self.warmup:
            edge = self.initial
            height = done / self.warmup
        else:
            edge = self.final
            height = (1 - done) / (1 - self.warmup)
        half_wave = 1 - math.cos(math.pi * height)
        return edge + (1 - edge) * half_wave / 2


@checked
class Stages(Schedule):
    """Falling by `decay` from stage to stage, each `growth` times as long as the one before.

    The defaults are those of Burda et al. 2015, section 5: 10^(-i/7) for 3^i passes, i = 0 .. 7,
    which are 3,280 passes in all.

    Args:
        stages: number of stages.
        growth: length of a stage over that of the one before.
        decay: value of a stage over that of the one before.
    """

    stages: int = Field(default=8, ge=1)
    growth: float = Field(default=3.0, gt=1)
    decay: float = Field(default=10 ** (-1 / 7), gt=0, le=1)

    def __call__(self, step: float, total: float) -> float:
        # After i stages, (growth^i - 1) / (growth^stages - 1) of the run is over.
        done = min(step / total, 1.0)
        passes = done * (self.growth**self.stages - 1)
        stage = math.floor(math.log(passes + 1, self.growth) + 1e-9)
        return self.decay ** min(stage, self.stages - 1)


AnySchedule = Annotated[Schedule, part(__name__, Schedule)]


def at(value: float | Schedule, step: float, total: float) -> float:
    """Returns the value at `step` of a schedule, or of a number, which never changes."""
    if isinstance(value, Schedule):
        return value(step, total)
    return float(value)
