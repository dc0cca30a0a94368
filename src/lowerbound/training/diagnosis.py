"""What is done about numbers that are not finite: they are found, and the error says what is wrong.

A loss becomes NaN or infinite by itself, or because a step before it made the weights so.
"""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ..distributed.processes import Processes, noise_of
from ..errors import NonFiniteError
from ..evaluation.batches import placed
from ..objectives import Objective
from .checkpoint import latest_checkpoint
from .loader import Loader
from .state import State
from .weights import Weights


def broken_weight(model: torch.nn.Module, names: Collection[str]) -> str | None:
    """Names the first of these parameters that is not finite, and says what it holds."""
    for name, parameter in model.named_parameters():
        if name in names and not parameter.isfinite().all():
            value = "NaN" if parameter.isnan().any() else "infinity"
            return f"{name} holds {value}"
    return None


class Diagnosis:
    """It stops a fit at numbers that are not finite, with an error that says where they come from.

    Args:
        weights: of the fit.
        loader: reads the batch of a step again.
        objective: of the fit.
        samples: draws of z for each example in a step.
        columns: of `EpochSums`.
        checkpoints: folder of the checkpoints, or None.
    """

    def __init__(
        self,
        weights: Weights,
        loader: Loader,
        objective: Objective,
        samples: int,
        columns: list[str],
        checkpoints: Path | None,
    ) -> None:
        self.weights = weights
        self.loader = loader
        self.objective = objective
        self.samples = samples
        self.terms: list[str] = columns[2:]
        self.processes: Processes = loader.processes
        self.checkpoints = checkpoints

    def refuse_nonfinite_losses(self, metrics: Tensor, state: State) -> None:
        """Looks for a loss that is not finite in the last steps. All processes call it together.

        The loss alone decides. A rate may be infinite where the objective does not use it.

        Args:
            metrics: of these steps, (steps, columns) of `EpochSums`, the last step last.
            state: of the fit.

        Raises:
            NonFiniteError: names the step, the terms and the culprit; the same in all processes.
        """
        metrics = self.processes.gather(metrics).sum(0)
        bad_rows = (~metrics[:, 0].isfinite()).nonzero().flatten()
        if len(bad_rows) == 0:
            return
        first = int(bad_rows[0])
        steps_back = len(metrics) - first
        loss = float(metrics[first, 0])
        names = []
        for name, value in zip(self.terms, metrics[first, 2:], strict=True):
            if not value.isfinite():
                names.append(name)
        terms = ", ".join(names) or "none of its terms"
        step = state.step - steps_back
        raise NonFiniteError(
            f"the loss became {loss} at step {step}; not finite: {terms}; "
            f"{self._culprit(state, steps_back)}; {self._advice()}"
        )

    def refuse_broken_weights(self, state: State) -> None:
        """Looks for weights that are not finite.

        After a finite loss they come from a gradient that is not finite, or a step that is too
        large.

        Raises:
            NonFiniteError: names the weight.
        """
        broken = broken_weight(self.weights.model, self.weights.trained)
        if broken:
            step = state.step - 1
            raise NonFiniteError(
                f"the gradient became infinite or NaN at step {step} or shortly before it, under a "
                f"finite loss: {broken}; {self._advice()}"
            )

    def _advice(self) -> str:
        kept = "there is no checkpoint yet"
        if self.checkpoints:
            last = latest_checkpoint(self.checkpoints)
            if last:
                kept = f"the last good checkpoint is {last}"
        return f"{kept}; try a smaller learning_rate, or clip, or training.on_nonfinite=skip"

    def _culprit(self, state: State, steps_back: int) -> str:
        """Says where the numbers of a step went wrong.

        It is a weight that is not finite, or else the layer with the largest output when the step
        is computed again.
        """
        self.weights.gather()
        broken = broken_weight(self.weights.model, self.weights.trained)
        if broken and steps_back == 1:
            return f"the gradient before it was not finite: {broken}"
        if broken:
            return f"the weights went wrong with it, or after it: {broken}"
        order = self.loader.order(state.epoch)
        batch = state.batch - steps_back
        x, share = self.loader.read(order, batch, state.step - steps_back)
        model = self.weights.model
        with torch.no_grad(), noise_of(share), largest_outputs(model) as largest:
            model.terms(placed(model, x), self.samples, self.objective.kl)
        layers = list(largest)
        sizes = torch.tensor(list(largest.values()))
        sizes = sizes.nan_to_num(nan=math.inf, posinf=math.inf)
        sizes = self.processes.gather(sizes).amax(0)
        position = int(sizes.argmax())
        size = float(sizes[position])
        return f"the largest output is {size:.3g}, of {layers[position]}"


@contextmanager
def largest_outputs(model: torch.nn.Module) -> Iterator[dict[str, float]]:
    """Yields the largest absolute output of each layer of what is computed in the block.

    The keys are the names and kinds of the layers.
    """
    largest: dict[str, float] = {}

    def make_hook(name: str) -> Callable:
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                key = f"{name} ({type(module).__name__})"
                largest[key] = output.detach().abs().max().item()

        return hook

    hooks = []
    for name, module in model.named_modules():
        is_layer = not list(module.children())
        if is_layer:
            hooks.append(module.register_forward_hook(make_hook(name)))
    try:
        yield largest
    finally:
        for hook in hooks:
            hook.remove()
