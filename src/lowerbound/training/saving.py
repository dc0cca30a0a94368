"""The checkpoints of a fit: when one is due, what is in it, and how a fit goes on from one."""

import time
from pathlib import Path

import torch
from lightning_fabric import Fabric

from ..distributed.processes import Processes
from ..errors import RunError, one_line
from ..recipe import Training
from .checkpoint import flatten, load_checkpoint
from .diagnosis import Diagnosis, broken_weight
from .optimizing import load_optimizer_state
from .state import State, read_state, refuse_fewer_epochs, write_checkpoint
from .step import Stepper
from .sums import EpochSums
from .weights import Weights


class Checkpoints:
    """The checkpoints of one fit. Each holds the groups model, best, optimizer and sums, and where
    the weights are averaged the group average.

    Args:
        folder: where they are; None writes none.
        stepper: has the weights, the optimiser and the sums that are saved.
    """

    def __init__(self, folder: Path | None, stepper: Stepper) -> None:
        self.folder = folder
        self.fabric: Fabric = stepper.fabric
        self.processes: Processes = stepper.processes
        self.settings: Training = stepper.settings
        self.batches: int = stepper.loader.batches
        self.weights: Weights = stepper.weights
        self.optimizer: torch.optim.Optimizer = stepper.optimizer
        self.sums: EpochSums = stepper.sums
        self.diagnosis: Diagnosis = stepper.diagnosis
        self.saved_at: float = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Says whether a checkpoint is due after this step, by its number or by the time."""
        steps = self.settings.checkpoint_steps
        if steps is not None and step % steps == 0:
            return True
        seconds = self.settings.checkpoint_seconds
        return seconds is not None and time.monotonic() - self.saved_at >= seconds

    def save(self, state: State) -> None:
        """Writes a checkpoint, if there is a folder for it. All processes call it together.

        Raises:
            NonFiniteError: a loss since the last look, or a weight, is not finite. Such a
                checkpoint is never written.
        """
        self.saved_at = time.monotonic()
        if self.folder is None:
            return
        pending = self.sums.read_pending()
        self.diagnosis.refuse_nonfinite_losses(pending, state)
        self.weights.gather()
        self.diagnosis.refuse_broken_weights(state)
        sums = self.sums.to_tensors(pending, self.processes)
        optimizer = flatten(self.optimizer.state_dict()["state"])
        groups = self.weights.to_groups() | {"optimizer": optimizer, "sums": sums}
        write_checkpoint(self.folder, state, groups, self.fabric)

    def load(self) -> State:
        """Takes weights, optimiser and sums from the newest checkpoint, and returns its state.

        Raises:
            RunError: there is none, or it is damaged or of another model.
        """
        if self.folder is None:
            raise RunError("there is no checkpoint folder to resume from")
        groups, values = load_checkpoint(self.folder)
        try:
            state = read_state(values, self.batches)
            refuse_fewer_epochs(state, self.settings.epochs, self.folder)
            self.weights.load(groups, self.folder)
            broken = broken_weight(self.weights.model, self.weights.trained)
            if broken:
                raise ValueError(f"its {broken}")
            self.sums.load(groups["sums"], self.processes, self.fabric.device)
            load_optimizer_state(self.optimizer, self.settings, groups["optimizer"])
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            message = f"{self.folder}: not a checkpoint of this run: {error}"
            raise RunError(one_line(message)) from error
        return state
