"""What tells which trial of a search is the better one, and what a search may not vary for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ...data import Dataset
from ...errors import ConfigError, DataError, one_line, unknown
from ...evaluation.measure import monitored, watched
from ...families import Family
from ...objectives import Iwae
from ...recipe import Recipe
from ...report.comparison.measure import likelihood_kind
from ...report.text import name_measure
from ...run import check
from .space import Choices, Space, setting

OF_TRAINING_ALONE = ("data.hide",)
"""Keys of the data that change nothing of the validation split."""

UNTOLD_TABLES = ("about", "report", "tracking")
"""Tables of a recipe that say nothing of the model or its training."""

FIXED = {
    "training.monitor": "it says which trial is the better one; allowed: one for all (--by)",
    "training.devices": "each trial is fitted by one process",
    "training.nodes": "each trial is fitted by one process",
}
"""Keys that are the same in all trials, each with the reason."""


@dataclass(frozen=True)
class Goal:
    """A measure of the validation split.

    Attributes:
        measure: "objective", "elbo", "log_likelihood_term", or a ranking metric.
        examples: how many examples or users are measured.
        unit: what they are.
    """

    measure: str
    examples: int
    unit: str

    @property
    def column(self) -> str:
        """The column of `metrics.csv` that holds it."""
        return f"validation_{self.measure}"

    @property
    def is_minimized(self) -> bool:
        """Whether less is better: of an objective it is."""
        return self.measure == "objective"

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """What a search does with it: "minimize" or "maximize"."""
        if self.is_minimized:
            return "minimize"
        return "maximize"

    @property
    def digits(self) -> int:
        """The decimals that it is told with."""
        if "@" in self.measure:
            return 4
        return 2

    @property
    def title(self) -> str:
        """Its name for people, and which way is better."""
        better = "higher is better"
        if self.is_minimized:
            better = "lower is better"
        name = self.measure
        if name != "objective":
            name = name_measure(name)
        return f"{name} ({better})"


def refuse_fixed(space: Space) -> None:
    """Refuses to vary what must be the same in all trials, or says nothing of a model.

    Raises:
        ConfigError: a key decides which examples are measured, or how a trial is fitted.
    """
    for key in space:
        table = key.partition(".")[0]
        if table in UNTOLD_TABLES:
            raise ConfigError(f"search of {key}: the table {table} changes nothing of a model")
        if key in FIXED:
            raise ConfigError(f"search of {key}: {FIXED[key]}")
        if table == "data" and key not in OF_TRAINING_ALONE:
            raise ConfigError(
                f"search of {key}: trials are compared on the same validation examples, which the "
                f"table data decides; allowed of it: {', '.join(OF_TRAINING_ALONE)}"
            )


def find_goal(recipe: Recipe, space: Space, dataset: Dataset, by: str | None) -> Goal:
    """Finds what decides: what is asked for, or else the recipe's own monitor.

    Args:
        recipe: what the trials have in common.
        space: what they do not.
        dataset: the data of all.
        by: the name of a measure; None takes `training.monitor`.

    Raises:
        ConfigError: there is no such measure, or trials cannot be compared by it.
        DataError: there is no validation split, or a likelihood does not fit the data.
    """
    if dataset.validation is None:
        raise DataError(
            f"trials are compared on the validation split, and {dataset.name} has none: raise "
            "data.validation"
        )
    items = dataset.schema.shape[0]
    measure = monitored(recipe.training.monitor, items)
    known = _measures(recipe, dataset)
    if by is not None:
        measure = by
    if measure not in known:
        raise ConfigError(unknown("measure", measure, known))
    validation = dataset.validation
    if measure == "objective":
        _refuse_several_objectives(recipe, space, known)
    if "@" not in measure:
        _refuse_several_kinds(recipe, space, dataset)
    return Goal(measure, len(validation), dataset.schema.unit)


def _measures(recipe: Recipe, dataset: Dataset) -> list[str]:
    """Lists the measures of the validation split that each epoch has."""
    training = recipe.training
    if dataset.schema.is_sparse:
        names = watched(training.monitor, dataset.schema.shape[0])
        if training.monitor == "objective":
            names.append("objective")
        return names
    if recipe.objective.has_bound:
        return ["objective", "elbo", "log_likelihood_term"]
    return ["objective", "log_likelihood_term"]


def _refuse_several_objectives(recipe: Recipe, space: Space, known: list[str]) -> None:
    """Refuses to compare trials by their objectives where these are not the same function."""
    others = ", ".join(f"--by {name}" for name in known if name != "objective")
    for key in space:
        is_of_objective = key.partition(".")[0] == "objective"
        if key == "training.samples" and isinstance(recipe.objective, Iwae):
            is_of_objective = True
        if is_of_objective:
            raise ConfigError(
                f"search of {key}: it changes the objective, so that trials cannot be compared by "
                f"it; allowed: {others or 'a ranking metric as training.monitor'}"
            )


def _refuse_several_kinds(recipe: Recipe, space: Space, dataset: Dataset) -> None:
    """Refuses to compare log-likelihoods of different kinds, such as densities and probabilities.

    Raises:
        ConfigError: there are several kinds.
        DataError: a likelihood does not fit the data.
    """
    kinds: dict[str, str] = {}
    seen: list[Family] = []
    for key, variant in variants(recipe, space):
        likelihood = variant.model.likelihood
        if likelihood in seen:
            continue
        seen.append(likelihood)
        caveat = check(variant, dataset.train)
        kinds.setdefault(likelihood_kind(likelihood, dataset.train, caveat), key)
    if len(kinds) > 1:
        found = "; ".join(kinds)
        key = list(kinds.values())[-1]
        raise ConfigError(
            f"search of {key}: its likelihoods are of different kinds, so that their figures "
            f"cannot be compared: {one_line(found, 300)}"
        )


def variants(recipe: Recipe, space: Space) -> Iterator[tuple[str, Recipe]]:
    """Yields recipes in which one key after the other has each value that stands for its domain.

    The other keys have their first.

    Yields:
        The key, and the recipe.
    """
    first = {key: setting(domain.samples()[0]) for key, domain in space.items()}
    for key, domain in space.items():
        values = domain.samples()
        if not isinstance(domain, Choices):
            values = values[:1]  # no number changes what a likelihood is of
        for value in values:
            yield key, recipe.replace({**first, key: setting(value)})
