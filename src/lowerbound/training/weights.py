"""The networks of a fit: one set of weights in the forms that training needs it in."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ..batch import Batch
from ..distributed.sharding import copy_gathered, keeps_parts, laid_out
from ..latents import KL
from ..model import VAE, Terms
from ..recipe import Phase, Training
from ..system.weights import load_weights, refuse_other_weights
from .average import Average
from .execution import Compiled, compiled, recompute_blocks


class Weights:
    """The weights of a fit: those that are trained, those that are measured, and the best ones.

    In most fits `model` and `learner` are one object. Fully sharded training (FSDP) keeps the
    learner's weights in parts; there the model has whole weights, and `gather` copies them.

    Args:
        model: the model to train.
        fabric: its device and processes.
        settings: of the training.
        batches: optimiser steps of one epoch; compilation pays in long runs only.

    Attributes:
        model: the model that is measured, saved, and given the best weights in the end.
        learner: the model whose parameters the optimiser changes.
        compiled: the learner with its compiled form, or None where it is not compiled.
        wrapped: the learner as a step calls it: compiled where it pays, and wrapped by Fabric.
        trained: the learner's trainable parameters, by name.
        average: the moving average of the learner's weights, which is measured and kept in their
            place; None where the settings want none.
        best: the best weights so far, or the best averages, as a state dict of the learner; empty
            before the first epoch.
    """

    def __init__(self, model: VAE, fabric: Fabric, settings: Training, batches: int) -> None:
        self.model = model
        self.in_parts: bool = keeps_parts(fabric)
        self.learner: VAE = model
        if self.in_parts:
            self.learner = copy.deepcopy(model)
        if settings.recompute:
            recompute_blocks(self.learner)
        choice = settings.compile
        if choice == "auto" and fabric.world_size * settings.accumulate > 1:
            choice = False
        steps = batches * settings.epochs
        network = compiled(self.learner, choice, steps, settings.batch_size // fabric.world_size)
        self.compiled: Compiled | None = None
        if isinstance(network, Compiled):
            self.compiled = network
        self.wrapped: Any = fabric.setup_module(network)
        self.trained: dict[str, torch.nn.Parameter] = {
            name: parameter
            for name, parameter in self.learner.named_parameters()
            if parameter.requires_grad
        }
        if self.in_parts:
            model.to(fabric.device, next(self.learner.parameters()).dtype)
        self.average: Average | None = None
        if settings.ema is not None:
            self.average = Average(self.learner, settings.ema)
        self.best: dict[str, Tensor] = {}

    @property
    def is_compiled(self) -> bool:
        """Whether steps are computed by a compiled model."""
        return self.compiled is not None and not self.compiled.runs_plainly

    def begin_phase(self, phase: Phase) -> None:
        """Sets training mode, and lets the part of the model learn that the phase trains."""
        self.model.train()
        self.wrapped.train()
        self.model.latents.train(phase.noise)
        self.learner.latents.train(phase.noise)
        for name, parameter in self.trained.items():
            part, _, _ = name.partition(".")
            learns = phase.trains in ("all", part)
            parameter.requires_grad_(learns)

    def terms(self, batch: Batch, samples: int, kl: KL) -> Terms:
        """Computes the terms of a batch by the learner as a step calls it.

        That sees plain tensors, which is what a compiled model is to see.
        """
        return self.wrapped(batch.x, samples, kl, batch.given, batch.observed)

    def gather(self) -> None:
        """Gives the model all weights of a learner in parts. All processes call it together."""
        if self.in_parts:
            copy_gathered(self.model, self.learner)

    def note_step(self) -> None:
        """Takes the weights into their average, if there is one, after a step that was taken."""
        if self.average is not None:
            self.average.update()

    def measured(self) -> AbstractContextManager[None]:
        """Lets the learner have the weights that are measured, within a block.

        These are the averages where there are any. Behind the block the learner has the weights
        that are trained again. The model has what `gather` gives it.
        """
        if self.average is None:
            return nullcontext()
        return self.average.in_use()

    def keep_best(self, *, may_get_worse: bool) -> None:
        """Takes the present weights, or their averages, for the best.

        They are copied only if later ones may be worse. Without a copy, `best` changes with them.
        """
        self.best = self.learner.state_dict()
        if self.average is not None:
            self.best |= self.average.weights
        if may_get_worse:
            self.best = {name: t.detach().clone() for name, t in self.best.items()}

    def restore_best(self) -> None:
        """Ends training: the model has the best weights, and all of it could be trained again."""
        for parameter in self.trained.values():
            parameter.requires_grad_(True)
        if self.best:
            self.learner.load_state_dict(self.best)
        self.gather()

    def to_groups(self) -> dict[str, dict[str, Tensor]]:
        """Returns the groups "model" and "best" of a checkpoint, and "average" where there is one.

        `gather` comes before it.
        """
        groups = {"model": self.model.state_dict(), "best": self.best}
        if self.average is not None:
            groups["average"] = self.average.to_tensors()
        return groups

    def load(self, groups: Mapping[str, Mapping[str, Tensor]], source: Path) -> None:
        """Takes the weights, their average, and the best ones if there are any yet, from the groups
        of a checkpoint.

        Raises:
            RunError: they are those of another model; the message names `source`.
        """
        weights = groups["model"]
        best = groups["best"]
        load_weights(self.model, weights, source)
        patterns = self.learner.state_dict()
        if self.in_parts:
            parts = {name: laid_out(t, patterns[name]) for name, t in weights.items()}
            self.learner.load_state_dict(parts)
        if self.average is not None:
            self.average.load(groups["average"], source)
        if best:
            refuse_other_weights(self.model, best, source)
        self.best = {name: laid_out(t, patterns[name]) for name, t in best.items()}
