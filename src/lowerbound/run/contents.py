"""What the files of a run folder may hold."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch.nn.modules.module import register_module_parameter_registration_hook

from ..data import Schema
from ..errors import DataError, RunError, one_line
from ..model import VAE
from ..recipe import Recipe
from ..specs.wording import explain
from ..system.files import read_json, within
from ..system.weights import load_tensors, load_weights

FORMAT = 1
"""Version of the run folder; a folder of another version is refused."""


def build(plan: Recipe, schema: Schema) -> VAE:
    """A new model of this recipe for data of this schema."""
    return plan.model.build(schema.shape, sparse=schema.kind == "interactions")


def read_table(folder: Path, name: str) -> dict[str, Any]:
    """What a JSON file of a run holds. RunError if that is no table of names and values."""
    found = read_json(within(folder, name))
    if not isinstance(found, dict):
        raise RunError(
            f"{folder / name} does not hold what a run wrote: a table is needed, got a "
            f"{type(found).__name__}"
        )
    return found


class _Typed(BaseModel):
    """What a file of a run must hold for those who read it; it may hold more."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Fingerprint(_Typed):
    train: int = 0
    validation: int = 0
    test: int = 0


class Facts(_Typed):
    """data.json, beside its schema."""

    fingerprint: _Fingerprint = _Fingerprint()


class _Summary(_Typed):
    """summary.json."""

    epochs: Annotated[int, Field(ge=1, le=2**53)]
    best_epoch: Annotated[int, Field(ge=0)]  # 0: no epoch had a finite one
    seconds: Annotated[float, Field(ge=0)]
    examples_per_second: float | None = None
    train: dict[str, Any] | None = None
    validation: dict[str, Any] | None = None
    test: dict[str, Any] | None = None
    facts: dict[str, float] = {}
    versions: dict[str, str] = {}
    hardware: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "_Summary":
        if self.best_epoch > self.epochs:
            raise ValueError(f"the best epoch, {self.best_epoch}, is after the last, {self.epochs}")
        lacking = (
            {"read", "kept", "users", "items", "density"} - self.facts.keys() if self.facts else ()
        )
        if lacking:
            raise ValueError(f"the facts lack {', '.join(sorted(lacking))}")
        return self


def read_summary(folder: Path) -> dict[str, Any]:
    """What `fit` found. RunError if it is not what a run wrote."""
    return refuse_mistyped(_Summary, read_table(folder, "summary.json"), folder / "summary.json")


def refuse_mistyped(kind: type[_Typed], table: dict[str, Any], path: Path) -> dict[str, Any]:
    """The table itself. RunError if it is not of this kind."""
    try:
        kind.model_validate(table)
    except ValidationError as error:
        raise RunError(
            one_line(f"{path} does not hold what a run wrote: {explain(error)}")
        ) from None
    return table


def read_model(plan: Recipe, schema: Schema, path: Path) -> VAE:
    """The model of a run with its weights.

    It is drafted without memory first: a recipe may ask for any size, and only one that fits the
    weights is built.

    Raises:
        RunError: the weights are damaged, or those of another model.
    """
    try:
        tensors = load_tensors(path)
    except RunError as error:
        raise RunError(one_line(error)) from None
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(kinds) != 1 or not kinds <= {
        torch.float32,
        torch.float64,
        torch.float16,
        torch.bfloat16,
    }:
        got = ", ".join(sorted(map(str, kinds))) or "none"
        raise RunError(
            f"{path} has weights of these types: {one_line(got, 100)}; allowed: one, of 16, 32 or 64 "
            "bits"
        )
    try:
        with torch.device("meta"), _at_most(4 * len(tensors) + 16):
            draft = build(plan, schema)
            load_weights(draft, {name: tensor.to("meta") for name, tensor in tensors.items()}, path)
        model = build(plan, schema).to(
            torch.float64 if kinds == {torch.float64} else torch.float32
        )  # NumPy has no bfloat16
        load_weights(model, tensors, path)
    except (RunError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise RunError(
            one_line(f"{path} does not fit the recipe and the data of its run: {error}")
        ) from None
    return model


@contextmanager
def _at_most(parameters: int) -> Iterator[None]:
    """Within it no more parameters than these are made. RunError for the first that is too much."""
    made = itertools.count(1)

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> None:
        if next(made) > parameters:
            raise RunError(
                f"the recipe asks for more than {parameters} tensors of parameters, far more than "
                "there are"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def read_schema(facts: dict[str, Any], folder: Path) -> Schema:
    try:
        return Schema.from_json(facts["schema"])
    except (KeyError, TypeError, AttributeError, DataError) as error:
        raise RunError(
            one_line(f"{folder / 'data.json'} does not describe the data of a run: {error}")
        ) from error
