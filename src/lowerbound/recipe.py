"""Recipes: a typed description of a fit <-> TOML, one table for each thing that is decided.

The tables are `about`, `data`, `model`, `objective`, `training`, `report` and `tracking`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field, PositiveInt, TypeAdapter, ValidationError, field_validator

from .data import Data
from .errors import ConfigError, one_line, unknown
from .families import Delta
from .model import Architecture
from .objectives import AnyObjective, Elbo
from .optimizers import WHOLE, optimizers
from .schedules import AnySchedule, Constant
from .specs.checked import checked
from .specs.registry import table, values
from .specs.wording import explain
from .system.files import exists
from .tracking import Tracking


@checked
class About:
    """What a recipe is for; free text, shown by `lowerbound list recipes`."""

    title: str = ""
    source: str = ""
    expected: str = ""
    measured: str = ""


@checked
class Phase:
    """Some epochs in which a part of the model is trained.

    Args:
        epochs: how many, before the next phase.
        trains: "all", or only the "latents" (encoder, priors between levels) or the "decoder".
        noise: whether the noise of the encoder is on.
    """

    epochs: PositiveInt = 1
    trains: Literal["all", "latents", "decoder"] = "all"
    noise: bool = True


@checked
class Training:
    """How a model is fitted.

    Args:
        epochs: at most this many passes over the training split.
        batch_size: examples in one optimiser step, over all processes together.
        samples: Monte-Carlo samples of z for each example (L, or the k of the importance-weighted
        bound).
        optimizer: name of an optimiser of torch.optim.
        optimizer_options: further arguments of it.
        learning_rate: its step size, multiplied by `schedule`.
        schedule: factor of the learning rate over the run.
        phases: gone through in turn, again and again, until the epochs are over; none: all of the
        model in every epoch.
        clip: largest norm of the gradient; None does not clip.
        monitor: what chooses the best weights on the validation split: "objective", or of
            interactions a ranking metric such as "ndcg@100" (of the whole list where there are
            fewer items than that).
        validate_every: epochs between looks at the validation split; the last epoch always has one.
        patience: epochs without a better value of it before training stops; None goes on to the
        end.
        checkpoint_every: epochs between checkpoints; there is always one at the end.
        checkpoint_steps: optimiser steps between checkpoints within an epoch; None: none by steps.
        checkpoint_seconds: seconds after which there is a checkpoint within an epoch; None: none by
        time.
        on_nonfinite: what a loss or gradient that is NaN or infinite does: "stop" ends the fit,
            "skip" leaves the step out and counts it in the metrics (which costs a look at the
            gradient at every step).
        accelerator: "auto" takes a GPU if there is one.
        devices: number of processes on this machine, each with its device.
        nodes: number of machines, each with as many processes, started on each by torchrun.
        strategy: how several processes hold the model: "ddp": each has a whole copy; "fsdp": each
            keeps a part of the weights, of their gradient and of the optimiser's state, and the
            whole for the time of a step or a measure.
        precision: of the matrix products.
        compile: compile the model with torch.compile, the same function in fewer and larger steps;
            it takes some ten seconds at the start, and needs a C++ compiler. "auto": where it pays,
            for small models and long runs of one process.
        threads: for the matrix products of a process; "auto": as many as the operations of a step
            keep busy, at most those that PyTorch has. A small model is faster on one.
        seed: of the weights, the order of the data and the noise.
    """

    epochs: PositiveInt = 30
    batch_size: PositiveInt = 100
    samples: PositiveInt = 1
    optimizer: str = "Adam"
    optimizer_options: dict[str, bool | int | float | tuple[float, ...]] = field(
        default_factory=dict
    )
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: AnySchedule = Constant()
    phases: tuple[Annotated[Phase, table(Phase)], ...] = ()
    clip: float | None = Field(default=None, gt=0)
    monitor: str = "objective"
    validate_every: PositiveInt = 1
    patience: PositiveInt | None = None
    checkpoint_every: PositiveInt = 10
    checkpoint_steps: PositiveInt | None = None
    checkpoint_seconds: float | None = Field(default=300.0, gt=0)
    on_nonfinite: Literal["stop", "skip"] = "stop"
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: PositiveInt = 1
    nodes: PositiveInt = 1
    strategy: Literal["ddp", "fsdp"] = "ddp"
    precision: Literal["32-true", "bf16-mixed", "64-true"] = "32-true"
    compile: bool | Literal["auto"] = "auto"
    threads: PositiveInt | Literal["auto"] = "auto"
    seed: int = Field(default=0, ge=0, lt=2**63)

    def __post_init__(self) -> None:
        if self.phases and self.devices * self.nodes > 1:
            raise ValueError(
                f"phases are for one process, got devices={self.devices}, nodes={self.nodes}"
            )
        if self.strategy == "fsdp":
            self._refuse_unsharded()

    def _refuse_unsharded(self) -> None:
        if self.compile is True:
            raise ValueError(
                "strategy='fsdp' is for models as they are, got compile=True; allowed: false, "
                "'auto'"
            )
        if self.optimizer in WHOLE:
            allowed = ", ".join(name for name in optimizers() if name not in WHOLE)
            raise ValueError(
                f"strategy='fsdp': {self.optimizer} needs whole weights; allowed: {allowed}"
            )

    @field_validator("optimizer_options")
    @classmethod
    def _without_rate(cls, options: dict[str, Any]) -> dict[str, Any]:
        if "lr" in options:
            raise ValueError("lr is training.learning_rate, not an option")
        return options

    @field_validator("optimizer")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in optimizers():
            raise ValueError(unknown("optimizer", name, optimizers()))
        return name


@checked
class Reporting:
    """The report that a fit writes at its end.

    Args:
        write: whether it does.
        points: examples on a map of the latent space, at most.
        projection: of latent spaces of more than two dimensions, beside the principal components:
            "tsne" of scikit-learn, or "opentsne" or "umap" where these libraries are installed.
    """

    write: bool = True
    points: PositiveInt = 5000
    projection: Literal["tsne", "opentsne", "umap"] = "tsne"


@checked
class Recipe:
    """Everything that decides a fit."""

    data: Annotated[Data, table(Data)]
    about: Annotated[About, table(About)] = About()
    model: Annotated[Architecture, table(Architecture)] = Architecture()
    objective: AnyObjective = Elbo()
    training: Annotated[Training, table(Training)] = Training()
    report: Annotated[Reporting, table(Reporting)] = Reporting()
    tracking: Annotated[Tracking, table(Tracking)] = Tracking()

    def __post_init__(self) -> None:
        if isinstance(self.model.posterior, Delta) and self.objective.has_bound:
            got = type(self.objective).__name__
            raise ValueError(
                f"a Delta posterior has no bound: the objective must be Reconstruction, got {got}"
            )

    def describe(self) -> dict[str, Any]:
        """Plain tables, every default written out, as TOML can hold them."""
        return values(self)

    def to_toml(self) -> str:
        """The recipe as TOML, every default written out."""
        return tomli_w.dumps(self.describe())

    def replace(self, settings: Mapping[str, Any]) -> "Recipe":
        """The recipe with other values at dotted keys, `{"model.latent": [4]}`; the value None
        removes a key.

        Raises:
            ConfigError: a key or a value is wrong.
        """
        described = self.describe()
        for key, value in settings.items():
            _put(described, key.split("."), value)
        return parse(described)


def _put(tables: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, last = path
    for name in parents:
        inner = tables.get(name)
        tables[name] = tables = (
            inner if isinstance(inner, dict) else {"type": inner} if isinstance(inner, str) else {}
        )
    if last == "type":
        tables.clear()  # another part has other keys
    if value is None:
        tables.pop(last, None)
    else:
        tables[last] = value


def parse(tables: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from plain tables.

    Raises:
        ConfigError: names every wrong key and value, and what is allowed.
    """
    try:
        return TypeAdapter(Annotated[Recipe, table(Recipe)]).validate_python(tables)
    except ValidationError as error:
        raise ConfigError(one_line(f"{where}: {explain(error)}", 560)) from None
    except RecursionError:
        raise ConfigError(f"{where}: its tables are nested too deep") from None


