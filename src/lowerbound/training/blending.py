"""The linear method beside the network of a recommender, chosen when training is over."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from ..baselines.linear import LinearBaseline, LinearScorer
from ..baselines.partner import Partner
from ..data import Dataset, History
from ..errors import ConfigError, DataError, one_line
from ..evaluation.batches import evaluating
from ..evaluation.measure import deciding_metric
from ..evaluation.ranking import rank
from ..model import VAE
from ..recipe import Blend, Recipe
from ..specs.registry import describe
from .validation import refuse_lacking_splits

USERS_AT_A_TIME = 512
"""The scores of this many users are held at a time."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One of the blends that were compared.

    Attributes:
        method: the settings of the linear method, as a recipe has them; None: the network alone.
        weight: of the linear method.
        value: mean of the deciding metric over the validation users.
        standard_error: of the mean.
    """

    method: dict[str, Any] | None
    weight: float
    value: float
    standard_error: float

    def to_json(self) -> dict[str, Any]:
        """Returns the trial as plain values."""
        return {
            "partner": self.method,
            "weight": self.weight,
            "value": self.value,
            "standard_error": self.standard_error,
        }


@dataclass(frozen=True, eq=False)
class Chosen:
    """What was chosen to stand beside a network.

    Attributes:
        partner: the linear method with its weight; None where the network ranks better alone.
        metric: by which it was chosen; None where there was nothing to choose.
        users: how many validation users it was chosen by.
        trials: what was compared, the network alone first.
        is_refitted: whether the partner was fitted to the validation split too.
        left_out: says of each method that could not be fitted why.
    """

    partner: Partner | None
    metric: str | None = None
    users: int = 0
    trials: tuple[Trial, ...] = ()
    is_refitted: bool = False
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns what `summary.json` holds of it."""
        chosen = None
        weight = 0.0
        if self.partner is not None:
            chosen = dict(self.partner.method)
            weight = self.partner.weight
        return {
            "partner": chosen,
            "weight": weight,
            "metric": self.metric,
            "users": self.users,
            "refitted": self.is_refitted,
            "trials": [trial.to_json() for trial in self.trials],
            "left_out": list(self.left_out),
        }

    def describe(self) -> str:
        """Says in a line what ranks."""
        if self.partner is None:
            line = "ranks by the network alone"
        else:
            method = dict(self.partner.method)
            name = method.pop("type")
            settings = ", ".join(f"{key}={value}" for key, value in method.items())
            line = f"ranks by the network and {self.partner.weight:g} x {name}({settings})"
        if self.metric is not None:
            values = [trial.value for trial in self.trials]
            line += (
                f": {self.metric} {max(values):.4f} of {self.users:,} validation users, "
                f"{values[0]:.4f} by the network alone"
            )
        if self.is_refitted:
            line += "; the linear method is now fitted to the validation split too"
        return "; ".join([line, *dict.fromkeys(self.left_out)])


def refuse_unfit_blend(data: Dataset, recipe: Recipe) -> None:
    """Refuses a table `blend` that is not for these data, before anything is fitted.

    Raises:
        ConfigError: the data are no interactions, or there is a choice and no validation split.
        DataError: there is a choice, and of no validation user anything was held out.
    """
    blend = recipe.blend
    if blend is None:
        return
    data.schema.refuse_dense("blend is for interactions; allowed here: no table [blend]")
    refuse_lacking_splits(data, recipe.training, blend)


def choose_partner(model: VAE, data: Dataset, recipe: Recipe) -> Chosen:
    """Fits the linear methods of `recipe.blend`, and chooses one and its weight.

    Args:
        model: the network with its last weights; it is put in evaluation mode for the while.
        data: of the recipe.
        recipe: with a table `blend`.

    Raises:
        ConfigError: a single method without a choice cannot be fitted.
        DataError: there is a choice, and no validation user has anything to be found.
    """
    blend = recipe.blend
    assert blend is not None
    if blend.is_choice:
        return _choose(model, data, blend, recipe.training.monitor)
    scorer = blend.partners[0].fit(_matrix_of(data, "train"))
    return Chosen(Partner(describe(blend.partners[0]), scorer, blend.weights[0]))


def _matrix_of(data: Dataset, name: str) -> csr_matrix:
    users = data.users(name)
    assert users is not None
    return users.matrix


