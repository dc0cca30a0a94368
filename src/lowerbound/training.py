"""Training: one loop on Lightning Fabric, in the order in which things happen.

Everything random is a function of (seed, epoch, batch, process) alone: the order of the data, the binarisation and the noise.
A run that goes on from any step therefore goes on exactly, and validation leaves no trace in training.
"""

import hashlib
import inspect
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from types import FrameType

import torch
from lightning_fabric import Fabric
from torch import Tensor

from . import checkpoint
from .data import Dataset, Examples, History
from .errors import ConfigError, DataError, Interrupted, NonFiniteError, RunError
from .evaluation import bound, rank
from .evaluation.batches import Batches, evaluating
from .evaluation.ranking import named
from .model import VAE, Terms
from .networks.layers import SparseLinear
from .objectives import Objective
from .optimizers import optimizers
from .progress import Report, silent
from .recipe import Phase, Training

LOOK_EVERY = 20
"""Steps between looks at the losses: looking waits for the device, so it is not done at every step."""


WATCHED = ("recall@10", "recall@20", "recall@50", "recall_capped@20", "recall_capped@50", "ndcg@10", "ndcg@20", "ndcg@100")
"""Ranking metrics that are measured after an epoch."""


@dataclass
class State:
    """Where a run is: everything of a checkpoint that is not a tensor. `sums` are those of the epoch under way."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best_value: float = math.inf
    best_epoch: int = 0
    stopped: bool = False
    seconds: float = 0.0
    step_seconds: float = 0.0


def key(*numbers: int) -> int:
    """One seed below 2^63 from several numbers; other numbers give an unrelated one."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()) >> 1


def make_fabric(settings: Training, all_used: bool = True) -> Fabric:
    """The device, precision and processes that the settings ask for; `all_used`: whether the loss uses all parameters.

    Raises:
        ConfigError: there is no such device.
    """
    cores = os.cpu_count() or 1
    if settings.devices > max(cores, torch.cuda.device_count()):  # each would be a process of its own
        raise ConfigError(f"training.devices: {settings.devices} processes, but this machine has {cores} cores")
    try:
        ddp = "ddp" if all_used else "ddp_find_unused_parameters_true"
        strategy = ddp if settings.devices > 1 else "auto"
        return Fabric(accelerator=settings.accelerator, strategy=strategy, devices=settings.devices, precision=settings.precision)
    except Exception as error:  # Fabric raises many kinds, all about these three settings
        what = f"accelerator {settings.accelerator!r} with {settings.devices} device(s) and precision {settings.precision!r}"
        raise ConfigError(f"training: {what} cannot be used here: {error}") from error


