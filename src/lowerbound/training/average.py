"""An exponential moving average of the weights (Polyak & Juditsky 1992; in the form that is usual
for deep networks), which is what is measured and kept in the place of the weights themselves.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ..distributed.sharding import laid_out, local_part
from ..system.weights import refuse_other_tensors
from .checkpoint import UPDATES, averages_in


class Average:
    """An exponential moving average of all floating-point weights and buffers of a model.

    Update number t (from 0) makes of an average a and of the present weights w

        a <- d a + (1 - d) w, where d = min(decay, (1 + t) / (10 + t)).

    The second number lets the average forget the random weights of the start: after t updates it
    looks back over about t / 9 of them, until `decay` looks back less far. What is constant is its
    own average, to the last bit.

    Args:
        learner: the model in training; in parts where training is fully sharded.
        decay: d in the long run, between 0 and 1; it looks back over 1 / (1 - d) updates.

    Attributes:
        weights: the averages by the names of the learner's state, (*weight) each.
        updates: how many there were.
    """

    def __init__(self, learner: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates: int = 0
        self._present: dict[str, Tensor] = _averaged(learner)
        self.weights: dict[str, Tensor] = {
            name: tensor.detach().clone() for name, tensor in self._present.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Takes the present weights into the average; it is called after each step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages = [local_part(tensor) for tensor in self.weights.values()]
        present = [local_part(tensor.detach()) for tensor in self._present.values()]
        torch._foreach_lerp_(averages, present, 1 - decay)
        self.updates += 1

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Lets the model have the averages for its weights within a block.

        The two change places, one tensor after the other, so that no third copy is held.
        """
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in self._present.items():
            average = local_part(self.weights[name])
            weight = local_part(tensor.detach())
            before = weight.clone()
            weight.copy_(average)
            average.copy_(before)

    def to_tensors(self) -> dict[str, Tensor]:
        """Returns the group "average" of a checkpoint."""
        return self.weights | {UPDATES: torch.tensor(self.updates)}

    def load(self, tensors: Mapping[str, Tensor], source: Path) -> None:
        """Takes the averages and the number of updates from the group "average" of a checkpoint.

        Raises:
            RunError: they are those of another model; the message names `source`.
            ValueError: a number is not finite, or the number of updates is none.
        """
        weights = averages_in(tensors)
        updates = tensors[UPDATES]
        refuse_other_tensors(self.weights, weights, source)
        if updates.shape or updates.is_floating_point() or updates < 0:
            raise ValueError("its average has no number of updates")
        for name, tensor in weights.items():
            if not tensor.isfinite().all():
                raise ValueError(f"its average of {name} is not finite")
            present = self._present[name].detach()
            self.weights[name] = laid_out(tensor.to(present.dtype), present)
        self.updates = int(updates)


def _averaged(learner: nn.Module) -> dict[str, Tensor]:
    """Returns the tensors of a model of which there is an average, by name."""
    state = learner.state_dict()
    averaged: dict[str, Tensor] = {}
    for name, tensor in (*learner.named_parameters(), *learner.named_buffers()):
        if name in state and tensor.is_floating_point():
            averaged[name] = tensor
    return averaged
