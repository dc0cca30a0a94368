"""How well neighbours by codes are of one kind: labels of MNIST, genres of the films of MovieLens.

    python benchmarks/similar.py [--folder runs/similar] [--items FILE]

Two fits, which take about a minute on one core: `aevb-mnist-fast` with 20 latent dimensions, and
`multvae` on movielens-100k with 40 epochs. Of 200 test images the ten nearest of the first 10,000
training images are found: the part that has the label of the image, beside that of neighbours by
pixels. Of each film that 20 training users have or more, the ten nearest are found: the mean share
of genres (intersection over union, Jaccard) that a film and its neighbour have in common, beside
that by the vectors of the decoder (`Recommender.similar`) and by the users who had both films
(cosine of the columns of the training matrix). Standard errors are over images and over films.
Genres are the column `genres` of the file `--items` (item_id, genres as A|B|C); without it films
are left out. Writes results/similar.json.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import lowerbound
from common import arguments, parser, write
from lowerbound.evaluation import Estimate
from lowerbound.neighbours import METRICS, Encoded, encode_items, nearest
from lowerbound.recommend import item_vectors
from lowerbound.run import Run

K = 10
QUERIES = 200
SEARCHED = 10_000
LEAST_USERS = 20


def estimate(values: Any) -> dict[str, float]:
    """Returns a mean and its standard error."""
    return Estimate.of(torch.as_tensor(np.asarray(values, np.float64)))._asdict()


def fitted(folder: Path, recipe: str, data: str, settings: Mapping[str, Any]) -> Run:
    """Fits a recipe, or loads it where the folder has it."""
    if (folder / "summary.json").is_file():
        return lowerbound.load(folder)
    quiet = {"report.write": False, **settings}
    return lowerbound.fit(recipe, data=data, out=folder, settings=quiet, progress=False)


def label_agreement(folder: Path) -> dict[str, Any]:
    """Measures the part of neighbours that have the label of an image."""
    run = fitted(folder / "mnist", "aevb-mnist-fast", "mnist", {"model.latent": [20]})
    train = run.data().examples("train").take(slice(0, SEARCHED))
    test = run.data().examples("test").take(slice(0, QUERIES))
    assert train.labels is not None
    assert test.labels is not None
    found = {}
    for metric in METRICS:
        searched = Encoded.of(run, train, metric=metric)
        codes = torch.cat(run.encode(test), 1)
        if searched.spreads is not None:
            codes = codes / searched.spreads
        found[f"codes, {metric}"] = _share(searched.codes, codes, metric, train, test)
    pixels = [split.tensor(slice(None)).flatten(1) for split in (train, test)]
    for metric in ("cosine", "euclidean"):
        found[f"pixels, {metric}"] = _share(*pixels, metric, train, test)
    return found


def _share(codes: Tensor, queries: Tensor, metric: str, train: Any, test: Any) -> dict[str, float]:
    shares = []
    for code, label in zip(queries, test.labels, strict=True):
        rows = nearest(codes, code, K, metric).positions
        shares.append((train.labels[rows] == label).mean())
    return estimate(shares)


def read_genres(path: Path, ids: Any) -> np.ndarray:
    """Reads which genres each item has, (I, G) bool."""
    with path.open(encoding="utf-8", newline="") as file:
        table = {row["item_id"]: set(row["genres"].split("|")) for row in csv.DictReader(file)}
    names = sorted(set().union(*table.values()))
    return np.array([[name in table[str(item)] for name in names] for item in ids])


def genre_agreement(folder: Path, items: Path) -> dict[str, Any]:
    """Measures how many genres a film and its neighbours have in common."""
    run = fitted(folder / "films", "multvae", "movielens-100k", {"training.epochs": 40})
    assert run.items is not None
    genres = read_genres(items, run.items.ids).astype(float)
    both = genres @ genres.T
    counts = genres.sum(1)
    jaccard = both / np.maximum(counts[:, None] + counts - both, 1)
    films = np.flatnonzero(run.items.popularity >= LEAST_USERS)
    found = {}
    for metric in METRICS:
        found[f"codes, {metric}"] = _common(encode_items(run, metric=metric), films, jaccard)
    matrix = torch.from_numpy(run.data().users("train").matrix.T.toarray())
    for name, vectors in (
        ("vectors of the decoder, cosine", torch.from_numpy(item_vectors(run.model))),
        ("users in common, cosine", matrix),
    ):
        values = [
            _of(jaccard, film, nearest(vectors, vectors[film], K, "cosine", int(film)))
            for film in films
        ]
        found[name] = estimate(values)
    found["any two films"] = estimate(jaccard[films].mean(1))
    return found


def _common(encoded: Encoded, films: np.ndarray, jaccard: np.ndarray) -> dict[str, float]:
    codes = encoded.codes
    values = []
    for film in films:
        best = nearest(codes, codes[film], K, encoded.metric, int(film))
        values.append(_of(jaccard, film, best))
    return estimate(values)


def _of(jaccard: np.ndarray, film: int, best: Any) -> float:
    return float(jaccard[film, best.positions].mean())


def main() -> None:
    """Writes results/similar.json."""
    words = parser(__doc__)
    words.add_argument("--folder", type=Path, default=Path("runs/similar"))
    words.add_argument("--items", type=Path, help="a file of the genres of MovieLens-100K")
    given = arguments(words)
    found = {"labels": label_agreement(given.folder)}
    if given.items is not None:
        found["genres"] = genre_agreement(given.folder, given.items)
    for part, rows in found.items():
        for name, value in rows.items():
            print(f"{part:<8}{name:<34}{value['value']:.4f} +- {value['standard_error']:.4f}")
    write("similar", found, given)


if __name__ == "__main__":
    main()