def make_optimizer(settings: Training, model: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimiser that the settings name, fused where torch has a fused one.

    Raises:
        ConfigError: it does not take these options.
    """
    kind = optimizers()[settings.optimizer]
    own = {"fused", "foreach", "differentiable"} & settings.optimizer_options.keys()
    fused = {"fused": True} if "fused" in inspect.signature(kind).parameters and not own else {}
    try:
        return kind(model.parameters(), **{"lr": settings.learning_rate, **fused, **settings.optimizer_options})  # type: ignore[arg-type]
    except Exception as error:  # the optimisers raise many kinds, all about these options
        raise ConfigError(f"training.optimizer_options: {settings.optimizer}: {error}") from error


def compiled(settings: Training, model: torch.nn.Module) -> torch.nn.Module:
    """The model as it is, or compiled if the settings say so; the compiled one shares its parameters.

    Raises:
        ConfigError: there is no C++ compiler.
    """
    if not settings.compile:
        return model
    compilers = (os.environ.get("CXX"), "g++", "clang++", "c++", "cl")
    if not any(shutil.which(name) for name in compilers if name):
        raise ConfigError("training.compile needs a C++ compiler (g++ or clang++, or its name in CXX), found none")
    return torch.compile(model)  # type: ignore[return-value]


@contextmanager
def interrupts() -> Iterator[Callable[[], int]]:
    """Catches Ctrl-C and SIGTERM: gives a function that tells which one came (0: none). A second one stops at once."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came[0] if came else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
        report: Report = silent,
    ) -> None:
        if settings.patience is not None and data.validation is None:
            raise ConfigError("training.patience needs a validation split; set data.validation above 0")
        self.fabric = fabric or make_fabric(settings)
        self.data, self.objective, self.settings = data, objective, settings
        self.model = model
        refuse_unfit(data, settings)
        self.monitor = monitored(settings.monitor, data.train.schema.shape[0])
        lazy = getattr(optimizers()[settings.optimizer], "takes_sparse", False) and self.fabric.world_size == 1
        for layer in model.modules():
            if isinstance(layer, SparseLinear):
                layer.sparse_gradient = lazy
        self.wrapped, self.optimizer = self.fabric.setup(compiled(settings, model), make_optimizer(settings, model))
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.save_history, self.checkpoints, self.report = save_history, checkpoints, report
        self.state = State()
        self.best: dict[str, Tensor] = {}
        self.pending: list[Tensor] = []

    @property
    def batches(self) -> int:
        """Optimiser steps in one epoch."""
        return math.ceil(len(self.data.train) / self.settings.batch_size)

    @property
    def total(self) -> int:
        """Optimiser steps planned."""
        return self.batches * self.settings.epochs

    def run(self) -> State:
        """Trains to the end, or until validation has stopped improving for `patience` epochs; keeps the best weights.

        Raises:
            NonFiniteError: the loss is NaN or infinite; names the step and the term.
            Interrupted: Ctrl-C or SIGTERM; the checkpoint is written.
        """
        state, started, before = self.state, time.perf_counter(), self.state.seconds
        with interrupts() as came:
            while state.epoch < self.settings.epochs and not state.stopped:
                order = self._order(state.epoch)
                self._begin_epoch()
                while state.batch < self.batches:
                    self._step(order)
                    if came():
                        state.seconds = before + time.perf_counter() - started
                        self._stop(came())
                self._end_epoch(self._timed_look())
                state.seconds = before + time.perf_counter() - started
                if state.epoch % self.settings.checkpoint_every == 0:
                    self.save()
        self.save()
        for parameter in self.trained.values():  # whatever the last phase left alone
            parameter.requires_grad_(True)
        if self.best:
            self.model.load_state_dict(self.best)
        return state

    @property
    def _phases(self) -> list[Phase]:
        """The phase of each epoch of a cycle, which starts again and again; without phases every epoch is one."""
        return [phase for phase in self.settings.phases or (Phase(),) for _ in range(phase.epochs)]

    @property
    def _phase_ends(self) -> bool:
        """Whether the epoch before the one under way was the last of its phase."""
        ends = list(accumulate(phase.epochs for phase in self.settings.phases or (Phase(),)))
        return self.state.epoch % ends[-1] in (0, *ends)

    def _begin_epoch(self) -> None:
        """Training mode, for the part of the model whose turn it is: of the number of the epoch alone."""
        phase = self._phases[self.state.epoch % len(self._phases)]
        self.wrapped.train()
        self.model.latents.train(phase.noise)
        for name, parameter in self.trained.items():
            parameter.requires_grad_(phase.trains in ("all", name.partition(".")[0]))

    def _order(self, epoch: int) -> Tensor:
        """The order of the training examples in an epoch: of (seed, epoch) alone."""
        generator = torch.Generator().manual_seed(key(self.settings.seed, 0, epoch))
        return torch.randperm(len(self.data.train), generator=generator)

    def _step(self, order: Tensor) -> None:
        """One optimiser step on the next batch, of which each process takes its share."""
        state, settings = self.state, self.settings
        started = time.perf_counter()
        index = order[state.batch * settings.batch_size : (state.batch + 1) * settings.batch_size]
        rank, world = self.fabric.global_rank, self.fabric.world_size
        mine = index[rank::world]
        weight = len(mine) * world / len(index)  # so that the mean over processes is the mean over the batch
        noise = key(settings.seed, 1, state.step, rank)
        x = self.data.train.batch(mine if len(mine) else index[:1], noise).to(self.fabric.device)
        self._seed(noise)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * settings.schedule(state.step, self.total)
        self.optimizer.zero_grad()
        terms = self.wrapped(x, settings.samples, self.objective.kl)
        loss = self.objective(terms, state.step, self.total)
        self.fabric.backward(loss * weight if world > 1 else loss)
        if settings.clip is not None:
            self.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=settings.clip, error_if_nonfinite=False)
        self.optimizer.step()
        self.pending.append(_parts(loss, terms, self.objective) * len(mine))
        state.batch, state.step = state.batch + 1, state.step + 1
        if len(self.pending) == LOOK_EVERY:
            self._look()
        state.step_seconds += time.perf_counter() - started

    def _seed(self, number: int) -> None:
        """Seeds the device that draws the noise. (`torch.manual_seed` would also queue this for devices not in use.)"""
        torch.default_generator.manual_seed(number)
        if self.fabric.device.type == "cuda":
            torch.cuda.default_generators[self.fabric.device.index].manual_seed(number)
        elif self.fabric.device.type == "mps":
            torch.mps.manual_seed(number)

    def _look(self) -> list[float]:
        """Adds the waiting steps to the epoch's sums, which it gives; stops at a loss that is not finite."""
        state = self.state
        if self.pending:
            values = torch.stack(self.pending).cpu().double()
            self._refuse_nonfinite(values)
            sums = values.sum(0)
            state.sums = (torch.tensor(state.sums, dtype=torch.float64) + sums).tolist() if state.sums else sums.tolist()
            self.pending.clear()
            examples = min(state.batch * self.settings.batch_size, len(self.data.train))
            done = state.epoch * len(self.data.train) + examples
            self.report(state.epoch + 1, done, f"{self._bound_name} {self._current_bound():.2f}")
        return state.sums

    def _timed_look(self) -> list[float]:
        """The last look of an epoch, which waits for the steps before it, is part of their time."""
        started = time.perf_counter()
        sums = self._look()
        self.state.step_seconds += time.perf_counter() - started
        return sums

    @property
    def _bound_name(self) -> str:
        return "bound" if self.objective.bound else "log-likelihood term"

    def _current_bound(self) -> float:
        """The training bound of this epoch so far."""
        names = _names(len(self.model.latents.sizes))
        means = dict(zip(names, self.state.sums, strict=False))
        return means["elbo" if self.objective.bound else "log_likelihood_term"] / max(means["examples"], 1)

    def _refuse_nonfinite(self, values: Tensor) -> None:
        """The first column is the objective; a rate may be infinite where the objective does not use it."""
        bad = (~values[:, 0].isfinite()).nonzero().flatten()
        if len(bad) == 0:
            return
        row, step = values[int(bad[0])], self.state.step - len(values) + int(bad[0])
        names = _names(len(self.model.latents.sizes))
        terms = ", ".join(name for name, v in zip(names[2:], row[2:], strict=True) if not v.isfinite())
        advice = "try a smaller learning_rate, or clip"
        raise NonFiniteError(
            f"the loss became {float(row[0])} at step {step}; not finite: {terms or 'none of its terms'}; {advice}"
        )

    def _end_epoch(self, sums: list[float]) -> None:
        """Metrics, validation, best weights, early stopping."""
        state, settings = self.state, self.settings
        total = torch.tensor(sums, dtype=torch.float64)
        if self.fabric.world_size > 1:
            total = torch.as_tensor(self.fabric.all_reduce(total.to(self.fabric.device), reduce_op="sum")).cpu()
        means = dict(zip(_names(len(self.model.latents.sizes)), (total / total[-1]).tolist(), strict=True))
        means.pop("examples")
        rate = settings.learning_rate * settings.schedule(state.step - 1, self.total)
        row = {"epoch": state.epoch + 1, "step": state.step, "learning_rate": rate}
        row["kl_weight"] = self.objective.weight(state.step - 1, self.total)
        row |= {f"train_{name}": v for name, v in means.items()} | self._validate()
        state.history.append(row)
        sign = 1 if self.monitor == "objective" else -1
        value = sign * row.get(f"validation_{self.monitor}", math.inf * sign)
        if value < state.best_value or self.data.validation is None:  # without a validation split the last weights are kept
            state.best_value, state.best_epoch = value, state.epoch + 1
            self._keep()
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, []
        if self._phase_ends:
            self.model.renew()
        waited = state.epoch - state.best_epoch
        state.stopped = settings.patience is not None and waited >= settings.patience
        if self.fabric.is_global_zero:
            self.save_history(state.history)

    def _keep(self) -> None:
        """Takes the weights as they are for the best; a copy only where later ones might be worse."""
        state = self.model.state_dict()
        self.best = state if self.data.validation is None else {name: t.detach().clone() for name, t in state.items()}

    def _validate(self) -> dict[str, float]:
        """The bound of the validation split, always on the same draws, and the objective at the end of its schedules."""
        last = self.state.epoch + 1 == self.settings.epochs
        if self.data.validation is None or not (last or (self.state.epoch + 1) % self.settings.validate_every == 0):
            return {}
        found = measured(self.model, self.data.validation, self.objective, self.settings, stream=2)
        return {f"validation_{name}": v for name, v in found.items()}

    def _stop(self, number: int) -> None:
        self._look()
        self.save()
        where = f"epoch {self.state.epoch + 1}, step {self.state.step}"
        more = "the checkpoint is written: go on with --resume" if self.checkpoints else "no checkpoint folder was given"
        raise Interrupted(f"stopped at {where}; {more}", number)

    def save(self) -> None:
        """Writes a checkpoint, if there is a folder for it."""
        if self.checkpoints is None or not self.fabric.is_global_zero:
            return
        optimizer = self.optimizer.state_dict()
        groups = {"model": self.model.state_dict(), "best": self.best, "optimizer": checkpoint.flatten(optimizer["state"])}
        checkpoint.save(self.checkpoints, self.state.step, groups, asdict(self.state))

    def resume(self) -> None:
        """Goes back to the newest checkpoint.

        Raises:
            RunError: there is none, or it is damaged or of another model.
        """
        if self.checkpoints is None:
            raise RunError("there is no checkpoint folder to resume from")
        groups, state = checkpoint.load(self.checkpoints)
        try:
            self.state = State(**state)
            checkpoint.load_weights(self.model, groups["model"], self.checkpoints)
            self.best = {name: t.to(self.fabric.device) for name, t in groups["best"].items()}
            saved = self.optimizer.state_dict() | {"state": checkpoint.unflatten(groups["optimizer"])}
            self.optimizer.load_state_dict(saved)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.checkpoints}: not a checkpoint of this run: {error}") from error


