"""The one place that measures a split of a run.

`Run.evaluate`, the report, the comparison, the scores of anomalies and the fit (after an epoch and
at its end) all read the records here, so that one number has one definition. `measure_split`
chooses the record by the kind of the split: `DenseMeasures` of examples, `RankedMeasures` of users.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..baselines import Counts
from ..batch import Batch
from ..data import Examples, History, Schema, Split
from ..distributed.processes import ONE_PROCESS, Processes
from ..errors import ConfigError, DataError
from ..model import VAE
from ..model.last import item_vectors
from ..sparse import SparseRows
from .batches import Batches, evaluating
from .cells import ColumnLikelihood, column_likelihoods
from .latent import LatentStatistics, latent_statistics
from .likelihood import (
    LIKELIHOOD_SAMPLES,
    Bound,
    Likelihood,
    Loss,
    bits_per_dimension,
    bound,
    importance_log_likelihood,
)
from .ranking.beyond import ItemFacts, measurable
from .ranking.metrics import AREA, METRICS, cuts, metrics_by_name
from .ranking.rank import Ranking, Scorer, difference, rank
from .statistics import Estimate

TOTAL_DRAWS = 10_000
"""Draws of z that the bound of a split takes in all, within the limits below."""

LEAST_DRAWS = 10
"""Draws of z that one example gets, at least.

