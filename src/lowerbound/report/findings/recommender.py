"""What the page of a recommender shows, measured once: rankings beside those of the baselines,
vectors, rates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...baselines import Ease, Popularity, Scorer
from ...data import Dataset, History
from ...errors import ConfigError
from ...evaluation import LatentStatistics, latent_statistics
from ...evaluation.ranking import Ranking, cuts, rank
from ...evaluation.statistics import mean_ranks
from ...recommend import item_vectors
from ...run import LATENT_USERS, Run
from ...training import monitored
from ..projection import Plane, plane
from ..text import metric

EASE_MEMORY = 10**9
"""Bytes that a fit of EASE may take; over larger catalogues it is left out."""


EASE_GRID = (50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)
"""The l2 that are tried on the validation split."""


EASE_DEFAULT = 500.0
"""The l2 where there is no validation split."""


ITEMS, USERS = 2000, 1000
"""Points of the maps, at most."""


NEIGHBOURS, KNOWN = 5, 8
"""Nearest items that are shown, and of how many items."""


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
    """

    split: str
    users: History
    headline: str
    names: tuple[str, ...]
    ks: tuple[int, ...]
    rankings: Mapping[str, Ranking]
    notes: tuple[str, ...] = ()

    def k(self, wanted: int) -> int:
        """The largest cut up to `wanted` that there is."""
        return max((k for k in self.ks if k <= wanted), default=self.ks[0])


@dataclass(frozen=True, eq=False)
class Findings:
    """All that was measured of a run on interactions; None is what does not apply.

    Attributes:
        data: in the splits of the run.
        popularity: training users of each item, (I,).
        compared: rankings of the test split, or of the validation split where nothing else has
        targets.
        latent: what the latents carry, over the users of `latent_split`.
        vectors: of the items, (I, d).
        items: map of the items' vectors.
        users: map of the users' codes; their rows are those of the training split.
    """

    data: Dataset
    popularity: np.ndarray
    compared: Compared | None
    latent: LatentStatistics | None
    latent_users: int
    latent_split: str
    vectors: np.ndarray
    items: Plane | None = None
    users: Plane | None = None


def held_out(data: Dataset, name: str) -> History | None:
    """A split in which there is something to be found."""
    split = getattr(data, name)
    return (
        split
        if isinstance(split, History) and split.targets is not None and split.targets.nnz
        else None
    )


def _names(ks: tuple[int, ...], headline: str) -> tuple[str, ...]:
    def at(wanted: int) -> int:
        return max((k for k in ks if k <= wanted), default=ks[0])

    asked = (
        ("ndcg", 10),
        ("ndcg", 100),
        ("recall", 20),
        ("recall", 50),
        ("recall_capped", 20),
        ("recall_capped", 50),
        ("mrr", 100),
    )
    return tuple(dict.fromkeys([headline, *(f"{name}@{at(k)}" for name, k in asked)]))


def _ease(data: Dataset, train: Any, headline: str) -> tuple[Scorer | None, str]:
    """The baseline with the l2 that is best on the validation split, and how that went."""
    needed = Ease().memory(train.shape[1])
    if needed > EASE_MEMORY:
        size = f"{needed / 1e9:.1f} GB of memory (limit {EASE_MEMORY / 1e9:g} GB)"
        return None, f"EASE is left out: over {train.shape[1]:,} items it needs {size}."
    validation = held_out(data, "validation")
    found: dict[float, float] = {}
    grid = (EASE_DEFAULT,) if validation is None else EASE_GRID
    best: Scorer | None = None
    for l2 in grid:
        try:
            scorer = Ease(l2).fit(train)
        except ConfigError:  # no memory, or not invertible in float32 with so small a penalty
            continue
        value = (
            0.0
            if validation is None
            else rank(scorer, validation, metrics=[headline])[headline].value
        )
        if not found or value > max(found.values()):
            best = scorer
        found[l2] = value
    if best is None:
        return (
            None,
            "EASE is left out: it could not be fitted in the memory and precision there are.",
        )
    chosen = max(found, key=lambda l2: found[l2])
    if validation is None:
        return (
            best,
            f"EASE has l2 = {chosen:g}, which nothing was there to choose it by: there is no "
            "validation split.",
        )
    tried = ", ".join(f"{l2:g}" for l2 in found)
    edge = (
        ", an end of that list, so that another might do better"
        if len(found) > 1 and chosen in (min(found), max(found))
        else ""
    )
    return (
        best,
        f"EASE has l2 = {chosen:g}, the best of {tried} by {metric(headline)} on the validation "
        f"split{edge}.",
    )


def compare(run: Run, data: Dataset, popularity: np.ndarray) -> Compared | None:
    """Rankings by the model, by popularity and by EASE of the split that has targets; the test
    split before the validation.
    """
    split = next(
        (name for name in ("test", "validation") if held_out(data, name) is not None), None
    )
    if split is None or not isinstance(data.train, History):
        return None
    users = held_out(data, split)
    assert users is not None
    ks, monitor = cuts(len(popularity)), monitored(run.recipe.training.monitor, len(popularity))
    headline = monitor if "@" in monitor else f"ndcg@{ks[-1]}"
    names = _names(ks, headline)
    ease, note = _ease(data, data.train.matrix, headline)
    scorers = {
        "model": run.model.item_scores,
        "popularity": Popularity().fit(data.train.matrix),
    } | ({"EASE": ease} if ease else {})
    wanted = dict.fromkeys([*names, *(f"recall@{k}" for k in ks)])
    rankings = {
        name: rank(scorer, users, metrics=list(wanted), popularity=popularity)
        for name, scorer in scorers.items()
    }
    return Compared(split, users, headline, names, ks, rankings, (note,))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Each row divided by its length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def nearest(vectors: np.ndarray, of: int, count: int = NEIGHBOURS) -> list[tuple[int, float]]:
    """The rows that are nearest to a row of unit vectors, with their cosines, the nearest first."""
    cosines = vectors @ vectors[of]
    order = [int(i) for i in np.argsort(-cosines, kind="stable") if i != of]
    return [(i, float(cosines[i])) for i in order[:count]]


def popularity_ranks(popularity: np.ndarray) -> np.ndarray:
    """1 for the most popular item; equals have the mean of their ranks."""
    return np.asarray(mean_ranks(-popularity), dtype=float)


def _latent(run: Run, data: Dataset) -> tuple[LatentStatistics | None, int, str]:
    """What the latents carry, on the test users or else those that there are."""
    name = next(
        (name for name in ("test", "validation") if getattr(data, name) is not None), "train"
    )
    users = data.split(name).take(slice(0, LATENT_USERS))
    if not run.recipe.objective.has_bound:
        return None, len(users), name  # an autoencoder has codes without a distribution: no rate
    return latent_statistics(run.model, users), len(users), name


def findings(run: Run) -> Findings:
    """Measures a run on interactions."""
    data = run.data()
    assert isinstance(data.train, History)
    popularity = np.asarray((data.train.matrix != 0).sum(0), dtype=np.int64).ravel()
    vectors = item_vectors(run.model)
    known, method = np.argsort(-popularity, kind="stable")[:ITEMS], run.recipe.report.projection
    items = plane(unit_rows(vectors)[known], known, "item vector ", method=method)
    some = np.sort(np.random.default_rng(0).permutation(len(data.train))[:USERS])
    users = plane(run.encode(data.train.take(some))[0].numpy(), some, "z", method=method)
    return Findings(
        data, popularity, compare(run, data, popularity), *_latent(run, data), vectors, items, users
    )