def packaged() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(str(resources.files("lowerbound") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(recipe: str | Path) -> Recipe:
    """A packaged recipe by name, or one from a TOML file.

    Raises:
        ConfigError: there is no such recipe, or it is not right.
    """
    path = packaged().get(str(recipe), Path(recipe))
    if not (exists(path) and path.is_file()):
        raise ConfigError(
            unknown("recipe", str(recipe), packaged()) + ", or the path of a TOML file"
        )
    try:
        tables = tomllib.loads(_text(path))
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{path}: not a TOML file: {one_line(error, 200)}") from None
    except RecursionError:
        raise ConfigError(
            f"{path}: not a TOML file: its tables or lists are nested too deep"
        ) from None
    return parse(tables, str(recipe))


LARGEST = 2**20
"""Most bytes of a recipe."""

LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
"""A key of more parts than any table has: the time that `tomllib` takes for one grows with the
square of their number.
"""


def _text(path: Path) -> str:
    """What a file of TOML holds. ValueError if it is larger than any recipe, or would take longer
    to read.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it has {path.stat().st_size} bytes; allowed: {LARGEST}")
    text = path.read_text(encoding="utf-8")
    if LONG_KEY.search(text):
        raise ValueError("a key has more than 32 parts")
    return text


def setting(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` of the command line; VALUE is TOML, or else a plain string; `none` removes the
    key.

    >>> setting("model.latent=[4]"), setting("data.size=64x64")
    (('model.latent', [4]), ('data.size', '64x64'))

    Raises:
        ConfigError: there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"--set needs KEY=VALUE, got {text!r}; for example --set training.epochs=5"
        )
    if value == "none":
        return key, None
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def settings(texts: Iterable[str]) -> dict[str, Any]:
    """All `KEY=VALUE` of a command line."""
    return dict(map(setting, texts))
