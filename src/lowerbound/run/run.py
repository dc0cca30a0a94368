"""Runs: a fitted model from its folder alone.

A run folder holds `recipe.toml`, `data.json` (what the data were), `metrics.csv` (one row per
epoch), `model.safetensors` (the best weights), `summary.json` (what `fit --json` prints),
`checkpoint/` and `report/`.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import recipe as recipes
from ..baselines import Counts
from ..batch import Values as Batch
from ..data import Dataset, Examples, History, Items, Schema
from ..errors import ConfigError, DataError, LowerboundError, RunError, one_line
from ..evaluation import bits_per_dimension, bound, importance_log_likelihood, latent_statistics
from ..evaluation.batches import chunk_size, chunks, evaluating, placed, positive
from ..evaluation.ranking import Ranking, cuts, difference, rank
from ..model import VAE
from ..recipe import Recipe
from ..specs.user_code import allowing_code
from ..system.files import is_file, within
from ..system.machine import refuse_beyond_memory
from .contents import (
    FORMAT,
    Facts,
    read_model,
    read_schema,
    read_summary,
    read_table,
    refuse_mistyped,
)

LATENT_USERS = 2000
"""Users of whom the rates of a recommender are measured."""


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
    said = (likelihood.caveat(low, high, examples.schema.levels), units(examples.schema))
    return "; ".join(filter(None, said)) or None


def units(schema: Schema) -> str | None:
    """What turns a density of standardised values into one of the values of the source."""
    if not schema.scale:
        return None
    offset = -sum(math.log(scale) for scale in schema.scale)
    return f"values are standardised by the training split: add {offset:.4g} nats for the density in the units of the source"


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
        self,
        folder: Path,
        recipe: Recipe,
        schema: Schema,
        model: VAE,
        summary: dict[str, Any],
        items: Items | None = None,
    ) -> None:
        self.folder, self.recipe, self.schema, self.summary, self.items = (
            folder,
            recipe,
            schema,
            summary,
            items,
        )
        self.model = model.eval()

    def data(self, source: str | Path | None = None) -> Dataset:
        """The data of the run in its own splits, or another source, standardised as in training and
        not cut further.

        Raises:
            DataError: the data of the run have changed since, so that their splits are not those of
                the fit.
        """
        if source is not None:
            return replace(self.recipe.data, source=str(source), validation=0, test=0).open(
                self.schema, self.items, other=True
            )
        dataset = self.recipe.data.open(self.schema, self.items)
        if is_file(self.folder / "data.json"):
            unchanged(dataset, self.folder, DataError)
        return dataset

    def examples(
        self, source: str | Path | None = None, split: str | None = None
    ) -> tuple[str, Examples | History]:
        """The name of a split and its examples; by default the test split, or all of a source that
        brings none.
        """
        dataset = self.data(source)
        name = split or ("all" if source is not None and dataset.test is None else "test")
        return name, dataset.split(name)

    def evaluate(
        self,
        source: str | Path | None = None,
        *,
        split: str | None = None,
        samples: int = 100,
        seed: int = 0,
    ) -> dict[str, Any]:
        """What the model makes of a split: of images and tables the bound, the importance-sampled
        log-likelihood and what the latents carry, in nats per example; of interactions the ranking
        metrics.

        Args:
            source: other data; None takes those of the run.
            split: "train", "validation", "test" or "all"; None is "test", or "all" for a source
            that brings no test part.
            samples: importance samples for each example.
            seed: of the draws.
        """
        samples = positive(samples)
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
            "rate_per_dimension": [
                None if r is None else r.tolist() for r in latent.rate_per_dimension
            ],
            "split": split,
            "caveat": caveat,
        }

    def _ranking(
        self, examples: History, split: str, caveat: str | None, seed: int
    ) -> dict[str, Any]:
        """The ranking metrics of a split with held-out items, beside those of popularity, and what
        the latents carry.
        """
        if examples.targets is None:
            other = "to measure other data, give a folder with train and test files"
            raise DataError(f"the {split} split holds nothing out to be found; {other}")
        popularity = None if self.items is None else self.items.popularity
        found = rank(
            self.model.item_scores, examples, ks=cuts(self.schema.shape[0]), popularity=popularity
        )
        latent = latent_statistics(self.model, examples.take(slice(0, LATENT_USERS)), seed=seed)
        return {
            "metrics": {name: estimate.value for name, estimate in found.metrics.items()},
            "standard_errors": {
                name: estimate.standard_error for name, estimate in found.metrics.items()
            },
            "coverage": {f"coverage@{k}": value for k, value in found.coverage.items()},
            "mean_popularity_rank": {
                str(k): value for k, value in (found.mean_popularity_rank or {}).items()
            },
            "more_than_popularity": {}
            if popularity is None
            else _above(found, examples, popularity),
            "users": len(found.users),
            "users_without_targets": found.left_out,
            "rate": [None if r is None else r.sum().item() for r in latent.rate_per_dimension],
            "active_units": list(latent.active_units),
            "rate_per_dimension": [
                None if r is None else r.tolist() for r in latent.rate_per_dimension
            ],
            "split": split,
            "caveat": caveat,
        }

    def encode(self, x: Batch | Examples | History) -> list[Tensor]:
        """The posterior means of each level, (N, d) each, on the CPU, for a batch (N, *shape) or a
        whole split.
        """
        if not isinstance(x, Examples | History):
            with evaluating(self.model, 0):
                return [z.cpu() for z in self.model.encode(placed(self.model, x))]
        with evaluating(self.model, 0):
            parts = [
                self.model.encode(batch) for batch in chunks(self.model, x, chunk_size(self.model))
            ]
        return [torch.cat(level).cpu() for level in zip(*parts, strict=True)]

    def reconstruct(self, x: Batch) -> Tensor:
        """The mean of p(x | z) at the posterior mean, (N, *shape)."""
        with evaluating(self.model, 0):
            return self.model.reconstruct(placed(self.model, x)).cpu()

    def decode(self, z: Tensor, level: int = 0) -> Tensor:
        """The mean of p(x | z1), (n, *shape), for values z (n, d) of a level, 0 for z1; levels
        between are at their means.
        """
        latents = self.model.latents
        self.model.refuse_latents(z, self._level(level))
        with evaluating(self.model, 0):
            parts = z.to(next(self.model.parameters())).split(chunk_size(self.model))
            return self._decode_contexts(latents.descend(part, level) for part in parts)

    def _decode_contexts(self, contexts: Iterable[Tensor]) -> Tensor:
        """Returns the means of p(x | z), (n, *shape), for parts of what the decoder sees of z."""
        return torch.cat([self.model.decode(context).mean.cpu() for context in contexts])

    def vary(self, level: int, groups: int, draws: int, *, seed: int = 0) -> Tensor:
        """The means of p(x | z1), (groups, draws, *shape), where in each group one level varies and
        those above it are fixed.
        """
        many = positive(groups, what="groups") * positive(draws, what="draws")
        refuse_beyond_memory(
            many * math.prod(self.schema.shape), f"{groups:,} groups of {draws:,} draws"
        )
        self._level(level)
        with evaluating(self.model, seed):
            context = self.model.latents.vary(level, groups, draws)
        with evaluating(self.model, 0):
            means = self._decode_contexts(context.split(chunk_size(self.model)))
        return means.reshape(groups, draws, *means.shape[1:])

    def _level(self, level: int) -> int:
        """The level, if there is one: 0 for z1."""
        known = range(len(self.model.latents.sizes))
        if isinstance(level, bool) or level not in known:
            raise ConfigError(
                f"this model has the levels {', '.join(map(str, known))}, got {level!r}"
            )
        return level

    def sample(self, n: int, *, mean: bool = True, seed: int = 0) -> Tensor:
        """`n` samples (n, *shape): the means of p(x | z), or draws from it."""
        n = positive(n, what="the number of samples")
        if self.model.sparse:
            raise ConfigError(
                "samples are of images and tables; a run on interactions recommends: lowerbound "
                "recommend RUN"
            )
        refuse_beyond_memory(n * math.prod(self.schema.shape), f"{n:,} samples")
        size = chunk_size(self.model)
        with evaluating(self.model, seed):
            return torch.cat(
                [self.model.sample(min(size, n - start), mean).cpu() for start in range(0, n, size)]
            )


def _above(found: Ranking, examples: History, popularity: Any) -> dict[str, Any]:
    """The mean difference to the popularity of the items on the same users, and its standard error,
    of each metric.
    """
    other = rank(
        Counts(torch.tensor(popularity, dtype=torch.float32)), examples, metrics=list(found.metrics)
    )
    return {name: difference(found, other, name)._asdict() for name in found.metrics}


def unchanged(dataset: Dataset, folder: Path, error: type[LowerboundError]) -> None:
    """Raises `error` if these are not the values that the run in the folder was fitted to."""
    held = read_table(folder, "data.json").get("fingerprint")
    before = held.get("sha256") if isinstance(held, dict) else None
    if before != dataset.fingerprint()["sha256"]:
        advice = "its splits would not be those of the fit; give the new values by --data (data= in Python)"
        raise error(f"{dataset.source} is not what {folder} was fitted to: {advice}")


def load(folder: str | Path, *, allow_code: bool = False) -> Run:
    """Loads a fitted run from its folder alone.

    Args:
        folder: the run folder.
        allow_code: whether the parts that the recipe names as `package.module:Class` may be
            imported, which runs their modules.

    Raises:
        RunError: the folder is no run, is damaged, is of another version, or has a link that leads
        out of it.
        LowerboundError: another of its kinds, where its recipe or its catalogue are not right.
    """
    folder = Path(folder)
    known = ("recipe.toml", "data.json", "model.safetensors")
    missing = [name for name in known if not is_file(within(folder, name))]
    if missing:
        unfinished = (
            "; it was not finished: go on with fit --resume"
            if missing == ["model.safetensors"]
            else ""
        )
        raise RunError(
            f"{one_line(folder)} is not a fitted run: {', '.join(missing)} missing{unfinished}"
        )
    facts = read_table(folder, "data.json")
    version = facts.get("format")
    if version != FORMAT:
        raise RunError(
            f"{folder}: a run of format {FORMAT} is needed, got {one_line(repr(version), 60)}"
        )
    refuse_mistyped(Facts, facts, folder / "data.json")
    with allowing_code(allow_code):
        plan = recipes.load(folder / "recipe.toml")
    schema = read_schema(facts, folder)
    model = read_model(plan, schema, folder / "model.safetensors")
    summary = read_summary(folder) if is_file(within(folder, "summary.json")) else {}
    items = Items.read(within(folder, "items.parquet"), schema.shape[0]) if model.sparse else None
    return Run(folder, plan, schema, model, summary, items)
