"""Training: one loop on Lightning Fabric, in the order in which things happen.

Everything random is a function of (seed, epoch, batch) alone: the order of the data, the
binarisation and the noise. A run that goes on from any step therefore goes on exactly, several
processes train as one does, and validation leaves no trace.
"""

import copy
import math
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, fields
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from ..batch import Values as Batch
from ..data import Dataset, History
from ..distributed.launch import make_fabric, processes_of
from ..distributed.processes import Share, noise_of
from ..distributed.sharding import all_gathered, copy_gathered, keeps_parts, laid_out, local_part
from ..errors import ConfigError, Interrupted, NonFiniteError, RunError, one_line
from ..evaluation.batches import evaluating, placed
from ..model import VAE, Terms
from ..objectives import Objective
from ..optimizers import LazyAdam, optimizers
from ..recipe import Phase, Training
from ..sparse import sparse_update_pays
from ..system.interrupts import interrupts
from ..system.progress import ProgressReport, silent
from ..system.weights import load_weights, refuse_other_weights
from . import checkpoint
from .diagnosis import outputs, worst
from .execution import Compiled, compiled, operations, threads
from .optimizing import by_rows, make_optimizer, state_of
from .seeds import derive_seed
from .state import State
from .validation import measured, monitored, refuse_unfit

STEPS_BETWEEN_LOOKS = 20
"""Steps between looks at the losses: looking waits for the device, so it is not done at every step.
"""


_running = threading.RLock()


@contextmanager
def _alone() -> Iterator[None]:
    """Random numbers and threads are those of the process, and two fits at once would have each
    other's.

    Raises:
        RunError: another fit runs in another thread.
    """
    if not _running.acquire(blocking=False):
        raise RunError(
            "another fit runs in this process; fits at the same time need a process each"
        )
    try:
        yield
    finally:
        _running.release()