def _names(levels: int) -> list[str]:
    """What `_parts` holds."""
    return ["objective", "elbo", "log_likelihood_term", *(f"rate_{i + 1}" for i in range(levels)), "examples"]


def _parts(loss: Tensor, terms: Terms, objective: Objective) -> Tensor:
    """The loss, the bound and its terms, averaged over a batch, and a one for counting: a vector to be multiplied by its size."""
    log_likelihood, rate = terms.log_likelihood.detach().mean(), terms.rate.detach().mean((0, 1))
    # Where the closed form is used at levels that it does not fit, only the log weights give the bound.
    elbo = log_likelihood - rate.sum() if objective.kl != "everywhere" else terms.log_weight.detach().mean()
    return torch.cat([torch.stack([loss.detach(), elbo, log_likelihood]), rate, rate.new_ones(1)])


def refuse_unfit(data: Dataset, settings: Training) -> None:
    """ConfigError for settings that are not for these data."""
    ranking = isinstance(data.train, History)
    if settings.monitor != "objective" and (not ranking or data.validation is None):
        allowed = "interactions with a validation split; allowed: objective"
        raise ConfigError(f"training.monitor={settings.monitor} needs {allowed}")
    for name, split in (("validation", data.validation), ("test", data.test)):
        if isinstance(split, History) and not split.targets.nnz:
            raise DataError(
                f"the {name} split of {data.name} holds nothing out to be found: its users have too few items for the split "
                f"(strong: 5); set data.{name}=0, or another data.interactions.split"
            )
    if ranking and settings.compile:
        raise ConfigError("training.compile is for dense examples; interactions need no compilation")
    if settings.clip is not None and settings.optimizer == "LazyAdam":
        raise ConfigError("training.clip needs the gradient of all rows, and LazyAdam has some of them only; take Adam")


