"""How well items are recommended that the model never saw, by what is known of them.

    python benchmarks/new_items.py --folder FOLDER [--seeds 0 1 2] [--epochs 40] [--results FOLDER]

FOLDER holds a MovieLens set in its publisher's files, with titles, genres and years; ratings of 4
and more count. A tenth of the films is drawn and taken out of the log (a cold-item split); the
recipe `multvae` is fitted to the rest, and the films that were taken out are added to it by their
table (`Recommender.with_items`). Each user with five or more of the other films and one or more of
those taken out is recommended to by the history of other films, which training has seen; what is to
be found are the films taken out that the user has.

First among the films taken out alone, beside

- random scores,
- popularity of genre: of a film the mean number of users of the known films with each of its
  genres, the mean over these,
- profile: the sum of cosines between the features of a film and those of the films of the history,
  the same features as the regression has;

then among all films. Told are means over users, with standard errors, and then the mean over the
seeds. Nothing was tuned on these films: the penalty is chosen on films that the model knows.
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars
import torch
from scipy.sparse import csr_matrix

import lowerbound
from common import arguments, parser, write
from lowerbound.data.named.movielens import read_films
from lowerbound.evaluation import Ranking, rank
from lowerbound.evaluation.ranking.beyond import genre_vectors
from lowerbound.recommend import Recommender
from lowerbound.recommend.item_features import ItemFeatures
from lowerbound.sparse import SparseRows

COLD = 0.1
"""This part of the films is taken out."""

K = 20
"""The length of the lists."""

LEAST_HISTORY = 5
"""Users have so many known films at least."""

METRICS = (f"recall@{K}", f"ndcg@{K}")


class Held(NamedTuple):
    """Users whose history is not excluded from the lists: it holds none of the films listed."""

    matrix: csr_matrix
    targets: csr_matrix

    def __len__(self) -> int:
        """The number of users."""
        return self.matrix.shape[0]

    def batch(self, index: slice, key: int = 0) -> SparseRows:
        """The histories of some users, which are empty."""
        return SparseRows.of(self.matrix[index])


class Table:
    """Scores from a table (n, films), row by row in the order of the batches."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = torch.from_numpy(np.ascontiguousarray(scores, np.float32))
        self.at = 0

    def __call__(self, history: SparseRows) -> torch.Tensor:
        """Returns the scores of the next users."""
        self.at += len(history)
        return self.scores[self.at - len(history) : self.at]


def read_sets(folder: Path) -> tuple[polars.DataFrame, polars.DataFrame]:
    """The liked films of all users, and the films that somebody likes."""
    log = read_films(folder)
    assert log.items is not None
    ratings = log.parts[0].collect()
    names = dict(zip(ratings.columns[:3], ("user", "item", "rating"), strict=True))
    liked = ratings.rename(names).filter(polars.col("rating") >= 4).select("user", "item")
    films = log.items.unique("item", keep="first", maintain_order=True)
    return liked, films.filter(polars.col("item").is_in(liked["item"].unique().implode()))


def matrix_of(liked: polars.DataFrame, users: list[Any], films: list[Any]) -> csr_matrix:
    """The liked ones of some films, (users, films)."""
    row = {user: place for place, user in enumerate(users)}
    column = {film: place for place, film in enumerate(films)}
    pairs = [
        (row[user], column[film])
        for user, film in liked.iter_rows()
        if user in row and film in column
    ]
    rows, columns = np.array(pairs).T
    values = np.ones(len(pairs), np.float32)
    return csr_matrix((values, (rows, columns)), shape=(len(users), len(films)))


