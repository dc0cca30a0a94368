"""Where a run is."""

import math
from dataclasses import dataclass, field


@dataclass
class State:
    """Where a run is: everything of a checkpoint that is not a tensor. `skipped` is that of the
    epoch under way.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    skipped: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_value: float = math.inf
    best_epoch: int = 0
    stopped: bool = False
    seconds: float = 0.0
    step_seconds: float = 0.0
