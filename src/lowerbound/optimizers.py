"""Optimisers by name: those of `torch.optim`, and what they lack for layers of which a step sees
few rows.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WHOLE = ("Adafactor", "LazyAdam", "Muon", "Rprop")
"""Those that cannot update a weight of which each process has a part."""

BLOCK = 1024
"""Rows that are updated at a time, so that what is computed on the way stays small."""


class LazyAdam(torch.optim.Adam):
    """Adam that updates, of a parameter whose gradient is sparse, only the rows in it, their
    moments included.

    Of several processes the mean gradient is dense; there `seen` says, by parameter, which rows
    (C,) were in that of any process.

    The moments of a row stand still while it is not seen, so this is not Adam (whose moments fade,
    and go on moving it); the bias correction counts all steps. It is what TensorFlow calls
    LazyAdam. Parameters with dense gradients are Adam's.
    """

    takes_sparse = True

    def __init__(self, *args: Any, **options: Any) -> None:
        for name in ("weight_decay", "amsgrad", "maximize", "decoupled_weight_decay"):
            if options.get(name):
                raise ValueError(
                    f"LazyAdam has no {name}, which would have to reach the rows that it leaves "
                    "alone; take Adam"
                )
        super().__init__(*args, **options)
        self.seen: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step."""
        parameters = [
            (group, p, p.grad)
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        lazy = [
            (group, p, gradient)
            for group, p, gradient in parameters
            if gradient.is_sparse or p in self.seen
        ]
        for _, parameter, _ in lazy:
            parameter.grad = None
        loss = super().step(closure)
        for group, parameter, gradient in lazy:
            seen = self.seen.get(parameter)
            self._rows(
                group, parameter, _entries(gradient) if seen is None else (seen, gradient[seen])
            )
            parameter.grad = gradient
        return loss

    def _rows(
        self, group: dict[str, Any], parameter: Tensor, entries: tuple[Tensor, Tensor]
    ) -> None:
        state = self.state[parameter]
        if not state:
            state |= {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        state["step"] += 1
        for rows, values in zip(*(part.split(BLOCK) for part in entries), strict=True):
            self._block(group, parameter, state, rows, values)

    def _block(
        self,
        group: dict[str, Any],
        parameter: Tensor,
        state: dict[str, Tensor],
        rows: Tensor,
        values: Tensor,
    ) -> None:
        step, (beta1, beta2) = float(state["step"]), group["betas"]
        average = state["exp_avg"][rows].lerp_(values, 1 - beta1)
        square = state["exp_avg_sq"][rows].mul_(beta2).addcmul_(values, values, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, average)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        divisor = square.sqrt_().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
        parameter.index_add_(
            0, rows, average.div_(divisor), alpha=-float(group["lr"]) / (1 - beta1**step)
        )


def _entries(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Rows, each once, and their values. The flag that says so is lost on the way, and to coalesce
    again is to sort.
    """
    rows = gradient._indices()[0]
    if bool((rows.diff() > 0).all()):
        return rows, gradient._values()
    coalesced = gradient.coalesce()
    return coalesced.indices()[0], coalesced.values()


def optimizers() -> dict[str, type[torch.optim.Optimizer]]:
    """The optimisers that can be used by name."""
    special = {"LBFGS", "SparseAdam", "Optimizer"}  # they need a closure, or sparse gradients only
    found = {
        n: t
        for n, t in vars(torch.optim).items()
        if isinstance(t, type) and issubclass(t, torch.optim.Optimizer)
    }
    return {name: found[name] for name in sorted(found) if name not in special} | {
        "LazyAdam": LazyAdam
    }