Measured: the noise of so many draws is below a fifth of the standard error over the examples on
digits and MNIST, and a quarter of it on a noisy table. That of a single draw is up to three
quarters of it.
"""

MOST_DRAWS = 50
"""Draws of z that one example gets, at most."""

LIKELIHOOD_EXAMPLES = 1_000
"""Examples of a split whose log-likelihood is estimated for a report or a comparison."""

LATENT_USERS = 2_000
"""Users of a split that the rates of a recommender are taken from."""

MAIN_METRICS = 3
"""Ranking metrics that stand for all of them in a table."""

WATCHED = (
    "recall@10",
    "recall@20",
    "recall@50",
    "recall_capped@20",
    "recall_capped@50",
    "ndcg@10",
    "ndcg@20",
    "ndcg@100",
)
"""Ranking metrics that are measured after an epoch, and at the end of a fit."""


def draws_for(examples: int) -> int:
    """Returns how many draws of z each example of a split of this size gets.

    The fewer examples there are, the more draws each gets. The standard error over the examples
    holds the noise of these draws too.
    """
    return min(max(TOTAL_DRAWS // max(examples, 1), LEAST_DRAWS), MOST_DRAWS)


def monitored(name: str, items: int) -> str:
    """Returns what chooses the best weights of a fit; of a catalogue with fewer than k items, it is
    the metric of the whole list.

    Args:
        name: the setting `training.monitor`: "objective", or the name of a ranking metric.
        items: the size of the catalogue.

    Raises:
        ConfigError: there is no such metric.
    """
    if name == "objective":
        return name
    try:
        metrics = metrics_by_name([name], (20,))
    except ConfigError as error:
        raise ConfigError(f"training.monitor is objective or a ranking metric: {error}") from None
    metric, k = next(iter(metrics.values()))
    return f"{metric}@{min(k, items)}"


def watched(monitor: str, items: int) -> list[str]:
    """Lists the ranking metrics of a split during a fit: the one that chooses the best weights, and
    those of `WATCHED` that a catalogue of this size has.
    """
    names = [name for name in WATCHED if int(name.partition("@")[2]) <= items]
    if monitor == "objective":
        monitor = "ndcg@100"
    deciding = monitored(monitor, items)
    if deciding not in names:
        names.append(deciding)
    return names


def deciding_metric(monitor: str, items: int) -> str:
    """Returns the ranking metric that decides which of two rankings is the better one: the one that
    chose the weights of the run, or else nDCG at the largest usual k.
    """
    chosen = monitored(monitor, items)
    if "@" in chosen:
        return chosen
    return f"ndcg@{cuts(items)[-1]}"


def dimension_of(schema: Schema) -> str:
    """Says what one of the dimensions is that bits are counted by: "pixel"."""
    if schema.kind == "table":
        return "column"
    if schema.kind != "image":
        return "value"
    if schema.shape[0] == 1:
        return "pixel"
    return "channel of a pixel"


@dataclass(frozen=True)
class MeasureSettings:
    """How a split is measured.

    Attributes:
        split: the name of the split, for messages.
        seed: of all draws.
        samples: importance samples for each example.
        likelihood_examples: the first examples, whose log-likelihood is estimated; None takes all.
        draws: draws of z for the bound of each example; None takes `draws_for` the split.
        has_bound: whether the model has a bound; an autoencoder has none.
        monitor: the setting `training.monitor`, which says what ranking metric decides.
        popularity: how many training users have each item, (I,), or None if that is not known.
        facts: what is known of the items, for the metrics that need it; None measures none of them.
        processes: that share the work.
        shares_noise: whether all examples have the same noise, so that each measure of an example
            is a function of the example alone; independent draws give the better means.
    """

    split: str = "test"
    seed: int = 0
    samples: int = LIKELIHOOD_SAMPLES
    likelihood_examples: int | None = None
    draws: int | None = None
    has_bound: bool = True
    monitor: str = "objective"
    popularity: np.ndarray | None = None
    facts: ItemFacts | None = None
    processes: Processes = ONE_PROCESS
    shares_noise: bool = False


class Measured(ABC):
    """What there is to know of a split of a run: each number is measured when it is first read.

    Attributes:
        unit: what the rows of the split are: "examples" or "users".
        in_nats: whether the measures are log-likelihoods and bounds, which depend on the kind of
            the likelihood.
        model: the model.
        settings: how the split is measured.
    """

    unit: str
    in_nats: bool
    model: VAE
    settings: MeasureSettings

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The measures that each example or user has one value of."""

    @abstractmethod
    def per_row(self, name: str) -> Tensor:
        """Returns one of these measures for each example or user, (n,)."""

    @property
    @abstractmethod
    def deciding(self) -> tuple[str, ...]:
        """The measures that may say which run is the better one, the first before the others."""

    @property
    @abstractmethod
    def main(self) -> tuple[str, ...]:
        """The measures that stand for all of them in a table."""

    @property
    @abstractmethod
    def rate(self) -> tuple[float | None, ...]:
        """The mean rate of each level in nats, or None where it does not factorise.

        It is empty for an autoencoder.
        """

    @property
    def importance(self) -> Likelihood | None:
        """The importance-sampled log-likelihood, if there is one."""
        return None

    @property
    def left_out(self) -> int:
        """The number of rows that nothing could be measured of."""
        return 0

    @abstractmethod
    def difference(self, first: Any, name: str) -> Estimate:
        """Measures the mean of this minus `first` over the same rows, one by one, by a measure that
        both have; the standard error is that of the pairs.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Returns all numbers, as `lowerbound evaluate --json` has them."""

    @abstractmethod
    def columns(self, objective: Loss, group: int) -> dict[str, float]:
        """Returns what is kept of a split after an epoch, and at the end of a fit, by column name.

        Args:
            objective: the training objective at the end of its schedules.
            group: draws that the objective takes at a time.
        """

    def _bound(
        self,
        rows: Batches,
        objective: Loss | None = None,
        group: int = 1,
        processes: Processes = ONE_PROCESS,
    ) -> Bound:
        """Measures the bound, and the objective on the same draws.

        An objective that takes more draws at a time than the bound has draws of its own.
        """
        seed = self.settings.seed
        draws = self.settings.draws or draws_for(len(rows))
        if objective is None:
            return bound(
                self.model,
                rows,
                samples=draws,
                seed=seed,
                processes=processes,
                shares_noise=self.settings.shares_noise,
            )
        grouped = bound(
            self.model,
            rows,
            samples=max(draws, group),
            objective=objective,
            group=group,
            seed=seed,
            processes=processes,
        )
        if group <= draws:
            return grouped
        own = bound(self.model, rows, samples=draws, seed=seed, processes=processes)
        return own._replace(objective=grouped.objective)

    def _bound_columns(
        self, rows: Batches, objective: Loss, group: int, processes: Processes
    ) -> dict[str, float]:
        measured = self._bound(rows, objective, group, processes)
        columns = {
            "objective": math.nan,
            "elbo": measured.elbo.value,
            "log_likelihood_term": measured.log_likelihood_term,
        }
        if measured.objective is not None:
            columns["objective"] = measured.objective
        for i, rate in enumerate(measured.rate, 1):
            columns[f"rate_{i}"] = rate
        return columns