class Fit:
    """One fit: a model, its data and its settings, and how far it is.

    Args:
        model: is trained in place; in the end it has the best weights.
        data: its training split, and its validation split if it has one.
        objective: what is minimised.
        settings: how.
        fabric: device and processes.
        save_history: called with the metrics of all epochs after each.
        checkpoints: folder for checkpoints; None writes none.
        report: told of the progress.
    """

    def __init__(
        self,
        model: VAE,
        data: Dataset,
        objective: Objective,
        settings: Training,
        fabric: Fabric | None = None,
        save_history: Callable[[list[dict[str, float]]], None] = lambda history: None,
        checkpoints: Path | None = None,
        report: ProgressReport = silent,
    ) -> None:
        if settings.patience is not None and data.validation is None:
            advice = "raise data.validation, or --set training.patience=none"
            raise ConfigError(
                "training.patience needs a validation split, and data.validation gave it no "
                f"examples; {advice}"
            )
        self.fabric = fabric or make_fabric(settings)
        self.processes = processes_of(self.fabric)
        self.data, self.objective, self.settings = data, objective, settings
        self.model = model
        refuse_unfit(data, settings)
        self.monitor = monitored(settings.monitor, data.train.schema.shape[0])
        lazy = getattr(optimizers()[settings.optimizer], "takes_sparse", False)
        self.lazy = by_rows(model, lazy, self.fabric.world_size)
        choice = (
            settings.compile if self.fabric.world_size == 1 or settings.compile != "auto" else False
        )
        self.apart = keeps_parts(self.fabric)
        self.learner = copy.deepcopy(model) if self.apart else model
        self.compiled = compiled(
            self.learner, choice, self.total, settings.batch_size // self.fabric.world_size
        )
        self.wrapped = self.fabric.setup_module(self.compiled)
        self.optimizer: torch.optim.Optimizer = cast(
            Any, self.fabric.setup_optimizers(make_optimizer(settings, self.learner))
        )
        self.trained = {name: p for name, p in self.learner.named_parameters() if p.requires_grad}
        if self.apart:
            self.model.to(self.fabric.device, next(self.learner.parameters()).dtype)
        self.save_history, self.checkpoints, self.report = save_history, checkpoints, report
        self.state = State()
        self.best: dict[str, Tensor] = {}
        self.columns = _names(len(model.latents.sizes))
        self.sums = torch.zeros(len(self.columns), dtype=torch.float64)
        self.pending: list[Tensor] = []
        self.saved = time.monotonic()

    @property
    def batches(self) -> int:
        """Optimiser steps in one epoch."""
        return math.ceil(len(self.data.train) / self.settings.batch_size)

    @property
    def total(self) -> int:
        """Optimiser steps planned."""
        return self.batches * self.settings.epochs

    def run(self) -> State:
        """Trains to the end, or until validation has stopped improving for `patience` epochs; keeps
        the best weights.

        Raises:
            NonFiniteError: the loss is NaN or infinite; names the step and the term.
            Interrupted: Ctrl-C or SIGTERM; the checkpoint is written.
        """
        state, started, before = self.state, time.perf_counter(), self.state.seconds
        if isinstance(self.compiled, Compiled) and state.epoch < self.settings.epochs:
            self.report(
                state.epoch + 1, state.epoch * len(self.data.train), "compiling"
            )  # which takes a while, once
        with _alone(), interrupts() as came, self.threads():
            while state.epoch < self.settings.epochs and not state.stopped:
                order = self._order(state.epoch)
                self._begin_epoch()
                while state.batch < self.batches:
                    self._step(order)
                    state.seconds = before + time.perf_counter() - started
                    self._between_steps(came())
                self._timed_look()
                self._end_epoch()
                state.seconds = before + time.perf_counter() - started
                if state.epoch % self.settings.checkpoint_every == 0:
                    self.save()
            self.save()
            self._between_steps(came())  # what came after the last step
        for parameter in self.trained.values():  # whatever the last phase left alone
            parameter.requires_grad_(True)
        if self.best:
            self.learner.load_state_dict(self.best)
        self._gather()
        return state

    def threads(self) -> AbstractContextManager[int]:
        """Within it steps are taken on as many threads as the settings say."""
        return threads(self.settings.threads, lambda: self._operations)

    @cached_property
    def _operations(self) -> int:
        """Of one step: forward, and twice as many backward."""
        share = min(2, len(self.data.train))
        with evaluating(self.model, 0):
            x = placed(self.model, self.data.train.batch(slice(0, share)))
            forward = operations(
                lambda: self.model.terms(x, self.settings.samples, self.objective.kl)
            )
        return 3 * forward * self.settings.batch_size // (share * self.processes.world)

    @property
    def _phases(self) -> list[Phase]:
        """The phase of each epoch of a cycle, which starts again and again; without phases every
        epoch is one.
        """
        return [phase for phase in self.settings.phases or (Phase(),) for _ in range(phase.epochs)]

    @property
    def _phase_ends(self) -> bool:
        """Whether the epoch before the one under way was the last of its phase."""
        ends = list(accumulate(phase.epochs for phase in self.settings.phases or (Phase(),)))
        return self.state.epoch % ends[-1] in (0, *ends)

    def _begin_epoch(self) -> None:
        """Training mode, for the part of the model whose turn it is: of the number of the epoch
        alone.
        """
        phase = self._phases[self.state.epoch % len(self._phases)]
        for model in (self.model, self.wrapped):
            model.train()
        for model in (self.model, self.learner):
            model.latents.train(phase.noise)
        for name, parameter in self.trained.items():
            parameter.requires_grad_(phase.trains in ("all", name.partition(".")[0]))

    def _between_steps(self, signal_number: int) -> None:
        """A checkpoint where one is due, and the end where a signal came; of several processes all
        do the same.
        """
        wanted = [signal_number, int(self._due())]
        if self.processes.world > 1:
            wanted = self.processes.gather(torch.tensor(wanted)).amax(0).tolist()
        if wanted[0]:
            self._stop(wanted[0])
        elif wanted[1]:
            self.save()

    def _due(self) -> bool:
        """Whether a checkpoint falls within the epoch: after so many steps, or so many seconds."""
        every, seconds = self.settings.checkpoint_steps, self.settings.checkpoint_seconds
        by_steps = every is not None and self.state.step % every == 0
        return by_steps or (seconds is not None and time.monotonic() - self.saved >= seconds)

    def _order(self, epoch: int) -> Tensor:
        """The order of the training examples in an epoch: of (seed, epoch) alone."""
        generator = torch.Generator().manual_seed(derive_seed(self.settings.seed, 0, epoch))
        return torch.randperm(len(self.data.train), generator=generator)

    def _step(self, order: Tensor) -> None:
        """One optimiser step on the next batch, of which each process takes its share."""
        state, settings = self.state, self.settings
        started = time.perf_counter()
        x, share = self._batch(order)
        for parameter in self.trained.values():
            parameter.grad = None
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * settings.schedule(state.step, self.total)
        with noise_of(share):
            terms = self.wrapped(x, settings.samples, self.objective.kl)
            loss = self.objective(terms, state.step, self.total)
        if settings.on_nonfinite == "stop" and self._gone_wrong(loss):
            self._count(loss, terms, share)
            self._look()  # which says what went wrong, before the weights have gone wrong too
        weight = (
            share.size * share.world / share.whole
        )  # so that the mean over processes is the mean over the batch
        self.fabric.backward(loss * weight if share.world > 1 else loss)
        if settings.clip is not None:
            self.fabric.clip_gradients(
                self.wrapped, self.optimizer, max_norm=settings.clip, error_if_nonfinite=False
            )
        usable = settings.on_nonfinite == "stop" or self._usable(loss)
        if usable:
            self.optimizer.step()
        self._count(loss, terms, share, usable)
        if state.batch % STEPS_BETWEEN_LOOKS == 0:
            self._look()
        state.step_seconds += time.perf_counter() - started

    def _count(self, loss: Tensor, terms: Terms, share: Share, usable: bool = True) -> None:
        """One step further, with what it has to the sums of the epoch; one that was left out has
        nothing.
        """
        if usable:
            self.pending.append(_parts(loss, terms, self.objective) * share.size)
        self.state.skipped += 1 - usable
        self.state.batch, self.state.step = self.state.batch + 1, self.state.step + 1

    def _batch(self, order: Tensor) -> tuple[Batch, Share]:
        """The examples of this step that are this process's, on its device, with the noise of the
        step seeded.
        """
        size, state = self.settings.batch_size, self.state
        index = order[state.batch * size : (state.batch + 1) * size]
        share = self._share(index)
        noise = derive_seed(self.settings.seed, 1, state.step, 0)
        x = self._examples(index, share, noise).to(self.fabric.device)
        self._seed(noise)
        if share.world > 1 and isinstance(self.data.train, History) and self.lazy:
            self._note_seen(self.data.train.seen(index).to(self.fabric.device))
        return x, share

    def _note_seen(self, seen: Tensor) -> None:
        """Tells a lazy optimiser which columns a batch has, where the gradient in one process would
        have been sparse.
        """
        noted = cast(LazyAdam, self.optimizer).seen
        noted.clear()
        noted.update(
            {weight: seen for weight in self.lazy if sparse_update_pays(seen, len(weight))}
        )

    def _share(self, index: Tensor) -> Share:
        """What this process has of the examples at an index."""
        share, train = self.processes.share(len(index)), self.data.train
        return (
            share._replace(counts=train.counts(index))
            if share.world > 1 and isinstance(train, History)
            else share
        )

    def _examples(self, index: Tensor, share: Share, noise: int) -> Batch:
        """The share of a batch; what is drawn for the examples is drawn for all of them."""
        if share.world > 1 and getattr(self.data.train, "draw", "none") == "keyed":
            return self.data.train.batch(index, noise)[share.rows]
        return self.data.train.batch(index[share.rows] if share.world > 1 else index, noise)

    def _gone_wrong(self, loss: Tensor) -> bool:
        """Whether the loss of any process is not finite, where that is known without waiting for a
        device.
        """
        return self.fabric.device.type == "cpu" and not self._all(loss.detach().isfinite())

    def _usable(self, loss: Tensor) -> bool:
        """Whether a step can be taken: the loss and the gradient are finite, in all processes."""
        gradients = [p.grad for p in self.trained.values() if p.grad is not None]
        sums = [(g.coalesce().values() if g.is_sparse else local_part(g)).sum() for g in gradients]
        return self._all(torch.stack([loss.detach(), *sums]).isfinite().all())

    def _all(self, true: Tensor) -> bool:
        """Whether something is true in all processes."""
        return bool(self.processes.gather(true.int()).all() if self.processes.world > 1 else true)

    def _seed(self, number: int) -> None:
        """Seeds the device that draws the noise. (`torch.manual_seed` would also queue this for
        devices not in use.)
        """
        torch.default_generator.manual_seed(number)
        if self.fabric.device.type == "cuda":
            torch.cuda.default_generators[self.fabric.device.index].manual_seed(number)
        elif self.fabric.device.type == "mps":
            torch.mps.manual_seed(number)

    def _look(self) -> None:
        """Adds the waiting steps to the epoch's sums; stops at a loss that is not finite."""
        state = self.state
        if self.pending:
            values = torch.stack(self.pending).cpu().double()
            self._refuse_nonfinite(values)
            self.sums = self.sums + values.sum(0)
            self.pending.clear()
            examples = min(state.batch * self.settings.batch_size, len(self.data.train))
            done = state.epoch * len(self.data.train) + examples
            self.report(state.epoch + 1, done, f"{self._bound_name} {self._current_bound():.2f}")

    def _timed_look(self) -> None:
        """The last look of an epoch, which waits for the steps before it, is part of their time."""
        started = time.perf_counter()
        self._look()
        self.state.step_seconds += time.perf_counter() - started

    @property
    def _bound_name(self) -> str:
        return "bound" if self.objective.has_bound else "log-likelihood term"

    def _current_bound(self) -> float:
        """The training bound of this epoch so far."""
        means = dict(zip(self.columns, self.sums.tolist(), strict=True))
        return means["elbo" if self.objective.has_bound else "log_likelihood_term"] / max(
            means["examples"], 1
        )

    def _refuse_nonfinite(self, values: Tensor) -> None:
        """The first column is the objective; a rate may be infinite where the objective does not
        use it.

        What one process has found all of them tell, in the same step.
        """
        values = self.processes.gather(values).sum(0)
        bad = (~values[:, 0].isfinite()).nonzero().flatten()
        if len(bad) == 0:
            return
        row, back = values[int(bad[0])], len(values) - int(bad[0])
        terms = ", ".join(
            name for name, v in zip(self.columns[2:], row[2:], strict=True) if not v.isfinite()
        )
        where = f"the loss became {float(row[0])} at step {self.state.step - back}; not finite: {terms or 'none of its terms'}"
        raise NonFiniteError(f"{where}; {self._culprit(back)}; {self._advice}")

    def _refuse_broken(self) -> None:
        """Weights go wrong after a loss that did not, by a gradient that is not finite or a step
        that is too large.
        """
        if broken := self._broken():
            where = f"the gradient became infinite or NaN at step {self.state.step - 1} or shortly before it, under a finite loss"
            raise NonFiniteError(f"{where}: {broken}; {self._advice}")

    @property
    def _advice(self) -> str:
        last = checkpoint.latest(self.checkpoints) if self.checkpoints else None
        kept = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        return f"{kept}; try a smaller learning_rate, or clip, or training.on_nonfinite=skip"

    def _broken(self) -> str:
        """The first of the weights that are not finite, and what it holds; "" where all are finite."""
        weights = {name: p for name, p in self.model.named_parameters() if name in self.trained}
        bad = next((name for name, p in weights.items() if not p.isfinite().all()), None)
        return "" if bad is None else f"{bad} holds {worst(weights[bad])}"

    def _culprit(self, back: int) -> str:
        """Where the numbers went wrong, so many steps back: weights that are not finite, or the
        layer with the largest output.
        """
        self._gather()
        if broken := self._broken():
            since = (
                "the gradient before it was not finite"
                if back == 1
                else "the weights went wrong with it, or after it"
            )
            return f"{since}: {broken}"
        state = self.state
        state.step, state.batch = state.step - back, state.batch - back
        x, share = self._batch(self._order(state.epoch))
        with torch.no_grad(), noise_of(share), outputs(self.model) as largest:
            self.model.terms(x, self.settings.samples, self.objective.kl)
        sizes = torch.tensor(list(largest.values())).nan_to_num(nan=math.inf, posinf=math.inf)
        sizes = self.processes.gather(sizes).amax(0)
        found = int(sizes.argmax())
        return f"the largest output is {float(sizes[found]):.3g}, of {list(largest)[found]}"

    def _end_epoch(self) -> None:
        """Metrics, validation, best weights, early stopping."""
        state, settings = self.state, self.settings
        total = self.processes.gather(self.sums).sum(0)
        means = dict(zip(self.columns, (total / total[-1]).tolist(), strict=True))
        means.pop("examples")
        self._gather()
        rate = settings.learning_rate * settings.schedule(state.step - 1, self.total)
        row = {"epoch": state.epoch + 1, "step": state.step, "learning_rate": rate}
        row["kl_weight"] = self.objective.weight(state.step - 1, self.total)
        row |= {"train_skipped": state.skipped} if settings.on_nonfinite == "skip" else {}
        row |= {f"train_{name}": v for name, v in means.items()} | self._validate()
        state.history.append(row)
        sign = 1 if self.monitor == "objective" else -1
        value = sign * row.get(f"validation_{self.monitor}", math.inf * sign)
        if (
            value < state.best_value or self.data.validation is None
        ):  # without a validation split the last weights are kept
            state.best_value, state.best_epoch = value, state.epoch + 1
            self._keep()
        state.epoch, state.batch, state.skipped, self.sums = (
            state.epoch + 1,
            0,
            0,
            torch.zeros_like(self.sums),
        )
        if self._phase_ends:
            self.learner.refresh()
        looked, waited = f"validation_{self.monitor}" in row, state.epoch - state.best_epoch
        state.stopped = settings.patience is not None and looked and waited >= settings.patience
        if self.fabric.is_global_zero:
            self.save_history(state.history)

    def _keep(self) -> None:
        """Takes the weights as they are for the best; a copy only where later ones might be worse."""
        state = self.learner.state_dict()
        self.best = (
            state
            if self.data.validation is None
            else {name: t.detach().clone() for name, t in state.items()}
        )

    def _validate(self) -> dict[str, float]:
        """The bound of the validation split, always on the same draws, and the objective at the end
        of its schedules.
        """
        last = self.state.epoch + 1 == self.settings.epochs
        if self.data.validation is None or not (
            last or (self.state.epoch + 1) % self.settings.validate_every == 0
        ):
            return {}
        found = measured(
            self.model, self.data.validation, self.objective, self.settings, 2, self.processes
        )
        return {f"validation_{name}": v for name, v in found.items()}

    def _stop(self, number: int) -> None:
        self.save()
        where = f"epoch {min(self.state.epoch + 1, self.settings.epochs)}, step {self.state.step}"
        run = self.checkpoints.parent if self.checkpoints else None
        again = f"go on with: lowerbound fit {shlex.quote(f'{run}/recipe.toml')} --out {shlex.quote(str(run))} --resume"
        more = f"the checkpoint is written; {again}" if run else "no checkpoint folder was given"
        raise Interrupted(f"stopped at {where}; {more}", number)

    def save(self) -> None:
        """Writes a checkpoint, if there is a folder for it; all processes come here together. Never
        one that is not finite.

        Raises:
            NonFiniteError: the loss is not finite since the last look.
        """
        self.saved = time.monotonic()
        if self.checkpoints is None:
            return
        waiting = (
            torch.stack(self.pending).cpu() if self.pending else torch.zeros(0, len(self.columns))
        )
        self._refuse_nonfinite(waiting)
        self._gather()
        self._refuse_broken()
        sums = {"sums": self.processes.gather(self.sums), "pending": self.processes.gather(waiting)}
        optimizer = checkpoint.flatten(self.optimizer.state_dict()["state"])
        groups = {
            "model": self.model.state_dict(),
            "best": self.best,
            "optimizer": optimizer,
            "sums": sums,
        }
        first = self.fabric.is_global_zero
        gathered = {name: all_gathered(tensors, wanted=first) for name, tensors in groups.items()}
        if first:
            checkpoint.save(self.checkpoints, self.state.step, gathered, asdict(self.state))
        self.fabric.barrier()

    def _take(self, sums: Mapping[str, Tensor]) -> None:
        """The sums of the epoch under way, as each process had them; of another number of processes
        the first takes all.
        """
        rank, world = self.processes.rank, self.processes.world
        both = sums["sums"], sums["pending"]
        if both[0].shape[1:] != self.sums.shape or both[1].shape != (
            len(both[0]),
            both[1].shape[1],
            len(self.sums),
        ):
            raise ValueError("its sums are not those of a fit of this model")
        if len(both[0]) != world:
            both = both[0].sum(0, keepdim=True), both[1].sum(0, keepdim=True)
        mine, pending = (
            each[rank] if rank < len(each) else torch.zeros_like(each[0]) for each in both
        )
        self.sums, self.pending = mine.double(), list(pending.to(self.fabric.device))

    def _laid_out(self, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
        """The optimiser's state in the memory layout of its parameters: fused optimisers go through
        both as they lie there.
        """
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        expected = checkpoint.flatten(state_of(self.settings, parameters))
        known = {
            name.partition(".")[0] for name in tensors
        }  # a parameter that was never used has no state
        if _forms(tensors) != _forms(
            {name: t for name, t in expected.items() if name.partition(".")[0] in known}
        ):
            raise ValueError(
                f"its optimiser's state is not that of {self.settings.optimizer} for these weights"
            )
        state = checkpoint.unflatten(tensors)
        return {
            i: {name: laid_out(t, parameters[i]) for name, t in entry.items()}
            for i, entry in state.items()
        }

    def resume(self) -> None:
        """Goes back to the newest checkpoint.

        Raises:
            RunError: there is none, or it is damaged or of another model.
        """
        if self.checkpoints is None:
            raise RunError("there is no checkpoint folder to resume from")
        groups, state = checkpoint.load(self.checkpoints)
        try:
            self.state = self._state(state)
            self._refuse_past()
            self._load(groups["model"], groups["best"])
            if broken := self._broken():
                raise ValueError(f"its {broken}")
            self._take(groups["sums"])
            self.optimizer.load_state_dict(
                self.optimizer.state_dict() | {"state": self._laid_out(groups["optimizer"])}
            )
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            raise RunError(
                one_line(f"{self.checkpoints}: not a checkpoint of this run: {error}")
            ) from error

    def _refuse_past(self) -> None:
        """Raises RunError where the run has gone further than the settings want."""
        begun = self.state.epoch + (self.state.batch > 0)
        if begun > self.settings.epochs:
            asked = f"training.epochs must be {begun} or more to go on, got {self.settings.epochs}"
            raise RunError(f"{self.checkpoints}: the run is in epoch {begun} already; {asked}")

    def _load(self, weights: Mapping[str, Tensor], best: Mapping[str, Tensor]) -> None:
        """The weights, and the best ones if there are any yet, into the model that learns and the
        one that is measured.
        """
        load_weights(self.model, weights, self.checkpoints)
        patterns = self.learner.state_dict()
        if self.apart:
            self.learner.load_state_dict(
                {name: laid_out(t, patterns[name]) for name, t in weights.items()}
            )
        if best:
            refuse_other_weights(self.model, best, self.checkpoints)
        self.best = {name: laid_out(t, patterns[name]) for name, t in best.items()}

    def _gather(self) -> None:
        """Where the weights are kept in parts: gives the model all of them; all processes come here
        together.
        """
        if self.apart:
            copy_gathered(self.model, self.learner)

    def _state(self, described: dict[str, Any]) -> State:
        """A state as it was written. ValueError for one that no fit of these data and settings can
        be in.
        """
        try:
            state = TypeAdapter(State).validate_python(described)
            state.history = described.get(
                "history", []
            )  # as it was: 1 and 1.0 are other text in metrics.csv
        except ValidationError as error:
            raise ValueError(f"{error.error_count()} of its values are no state of a fit") from None
        known = {f.name for f in fields(State)}
        if (
            described.keys() - known
            or not 0 <= state.batch <= self.batches
            or not 0 <= state.best_epoch <= state.epoch
        ):
            raise ValueError("its state is not one of a fit of these data")
        if (
            state.epoch != len(state.history)
            or state.step != state.epoch * self.batches + state.batch
        ):
            raise ValueError("its epochs and steps do not agree")
        return state


def _forms(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (t.shape, t.dtype) for name, t in tensors.items()}


def _names(levels: int) -> list[str]:
    """What `_parts` holds."""
    return [
        "objective",
        "elbo",
        "log_likelihood_term",
        *(f"rate_{i + 1}" for i in range(levels)),
        "examples",
    ]


def _parts(loss: Tensor, terms: Terms, objective: Objective) -> Tensor:
    """The loss, the bound and its terms, averaged over a batch, and a one for counting: a vector to
    be multiplied by its size.
    """
    log_likelihood, rate = terms.log_likelihood.detach().mean(), terms.rate.detach().mean((0, 1))
    # Where the closed form is used at levels that it does not fit, only the log weights give the
    # bound.
    elbo = (
        log_likelihood - rate.sum()
        if objective.kl != "everywhere"
        else terms.log_weight.detach().mean()
    )
    return torch.cat([torch.stack([loss.detach(), elbo, log_likelihood]), rate, rate.new_ones(1)])
