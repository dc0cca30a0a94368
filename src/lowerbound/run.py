"""Runs: a fit from a recipe into a folder, and a fitted model from that folder alone.

A run folder holds `recipe.toml`, `data.json` (what the data were), `metrics.csv` (one row per epoch), `model.safetensors`
(the best weights), `summary.json` (what `fit --json` prints), `checkpoint/` and `report/`.
"""

import csv
import io
import math
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from . import __version__, checkpoint
from . import recipe as recipes
from .baselines import Counts
from .data import Dataset, Examples, History, Items, Schema, named_sets
from .errors import ConfigError, DataError, LowerboundError, RunError
from .evaluation import Ranking, bits_per_dimension, bound, difference, importance_log_likelihood, latent_statistics, rank
from .evaluation.batches import chunks, evaluating, placed, rows
from .evaluation.ranking import cuts
from .files import read_json, there, write_json, write_text
from .model import VAE
from .noise import Batch
from .progress import bar
from .recipe import Recipe
from .sparse import SparseRows
from .training import Fit, State, make_fabric, measured

LATENT_USERS = 2000
"""Users of whom the rates of a recommender are measured."""

FORMAT = 1
"""Version of the run folder; a folder of another version is refused."""


def check(recipe: Recipe, examples: Examples | History) -> str | None:
    """What a report must say of this likelihood on these examples, or None.

    Raises:
        DataError: the likelihood or the noise does not fit the values; says why.
    """
    (low, high), likelihood = examples.span(), recipe.model.likelihood
    reason = likelihood.refuses(low, high, examples.schema.levels)
    if reason:
        raise DataError(f"model.likelihood does not fit {recipe.data.source}: {reason}")
    for noise in recipe.model.noise:
        if reason := noise.refuses(low, high):
            raise DataError(f"model.noise does not fit {recipe.data.source}: {reason}")
    said = (likelihood.caveat(low, high, examples.schema.levels), _units(examples.schema))
    return "; ".join(filter(None, said)) or None


def _units(schema: Schema) -> str | None:
    """What turns a density of standardised values into one of the values of the source."""
    if not schema.scale:
        return None
    offset = -sum(math.log(scale) for scale in schema.scale)
    return f"values are standardised by the training split: add {offset:.4g} nats for the density in the units of the source"


def metrics_csv(history: list[dict[str, float]]) -> str:
    """One row per epoch, every number in full precision."""
    text = io.StringIO()
    columns = dict.fromkeys(name for row in history for name in row)  # not every epoch looks at the validation split
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