def unit(rows: np.ndarray) -> np.ndarray:
    """Divides rows by their lengths."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def popularity_of_genre(recommender: Recommender, new: polars.DataFrame) -> np.ndarray:
    """Scores new films by how popular the known films of their genres are, (films,)."""
    items = recommender.run.items
    assert items is not None
    assert items.genres is not None
    assert items.popularity is not None
    together = genre_vectors([*items.genres, *new["genres"].to_list()])
    assert together is not None
    known, other = together[: len(items)], together[len(items) :]
    means = (known.T @ items.popularity) / np.maximum(known.sum(0), 1)
    return np.asarray((other @ means) / np.maximum(other.sum(1), 1))


def scores_of_lists(
    recommender: Recommender, histories: dict[Any, list[Any]], films: list[Any]
) -> np.ndarray:
    """The scores that a recommender gives some of its films, (users, films)."""
    lists = recommender.recommend_many(histories, len(films), allow=films)
    place = {int(recommender.catalogue.column(film)): at for at, film in enumerate(films)}
    columns = np.vectorize(place.__getitem__)(lists.items)
    scores = np.empty(lists.scores.shape)
    np.put_along_axis(scores, columns, lists.scores, 1)
    return scores


def measure_seed(
    liked: polars.DataFrame, films: polars.DataFrame, seed: int, epochs: int, folder: Path
) -> dict[str, Any]:
    """Takes a tenth of the films out, fits, and ranks."""
    ids = films["item"].to_list()
    drawn = np.random.default_rng(seed).permutation(len(ids))[: round(COLD * len(ids))]
    cold = sorted(ids[place] for place in drawn)
    known = liked.filter(~polars.col("item").is_in(cold))
    table = folder / "films.csv"
    films.write_csv(table)
    run = lowerbound.fit(
        "multvae",
        data=known,
        out=folder / f"run-{seed}",
        settings={
            "data.interactions.items": str(table),
            "data.interactions.min_user_items": LEAST_HISTORY,
            "data.seed": seed,
            "training.seed": seed,
            "training.epochs": epochs,
            "training.batch_size": 100,
            "report.write": False,
        },
        progress=False,
    )
    assert run.items is not None
    recommender = Recommender(run)
    wider = recommender.with_items(films)
    assert wider.new is not None
    new = films.filter(polars.col("item").is_in(cold)).sort("item")
    users = liked["user"].unique().sort().to_list()
    warm = matrix_of(liked, users, run.items.ids.tolist())
    targets = matrix_of(liked, users, cold)
    is_measured = (np.diff(warm.indptr) >= LEAST_HISTORY) & (np.diff(targets.indptr) > 0)
    warm, targets = warm[is_measured], targets[is_measured]
    measured = [user for user, kept in zip(users, is_measured, strict=True) if kept]
    histories = {
        user: run.items.ids[warm[row].indices].tolist() for row, user in enumerate(measured)
    }
    held = Held(csr_matrix(targets.shape, dtype=np.float32), targets)
    features = ItemFeatures.fit(run.items.to_frame())
    of_known = unit(features.code(run.items.to_frame()).toarray())
    of_new = unit(features.code(new).toarray())
    tables = {
        "random": np.random.default_rng(seed + 1).random(targets.shape),
        "popularity of genre": np.tile(popularity_of_genre(recommender, new), (len(measured), 1)),
        "profile": np.asarray(warm @ (of_known @ of_new.T)),
        "new items": scores_of_lists(wider, histories, cold),
    }
    rankings = {
        name: rank(Table(scores), held, ks=(K,), metrics=list(METRICS))
        for name, scores in tables.items()
    }
    return {
        "seed": seed,
        "users": len(measured),
        "known": len(run.items),
        "new": len(cold),
        "explained": wider.new.explained,
        "metrics": {name: describe(ranking) for name, ranking in rankings.items()},
        "among_all": among_all(wider, histories, targets, cold),
    }


def describe(ranking: Ranking) -> dict[str, Any]:
    """The metrics of a ranking, with standard errors."""
    return {name: list(ranking[name]) for name in METRICS}


def among_all(
    recommender: Recommender,
    histories: dict[Any, list[Any]],
    targets: csr_matrix,
    cold: list[Any],
) -> dict[str, float]:
    """What lists of all films hold of those taken out."""
    lists = recommender.recommend_many(histories, K)
    listed = np.asarray(recommender.catalogue.ids)[lists.items]
    is_cold = np.isin(listed, cold)
    hits = 0
    recalls = []
    for row in range(len(listed)):
        wanted = {cold[column] for column in targets[row].indices}
        found = len(wanted & set(listed[row].tolist()))
        hits += found
        recalls.append(found / len(wanted))
    return {
        "share_of_catalogue": len(cold) / len(recommender.catalogue.ids),
        "share_of_lists": float(is_cold.mean()),
        "precision_of_cold": hits / max(int(is_cold.sum()), 1),
        f"recall@{K}": float(np.mean(recalls)),
    }


def main() -> None:
    """Measures all seeds and prints a table."""
    words = parser(__doc__, threads=1)
    words.add_argument("--folder", type=Path, required=True, help="of a MovieLens set")
    words.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    words.add_argument("--epochs", type=int, default=40)
    given = arguments(words)
    liked, films = read_sets(given.folder)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in given.seeds:
            row = measure_seed(liked, films, seed, given.epochs, Path(folder))
            rows.append(row)
            print(
                f"seed {seed}: {row['new']} of {row['new'] + row['known']:,} films taken out, "
                f"{row['users']} users, {row['explained']:.0%} explained; among all: "
                f"{row['among_all']}",
                flush=True,
            )
            for name, metrics in row["metrics"].items():
                told = ", ".join(f"{key} {v:.4f} ± {e:.4f}" for key, (v, e) in metrics.items())
                print(f"  {name:<20} {told}", flush=True)
    means: dict[str, dict[str, float]] = {}
    for name in rows[0]["metrics"]:
        means[name] = {}
        for key in METRICS:
            values = [row["metrics"][name][key][0] for row in rows]
            means[name][key] = float(np.mean(values))
    print(means)
    write("new-items", {"rows": rows, "means": means}, given)


if __name__ == "__main__":
    main()
