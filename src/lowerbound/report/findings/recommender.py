"""What the page of a recommender shows, measured once: rankings beside those of the baselines,
vectors, rates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...baselines import Ease, GraphFilter, LinearBaseline, Popularity
from ...data import Dataset, History
from ...errors import ConfigError
from ...evaluation import LatentStatistics
from ...evaluation.measure import (
    LATENT_USERS,
    MeasureSettings,
    RankedMeasures,
    deciding_metric,
    scores_when_cold,
    with_vectors,
)
from ...evaluation.ranking import Ranking, Scorer, cuts, measurable, rank
from ...evaluation.ranking.metrics import AREA
from ...evaluation.statistics import mean_ranks
from ...recommend import item_vectors
from ...run import Run
from ..projection import Plane, plane
from ..text import metric_title

MODEL = "model"
"""The name of the model among the rankings."""

COLD = "features alone"
"""The name of the ranking by the features of users alone, as for users without a history."""

NETWORK = "the network alone"
"""The name of the ranking by the network without the linear method beside it."""

PARTNER = "the linear method alone"
"""The name of the ranking by the linear method beside the network."""

OF_THE_MODEL = (MODEL, COLD, NETWORK)
"""The rankings that see the features of users."""

EASE_MEMORY = 10**9
"""Bytes that a fit of EASE may take; over larger catalogues it is left out."""

EASE_GRID = tuple(Ease(l2) for l2 in (50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0))
"""What is tried of EASE on the validation split."""

EASE_DEFAULT = Ease(500.0)
"""EASE where there is no validation split."""

GRAPH_GRID = tuple(GraphFilter(scale=scale) for scale in (0.1, 0.3, 1.0))
"""What is tried of the graph filter on the validation split."""

GRAPH_DEFAULT = GraphFilter()
"""The graph filter where there is no validation split: as published."""

MAPPED_ITEMS = 2000
"""Points of the map of the items, at most."""

MAPPED_USERS = 1000
"""Points of the map of the users, at most."""

NEIGHBOURS = 5
"""Nearest items that are shown of an item."""

KNOWN = 8
"""Items, the best-known ones, whose nearest items are shown."""

BEYOND_CUT = 20
"""The length of the lists whose novelty, diversity and so on are shown, if the catalogue allows."""

TABLE_METRICS = (
    ("ndcg", 10),
    ("ndcg", 100),
    ("recall", 20),
    ("recall", 50),
    ("recall_capped", 20),
    ("recall_capped", 50),
    ("mrr", 100),
)
"""Metrics of the table, each with the k that it has if the catalogue is large enough."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Rankings of one split by the model and by others.

    Attributes:
        split: its name.
        users: the split.
        headline: the metric that decides.
        names: the metrics of the table.
        ks: the cuts that the catalogue has.
        rankings: by name, "model" first.
        notes: how the others were fitted, or why one is missing.
        vectors_of: what the diversity of lists is measured by, "" where it is not.
    """

    split: str
    users: History
    headline: str
    names: tuple[str, ...]
    ks: tuple[int, ...]
    rankings: Mapping[str, Ranking]
    notes: tuple[str, ...] = ()
    vectors_of: str = ""

    def k(self, wanted: int) -> int:
        """Returns the largest cut up to `wanted` that there is."""
        return largest_cut(self.ks, wanted)


@dataclass(frozen=True, eq=False)
class Findings:
    """All that was measured of a run on interactions; None is what does not apply.

    Attributes:
        data: in the splits of the run.
        train: the training split.
        popularity: training users of each item, (I,).
        compared: rankings of the test split, or of the validation split where nothing else has
            targets.
        latent: what the latents carry, over the users of `latent_split`.
        latent_users: how many users these are.
        latent_split: the name of their split.
        vectors: of the items, (I, d).
        items: map of the items' vectors.
        users: map of the users' codes; their rows are those of the training split.
    """

    data: Dataset
    train: History
    popularity: np.ndarray
    compared: Compared | None
    latent: LatentStatistics | None
    latent_users: int
    latent_split: str
    vectors: np.ndarray
    items: Plane | None = None
    users: Plane | None = None


def findings(run: Run) -> Findings:
    """Measures a run on interactions."""
    data = run.data()
    train = data.users("train")
    assert train is not None
    has_item: Any = train.matrix != 0
    popularity = np.asarray(has_item.sum(0), dtype=np.int64).ravel()
    vectors = item_vectors(run.model)
    method = run.recipe.report.projection
    known = np.argsort(-popularity, kind="stable")[:MAPPED_ITEMS]
    items = plane(unit_rows(vectors)[known], known, "item vector ", method=method)
    chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:MAPPED_USERS])
    codes = run.encode(train.take(chosen))[0]
    users = plane(codes.numpy(), chosen, "z", method=method)
    compared = compare(run, data, popularity)
    latent, latent_users, latent_split = _measure_latent(run, data)
    return Findings(
        data,
        train,
        popularity,
        compared,
        latent,
        latent_users,
        latent_split,
        vectors,
        items,
        users,
    )


def compare(run: Run, data: Dataset, popularity: np.ndarray) -> Compared | None:
    """Ranks for the users of the split that has targets, the test split before the validation, by
    the model, by popularity, by EASE and by the graph filter; where a linear method stands beside
    the network, also by each of the two.

    Returns:
        The rankings, or None if no split has targets.
    """
    split = "test"
    users = data.held_out(split)
    if users is None:
        split = "validation"
        users = data.held_out(split)
    train = data.users("train")
    if users is None or train is None:
        return None
    ks = cuts(len(popularity))
    headline = deciding_metric(run.recipe.training.monitor, len(popularity))
    names = _table_metrics(ks, headline)
    scorers: dict[str, Scorer] = {
        MODEL: run.model.item_scores,
        "popularity": Popularity().fit(train.matrix),
    }
    if run.schema.given:
        scorers[COLD] = partial(scores_when_cold, run.model)
    if run.model.partner is not None:
        scorers[NETWORK] = run.model.network_scores
        scorers[PARTNER] = run.model.partner.scorer
    notes = []
    for name, fit in (("EASE", _fit_ease), ("the graph filter", _fit_graph_filter)):
        scorer, note = fit(train, data.held_out("validation"), headline)
        notes.append(note)
        if scorer is not None:
            scorers[name] = scorer
    facts = with_vectors(run.item_facts, run.model)
    beyond = [f"{name}@{largest_cut(ks, BEYOND_CUT)}" for name in measurable(facts)]
    metrics = dict.fromkeys([*names, *(f"recall@{k}" for k in ks), *beyond])
    rankings = {}
    for name, scorer in scorers.items():
        seen = users
        if name not in OF_THE_MODEL:
            seen = users.without_conditions()
        rankings[name] = rank(
            scorer, seen, metrics=list(metrics), popularity=popularity, facts=facts
        )
    vectors_of = ""
    if facts is not None:
        vectors_of = facts.vectors_of
    return Compared(split, users, headline, names, ks, rankings, tuple(notes), vectors_of)


def largest_cut(ks: tuple[int, ...], wanted: int) -> int:
    """Returns the largest of the cuts up to `wanted`, or the least cut if all are larger."""
    return max((k for k in ks if k <= wanted), default=ks[0])


def _table_metrics(ks: tuple[int, ...], headline: str) -> tuple[str, ...]:
    """Lists the metrics of the table for a catalogue that has these cuts, each once."""
    names = [headline]
    for name, k in TABLE_METRICS:
        names.append(f"{name}@{largest_cut(ks, k)}")
    return tuple(dict.fromkeys([*names, AREA]))


def _fit_ease(
    train: History, validation: History | None, headline: str
) -> tuple[Scorer | None, str]:
    """Fits EASE, see `_fit_best`; it is left out where it would take much memory and time."""
    items = train.matrix.shape[1]
    needed = Ease().memory(0, items)
    if needed > EASE_MEMORY:
        size = f"{needed / 1e9:.1f} GB of memory (limit {EASE_MEMORY / 1e9:g} GB)"
        return None, f"EASE is left out: over {items:,} items it needs {size}."
    grid = EASE_GRID if validation is not None else (EASE_DEFAULT,)
    return _fit_best("EASE", "l2", grid, train, validation, headline)


def _fit_graph_filter(
    train: History, validation: History | None, headline: str
) -> tuple[Scorer | None, str]:
    """Fits the graph filter, see `_fit_best`."""
    grid = GRAPH_GRID if validation is not None else (GRAPH_DEFAULT,)
    name = f"The graph filter of rank {GRAPH_DEFAULT.rank}"
    return _fit_best(name, "scale", grid, train, validation, headline)


def _fit_best(
    name: str,
    setting: str,
    grid: Sequence[LinearBaseline],
    train: History,
    validation: History | None,
    headline: str,
) -> tuple[Scorer | None, str]:
    """Fits a linear baseline with the setting that is best on the validation split.

    Args:
        name: what sentences call it.
        setting: the name of what is chosen.
        grid: what is tried.
        train: the training split.
        validation: the validation split; without one the only entry of the grid is taken.
        headline: the metric that decides.

    Returns:
        The baseline, or None if it cannot be fitted, and a sentence on how that went.
    """
    best: Scorer | None = None
    values: dict[float, float] = {}
    for method in grid:
        try:
            scorer = method.fit(train.matrix)
        # No memory, or not invertible in float32 with so small a penalty, or negative weights.
        except ConfigError:
            continue
        value = 0.0
        if validation is not None:
            users = validation.without_conditions()
            value = rank(scorer, users, metrics=[headline])[headline].value
        if not values or value > max(values.values()):
            best = scorer
        values[getattr(method, setting)] = value
    if best is None:
        note = f"{name} is left out: it could not be fitted in the memory and precision there are."
        return None, note
    chosen = max(values, key=lambda value: values[value])
    if validation is None:
        note = (
            f"{name} has {setting} = {chosen:g}, which nothing was there to choose it by: there is "
            "no validation split."
        )
        return best, note
    tried = ", ".join(f"{value:g}" for value in values)
    edge = ""
    if len(values) > 1 and chosen in (min(values), max(values)):
        edge = ", an end of that list, so that another might do better"
    note = (
        f"{name} has {setting} = {chosen:g}, the best of {tried} by {metric_title(headline)} on "
        f"the validation split{edge}."
    )
    return best, note


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Divides each row by its length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def nearest(vectors: np.ndarray, of: int, count: int = NEIGHBOURS) -> list[tuple[int, float]]:
    """Finds the rows that are nearest to a row of unit vectors.

    Returns:
        The rows with their cosines, the nearest first.
    """
    cosines = vectors @ vectors[of]
    order = np.argsort(-cosines, kind="stable")
    others = order[order != of][:count]
    return [(int(i), float(cosines[i])) for i in others]


def popularity_ranks(popularity: np.ndarray) -> np.ndarray:
    """Ranks items, 1 for the most popular one; equals have the mean of their ranks."""
    return np.asarray(mean_ranks(-popularity), dtype=float)


def _measure_latent(run: Run, data: Dataset) -> tuple[LatentStatistics | None, int, str]:
    """Measures what the latents carry, on the test users or else those that there are.

    Returns:
        The statistics, or None for an autoencoder, whose codes have no distribution and so no rate;
        the number of users; and the name of their split.
    """
    name = "train"
    users = data.users(name)
    for other in ("validation", "test"):
        if data.users(other) is not None:
            name = other
            users = data.users(other)
    assert users is not None
    count = min(len(users), LATENT_USERS)
    if not run.recipe.objective.has_bound:
        return None, count, name
    return RankedMeasures(run.model, users, MeasureSettings(split=name)).latent, count, name