class Run:
    """A fitted model with its recipe and its folder.

    Attributes:
        folder: of the run.
        recipe: how it was made.
        schema: of the data it was made from.
        model: with its best weights, in evaluation mode.
        summary: what `fit` found, as `fit --json` prints it.
        items: the catalogue of a run on interactions, else None.
    """

    def __init__(
        self, folder: Path, recipe: Recipe, schema: Schema, model: VAE, summary: dict[str, Any], items: Items | None = None
    ) -> None:
        self.folder, self.recipe, self.schema, self.summary, self.items = folder, recipe, schema, summary, items
        self.model = model.eval()

    def data(self, source: str | Path | None = None) -> Dataset:
        """The data of the run in its own splits, or another source, standardised as in training and not cut further.

        Raises:
            DataError: the data of the run have changed since, so that their splits are not those of the fit.
        """
        if source is not None:
            return replace(self.recipe.data, source=str(source), validation=0, test=0).open(self.schema, self.items, other=True)
        dataset = self.recipe.data.open(self.schema, self.items)
        if (self.folder / "data.json").is_file():
            _unchanged(dataset, self.folder, DataError)
        return dataset

    def examples(self, source: str | Path | None = None, split: str | None = None) -> tuple[str, Examples | History]:
        """The name of a split and its examples; by default the test split, or all of a source that brings none."""
        dataset = self.data(source)
        name = split or ("all" if source is not None and dataset.test is None else "test")
        return name, dataset.split(name)

    def evaluate(
        self, source: str | Path | None = None, *, split: str | None = None, samples: int = 100, seed: int = 0
    ) -> dict[str, Any]:
        """What the model makes of a split: of images and tables the bound, the importance-sampled log-likelihood and what the
        latents carry, in nats per example; of interactions the ranking metrics.

        Args:
            source: other data; None takes those of the run.
            split: "train", "validation", "test" or "all"; None is "test", or "all" for a source that brings no test part.
            samples: importance samples for each example.
            seed: of the draws.
        """
        split, examples = self.examples(source, split)
        caveat = check(self.recipe, examples)
        if isinstance(examples, History):
            return self._ranking(examples, split, caveat, seed)
        found = bound(self.model, examples, seed=seed)
        likelihood = importance_log_likelihood(self.model, examples, samples=samples, seed=seed)
        latent = latent_statistics(self.model, examples, seed=seed)
        value, error = likelihood.log_likelihood
        return {
            "elbo": found.elbo.value,
            "elbo_se": found.elbo.standard_error,
            "log_likelihood": value,
            "log_likelihood_se": error,
            "samples": samples,
            "effective_samples": likelihood.effective_samples,
            "rate": list(found.rate),
            "active_units": list(latent.active_units),
            "bits_per_dim": bits_per_dimension(value, self.schema.shape),
            "examples": len(examples),
            "log_likelihood_term": found.log_likelihood_term,
            "rate_per_dimension": [None if r is None else r.tolist() for r in latent.rate_per_dimension],
            "split": split,
            "caveat": caveat,
        }

    def _ranking(self, examples: History, split: str, caveat: str | None, seed: int) -> dict[str, Any]:
        """The ranking metrics of a split with held-out items, beside those of popularity, and what the latents carry."""
        if examples.targets is None:
            other = "to measure other data, give a folder with train and test files"
            raise DataError(f"the {split} split holds nothing out to be found; {other}")
        popularity = None if self.items is None else self.items.popularity
        found = rank(self.model.rank, examples, ks=cuts(self.schema.shape[0]), popularity=popularity)
        latent = latent_statistics(self.model, examples.take(slice(0, LATENT_USERS)), seed=seed)
        return {
            "metrics": {name: estimate.value for name, estimate in found.metrics.items()},
            "standard_errors": {name: estimate.standard_error for name, estimate in found.metrics.items()},
            "coverage": {f"coverage@{k}": value for k, value in found.coverage.items()},
            "mean_popularity_rank": {str(k): value for k, value in (found.mean_popularity_rank or {}).items()},
            "more_than_popularity": {} if popularity is None else _above(found, examples, popularity),
            "users": len(found.users),
            "users_without_targets": found.left_out,
            "rate": [None if r is None else r.sum().item() for r in latent.rate_per_dimension],
            "active_units": list(latent.active_units),
            "rate_per_dimension": [None if r is None else r.tolist() for r in latent.rate_per_dimension],
            "split": split,
            "caveat": caveat,
        }

    def encode(self, x: Batch | Examples | History) -> list[Tensor]:
        """The posterior means of each level, (N, d) each, on the CPU, for a batch (N, *shape) or a whole split."""
        if isinstance(x, Tensor | SparseRows):
            with evaluating(self.model, 0):
                return [z.cpu() for z in self.model.encode(placed(self.model, x))]
        with evaluating(self.model, 0):
            parts = [self.model.encode(batch) for batch in chunks(self.model, x, rows(self.model))]
        return [torch.cat(level).cpu() for level in zip(*parts, strict=True)]

    def reconstruct(self, x: Batch) -> Tensor:
        """The mean of p(x | z) at the posterior mean, (N, *shape)."""
        with evaluating(self.model, 0):
            return self.model.reconstruct(placed(self.model, x)).cpu()

    def sample(self, n: int, *, mean: bool = True, seed: int = 0) -> Tensor:
        """`n` samples (n, *shape): the means of p(x | z), or draws from it."""
        if n < 1:
            raise ConfigError(f"the number of samples must be 1 or more, got {n}")
        if self.model.sparse:
            raise ConfigError("samples are of images and tables; a run on interactions recommends: lowerbound recommend RUN")
        size = rows(self.model)
        with evaluating(self.model, seed):
            return torch.cat([self.model.sample(min(size, n - start), mean).cpu() for start in range(0, n, size)])


def _above(found: Ranking, examples: History, popularity: Any) -> dict[str, Any]:
    """The mean difference to the popularity of the items on the same users, and its standard error, of each metric."""
    other = rank(Counts(torch.tensor(popularity, dtype=torch.float32)), examples, metrics=list(found.metrics))
    return {name: difference(found, other, name)._asdict() for name in found.metrics}


