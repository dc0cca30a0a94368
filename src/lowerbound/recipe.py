"""Recipes: typed descriptions of fits, read from TOML and written to it.

A recipe has the tables `about`, `data`, `model`, `objective`, `training`, `report` and `tracking`,
and perhaps `blend`.
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

from .baselines.linear import AnyLinear
from .data import Data
from .errors import ConfigError, one_line, unknown
from .model import Architecture
from .objectives import AnyObjective, Elbo
from .optimizers import WHOLE, optimizers
from .schedules import AnySchedule, Constant
from .specs.checked import checked
from .specs.keys import default_of
from .specs.registry import refuse_unloadable, table, values
from .specs.wording import LONGEST_MESSAGE, explain
from .system.files import exists
from .tracking import Tracking


@checked
class About:
    """The purpose of a recipe in free texts; `lowerbound list recipes` shows the title.

    Attributes:
        title: what is fitted, in a line.
        source: where the settings are from.
        expected: a figure that others have published or measured.
        measured: our own figure.
        group: whom the recipe is for, one of `specs.listing.GROUPS`; "" for a recipe of one's own.
    """

    title: str = ""
    source: str = ""
    expected: str = ""
    measured: str = ""
    group: str = ""


@checked
class Phase:
    """A number of epochs in which all of the model, or one side of it, is trained.

    Args:
        epochs: number of epochs before the next phase.
        trains: "all", or only the "latents" (encoder, priors between levels) or the "decoder".
        noise: whether the noise of the encoder is on.
    """

    epochs: PositiveInt = 1
    trains: Literal["all", "latents", "decoder"] = "all"
    noise: bool = True


@checked
class Training:
    """The settings by which a model is fitted.

    Args:
        epochs: largest number of passes over the training split.
        batch_size: examples in one optimiser step, summed over all processes.
        accumulate: parts in which each process computes its examples of a step, one after the
            other. The step is that of the whole batch, and memory holds one part alone. An
            objective with free bits, which is no mean over examples, costs one more forward pass.
        samples: Monte-Carlo samples of z for each example (L, or the k of the importance-weighted
            bound).
        optimizer: name of an optimiser of torch.optim, or of `lowerbound.optimizers`; see
            `lowerbound list optimizers`.
        optimizer_options: further arguments of the optimiser.
        learning_rate: step size of the optimiser; `schedule` multiplies it.
        schedule: factor of the learning rate over the run.
        phases: phases that are repeated in turn until the epochs are over; without phases, every
            epoch trains all of the model.
        clip: largest norm of the gradient of the loss, in nats per example; None does not clip.
            Thresholds that were published for a loss per dimension, as those of VDVAE, are to be
            multiplied by the number of dimensions.
        skip_above: norm of the gradient, before it is clipped and in the units of `clip`, above
            which a step is left out and counted in the metrics, as is a step whose gradient is not
            finite. None takes all steps.
        ema: decay of an exponential moving average of the weights, such as 0.999, which looks back
            over 1 / (1 - ema) steps, and less far at the start. The averages are what is validated,
            kept, reported and saved; a checkpoint holds both. None: the weights themselves.
        monitor: measure on the validation split that chooses the best weights: "objective", or for
            interactions a ranking metric such as "ndcg@100". Its k becomes the number of items
            where there are fewer items.
        validate_every: epochs between measures of the validation split; the last epoch always has
            one.
        patience: epochs without a better value of `monitor` before training stops; None goes on to
            the end.
        checkpoint_every: epochs between checkpoints; the end always has one.
        checkpoint_steps: optimiser steps between checkpoints within an epoch; None writes none by
            steps.
        checkpoint_seconds: seconds after which a checkpoint is written within an epoch; None writes
            none by time.
        on_nonfinite: what happens when a loss or a gradient is NaN or infinite: "stop" ends the
            fit, "skip" leaves the step out and counts it in the metrics (which costs a check of the
            gradient at every step).
        accelerator: kind of device; "auto" takes a GPU if there is one.
        devices: number of processes on this machine, each with its own device.
        nodes: number of machines, each with the same number of processes, which torchrun starts.
        strategy: how several processes hold the model. With "ddp" each holds a whole copy. With
            "fsdp" each keeps a part of the weights, of their gradient and of the optimiser's state,
            and has whole weights only during a step or a measure.
        precision: floating-point type of the matrix products.
        compile: whether torch.compile turns the model into the same function with fewer and larger
            operations. It takes some ten seconds at the start and needs a C++ compiler. "auto"
            compiles where it pays: small models and long runs of one process. "graphs" compiles,
            and lets a GPU replay the operations of a pass as one CUDA graph.
        recompute: whether the blocks of the networks that can be (those of `ResNet` and of ladders)
            are computed a second time in the backward pass, so that their inner values need no
            memory; the numbers are the same to the last bit, and a step takes up to a third more
            time.
        threads: threads for the matrix products of one process. "auto" takes as many as the
            operations of a step keep busy, at most those that PyTorch has and the cores that the
            process may use; a small model is faster on one thread. Where another number gives the
            same bits and is faster, steps take that one.
        seed: seed of the weights, of the order of the data and of the noise.
        sampled_items: of a model with the likelihood Multinomial on interactions, how many items
            stand for all in the softmax of a step, beside those that each user has: for catalogues
            of hundreds of thousands. A number takes so many on average, by popularity; "batch"
            takes the items of the batch. Their logits are corrected by the logs of the
            probabilities with which they are taken (log-Q); the loss of a step is then an estimate,
            and what is validated and measured stays exact. None takes all items.
        steps: largest number of optimiser steps. There are then as many epochs as they suffice for,
            at least one and at most `epochs`. None: `epochs` alone decides.
        start_from: the folder of a run with the same model, whose weights the fit starts from, such
            as the run of the log as it was last week. The rows of items are matched by their ids;
            new items start at the mean. None: the weights are drawn by the seed.
    """

    epochs: PositiveInt = 30
    batch_size: PositiveInt = 100
    accumulate: PositiveInt = 1
    samples: PositiveInt = 1
    optimizer: str = "Adam"
    optimizer_options: dict[str, bool | int | float | tuple[float, ...]] = field(
        default_factory=dict
    )
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: AnySchedule = Constant()
    phases: tuple[Annotated[Phase, table(Phase)], ...] = ()
    clip: float | None = Field(default=None, gt=0)
    skip_above: float | None = Field(default=None, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
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
    compile: bool | Literal["auto", "graphs"] = "auto"
    recompute: bool = False
    threads: PositiveInt | Literal["auto"] = "auto"
    seed: int = Field(default=0, ge=0, lt=2**63)
    sampled_items: PositiveInt | Literal["batch"] | None = None
    steps: PositiveInt | None = None
    start_from: str | None = None

    def __post_init__(self) -> None:
        if self.sampled_items is not None and self.compile in (True, "graphs"):
            raise ValueError(
                f"sampled_items={self.sampled_items!r} is for models as they are, got "
                f"compile={self.compile!r}; allowed: false, 'auto'"
            )
        processes = self.devices * self.nodes
        if self.phases and processes > 1:
            raise ValueError(
                f"phases are for one process, got devices={self.devices}, nodes={self.nodes}"
            )
        if self.compile in (True, "graphs") and self.accumulate > 1:
            raise ValueError(
                f"accumulate={self.accumulate} is for models as they are, got "
                f"compile={self.compile!r}; allowed: false, 'auto'"
            )
        if self.strategy == "fsdp":
            self._refuse_unsharded()

    def _refuse_unsharded(self) -> None:
        """Refuses settings that fully sharded training does not support."""
        if self.compile in (True, "graphs"):
            raise ValueError(
                f"strategy='fsdp' is for models as they are, got compile={self.compile!r}; "
                "allowed: false, 'auto'"
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
    """The settings of the report that a fit writes at its end.

    Args:
        write: whether the fit writes a report.
        points: largest number of examples on a map of the latent space.
        examples: largest number of examples of a split that images and tables are measured on,
            the first of them; None measures the bound on all, and estimates beside it on as many
            as keep the report short.
        projection: method that maps latent spaces of more than two dimensions, beside the principal
            components: "tsne" of scikit-learn, or "opentsne" or "umap" where these libraries are
            installed.
    """

    write: bool = True
    points: PositiveInt = 5000
    examples: PositiveInt | None = None
    projection: Literal["tsne", "opentsne", "umap"] = "tsne"


@checked
class Blend:
    """A linear method beside the network of a recommender, whose scores are joined: the network's
    log-probability of an item plus `weight` times the logarithm of the linear score.

    When training is over, each of `partners` is fitted to the training split, and the validation
    split says which of them has which of `weights`, or that the network is better alone. What was
    chosen ranks wherever the run ranks. One partner with one weight is taken as it is, and needs no
    validation split.

    Args:
        partners: linear methods: `Ease`, `GraphFilter`, `Elsa`, with their settings. One that there
            is no memory for is left out, with a line that says so.
        weights: weights to choose from.
        users: largest number of validation users to choose by.
        refit: whether the linear method that was chosen is fitted once more, to the training and
            the validation split. Figures of the validation split then say little.
    """

    partners: Annotated[tuple[AnyLinear, ...], Field(min_length=1)]
    weights: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
    )
    users: PositiveInt = 5000
    refit: bool = False

    @property
    def is_choice(self) -> bool:
        """Whether there is something to choose on validation users."""
        return len(self.partners) * len(self.weights) > 1


BlendTable = Annotated[Blend | None, table(Blend)]
"""The type of `Recipe.blend`: its keys are checked by name."""


@checked
class Recipe:
    """A description of all that decides a fit.

    Args:
        blend: of a recommender, the linear methods that may stand beside the network; None is the
            network alone.
    """

    data: Annotated[Data, table(Data)]
    about: Annotated[About, table(About)] = About()
    model: Annotated[Architecture, table(Architecture)] = Architecture()
    objective: AnyObjective = Elbo()
    training: Annotated[Training, table(Training)] = Training()
    blend: BlendTable = None
    report: Annotated[Reporting, table(Reporting)] = Reporting()
    tracking: Annotated[Tracking, table(Tracking)] = Tracking()

    def __post_init__(self) -> None:
        posterior = self.model.posterior
        if not posterior.has_density and self.objective.has_bound:
            got = type(self.objective).__name__
            raise ValueError(
                f"a {type(posterior).__name__} posterior has no bound: the objective must be "
                f"Reconstruction, got {got}"
            )
        refuse_unloadable(self)

    def describe(self) -> dict[str, Any]:
        """Gives plain tables that TOML can hold, with every default written out."""
        return values(self)

    def to_toml(self) -> str:
        """Writes the recipe as TOML, with every default written out."""
        return tomli_w.dumps(self.describe())

    def replace(self, settings: Mapping[str, Any]) -> "Recipe":
        """Makes a recipe with other values at dotted keys, such as `{"model.latent": [4]}`.

        The value None removes a key.

        Raises:
            ConfigError: a key or a value is wrong.
        """
        described = self.describe()
        for key in _types_first(settings):
            _put(described, key.split("."), settings[key])
        return parse(described)

    def fractions_for_other_data(self, settings: Mapping[str, Any]) -> dict[str, float]:
        """Gives the fractions that take the place of counts which were meant for the own source.

        A thousand examples for validation are right for MNIST, and not for a hundred photographs.
        So where settings name another source, a count of the recipe does not apply, unless it is
        among the settings: the default fraction of `Data` does.

        Returns:
            Settings of `data.validation` and `data.test`; empty where the source is the own one.
        """
        source = settings.get("data.source", self.data.source)
        if Path(str(source)).resolve() == Path(self.data.source).resolve():
            return {}
        fractions = {}
        for name in ("validation", "test"):
            key = f"data.{name}"
            is_count = getattr(self.data, name) >= 1
            if is_count and key not in settings:
                fractions[key] = default_of(Data, name)
        return fractions


def _types_first(keys: Iterable[str]) -> list[str]:
    """Orders dotted keys so that the type of a part stands before its other keys.

    Another type removes the keys of the part that was there. It is not to remove those that are set
    beside it, whatever the order in which they are written.
    """
    ordered: list[str] = []
    for key in keys:
        part, _, last = key.rpartition(".")
        place = len(ordered)
        if last == "type":
            others = [i for i, other in enumerate(ordered) if other.startswith(f"{part}.")]
            place = min(others, default=place)
        ordered.insert(place, key)
    return ordered


def _put(tables: dict[str, Any], path: list[str], value: Any) -> None:
    """Puts a value at a path of keys into nested tables; None removes the key.

    A part that stands there by its name alone becomes a table.
    """
    *parents, last = path
    for name in parents:
        inner = tables.get(name)
        if isinstance(inner, str):
            inner = {"type": inner}
        if not isinstance(inner, dict):
            inner = {}
        tables[name] = inner
        tables = inner
    if last == "type":
        tables.clear()  # another part has other keys
    if value is None:
        tables.pop(last, None)
    else:
        tables[last] = value


def parse(tables: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Makes a recipe of plain tables.

    Raises:
        ConfigError: names every wrong key and value, and what is allowed.
    """
    adapter: TypeAdapter[Recipe] = TypeAdapter(Annotated[Recipe, table(Recipe)])
    try:
        return adapter.validate_python(tables)
    except ValidationError as error:
        message = f"{where}: {explain(error)}"
        raise ConfigError(one_line(message, LONGEST_MESSAGE)) from None
    except RecursionError:
        raise ConfigError(f"{where}: its tables are nested too deep") from None


