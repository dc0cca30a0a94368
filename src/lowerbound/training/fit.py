"""The loop of training, in the order in which things happen."""

import math
import time
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ..data import Dataset
from ..distributed.launch import make_fabric, processes_of
from ..distributed.processes import Processes
from ..model import VAE
from ..objectives import Objective
from ..recipe import Training
from ..system.console import print_line
from ..system.interrupts import interrupts
from ..system.machine import allowed_cores
from .diagnosis import Diagnosis
from .follower import NOBODY, Follower
from .gradients import NEARLY_ALL, counts_skipped, skipped_warning
from .loader import Loader
from .phases import ends_phase, phase_of
from .saving import Checkpoints
from .seeds import VALIDATION_STREAM
from .state import State
from .step import Stepper
from .stopping import interruption, one_fit_at_a_time
from .sums import EpochSums
from .threads import step_operations, threads
from .validation import measured, monitored, refuse_unfit
from .weights import Weights

STEPS_BETWEEN_LOOKS = 20
"""Steps between looks at the losses. A look waits for the device, so not every step has one."""


class Fit:
    """One fit: a model, its data and its settings, and how far it is.

    Args:
        model: is trained in place; in the end it has the best weights.
        data: its training split, and its validation split if it has one.
        objective: what is minimised.
        settings: how.
        fabric: device and processes; by default those of the settings.
        checkpoints: folder for checkpoints; None writes none.
    """

    def __init__(
        self,
        model: VAE,
        data: Dataset,
        objective: Objective,
        settings: Training,
        fabric: Fabric | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        self.model = model
        self.data = data
        self.objective = objective
        self.settings = settings
        self.fabric: Fabric = fabric or make_fabric(settings)
        self.processes: Processes = processes_of(self.fabric)
        refuse_unfit(data, settings)
        self.monitor: str = monitored(settings.monitor, data.train.schema.shape[0])
        self.loader: Loader = Loader(data.train, settings, self.processes, self.fabric.device)
        self.weights: Weights = Weights(model, self.fabric, settings, self.loader.batches)
        self.sums: EpochSums = EpochSums(len(model.latents.sizes))
        self.diagnosis: Diagnosis = Diagnosis(
            self.weights, self.loader, objective, settings.samples, self.sums.columns, checkpoints
        )
        self.stepper: Stepper = Stepper(
            self.weights, self.loader, objective, settings, self.fabric, self.sums, self.diagnosis
        )
        self.checkpoints: Checkpoints = Checkpoints(checkpoints, self.stepper)
        self.state: State = State()
        self.follower: Follower = NOBODY

    def resume(self) -> None:
        """Goes back to the newest checkpoint. RunError if there is none that is whole and fits."""
        self.state = self.checkpoints.load()

    def run(self, follower: Follower = NOBODY) -> State:
        """Trains to the end, or until validation has not improved for `patience` epochs.

        Args:
            follower: is told of each epoch, and of the progress within it; it may end the fit.

        Raises:
            NonFiniteError: the loss is NaN or infinite; names the step and the term.
            Interrupted: Ctrl-C or SIGTERM; the checkpoint is written.
        """
        state = self.state
        epochs = self.settings.epochs
        self.follower = follower
        if self.weights.is_compiled and state.epoch < epochs:  # which takes a while, once
            examples = self.loader.examples_before(state.epoch, 0)
            self.follower.progress(state.epoch + 1, examples, "compiling")
        started = time.perf_counter() - state.seconds
        most = min(torch.get_num_threads(), allowed_cores())
        with one_fit_at_a_time(), interrupts() as signal_received, self.threads() as usual:
            self.stepper.choose_threads(usual, most)
            while state.epoch < epochs and not state.stopped:
                order = self.loader.order(state.epoch)
                self._begin_epoch()
                while state.batch < self.loader.batches:
                    self._step(order)
                    state.seconds = time.perf_counter() - started
                    self._between_steps(signal_received())
                self._end_epoch()
                state.seconds = time.perf_counter() - started
                if state.epoch % self.settings.checkpoint_every == 0:
                    self.checkpoints.save(state)
            self.checkpoints.save(state)
            self._between_steps(signal_received())  # a signal that came after the last step
        self.weights.restore_best()
        return state

    def threads(self) -> AbstractContextManager[int]:
        """Sets the number of threads that steps are computed on, within a block."""
        work = (self.model, self.data.train, self.settings, self.objective, self.processes.world)
        return threads(self.settings.threads, partial(step_operations, *work))

    def _begin_epoch(self) -> None:
        """Sets training mode, for the part of the model whose turn it is."""
        self.weights.begin_phase(phase_of(self.settings, self.state.epoch))

    def _step(self, order: Tensor) -> None:
        """Takes one optimiser step, and now and then a look at the losses."""
        started = time.perf_counter()
        self.stepper.take(order, self.state)
        if self.state.batch % STEPS_BETWEEN_LOOKS == 0:
            self._look()
        self.state.step_seconds += time.perf_counter() - started

    def _look(self) -> None:
        """Adds the pending steps to the sums of the epoch. Stops at a loss that is not finite."""
        if not self.sums.pending:
            return
        values = self.sums.read_pending().double()
        self.diagnosis.refuse_nonfinite_losses(values, self.state)
        self.sums.close_pending(values)
        text = self.sums.progress_text(self.objective)
        examples = self.loader.examples_before(self.state.epoch, self.state.batch)
        self.follower.progress(self.state.epoch + 1, examples, text)

    def _between_steps(self, signal: int) -> None:
        """Writes a checkpoint where one is due, and ends the fit where a signal (not 0) came.

        What one of several processes has to do, all do.
        """
        wanted = [signal, int(self.checkpoints.is_due(self.state.step))]
        if self.processes.world > 1:
            wanted = self.processes.gather(torch.tensor(wanted)).amax(0).tolist()
        signal, is_due = wanted
        if signal or is_due:
            self.checkpoints.save(self.state)
        if signal:
            raise interruption(signal, self.state, self.settings, self.checkpoints.folder)

    def _end_epoch(self) -> None:
        """Measures the epoch, keeps the best weights, and goes on to the next epoch."""
        state = self.state
        started = time.perf_counter()
        self._look()  # it waits for the steps before it, and is part of their time
        state.step_seconds += time.perf_counter() - started
        with self.weights.measured():
            row = self._measure_epoch()
            state.history.append(row)
            if self.fabric.is_global_zero:
                self.follower.epoch_done(state.history)
        self._judge(row)
        self._tell_skipped()
        state.next_epoch()
        self.sums.reset()
        if ends_phase(self.settings, state.epoch):
            self.weights.learner.refresh()
        patience = self.settings.patience
        if patience is not None and f"validation_{self.monitor}" in row:
            state.stopped = state.epoch - state.best_epoch >= patience
        if self.follower.ends_fit():
            state.stopped = True

    def _tell_skipped(self) -> None:
        """Prints one line where nearly all steps are left out from this epoch on."""
        steps = self.loader.batches
        many = NEARLY_ALL * steps
        skipped = self.state.skipped
        before = [row.get("train_skipped", 0) for row in self.state.history[-2:-1]]
        if skipped >= many and all(number < many for number in before):
            epoch = self.state.epoch + 1
            least_norm = self.stepper.skipped.least_norm
            print_line(skipped_warning(self.settings, epoch, skipped, steps, least_norm))
        self.stepper.skipped.reset()

    def _judge(self, row: dict[str, float]) -> None:
        """Keeps the weights of the epoch if they are the best so far, or nothing can tell."""
        state = self.state
        column = f"validation_{self.monitor}"
        value = math.inf
        if column in row:
            value = -row[column]
            if self.monitor == "objective":
                value = row[column]
        has_validation = self.data.validation is not None
        if value < state.best_value or not has_validation:
            state.best_value = value
            state.best_epoch = state.epoch + 1
            self.weights.keep_best(may_get_worse=has_validation)

    def _measure_epoch(self) -> dict[str, float]:
        """Returns the row of metrics.csv for the epoch that was just trained."""
        state = self.state
        last_step = state.step - 1
        means = self.sums.means(self.processes)
        self.weights.gather()
        row: dict[str, float] = {"epoch": state.epoch + 1, "step": state.step}
        row["learning_rate"] = self.stepper.learning_rate(last_step)
        row["kl_weight"] = self.objective.weight(last_step, self.stepper.steps)
        row |= self.objective.scheduled(last_step, self.stepper.steps)
        if counts_skipped(self.settings):
            row["train_skipped"] = state.skipped
        row |= {f"train_{name}": value for name, value in means.items()}
        epoch = state.epoch + 1
        is_last = epoch == self.settings.epochs
        if is_last or epoch % self.settings.validate_every == 0:
            row |= self._validate()
        return row

    def _validate(self) -> dict[str, float]:
        """Measures the validation split, if there is one, always on the same draws."""
        examples = self.data.validation
        if examples is None:
            return {}
        values = measured(
            self.model, examples, self.objective, self.settings, VALIDATION_STREAM, self.processes
        )
        return {f"validation_{name}": value for name, value in values.items()}
