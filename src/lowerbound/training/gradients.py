"""What is asked of the gradient of a step before the weights are updated by it: its norm, whether
it is finite, and how many steps are left out because of it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributed.processes import Processes
from ..distributed.sharding import gathered, local_part
from ..recipe import Training

NEARLY_ALL = 0.9
"""Where so large a part of the steps of an epoch is left out, the fit says so."""


def is_true_in_all(condition: Tensor, processes: Processes) -> bool:
    """Says whether a condition (a scalar) is true in all processes, which call it together."""
    if processes.world > 1:
        return bool(processes.gather(condition.int()).all())
    return bool(condition)


def is_usable(loss: Tensor, parameters: Iterable[Tensor], processes: Processes) -> bool:
    """Says whether the loss and the gradient are finite in all processes, so that a step works."""
    sums = [loss.detach()]
    for gradient in _gradients(parameters):
        sums.append(local_part(gradient).sum())
    is_finite = torch.stack(sums).isfinite().all()
    return is_true_in_all(is_finite, processes)


def is_within(norm: Tensor, most: float, loss: Tensor, processes: Processes) -> bool:
    """Says whether the norm of the gradient is at most so large, and the loss finite, in all
    processes, which call it together. A norm that is NaN is none.
    """
    is_good = (norm <= most) & loss.detach().isfinite()
    return is_true_in_all(is_good, processes)


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Computes the Euclidean norm of the gradients of all parameters together, a scalar.

    Of parameters in parts all processes call it together, and get the norm of the whole.
    """
    return gathered(torch.nn.utils.get_total_norm(_gradients(parameters)))


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Lists the gradients that there are; of a sparse one the values, each row once."""
    gradients = []
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        if gradient.is_sparse:
            gradient = gradient.coalesce().values()
        gradients.append(gradient)
    return gradients


# Steps that are left out ------------------------------------------------------------------------


@dataclass
class Skipped:
    """What is known of the steps of an epoch that were left out, beside their number.

    Attributes:
        least_norm: the smallest finite norm of a gradient that was above `training.skip_above`.
    """

    least_norm: float = math.inf

    def note(self, norm: Tensor) -> None:
        """Notes the norm of the gradient of a step that is left out."""
        value = float(norm)
        if math.isfinite(value):
            self.least_norm = min(self.least_norm, value)

    def reset(self) -> None:
        """Begins another epoch."""
        self.least_norm = math.inf


def counts_skipped(settings: Training) -> bool:
    """Says whether steps may be left out, so that they are counted in the metrics."""
    return settings.on_nonfinite == "skip" or settings.skip_above is not None


def skipped_warning(
    settings: Training, epoch: int, skipped: int, steps: int, least_norm: float
) -> str:
    """Words what is wrong where nearly all steps of an epoch are left out, and what to do.

    Args:
        settings: of the training.
        epoch: its number, from 1.
        skipped: the number of its steps that were left out.
        steps: the number of all its steps.
        least_norm: the smallest norm of a gradient that was too large; infinite if none is known.
    """
    line = f"{skipped} of the {steps} steps of epoch {epoch} were left out"
    most = settings.skip_above
    if most is None or not math.isfinite(least_norm):
        return (
            f"{line}, because their losses or gradients are not finite; try a smaller "
            "training.learning_rate"
        )
    return (
        f"{line}, because the norm of their gradient is above training.skip_above={most:g}; the "
        f"smallest is {least_norm:.4g}: raise training.skip_above, which is for nats per example, "
        "or set it to none"
    )
