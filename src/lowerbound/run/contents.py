"""Readers of the files of a run folder, which refuse what no run has written."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook

from ..baselines.partner import Partner
from ..data import Schema
from ..errors import DataError, RunError, one_line
from ..model import VAE
from ..recipe import Recipe
from ..specs.wording import explain
from ..system.files import is_file, read_json, within
from ..system.weights import load_metadata, load_tensors, load_weights
from ..training.checkpoint import averages_in, load_checkpoint

FORMAT = 1
"""The version of the run folder; a folder of another version is refused."""

PARTNER = "partner.safetensors"
"""The file of the linear method beside the network of a recommender."""

FILES = (
    "recipe.toml",
    "data.json",
    "items.parquet",
    "conditions.safetensors",
    "metrics.csv",
    "model.safetensors",
    PARTNER,
    "summary.json",
    "reference.json",
    "calibration.json",
)
"""The files of a finished run that are needed to use it, or tell how it was fitted; a run has those
that its data give it. Checkpoints, reports and what trackers write are left out.
"""


def build(plan: Recipe, schema: Schema) -> VAE:
    """Builds a new model of this recipe for data of this schema."""
    return plan.model.build(
        schema.shape, sparse=schema.is_sparse, columns=schema.table, given=schema.given
    )


def read_table(folder: Path, name: str) -> dict[str, Any]:
    """Reads a JSON file of a run.

    Raises:
        RunError: the file does not hold a table of names and values.
    """
    content = read_json(within(folder, name))
    if not isinstance(content, dict):
        raise RunError(
            f"{folder / name} does not hold what a run wrote: a table is needed, got a "
            f"{type(content).__name__}"
        )
    return content


class Typed(BaseModel):
    """The values that a file of a run must hold for its readers; the file may hold more."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Fingerprint(Typed):
    train: int = 0
    validation: int = 0
    test: int = 0


class Facts(Typed):
    """The content of data.json, without its schema."""

    fingerprint: _Fingerprint = _Fingerprint()
    facts: dict[str, Any] = {}


FACTS_OF_INTERACTIONS = {"read", "kept", "users", "items", "density"}
"""The names of the facts that a run on interactions tells of its data; other runs have no facts."""


class _Summary(Typed):
    """The content of summary.json."""

    epochs: Annotated[int, Field(ge=1, le=2**53)]
    best_epoch: Annotated[int, Field(ge=0)]  # 0: no epoch had a finite measure
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
        if self.facts:
            missing = FACTS_OF_INTERACTIONS - self.facts.keys()
            if missing:
                raise ValueError(f"the facts lack {', '.join(sorted(missing))}")
        return self


def read_summary(folder: Path) -> dict[str, Any]:
    """Reads the summary of a fit. RunError if it is not what a run wrote."""
    summary = read_table(folder, "summary.json")
    return refuse_mistyped(_Summary, summary, folder / "summary.json")


def figures_of_split(row: Mapping[str, float], split: str) -> dict[str, Any] | None:
    """Returns the columns of one split in a row of the metrics, as the summary holds them.

    The rates are one list. None where the row has no column of the split.
    """
    prefix = f"{split}_"
    figures: dict[str, Any] = {}
    rates = []
    for column, value in row.items():
        name = column.removeprefix(prefix)
        if not column.startswith(prefix):
            continue
        if name.startswith("rate_"):
            rates.append(value)
        else:
            figures[name] = value
    if rates:
        figures["rate"] = rates
    return figures or None


def refuse_mistyped(kind: type[Typed], table: dict[str, Any], path: Path) -> dict[str, Any]:
    """Gives the table as it is. RunError if its values are not of this kind."""
    try:
        kind.model_validate(table)
    except ValidationError as error:
        message = f"{path} does not hold what a run wrote: {explain(error)}"
        raise RunError(one_line(message)) from None
    return table


WEIGHT_TYPES = {torch.float32, torch.float64, torch.float16, torch.bfloat16}
"""The weights of a run have one of these types."""


class _Progress(Typed):
    """The values of a checkpoint's state that are read of a run that was stopped."""

    epoch: Annotated[int, Field(ge=0, le=2**53)]
    step: Annotated[int, Field(ge=0, le=2**53)]
    best_epoch: Annotated[int, Field(ge=0)]
    history: list[dict[str, Annotated[float, AllowInfNan()]]]
    seconds: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _consistent(self) -> "_Progress":
        if not self.best_epoch <= self.epoch == len(self.history):
            raise ValueError("its epochs do not agree")
        return self


class Stopped(NamedTuple):
    """What a run has come to that was not finished.

    Attributes:
        tensors: the best weights so far, or the last ones where no epoch is done.
        summary: what is known of `summary.json`.
        note: says in a sentence what these weights are.
    """

    tensors: dict[str, Tensor]
    summary: dict[str, Any]
    note: str