def packaged() -> dict[str, Path]:
    """Gives the paths of the recipes that come with the package, by name."""
    folder = Path(str(resources.files("lowerbound") / "recipes"))
    paths = sorted(folder.glob("*.toml"))
    return {path.stem: path for path in paths}


def load(recipe: str | Path) -> Recipe:
    """Reads a packaged recipe by its name, or a recipe from a TOML file.

    A recipe that names parts in modules of a user is read within `user_code.allowing_code()`.

    Raises:
        ConfigError: there is no such recipe, or it is not right.
    """
    path = packaged().get(str(recipe), Path(recipe))
    if not (exists(path) and path.is_file()):
        message = unknown("recipe", str(recipe), packaged())
        raise ConfigError(f"{message}, or the path of a TOML file")
    try:
        tables = tomllib.loads(_read_text(path))
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{path}: not a TOML file: {one_line(error, 200)}") from None
    except RecursionError:
        raise ConfigError(
            f"{path}: not a TOML file: its tables or lists are nested too deep"
        ) from None
    return parse(tables, str(recipe))


LARGEST = 2**20
"""A recipe has at most this number of bytes."""

LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
"""This finds a key of more parts than any table has. The time that `tomllib` takes for a key grows
with the square of the number of its parts.
"""


def _read_text(path: Path) -> str:
    """Reads a TOML file that is small and quick to parse.

    Raises:
        ValueError: the file is larger than any recipe, or its keys would take long to parse.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"it has {size} bytes; allowed: {LARGEST}")
    text = path.read_text(encoding="utf-8")
    if LONG_KEY.search(text):
        raise ValueError("a key has more than 32 parts")
    return text


def setting(text: str) -> tuple[str, Any]:
    """Reads one `KEY=VALUE` of the command line.

    VALUE is TOML, or else a plain string. The value `none` removes the key.

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
        tables = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return key, value
    return key, tables["value"]


def settings(texts: Iterable[str]) -> dict[str, Any]:
    """Reads all `KEY=VALUE` of a command line; the last value of a key counts."""
    return dict(map(setting, texts))
