"""What is measured of a split after an epoch."""

import math

from ..data import Dataset, Examples, History
from ..distributed.processes import ONE_PROCESS, Processes
from ..errors import ConfigError, DataError
from ..evaluation import bound
from ..evaluation.batches import Batches, evaluating
from ..evaluation.ranking import metrics_by_name, rank
from ..model import VAE
from ..objectives import Objective
from ..recipe import Training
from .seeds import derive_seed

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
"""Ranking metrics that are measured after an epoch."""


def refuse_unfit(data: Dataset, settings: Training) -> None:
    """ConfigError for settings that are not for these data."""
    ranking = isinstance(data.train, History)
    if settings.monitor != "objective" and (not ranking or data.validation is None):
        allowed = "interactions with a validation split; allowed: objective"
        raise ConfigError(f"training.monitor={settings.monitor} needs {allowed}")
    for name, split in (("validation", data.validation), ("test", data.test)):
        if isinstance(split, History) and not split.targets.nnz:
            raise DataError(
                f"the {name} split of {data.name} holds nothing out to be found: its users have "
                "too few items for the split "
                f"(strong: 5); set data.{name}=0, or another data.interactions.split"
            )
    if ranking and settings.compile is True:
        raise ConfigError(
            "training.compile is for dense examples; interactions need no compilation"
        )
    if settings.clip is not None and settings.optimizer == "LazyAdam":
        raise ConfigError(
            "training.clip needs the gradient of all rows, and LazyAdam has some of them only; "
            "take Adam"
        )


def monitored(name: str, items: int) -> str:
    """What chooses the best weights; of a catalogue with fewer than k items, the metric of the
    whole list.

    Raises:
        ConfigError: there is no such metric.
    """
    if name == "objective":
        return name
    try:
        (kind, k), *_ = metrics_by_name([name], (20,)).values()
    except ConfigError as error:
        raise ConfigError(f"training.monitor is objective or a ranking metric: {error}") from None
    return f"{kind}@{min(k, items)}"


def watched(monitor: str, items: int) -> list[str]:
    """The ranking metrics of a split: what chooses the best weights, and of the others those that
    such a catalogue has.
    """
    found = [name for name in WATCHED if int(name.partition("@")[2]) <= items]
    asked = monitored("ndcg@100" if monitor == "objective" else monitor, items)
    return list(dict.fromkeys([*found, asked]))


def measured(
    model: VAE,
    examples: Examples | History,
    objective: Objective,
    settings: Training,
    stream: int,
    processes: Processes = ONE_PROCESS,
) -> dict[str, float]:
    """What is known of a split after an epoch; one column each.

    Of dense examples the bound, and the objective at the end of its schedules, with the samples of
    the training. Of interactions the ranking metrics, and the objective where it is to choose the
    best weights. The processes share the work, but for that of the objective of interactions.
    """
    if isinstance(examples, History):
        with evaluating(model, derive_seed(settings.seed, stream)):
            asked = watched(settings.monitor, examples.schema.shape[0])
            ranking = rank(model.item_scores, examples, metrics=asked, processes=processes)
        found = {name: estimate.value for name, estimate in ranking.metrics.items()}
        return found | (
            _bound(model, examples, objective, settings, stream)
            if settings.monitor == "objective"
            else {}
        )
    return _bound(model, examples, objective, settings, stream, processes)


def _bound(
    model: VAE,
    examples: Batches,
    objective: Objective,
    settings: Training,
    stream: int,
    processes: Processes = ONE_PROCESS,
) -> dict[str, float]:
    seed = derive_seed(settings.seed, stream)
    found = bound(
        model,
        examples,
        samples=settings.samples,
        objective=objective,
        seed=seed,
        processes=processes,
    )
    rates = {f"rate_{i + 1}": r for i, r in enumerate(found.rate)}
    columns = {
        "objective": found.objective,
        "elbo": found.elbo.value,
        "log_likelihood_term": found.log_likelihood_term,
    }
    return {name: math.nan if value is None else value for name, value in (columns | rates).items()}
