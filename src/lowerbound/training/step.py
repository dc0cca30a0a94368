"""One optimiser step: the batch, the forward and the backward pass, and the update."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ..distributed.processes import Processes, Share, noise_of
from ..distributed.sharding import gathered
from ..errors import LowerboundError
from ..model import Terms
from ..objectives import Objective
from ..recipe import Training
from .accumulation import Accumulation, refuse_shared_masks
from .diagnosis import Diagnosis
from .execution import has_convolutions
from .gradients import Skipped, gradient_norm, is_true_in_all, is_usable, is_within
from .loader import Loader
from .optimizing import lazy_weights, make_optimizer, note_seen_rows
from .state import State
from .sums import EpochSums
from .threads import ThreadChoice, same_bits
from .weights import Weights

FULL_PRECISIONS = ("32-true", "64-true")
"""In these precisions sums that are added up in another order differ in some bit."""


class Stepper:
    """It takes the optimiser steps of a fit.

    Args:
        weights: those of the learner are trained.
        loader: reads the batches.
        objective: is minimised.
        settings: of the training.
        fabric: device and processes.
        sums: add up what each step measures.
        diagnosis: says what is wrong where a loss is not finite.

    Attributes:
        steps: optimiser steps that are planned; schedules run over them.
        optimizer: the optimiser, as Fabric wraps it.
        noted: the weights of which a lazy optimiser must be told the rows that a batch saw.
        accumulation: computes batches in parts.
        skipped: what is known of the steps of the epoch that were left out.
    """

    def __init__(
        self,
        weights: Weights,
        loader: Loader,
        objective: Objective,
        settings: Training,
        fabric: Fabric,
        sums: EpochSums,
        diagnosis: Diagnosis,
    ) -> None:
        self.weights = weights
        self.loader = loader
        self.objective = objective
        self.settings = settings
        self.fabric = fabric
        self.processes: Processes = loader.processes
        self.sums = sums
        self.diagnosis = diagnosis
        self.steps: int = loader.batches * settings.epochs
        self.skipped: Skipped = Skipped()
        self.accumulation: Accumulation = Accumulation(
            weights, loader, objective, settings, fabric, self.steps
        )
        self._allowed_threads: tuple[int, int] | None = None
        self._choice: ThreadChoice | None = None
        refuse_shared_masks(weights.learner, settings, self.processes.world)
        shares = self.processes.world * settings.accumulate
        lazy = lazy_weights(weights.learner, settings, shares)
        self.noted: list[torch.nn.Parameter] = []
        if shares > 1:
            self.noted = lazy
        optimizer = make_optimizer(settings, weights.learner)
        self.optimizer: torch.optim.Optimizer = cast(Any, fabric.setup_optimizers(optimizer))

    def choose_threads(self, usual: int, most: int) -> None:
        """Lets the passes of whole batches have the fastest number of threads from the next step
        on, of those that change no bit.

        Args:
            usual: the number that everything else has.
            most: the largest number.
        """
        self._allowed_threads = (usual, most)
        self._choice = None

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of a step (from 0)."""
        return self.settings.learning_rate * self.settings.schedule(step, self.steps)

    def take(self, order: Tensor, state: State) -> None:
        """Takes one step on the next batch. Each process computes its share of the batch.

        Args:
            order: of the examples in this epoch, (N,).
            state: of the fit; the step is counted in it.

        Raises:
            NonFiniteError: the loss is not finite, and this is known without waiting for a device.
        """
        if self.noted:
            columns = self.loader.columns(order, state.batch)
            note_seen_rows(self.optimizer, self.noted, columns)
        rate = self.learning_rate(state.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self._threads(order, state):
            loss, terms, share = self._differentiate_anyway(order, state)
        is_taken = self._update(loss)
        self._count(state, loss, terms, share, is_taken)

    def _threads(self, order: Tensor, state: State) -> AbstractContextManager[None]:
        """Sets the number of threads for the passes of the next batch, within a block.

        Batches of another size, the update and all measures have the usual number.
        """
        is_whole = (state.batch + 1) * self.settings.batch_size <= len(order)
        if self._allowed_threads is None or not is_whole:
            return nullcontext()
        if self._choice is None:
            usual, most = self._allowed_threads
            numbers = [usual]
            if self._may_choose_threads():
                numbers = self._find_threads(order, state, usual, most)
            self._choice = ThreadChoice(numbers)
        return self._choice.for_step()

    def _may_choose_threads(self) -> bool:
        """Says whether one batch can tell which numbers of threads give the same bits.

        Interactions have another number of values in each batch, phases another backward pass, and
        a compiled model is compiled for its number of threads. Convolutions add up in parts, one
        for each thread, and numbers of 16 bits hide small differences: there one batch may agree
        by chance.
        """
        settings = self.settings
        return (
            settings.threads == "auto"
            and settings.precision in FULL_PRECISIONS
            and self.fabric.device.type == "cpu"
            and self.processes.world == 1
            and not settings.phases
            and not self.weights.is_compiled
            and not self.weights.model.sparse
            and not has_convolutions(self.weights.model)
        )

    def _find_threads(self, order: Tensor, state: State, usual: int, most: int) -> list[int]:
        """Finds the numbers of threads that give the next batch the bits of the usual one.

        Modules that count what they see, as batch normalisation does, see nothing of it.
        """
        buffers = {name: t.clone() for name, t in self.weights.learner.named_buffers()}

        def gradients() -> list[Tensor | None]:
            loss, terms, _ = self._differentiate(order, state)
            parameters = self.weights.trained.values()
            return [loss, terms.log_weight, terms.rate, *(p.grad for p in parameters)]

        try:
            return same_bits(gradients, usual, most)
        finally:
            for name, tensor in self.weights.learner.named_buffers():
                tensor.copy_(buffers[name])

    def _differentiate_anyway(self, order: Tensor, state: State) -> tuple[Tensor, Terms, Share]:
        """Does what `_differentiate` does; where the compiled model fails, by the model as it is.

        The graph of the gradients is compiled, or read from the compiler's cache, only within the
        backward pass. An error that the model has as it is, too, is its own and no compiler's.
        """
        try:
            return self._differentiate(order, state)
        except LowerboundError:
            raise
        except Exception as error:
            compiled = self.weights.compiled
            if compiled is None or compiled.runs_plainly:
                raise
            compiled.run_plainly()
            found = self._differentiate(order, state)
            compiled.tell(error)
            return found

    def _differentiate(self, order: Tensor, state: State) -> tuple[Tensor, Terms, Share]:
        """Computes the loss of the next batch, its gradients, and what they were computed from.

        It changes nothing but the gradients, and the noise depends on the step alone.

        Raises:
            NonFiniteError: the loss is not finite, and this is known without waiting for a device.
        """
        for parameter in self.weights.trained.values():
            parameter.grad = None
        if self.loader.parts(order, state.batch) > 1:
            found = self.accumulation.differentiate(order, state)
            self._refuse_broken(state, *found)
            return found
        batch, share = self.loader.read(order, state.batch, state.step)
        with noise_of(share):
            terms = self.weights.terms(batch, self.settings.samples, self.objective.kl)
            loss = self.objective(terms, state.step, self.steps)
            self._refuse_broken(state, loss, terms, share)
            # Blocks that are computed a second time draw their noise again.
            if share.world > 1:
                # The mean over the processes is then the mean over the batch.
                self.fabric.backward(loss * (share.size * share.world / share.whole))
            else:
                self.fabric.backward(loss)
        return loss, terms, share

    def _refuse_broken(self, state: State, loss: Tensor, terms: Terms, share: Share) -> None:
        """Stops the fit where the loss is known not to be finite, before the weights go wrong too.

        Raises:
            NonFiniteError: it is not.
        """
        if self._is_broken(loss):
            self._count(state, loss, terms, share)
            self.diagnosis.refuse_nonfinite_losses(self.sums.read_pending(), state)

    def _is_broken(self, loss: Tensor) -> bool:
        """Says whether the loss is known not to be finite in a process, which stops the fit.

        A GPU is not waited for, unless the norm of the gradient is waited for in each step anyway.
        """
        waits = self.fabric.device.type == "cpu" or self.settings.skip_above is not None
        if self.settings.on_nonfinite == "skip" or not waits:
            return False
        is_finite = loss.detach().isfinite()
        return not is_true_in_all(is_finite, self.processes)

    def _update(self, loss: Tensor) -> bool:
        """Updates the weights by the gradients of the loss.

        Returns:
            Whether the weights were updated. They are not where the gradient is too large for
            `skip_above`, nor, with `on_nonfinite = "skip"`, where the loss or the gradient of any
            process is not finite.
        """
        norm = self._clip()
        if not self._is_usable(loss, norm):
            return False
        self.optimizer.step()
        self.weights.note_step()
        return True

    def _clip(self) -> Tensor | None:
        """Clips the gradient where that is wanted.

        Returns:
            The norm that the gradient had before, a scalar; None where nothing hangs on it.
        """
        norm: Tensor | None = None
        if self.settings.clip is not None:
            norm = self.fabric.clip_gradients(
                self.weights.wrapped,
                self.optimizer,
                max_norm=self.settings.clip,
                error_if_nonfinite=False,
            )
        if self.settings.skip_above is None:
            return None
        if norm is None:
            return gradient_norm(self.weights.trained.values())
        return gathered(norm)

    def _is_usable(self, loss: Tensor, norm: Tensor | None) -> bool:
        """Says whether the step is to be taken; all processes call it together and agree.

        Args:
            loss: of the batch.
            norm: of the gradient before it was clipped; None where nothing hangs on it.
        """
        most = self.settings.skip_above
        if most is not None and norm is not None:
            is_usable_step = is_within(norm, most, loss, self.processes)
            if not is_usable_step:
                self.skipped.note(norm)
            return is_usable_step
        if self.settings.on_nonfinite == "skip":
            return is_usable(loss, self.weights.trained.values(), self.processes)
        return True

    def _count(
        self, state: State, loss: Tensor, terms: Terms, share: Share, is_taken: bool = True
    ) -> None:
        """Counts a step. One that was left out adds nothing to the sums of the epoch."""
        if is_taken:
            self.sums.add(loss, terms, self.objective, share.size)
        else:
            state.skipped += 1
        state.batch += 1
        state.step += 1