def monitored(name: str, items: int) -> str:
    """What chooses the best weights; of a catalogue with fewer than k items, the metric of the whole list.

    Raises:
        ConfigError: there is no such metric.
    """
    if name == "objective":
        return name
    (kind, k), *_ = named([name], (20,)).values()
    return f"{kind}@{min(k, items)}"


def watched(monitor: str, items: int) -> list[str]:
    """The ranking metrics of a split: what chooses the best weights, and of the others those that such a catalogue has."""
    found = [name for name in WATCHED if int(name.partition("@")[2]) <= items]
    asked = monitored("ndcg@100" if monitor == "objective" else monitor, items)
    return list(dict.fromkeys([*found, asked]))


def measured(model: VAE, examples: Examples | History, objective: Objective, settings: Training, stream: int) -> dict[str, float]:
    """What is known of a split after an epoch; one column each.

    Of dense examples the bound, and the objective at the end of its schedules, with the samples of the training; of interactions
    the ranking metrics, and the objective where it is to choose the best weights.
    """
    if isinstance(examples, History):
        with evaluating(model, key(settings.seed, stream)):
            ranking = rank(model.rank, examples, metrics=watched(settings.monitor, examples.schema.shape[0]))
        found = {name: estimate.value for name, estimate in ranking.metrics.items()}
        return found | (_bound(model, examples, objective, settings, stream) if settings.monitor == "objective" else {})
    return _bound(model, examples, objective, settings, stream)


def _bound(model: VAE, examples: Batches, objective: Objective, settings: Training, stream: int) -> dict[str, float]:
    found = bound(model, examples, samples=settings.samples, objective=objective, seed=key(settings.seed, stream))
    rates = {f"rate_{i + 1}": r for i, r in enumerate(found.rate)}
    columns = {"objective": found.objective, "elbo": found.elbo.value, "log_likelihood_term": found.log_likelihood_term}
    return {name: math.nan if value is None else value for name, value in (columns | rates).items()}