def _free(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3 ... that does not exist."""
    names = (folder if i == 1 else folder.with_name(f"{folder.name}-{i}") for i in range(1, 10_000))
    return next(name for name in names if not name.exists())


def _last(folder: Path) -> Path:
    """The latest of folder, folder-2 ... that exists."""
    found = folder
    for i in range(2, 10_000):
        following = folder.with_name(f"{folder.name}-{i}")
        if not following.exists():
            return found
        found = following
    return found


def _place(name: str, out: str | Path | None, resume: bool) -> tuple[Path, bool]:
    """Where a run goes, and whether it goes on there: a run that ended before its first checkpoint starts again.

    Raises:
        RunError: the folder holds a run already, or there is nothing to resume.
    """
    default = Path("runs") / name
    folder = Path(out) if out is not None else _last(default) if resume else _free(default)
    held = (folder / "recipe.toml").exists()
    if resume and not held:
        raise RunError(f"there is no run in {folder} to resume")
    alive = checkpoint.latest(folder / "checkpoint") is not None or (folder / "model.safetensors").exists()
    if not resume and folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and (alive or not held):
        what = "holds a run already; --resume continues it" if held else "is not an empty folder"
        raise RunError(f"{folder} {what}; choose another --out")
    return folder, resume and alive


def _unchanged(dataset: Dataset, folder: Path, error: type[LowerboundError]) -> None:
    """Raises `error` if these are not the values that the run in the folder was fitted to."""
    before = read_json(folder / "data.json").get("fingerprint", {}).get("sha256")
    if before != dataset.fingerprint()["sha256"]:
        advice = "its splits would not be those of the fit; give the new values by --data (data= in Python)"
        raise error(f"{dataset.source} is not what {folder} was fitted to: {advice}")


def _same(recipe: Recipe, folder: Path) -> None:
    """Raises RunError if the folder's run is of another recipe; only the number of epochs may differ."""
    ours, theirs = recipe.describe(), recipes.load(folder / "recipe.toml").describe()
    for tables in (ours, theirs):
        tables.pop("about")
        tables["training"].pop("epochs")
    if ours != theirs:
        keys = [f"{t}.{k}" for t in ours for k in ours[t].keys() | theirs[t].keys() if ours[t].get(k) != theirs[t].get(k)]
        raise RunError(f"{folder} is a run of another recipe, different in {', '.join(sorted(keys))}; choose another --out")


def fit(
    recipe: str | Path | Recipe,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    devices: int | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Fits a recipe and writes the run folder.

    Args:
        recipe: name of a packaged recipe, path of a TOML file, or a `Recipe`.
        data: a source that takes the place of the recipe's.
        out: the run folder; by default `runs/NAME`, with a number if that exists.
        settings: values for dotted keys of the recipe, `{"model.latent": [4]}`.
        seed: takes the place of `training.seed`.
        devices: takes the place of `training.devices`.
        resume: go on from the newest checkpoint in the folder.
        progress: show a bar on standard error.

    Raises:
        LowerboundError: one of its kinds, with one line that says what is wrong.
    """
    name = "run" if isinstance(recipe, Recipe) else Path(recipe).stem
    chosen = {"data.source": None if data is None else str(data), "training.seed": seed, "training.devices": devices}
    given = {k: v for k, v in chosen.items() if v is not None} | dict(settings or {})
    plan = (recipe if isinstance(recipe, Recipe) else recipes.load(recipe)).replace(given)
    if not plan.data.source:
        raise ConfigError(f"recipe {name} has no data of its own: give --data SOURCE (data= in Python)")
    if plan.data.source not in named_sets() and there(Path(plan.data.source)):
        plan = plan.replace({"data.source": str(Path(plan.data.source).resolve())})  # a run is used from any folder
    fabric = make_fabric(plan.training, all_used=plan.objective.bound)
    fabric.launch()
    folder, resume = _place(name, out, resume)
    fabric.barrier()  # no process looks at the folder after another has begun to write it
    dataset = plan.data.open()
    caveat, *_ = [check(plan, part) for part in (dataset.train, dataset.validation, dataset.test) if part is not None]
    torch.manual_seed(plan.training.seed)
    model = build(plan, dataset.schema)
    if plan.model.output_bias == "data":
        model.start_at(torch.from_numpy(dataset.train.mean()))
    fitting = _begin(plan, dataset, model, folder, fabric, resume)
    done, show = fitting.state.epoch * len(dataset.train), progress and fabric.is_global_zero
    with bar(plan.training.epochs, len(dataset.train), done, show=show) as fitting.report:
        state = fitting.run()
    del fitting  # and with it the state of the optimiser, before the test split is measured
    summary = _summary(plan, dataset, model, folder, state, caveat)
    if fabric.is_global_zero:
        checkpoint.save_tensors(folder / "model.safetensors", model.state_dict(), {"format": str(FORMAT)})
        write_json(folder / "summary.json", summary)
    return Run(folder, plan, dataset.schema, model, summary, dataset.items)


def _begin(plan: Recipe, dataset: Dataset, model: VAE, folder: Path, fabric: Fabric, resume: bool) -> Fit:
    """The fit, at its start or at its checkpoint; the folder is written only when all settings have proved right."""

    def save_history(history: list[dict[str, float]]) -> None:
        write_text(folder / "metrics.csv", metrics_csv(history))

    places = (save_history, folder / "checkpoint")
    fitting = Fit(model, dataset, plan.objective, plan.training, fabric, *places)
    with evaluating(model, 0):  # a loss that cannot be had is told before anything is written
        first = placed(model, dataset.train.batch(slice(0, 2)))
        plan.objective(model.terms(first, plan.training.samples, plan.objective.kl))
    if resume:
        _same(plan, folder)
        _unchanged(dataset, folder, RunError)
        fitting.resume()
    if fabric.is_global_zero:
        if dataset.items is not None:
            dataset.items.write(folder / "items.parquet")
        facts = {
            "format": FORMAT,
            "schema": dataset.schema.to_json(),
            "fingerprint": dataset.fingerprint(),
            "facts": dataset.facts,
        }
        write_text(folder / "recipe.toml", plan.to_toml())
        write_json(folder / "data.json", facts)
    fabric.barrier()
    return fitting


def build(plan: Recipe, schema: Schema) -> VAE:
    """A new model of this recipe for data of this schema."""
    return plan.model.build(schema.shape, sparse=schema.kind == "interactions")


def _figures(row: Mapping[str, float], split: str) -> dict[str, Any] | None:
    """The columns of one split in a row of the metrics, as JSON has them: the rates as one list, the ranking metrics by name."""
    own = {k.removeprefix(f"{split}_"): v for k, v in row.items() if k.startswith(f"{split}_")}
    rate = [own.pop(name) for name in [k for k in own if k.startswith("rate_")]]
    return own | ({"rate": rate} if rate else {}) if own else None


def _summary(plan: Recipe, dataset: Dataset, model: VAE, folder: Path, state: State, caveat: str | None) -> dict[str, Any]:
    """What `fit --json` prints: the best epoch's metrics, and the test split measured once."""
    row = dict(state.history[state.best_epoch - 1])
    if dataset.test is not None:
        found = measured(model, dataset.test, plan.objective, plan.training, stream=3)
        row |= {f"test_{name}": v for name, v in found.items()}
    return {
        "run": str(folder),
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "seconds": state.seconds,
        "examples_per_second": len(dataset.train) * state.epoch / state.step_seconds if state.step_seconds else math.nan,
        "train": _figures(row, "train"),
        "validation": _figures(row, "validation"),
        "test": _figures(row, "test"),
        "caveat": caveat,
        "facts": dataset.facts,
        "versions": {"lowerbound": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def load(folder: str | Path) -> Run:
    """A fitted run from its folder alone.

    Raises:
        RunError: the folder is no run, is damaged, or is of another version.
    """
    folder = Path(folder)
    known = ("recipe.toml", "data.json", "model.safetensors")
    missing = [name for name in known if not (folder / name).is_file()]
    if missing:
        unfinished = "; it was not finished: go on with fit --resume" if missing == ["model.safetensors"] else ""
        raise RunError(f"{folder} is not a fitted run: {', '.join(missing)} missing{unfinished}")
    facts = read_json(folder / "data.json")
    version = facts.get("format") if isinstance(facts, dict) else None
    if version != FORMAT:
        raise RunError(f"{folder}: a run of format {FORMAT} is needed, got {version!r}")
    plan, schema = recipes.load(folder / "recipe.toml"), _schema(facts, folder)
    tensors = checkpoint.load_tensors(folder / "model.safetensors")
    model = build(plan, schema).to(next(iter(tensors.values()), torch.zeros(())).dtype)
    checkpoint.load_weights(model, tensors, folder / "model.safetensors")
    summary = read_json(folder / "summary.json") if (folder / "summary.json").is_file() else {}
    items = Items.read(folder / "items.parquet") if model.sparse else None
    return Run(folder, plan, schema, model, summary, items)


def _schema(facts: dict[str, Any], folder: Path) -> Schema:
    try:
        return Schema.from_json(facts["schema"])
    except (KeyError, TypeError, AttributeError, DataError) as error:
        raise RunError(f"{folder / 'data.json'} does not describe the data of a run: {error}") from error
