"""Optimisers by name: those of `torch.optim`, and a lazy Adam for tables with sparse gradients."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WHOLE = ("Adafactor", "LazyAdam", "Muon", "Rprop")
"""Optimisers that need whole weights: they cannot update a process's part of a sharded weight."""

BLOCK_ROWS = 1024
"""`LazyAdam` updates this many rows at a time, so that its temporary tensors stay small."""


class LazyAdam(torch.optim.Adam):
    """Adam that updates, of a parameter whose gradient is sparse, only the rows in it, their
    moments included.

    The moments of a row stay as they are in a step that does not see the row. This differs from
    Adam, whose moments decay in every step and keep moving the row. The bias correction counts all
    steps. TensorFlow calls this optimiser LazyAdam. Parameters with dense gradients are updated as
    by Adam.

    Attributes:
        seen: for each parameter that several processes share, the rows (C,) that occur in the
            gradient of any process. The mean gradient over processes is dense and does not show
            them.
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
        """Takes one optimisation step and returns the loss of the closure, if there is one."""
        row_updates = []
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                if gradient.is_sparse or parameter in self.seen:
                    row_updates.append((group, parameter, gradient))
        # Adam's own step leaves out parameters without a gradient.
        for _, parameter, _ in row_updates:
            parameter.grad = None
        loss = super().step(closure)
        for group, parameter, gradient in row_updates:
            if parameter in self.seen:
                rows = self.seen[parameter]
                values = gradient[rows]
            else:
                rows, values = _distinct_rows(gradient)
            self._update_rows(group, parameter, rows, values)
            parameter.grad = gradient
        return loss

    def _update_rows(
        self, group: dict[str, Any], parameter: Tensor, rows: Tensor, values: Tensor
    ) -> None:
        """Updates some rows (C,) of a parameter, whose gradients are `values` (C, d)."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        row_blocks = rows.split(BLOCK_ROWS)
        value_blocks = values.split(BLOCK_ROWS)
        for block_rows, block_values in zip(row_blocks, value_blocks, strict=True):
            self._update_block(group, parameter, state, block_rows, block_values)

    def _update_block(
        self,
        group: dict[str, Any],
        parameter: Tensor,
        state: dict[str, Tensor],
        rows: Tensor,
        values: Tensor,
    ) -> None:
        step = float(state["step"])
        beta1, beta2 = group["betas"]
        average = state["exp_avg"][rows]
        average.lerp_(values, 1 - beta1)
        state["exp_avg"].index_copy_(0, rows, average)
        square = state["exp_avg_sq"][rows]
        square.mul_(beta2).addcmul_(values, values, value=1 - beta2)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        # From here on the two temporary tensors hold the parts of the update.
        divisor = square.sqrt_()
        divisor.div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
        step_size = float(group["lr"]) / (1 - beta1**step)
        parameter.index_add_(0, rows, average.div_(divisor), alpha=-step_size)


def _distinct_rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the rows (C,) of a sparse gradient, each of them once, and their values (C, d).

    Autograd loses the flag `is_coalesced` of the gradient. `coalesce` would then sort rows that are
    in ascending order already, so that order is looked for first.
    """
    rows = gradient._indices()[0]
    if bool((rows.diff() > 0).all()):
        return rows, gradient._values()
    coalesced = gradient.coalesce()
    return coalesced.indices()[0], coalesced.values()


def optimizers() -> dict[str, type[torch.optim.Optimizer]]:
    """Returns the optimisers that a recipe can name, by name."""
    # These need a closure, or sparse gradients only. `specs/listing.py` reads this set, too.
    special = {"LBFGS", "SparseAdam", "Optimizer"}
    by_name = {}
    for name, value in sorted(vars(torch.optim).items()):
        is_optimizer = isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
        if is_optimizer and name not in special:
            by_name[name] = value
    by_name["LazyAdam"] = LazyAdam
    return by_name
