"""A step on a batch that is computed in parts, one after the other, so that memory holds the inner
values of one part alone (gradient accumulation).

Each part has the noise of its examples in the whole batch, as the share of a process has. The
gradient is that of the whole batch, up to the rounding of sums.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..batch import Batch
from ..distributed.processes import Share, noise_of
from ..errors import ConfigError
from ..model import Terms
from ..objectives import Objective
from ..recipe import Training
from .loader import Loader
from .state import State
from .weights import Weights

Part = tuple[Batch, Share]
"""The examples of a part, and what they are of the whole batch."""


DRAWING = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    nn.RReLU,
)
"""Layers of torch that draw for the examples that they see, and know no others of the batch."""


def refuse_shared_masks(model: nn.Module, settings: Training, processes: int) -> None:
    """Refuses layers that would draw the same for all parts of a batch: each part begins with the
    random numbers of the whole.

    Noise of a recipe draws by `distributed.processes.draw_shared`, as the layers of a user may.

    Raises:
        ConfigError: there is such a layer, and batches are computed in parts.
    """
    if processes * settings.accumulate == 1:
        return
    for name, layer in model.named_modules():
        if isinstance(layer, DRAWING):
            raise ConfigError(
                f"{type(layer).__name__} in {name} would draw the same for all parts of a batch; "
                f"allowed with it: training.accumulate=1 (got {settings.accumulate}) in one "
                f"process (got {processes}); or model.noise, or a layer that draws by "
                "lowerbound.distributed.processes.draw_shared"
            )


class Accumulation:
    """It computes the gradient of a batch in parts.

    Args:
        weights: those of the learner get the gradient.
        loader: reads the parts.
        objective: is minimised.
        settings: of the training.
        fabric: device and processes.
        steps: optimiser steps that are planned.
    """

    def __init__(
        self,
        weights: Weights,
        loader: Loader,
        objective: Objective,
        settings: Training,
        fabric: Fabric,
        steps: int,
    ) -> None:
        self.weights = weights
        self.loader = loader
        self.objective = objective
        self.samples: int = settings.samples
        self.fabric = fabric
        self.steps = steps

    def differentiate(self, order: Tensor, state: State) -> tuple[Tensor, Terms, Share]:
        """Adds the gradient of the next batch to those of the weights.

        Returns:
            The loss of the batch, its terms, and which of its examples are this process's. Of
            these the terms are, in the order of the parts.
        """
        parts = self.loader.read_parts(order, state.batch, state.step)
        share = self.loader.share(order, state.batch)
        if self.objective.is_mean(state.step, self.steps):
            terms = self._differentiate_each(parts, state)
            with noise_of(share):
                loss = self.objective(terms, state.step, self.steps)
            return loss, terms, share
        loss, terms = self._differentiate_together(parts, share, state)
        return loss, terms, share

    def _differentiate_each(self, parts: Sequence[Part], state: State) -> Terms:
        """Computes the gradient of an objective that is a mean over examples, part by part."""
        found = []
        for number, (batch, part) in enumerate(parts):
            with self._exchange(number, parts), noise_of(part):
                terms = self._terms(batch, state)
                loss = self.objective(terms, state.step, self.steps)
                # The mean over the processes is then the mean over the batch.
                self.fabric.backward(loss * (part.size * self.loader.processes.world / part.whole))
            found.append(terms.map(Tensor.detach))
        return _joined(found, parts)

    def _differentiate_together(
        self, parts: Sequence[Part], share: Share, state: State
    ) -> tuple[Tensor, Terms]:
        """Computes the gradient of any objective, for one more forward pass.

        The first pass gives the terms of the whole batch, and so the gradient of the objective by
        each of them. The second takes these gradients back through each part.
        """
        found = []
        for batch, part in parts:
            with torch.no_grad(), noise_of(part):
                found.append(self._terms(batch, state))
        terms = _joined(found, parts)
        with noise_of(share):
            loss, gradients = self._gradients_by_terms(terms, state)
        weight = share.size * share.world / share.whole
        start = 0
        for number, (batch, part) in enumerate(parts):
            rows = slice(start, start + part.size)
            start += part.size
            with self._exchange(number, parts), noise_of(part):
                own = self._terms(batch, state).known()
                loss_of_part = torch.zeros((), device=loss.device)
                for name, gradient in gradients.items():
                    values = own[name][:, : part.size]
                    loss_of_part = loss_of_part + (values * gradient[:, rows]).sum()
                self.fabric.backward(loss_of_part * weight)
        return loss, terms

    def _gradients_by_terms(self, terms: Terms, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes the loss of the terms of a batch, and its gradient by each of them, by name."""
        leaves = {}
        for name, values in terms.known().items():
            if name != "entries":
                leaves[name] = values.clone().requires_grad_()
        loss = self.objective(terms._replace(**leaves), state.step, self.steps)
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        gradients = {}
        for name, gradient in zip(leaves, found, strict=True):
            if gradient is not None:
                gradients[name] = gradient
        return loss.detach(), gradients

    def _terms(self, batch: Batch, state: State) -> Terms:
        """Computes the terms of a part, with its rows of the noise of the step."""
        self.loader.seed(state.step)
        return self.weights.terms(batch, self.samples, self.objective.kl)

    def _exchange(self, number: int, parts: Sequence[Part]) -> AbstractContextManager[None]:
        """Lets whole copies of a model exchange their gradients in the last part alone.

        Weights in parts exchange theirs in each, so that no process holds a whole gradient.
        """
        is_last = number == len(parts) - 1
        if is_last or self.weights.in_parts or self.loader.processes.world == 1:
            return nullcontext()
        return self.fabric.no_backward_sync(self.weights.wrapped)


def _joined(found: Sequence[Terms], parts: Sequence[Part]) -> Terms:
    """Joins the terms of the parts, without those of a part that was computed in vain.

    Where all were, those of the first stand for them.
    """
    counting = []
    for terms, (_, part) in zip(found, parts, strict=True):
        if part.size:
            counting.append(terms)
    if not counting:
        counting = [found[0]]
    return Terms.join(counting)