@dataclass(frozen=True, eq=False)
class DenseMeasures(Measured):
    """The bound of a split of images or a table, its log-likelihood, and what the latents carry.

    Attributes:
        model: the model.
        examples: the split.
        settings: how it is measured.
    """

    model: VAE
    examples: Examples
    settings: MeasureSettings

    unit = "examples"
    in_nats = True

    @property
    def draws(self) -> int:
        """The number of draws of z for the bound of each example."""
        return self.settings.draws or draws_for(len(self.examples))

    @cached_property
    def bound(self) -> Bound:
        """The ELBO of all examples."""
        return self._bound(self.examples, processes=self.settings.processes)

    @cached_property
    def likelihood(self) -> Likelihood:
        """The importance-sampled log-likelihood of the first examples."""
        return importance_log_likelihood(
            self.model,
            self.examples.take(slice(0, self.settings.likelihood_examples)),
            samples=self.settings.samples,
            seed=self.settings.seed,
            shares_noise=self.settings.shares_noise,
        )

    @cached_property
    def latent(self) -> LatentStatistics:
        """What the latents carry, by the draws of the bound."""
        return latent_statistics(
            self.model, self.examples, samples=max(self.draws, 2), seed=self.settings.seed
        )

    @cached_property
    def columns_of_table(self) -> tuple[ColumnLikelihood, ...]:
        """The mean log-likelihood of each column of a table with columns of several kinds, over
        the rows where it is observed; empty for all other data.
        """
        if not self.examples.schema.table:
            return ()
        return column_likelihoods(
            self.model, self.examples, draws=self.draws, seed=self.settings.seed
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The bound, the log-likelihood and its term; of an autoencoder the last one alone."""
        if self.settings.has_bound:
            return ("elbo", "log_likelihood", "log_likelihood_term")
        return ("log_likelihood_term",)

    def per_row(self, name: str) -> Tensor:
        """Returns one of these measures for each example in nats; the log-likelihood is that of the
        first examples alone.
        """
        if name == "log_likelihood":
            return self.likelihood.per_example
        if name == "elbo":
            return self.bound.per_example
        return self.bound.terms

    @property
    def deciding(self) -> tuple[str, ...]:
        """The ELBO before the log-likelihood term, which is all that an autoencoder has."""
        return ("elbo", "log_likelihood_term")

    @property
    def main(self) -> tuple[str, ...]:
        """The ELBO and the log-likelihood; of an autoencoder the log-likelihood term."""
        if self.settings.has_bound:
            return ("elbo", "log_likelihood")
        return ("log_likelihood_term",)

    @property
    def rate(self) -> tuple[float | None, ...]:
        """The mean rate of each level in nats; of an autoencoder nothing."""
        if self.settings.has_bound:
            return self.bound.rate
        return ()

    @property
    def importance(self) -> Likelihood | None:
        """The importance-sampled log-likelihood of the first examples; of an autoencoder None."""
        if self.settings.has_bound:
            return self.likelihood
        return None

    def difference(self, first: "DenseMeasures", name: str) -> Estimate:
        """Measures the mean of this minus `first`, example by example, by one measure.

        That of the log-likelihood is of two lower bounds: its error holds how loose they may be.
        """
        difference = Estimate.of(self.per_row(name) - first.per_row(name))
        if name != "log_likelihood":
            return difference
        return difference.widened(first.likelihood.looseness, self.likelihood.looseness)

    def describe(self) -> dict[str, Any]:
        """Returns all numbers, in nats per example."""
        value, standard_error = self.likelihood.log_likelihood
        numbers = {
            "elbo": self.bound.elbo.value,
            "elbo_se": self.bound.elbo.standard_error,
            "draws": self.draws,
            "log_likelihood": value,
            "log_likelihood_se": standard_error,
            "samples": self.likelihood.samples,
            **self.likelihood.diagnosis(),
            "rate": list(self.bound.rate),
            "active_units": list(self.latent.active_units),
            "bits_per_dim": bits_per_dimension(value, self.model.shape),
            "dimension": dimension_of(self.examples.schema),
            "examples": len(self.examples),
            "log_likelihood_term": self.bound.log_likelihood_term,
            "rate_per_dimension": _plain_rates(self.latent),
        }
        if self.columns_of_table:
            numbers["columns"] = [column._asdict() for column in self.columns_of_table]
        return numbers

    def columns(self, objective: Loss, group: int) -> dict[str, float]:
        """Returns the objective, the ELBO, the log-likelihood term and the rate of each level."""
        return self._bound_columns(self.examples, objective, group, self.settings.processes)


@dataclass(frozen=True, eq=False)
class RankedMeasures(Measured):
    """How well a model ranks what was held out of users, and what the latents carry.

    Attributes:
        model: the model.
        users: the split.
        settings: how it is measured.
    """

    model: VAE
    users: History
    settings: MeasureSettings

    unit = "users"
    in_nats = False

    @cached_property
    def ranking(self) -> Ranking:
        """Every metric at every usual k, and the metric that decides."""
        names = [*METRICS, self.deciding[0]]
        if self.facts is not None:
            names += [*measurable(self.facts), AREA]
        return self._rank(tuple(dict.fromkeys(names)), facts=self.facts)

    @cached_property
    def facts(self) -> ItemFacts | None:
        """What is known of the items, with vectors."""
        return with_vectors(self.settings.facts, self.model)

    @cached_property
    def cold(self) -> Ranking | None:
        """The same ranking by what is known of the users beside their histories, as for new users
        who have none yet; None for a model without conditions.
        """
        if not self.users.schema.given:
            return None
        scorer = partial(scores_when_cold, self.model)
        return self._rank(tuple(self.ranking.metrics), scorer, self.facts)

    def _rank(
        self,
        metrics: Sequence[str],
        scorer: Scorer | None = None,
        facts: ItemFacts | None = None,
    ) -> Ranking:
        """Ranks for the users, by the model if no other scorer is given.

        The model is put in evaluation mode for the while.
        """
        if scorer is None:
            scorer = self.model.item_scores
        with evaluating(self.model, self.settings.seed):
            return rank(
                scorer,
                self.users,
                ks=cuts(self._items),
                metrics=metrics,
                popularity=self.settings.popularity,
                facts=facts,
                processes=self.settings.processes,
            )

    @property
    def _items(self) -> int:
        """The size of the catalogue, I."""
        return self.users.schema.shape[0]

    @cached_property
    def by_popularity(self) -> Ranking | None:
        """A ranking by popularity for the same users; None where it is not known. The area under
        the curve, which takes as long as a ranking, is left out.
        """
        if self.settings.popularity is None:
            return None
        counts = Counts(torch.tensor(self.settings.popularity, dtype=torch.float32))
        users = self.users.without_conditions()
        names = [name for name in self.ranking.metrics if name != AREA]
        return rank(counts, users, metrics=names, facts=self.facts)

    def more_than_popularity(self, ranking: Ranking) -> dict[str, Estimate]:
        """Measures the mean difference of each metric of a ranking of these users to a ranking by
        popularity; empty where the popularity is not known.
        """
        if self.by_popularity is None:
            return {}
        baseline = self.by_popularity
        return {name: difference(ranking, baseline, name) for name in baseline.metrics}

    @cached_property
    def latent(self) -> LatentStatistics:
        """What the latents carry of the first users."""
        first = self.users.take(slice(0, LATENT_USERS))
        return latent_statistics(self.model, first, seed=self.settings.seed)

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric at every usual k."""
        return tuple(self.ranking.per_user)

    def per_row(self, name: str) -> Tensor:
        """Returns one metric of each user with a held-out item."""
        return self.ranking.per_user[name]

    @property
    def deciding(self) -> tuple[str, ...]:
        """The metric that chose the weights of the run, or else nDCG."""
        return (deciding_metric(self.settings.monitor, self._items),)

    @property
    def main(self) -> tuple[str, ...]:
        """The metric that decides, and two others."""
        wanted = dict.fromkeys([*self.deciding, "ndcg@100", "recall@20", "recall@50", *self.names])
        known = [name for name in wanted if name in self.names]
        return tuple(known[:MAIN_METRICS])

    @property
    def rate(self) -> tuple[float | None, ...]:
        """The mean rate of each level in nats; of an autoencoder nothing."""
        if self.settings.has_bound:
            return tuple(_sums(self.latent))
        return ()

    @property
    def left_out(self) -> int:
        """The number of users of whom nothing was held out."""
        return self.ranking.left_out

    def difference(self, first: "RankedMeasures", name: str) -> Estimate:
        """Measures the mean of this minus `first`, user by user, by one metric."""
        return difference(self.ranking, first.ranking, name)

    def describe(self) -> dict[str, Any]:
        """Returns the metrics, those of popularity beside them, and what the latents carry.

        Raises:
            DataError: the split holds nothing out.
        """
        if self.users.targets is None:
            raise DataError(
                f"the {self.settings.split} split holds nothing out to be found; to measure other "
                "data, give a folder with train and test files"
            )
        found = self._describe_ranking(self.ranking)
        if self.cold is not None:
            found["cold_start"] = self._describe_ranking(self.cold)
        if self.facts is not None:
            found["diversity_by"] = self.facts.vectors_of
        return {
            **found,
            "users": len(self.ranking.users),
            "users_without_targets": self.ranking.left_out,
            "rate": _sums(self.latent),
            "active_units": list(self.latent.active_units),
            "rate_per_dimension": _plain_rates(self.latent),
        }

    def _describe_ranking(self, ranking: Ranking) -> dict[str, Any]:
        """Returns the metrics of a ranking of these users, beside those of popularity."""
        metrics = ranking.metrics
        popularity_ranks = ranking.mean_popularity_rank or {}
        differences = self.more_than_popularity(ranking)
        return {
            "metrics": {name: estimate.value for name, estimate in metrics.items()},
            "standard_errors": {name: each.standard_error for name, each in metrics.items()},
            "coverage": {f"coverage@{k}": part for k, part in ranking.coverage.items()},
            "gini": {f"gini@{k}": index for k, index in ranking.gini.items()},
            "mean_popularity_rank": {str(k): mean for k, mean in popularity_ranks.items()},
            "more_than_popularity": {name: each._asdict() for name, each in differences.items()},
        }

    def columns(self, objective: Loss, group: int) -> dict[str, float]:
        """Returns the watched metrics, and what the objective has to say where it chooses the best
        weights.

        The processes share the work of the metrics; each measures the objective alone.
        """
        ranking = self._rank(watched(self.settings.monitor, self._items))
        columns = {name: estimate.value for name, estimate in ranking.metrics.items()}
        if self.settings.monitor == "objective":
            columns |= self._bound_columns(self.users, objective, group, ONE_PROCESS)
        return columns


def with_vectors(facts: ItemFacts | None, model: VAE) -> ItemFacts | None:
    """Returns what is known of the items; where they have no vectors of their own, those of the
    model say how diverse lists are.
    """
    if facts is None or facts.vectors is not None:
        return facts
    return replace(facts, vectors=item_vectors(model), vectors_of="vectors of the model")


def scores_when_cold(model: VAE, users: Batch) -> Tensor:
    """Scores each item for users by their conditions alone, as if they had no history, (B, I)."""
    assert isinstance(users.x, SparseRows)
    return model.item_scores(users.with_values(users.x.emptied()))


def _sums(latent: LatentStatistics) -> list[float | None]:
    """Returns the rate of each level in nats, or None where it does not factorise."""
    sums: list[float | None] = []
    for rate in latent.rate_per_dimension:
        if rate is None:
            sums.append(None)
        else:
            sums.append(rate.sum().item())
    return sums


def _plain_rates(latent: LatentStatistics) -> list[list[float] | None]:
    """Returns the rate of each dimension of each level as JSON has it."""
    plain: list[list[float] | None] = []
    for rate in latent.rate_per_dimension:
        if rate is None:
            plain.append(None)
        else:
            plain.append(rate.tolist())
    return plain


@singledispatch
def measure_split(split: Split, model: VAE, settings: MeasureSettings) -> Measured:
    """Returns the measures of a split of a run, by the kind of the split.

    Args:
        split: the rows to measure on.
        model: the model; it is put in evaluation mode for the while.
        settings: how.
    """
    raise NotImplementedError(f"nothing measures a {type(split).__name__}")


@measure_split.register
def _(split: Examples, model: VAE, settings: MeasureSettings) -> DenseMeasures:
    return DenseMeasures(model, split, settings)


@measure_split.register
def _(split: History, model: VAE, settings: MeasureSettings) -> RankedMeasures:
    return RankedMeasures(model, split, settings)