def _choose(model: VAE, data: Dataset, blend: Blend, monitor: str) -> Chosen:
    """Chooses one of several methods and weights, or none, by the validation users."""
    validation = data.users("validation")
    assert validation is not None
    users = evenly_chosen(validation, blend.users)
    scorers: list[tuple[LinearBaseline, LinearScorer]] = []
    left_out = []
    for method in blend.partners:
        try:
            scorers.append((method, method.fit(_matrix_of(data, "train"))))
        except ConfigError as error:
            left_out.append(f"left out: {error}")
    metric = deciding_metric(monitor, model.shape[0])
    with evaluating(model, 0):
        values = list(_measure(model, users, metric, [scorer for _, scorer in scorers], blend))
    trials = [_trial(None, 0.0, values[0])]
    partners: list[Partner | None] = [None]
    for method, scorer in scorers:
        for weight in blend.weights:
            partner = Partner(describe(method), scorer, weight)
            trials.append(_trial(describe(method), weight, values[len(trials)]))
            partners.append(partner)
    best = max(range(len(trials)), key=lambda index: trials[index].value)
    return Chosen(partners[best], metric, len(values[0]), tuple(trials), left_out=tuple(left_out))


def refit_partner(chosen: Chosen, data: Dataset, blend: Blend) -> Chosen:
    """Fits the method that was chosen to the training and the validation split.

    Where none was chosen, or there is no validation split, all stays as it is.
    """
    if chosen.partner is None or data.validation is None:
        return chosen
    partner = fitted_to(chosen.partner, blend, known_rows(data))
    return replace(chosen, partner=partner, is_refitted=True)


def fitted_to(partner: Partner, blend: Blend, matrix: csr_matrix) -> Partner:
    """Fits the method of a partner anew.

    Args:
        partner: of a model.
        blend: that it was chosen from.
        matrix: what it is fitted to, (n, I).

    Raises:
        ConfigError: `blend` has no such method, or it cannot be fitted.
    """
    for method in blend.partners:
        if describe(method) == dict(partner.method):
            return replace(partner, scorer=method.fit(matrix))
    raise ConfigError(
        f"blend.partners of the recipe has not the method that the run ranks by: "
        f"{one_line(dict(partner.method), 200)}"
    )


def known_rows(data: Dataset) -> csr_matrix:
    """Returns all that the training and the validation split know of each user, (n, I).

    A user of both has what validation shows and what it has to find: the first holds what the
    training split has.
    """
    train = data.users("train")
    validation = data.users("validation")
    assert train is not None
    assert validation is not None
    found = validation.matrix
    if validation.targets is not None:
        found = found + validation.targets
    is_in_both = np.isin(train.rows, validation.rows)
    return csr_matrix(vstack([train.matrix[~is_in_both], found], format="csr"))


def evenly_chosen(users: History, most: int) -> History:
    """Returns users that have targets, at most so many, evenly over the split.

    Raises:
        DataError: no user has a target.
    """
    assert users.targets is not None
    with_targets = np.flatnonzero(np.diff(users.targets.indptr))
    if not len(with_targets):
        raise DataError("blend: no validation user has anything to be found; set data.validation")
    count = min(most, len(with_targets))
    places = np.linspace(0, len(with_targets) - 1, count).round().astype(int)
    return users.take(with_targets[places])


def _measure(
    model: VAE, users: History, metric: str, scorers: Sequence[LinearScorer], blend: Blend
) -> Iterator[np.ndarray]:
    """Measures the metric of each user by the network alone, then by each scorer with each weight.

    Scores are computed once for some users, and ranked with each weight.
    """
    pieces: list[list[np.ndarray]] = []
    for start in range(0, len(users), USERS_AT_A_TIME):
        some = users.take(slice(start, min(start + USERS_AT_A_TIME, len(users))))
        batch = some.batch(slice(0, len(some)))
        network = model.network_scores(batch).float().cpu()
        measured = [_rank(network, some, metric)]
        history = some.without_conditions().batch(slice(0, len(some)))
        for scorer in scorers:
            logs = Partner({}, scorer, 1.0)(history)  # type: ignore[arg-type]
            for weight in blend.weights:
                measured.append(_rank(network + weight * logs, some, metric))
        pieces.append(measured)
    for parts in zip(*pieces, strict=True):
        yield np.concatenate(parts)


def _rank(scores: Tensor, users: History, metric: str) -> np.ndarray:
    """Measures the metric of each user by scores that are known, (n,)."""
    known = partial(_give, scores)
    ranking = rank(known, users, metrics=[metric], batch=len(users))
    return ranking.per_user[metric].numpy()


def _give(scores: Tensor, history: Any) -> Tensor:
    """Returns the scores, whatever the history: a scorer of users whose scores are known."""
    return scores


def _trial(method: dict[str, Any] | None, weight: float, values: np.ndarray) -> Trial:
    error = 0.0
    if len(values) > 1:
        error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return Trial(method, weight, float(values.mean()), error)
