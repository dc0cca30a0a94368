"""What every part is, a frozen value that a recipe can hold, and the tools of all checks."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..specs.registry import describe, from_mapping

DRAWS = 4000
"""The number of samples that a check compares with a density."""


STEP = 0.1
"""How far `moved` moves the weights of a module, as a standard deviation."""


@torch.no_grad()
def moved(module: nn.Module) -> nn.Module:
    """Moves the weights of a module a little from where they start, and returns it.

    A part may start where it has nothing to show: a flow that starts as the identity does not
    depend on its first layers there.
    """
    for weight in module.parameters():
        if weight.requires_grad:
            weight.add_(STEP * torch.randn_like(weight))
    return module


def require(condition: Any, message: str) -> None:
    """Raises an AssertionError with this message unless the condition holds."""
    if not bool(condition):
        raise AssertionError(message)


def require_close(values: Tensor, expected: Tensor, tolerance: float, message: str) -> None:
    """Raises an AssertionError where a value is off by more than the tolerance."""
    error = float((values - expected).abs().max())
    require(error <= tolerance, f"{message}: off by {error:.3g}, allowed {tolerance:.3g}")


def require_shape(what: str, value: Tensor, wanted: tuple[int, ...]) -> None:
    """Raises an AssertionError unless a tensor has this shape."""
    shape = tuple(value.shape)
    require(shape == wanted, f"{what} has shape {shape}, wanted {wanted}")


def require_gradients(name: str, loss: Tensor, leaves: Sequence[Tensor]) -> None:
    """Raises an AssertionError unless each leaf has a finite gradient of the loss, not all zero."""
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    for i, gradient in enumerate(gradients):
        require(gradient.isfinite().all(), f"{name}: parameter {i} has no finite gradient")
        require((gradient != 0).any(), f"{name}: no gradient reaches parameter {i}")


def check_spec(spec: Any) -> None:
    """Checks that a part is a frozen, hashable value that comes back from its own description.

    Raises:
        AssertionError: says which law was broken.
    """
    name = type(spec).__name__
    require(dataclasses.is_dataclass(spec), f"{name} must be a dataclass")
    twin = copy.deepcopy(spec)
    require(
        spec == twin and hash(spec) == hash(twin),
        f"{name} must compare and hash by value",
    )
    for field in dataclasses.fields(spec):
        _refuse_assignment(spec, field.name)
    written = describe(spec)
    before = copy.deepcopy(written)
    settings = {key: value for key, value in written.items() if key != "type"}
    again = from_mapping(type(spec), settings)
    require(
        written["type"].rpartition(":")[2] == name and again == spec,
        f"{name} does not come back from its description: {spec} became {again}",
    )
    require(
        written == before,
        f"{name} changed the table that it was read from: {before} became {written}",
    )


def _refuse_assignment(spec: Any, field: str) -> None:
    """Raises an AssertionError if a field of a part can be assigned."""
    try:
        setattr(spec, field, getattr(spec, field))
    except dataclasses.FrozenInstanceError:
        return
    raise AssertionError(
        f"{type(spec).__name__}.{field} can be assigned; the dataclass must be frozen"
    )
