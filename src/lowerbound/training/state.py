"""Where a fit is: the part of a checkpoint that is not a tensor, and what is believed of one."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from ..distributed.sharding import all_gathered
from ..errors import RunError
from .checkpoint import save_checkpoint


@dataclass
class State:
    """Where a fit is. The fields are the keys of `state.json`.

    Attributes:
        epoch: epochs that are done.
        batch: batches of the epoch under way that are done.
        step: optimiser steps that are done.
        skipped: steps of the epoch under way that were left out.
        history: the metrics of each epoch, as the rows of `metrics.csv`.
        best_value: the best value so far of what chooses the weights; lower is better.
        best_epoch: the number of its epoch, from 1.
        stopped: whether patience has ended the fit.
        seconds: time of the fit.
        step_seconds: time of its steps alone.
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

    def next_epoch(self) -> None:
        """Goes on to the next epoch."""
        self.epoch += 1
        self.batch = 0
        self.skipped = 0


def read_state(values: dict[str, Any], batches: int) -> State:
    """Makes a state of the values of `state.json`.

    Args:
        values: what the file holds.
        batches: optimiser steps of one epoch.

    Raises:
        ValueError: no fit of these data and settings can be in this state.
    """
    try:
        state = TypeAdapter(State).validate_python(values)
    except ValidationError as error:
        raise ValueError(f"{error.error_count()} of its values are no state of a fit") from None
    # The rows stay as they were read: 1 and 1.0 are other text in metrics.csv.
    state.history = values.get("history", [])
    unknown_keys = values.keys() - {f.name for f in fields(State)}
    is_batch = 0 <= state.batch <= batches
    is_best_epoch = 0 <= state.best_epoch <= state.epoch
    if unknown_keys or not is_batch or not is_best_epoch:
        raise ValueError("its state is not one of a fit of these data")
    step = state.epoch * batches + state.batch
    if state.epoch != len(state.history) or state.step != step:
        raise ValueError("its epochs and steps do not agree")
    return state


def refuse_fewer_epochs(state: State, epochs: int, checkpoints: Path) -> None:
    """Raises RunError where the fit has gone further than the settings want."""
    begun = state.epoch + (state.batch > 0)
    if begun > epochs:
        needed = f"training.epochs must be {begun} or more to go on, got {epochs}"
        raise RunError(f"{checkpoints}: the run is in epoch {begun} already; {needed}")


def write_checkpoint(
    folder: Path, state: State, groups: Mapping[str, Mapping[str, Tensor]], fabric: Fabric
) -> None:
    """Writes a checkpoint of the state and its groups of tensors.

    All processes call it together: tensors in parts are gathered, and the first process writes.

    Raises:
        RunError: the folder cannot be written.
    """
    is_first = fabric.is_global_zero
    whole = {name: all_gathered(tensors, wanted=is_first) for name, tensors in groups.items()}
    if is_first:
        save_checkpoint(folder, state.step, whole, asdict(state))
    fabric.barrier()
