"""What every part is: a frozen value that a recipe can hold."""

import copy
import dataclasses
from typing import Any

from torch import Tensor

from ..specs.registry import describe, from_mapping

DRAWS = 4000


def require(condition: Any, message: str) -> None:
    if not bool(condition):
        raise AssertionError(message)


def require_close(got: Tensor, expected: Tensor, tolerance: float, message: str) -> None:
    error = float((got - expected).abs().max())
    require(error <= tolerance, f"{message}: off by {error:.3g}, allowed {tolerance:.3g}")


def check_spec(spec: Any) -> None:
    """A part is a frozen, hashable value that a recipe can hold: it comes back equal from its own
    description.
    """
    name = type(spec).__name__
    require(dataclasses.is_dataclass(spec), f"{name} must be a dataclass")
    require(
        spec == copy.deepcopy(spec) and hash(spec) == hash(copy.deepcopy(spec)),
        f"{name} must compare and hash by value",
    )
    for field in dataclasses.fields(spec):
        try:
            setattr(spec, field.name, getattr(spec, field.name))
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError(f"{name}.{field.name} can be assigned; the dataclass must be frozen")
    written = describe(spec)
    kept = copy.deepcopy(written)
    again = from_mapping(type(spec), {k: v for k, v in written.items() if k != "type"})
    require(
        written["type"].rpartition(":")[2] == name and again == spec,
        f"{name} does not come back from its description: {spec} became {again}",
    )
    require(
        written == kept, f"{name} changed the table that it was read from: {kept} became {written}"
    )