def read_stopped(folder: Path, epochs: int) -> Stopped:
    """Reads what a run has come to out of its newest whole checkpoint.

    Args:
        folder: of the run.
        epochs: that its recipe plans.

    Raises:
        RunError: no checkpoint is whole, or they are none of a run.
    """
    checkpoints = within(folder, "checkpoint")
    groups, state = load_checkpoint(checkpoints, ("model", "best", "average"))
    refuse_mistyped(_Progress, state, checkpoints / "state.json")
    epoch = state["epoch"]
    best_epoch = state["best_epoch"]
    if not epoch or not groups.get("best"):
        note = f"the run is unfinished: these are its weights after step {state['step']:,}"
        weights = groups.get("model", {}) | averages_in(groups.get("average", {}))
        return Stopped(weights, {}, note)
    row = state["history"][best_epoch - 1]
    summary = {
        "run": str(folder),
        "epochs": epoch,
        "best_epoch": best_epoch,
        "seconds": state["seconds"],
        "test": None,
    }
    for split in ("train", "validation"):
        summary[split] = figures_of_split(row, split)
    note = f"the run is unfinished, in epoch {min(epoch + 1, epochs):,} of {epochs:,}: these are"
    return Stopped(
        groups["best"], summary, f"{note} its best weights so far, of epoch {best_epoch}"
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads the weights of a finished run. RunError if they are damaged."""
    try:
        return load_tensors(path)
    except RunError as error:
        raise RunError(one_line(error)) from None


def read_model(plan: Recipe, schema: Schema, tensors: Mapping[str, Tensor], path: Path) -> VAE:
    """Builds the model of a run with its weights.

    A recipe may ask for a model of any size. So a draft without memory is built first, and the
    model itself only where the draft fits the weights.

    Args:
        plan: of the run.
        schema: of its data.
        tensors: the weights.
        path: where they were read, for messages.

    Raises:
        RunError: the weights are damaged, or those of another model.
    """
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(kinds) != 1 or not kinds <= WEIGHT_TYPES:
        got = ", ".join(sorted(map(str, kinds))) or "none"
        raise RunError(
            f"{path} has weights of these types: {one_line(got, 100)}; allowed: one, of 16, 32 or "
            "64 bits"
        )
    # Weights of 16 bits become 32 bits, since NumPy has no bfloat16.
    dtype = torch.float32
    if kinds == {torch.float64}:
        dtype = torch.float64
    try:
        with torch.device("meta"), _limited_parameters(4 * len(tensors) + 16):
            draft = build(plan, schema)
            shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
            load_weights(draft, shapes, path)
        model = build(plan, schema).to(dtype)
        load_weights(model, tensors, path)
    except (RunError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        message = f"{path} does not fit the recipe and the data of its run: {error}"
        raise RunError(one_line(message)) from None
    return model


@contextmanager
def _limited_parameters(limit: int) -> Iterator[None]:
    """Limits how many tensors of parameters are made within it. RunError for the first beyond."""
    made = itertools.count(1)

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> None:
        if next(made) > limit:
            raise RunError(
                f"the recipe asks for more than {limit} tensors of parameters, far more than "
                "there are"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def read_partner(
    folder: Path, items: int, summary: Mapping[str, Any] | None = None
) -> Partner | None:
    """Reads the linear method beside the network of a recommender; None where there is none.

    Args:
        folder: of the run.
        items: of its catalogue.
        summary: what the fit found; where it tells of a linear method, that must be there.

    Raises:
        RunError: the file is damaged, is of another catalogue, or is not there and should be.
    """
    path = within(folder, PARTNER)
    if not is_file(path):
        blend = (summary or {}).get("blend")
        if isinstance(blend, dict) and blend.get("partner"):
            raise RunError(
                f"{folder / PARTNER} is missing: the run ranks by it; copy it from where the run "
                "was fitted, or finish the fit again with fit --resume"
            )
        return None
    try:
        return Partner.of_file(load_tensors(path), load_metadata(path), items)
    except DataError as error:
        raise RunError(f"{path} does not hold what a run wrote: {error}") from None


def is_refitted(summary: Mapping[str, Any]) -> bool:
    """Says whether the linear method beside the network was fitted to the validation split too."""
    blend = summary.get("blend")
    return isinstance(blend, dict) and bool(blend.get("refitted"))


def read_schema(facts: dict[str, Any], folder: Path) -> Schema:
    """Reads the schema out of the content of data.json. RunError if it describes no data."""
    try:
        return Schema.from_json(facts["schema"])
    except (KeyError, TypeError, AttributeError, DataError) as error:
        path = folder / "data.json"
        message = f"{path} does not describe the data of a run: {error}"
        raise RunError(one_line(message)) from error
