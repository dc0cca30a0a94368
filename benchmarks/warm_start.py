"""How many epochs a refit saves that starts from the run of an earlier log.

    python benchmarks/warm_start.py --folder FOLDER [--seeds 0 1 2] [--epochs 50] [--results FOLDER]

FOLDER holds a MovieLens set in its publisher's files; ratings of 4 and more count. The earlier run
is fitted to the first 80 % of the log by time, without the users that the refit holds out, so that
it has seen nothing of those. Then the recipe `multvae` is fitted to the whole log twice, with the
same splits and the same seed: from drawn weights (cold), and from the earlier run
(`training.start_from`, warm). Told is after how many epochs each reaches the best figure that the
cold fit has on the validation users (NDCG@100), and what the best weights of each have on the test
users. Because one epoch that happens to be good makes the best figure, the epochs to 99 % of it are
told too.
"""

import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars

import lowerbound
from common import arguments, parser, write
from lowerbound import recipe
from lowerbound.data import History
from lowerbound.data.named.movielens import read_films
from lowerbound.evaluation import difference, rank
from lowerbound.run import Run

METRIC = "ndcg@100"

NEARLY = 0.99
"""This part of the best figure is nearly as good."""

EARLIER = 0.8
"""The earlier run knows this part of the log."""


def read_log(folder: Path) -> polars.DataFrame:
    """The liked films of all users, in the order of time."""
    ratings = read_films(folder).parts[0].collect()
    names = dict(zip(ratings.columns[:4], ("user", "item", "rating", "timestamp"), strict=True))
    liked = ratings.rename(names).filter(polars.col("rating") >= 4)
    return liked.sort("timestamp", "user", "item").select("user", "item", "timestamp")


def settings_of(seed: int, epochs: int) -> dict[str, Any]:
    """The settings of all fits of a seed."""
    return {
        "training.epochs": epochs,
        "training.batch_size": 100,
        "training.seed": seed,
        "data.seed": seed,
        "data.interactions.min_user_items": 5,
        "report.write": False,
    }


def curve(run: Run) -> list[float]:
    """The figure of the validation users after each epoch."""
    with (run.folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [float(row[f"validation_{METRIC}"]) for row in csv.DictReader(file)]


def first_reaching(values: list[float], wanted: float) -> int | None:
    """The first epoch, from 1, whose figure is as good as one; None if there is none."""
    for epoch, value in enumerate(values, 1):
        if value >= wanted:
            return epoch
    return None


def held_out_users(log: polars.DataFrame, settings: dict[str, Any]) -> np.ndarray:
    """The users that a fit to the log validates and tests on."""
    data = recipe.load("multvae").replace(settings | {"data.source": "memory"}).data
    opened = data.open(source=log)
    users = []
    for split in (opened.validation, opened.test):
        assert isinstance(split, History)
        users.append(split.users)
    return np.concatenate(users)


def measure_seed(log: polars.DataFrame, seed: int, epochs: int, folder: Path) -> dict[str, Any]:
    """Fits three runs of a seed."""
    settings = settings_of(seed, epochs)
    held_out = held_out_users(log, settings)
    earlier = log.head(int(EARLIER * len(log)))
    earlier = earlier.filter(~polars.col("user").is_in(held_out.tolist()))
    first = lowerbound.fit(
        "multvae", data=earlier, out=folder / f"earlier-{seed}", settings=settings, progress=False
    )
    cold = lowerbound.fit(
        "multvae", data=log, out=folder / f"cold-{seed}", settings=settings, progress=False
    )
    start = {"training.start_from": str(first.folder)}
    warm = lowerbound.fit(
        "multvae", data=log, out=folder / f"warm-{seed}", settings=settings | start, progress=False
    )
    cold_curve = curve(cold)
    warm_curve = curve(warm)
    best = max(cold_curve)
    lead = measure_lead(cold, warm)
    assert first.items is not None
    assert cold.items is not None
    return {
        "seed": seed,
        "items_before": len(first.items),
        "items": len(cold.items),
        "cold_best": best,
        "cold_epochs": first_reaching(cold_curve, best),
        "warm_epochs": first_reaching(warm_curve, best),
        "cold_epochs_nearly": first_reaching(cold_curve, NEARLY * best),
        "warm_epochs_nearly": first_reaching(warm_curve, NEARLY * best),
        "cold_after_1": cold_curve[0],
        "warm_after_1": warm_curve[0],
        "warm_best": max(warm_curve),
        "test": lead,
        "cold_curve": cold_curve,
        "warm_curve": warm_curve,
    }


def measure_lead(cold: Run, warm: Run) -> dict[str, float]:
    """The figures of the test users, and the difference with the error of the pairs."""
    rankings = []
    for run in (cold, warm):
        test = run.data().held_out("test")
        assert test is not None
        rankings.append(rank(run.model.item_scores, test, metrics=[METRIC]))
    lead = difference(rankings[1], rankings[0], METRIC)
    return {
        "cold": rankings[0][METRIC].value,
        "warm": rankings[1][METRIC].value,
        "difference": lead.value,
        "standard_error": lead.standard_error,
    }


def main() -> None:
    """Measures all seeds and prints a line for each."""
    words = parser(__doc__, threads=1)
    words.add_argument("--folder", type=Path, required=True, help="of a MovieLens set")
    words.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    words.add_argument("--epochs", type=int, default=50)
    given = arguments(words)
    log = read_log(given.folder)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in given.seeds:
            row = measure_seed(log, seed, given.epochs, Path(folder))
            rows.append(row)
            test = row["test"]
            print(
                f"seed {seed}: {row['items_before']:,} of {row['items']:,} items known before; "
                f"validation {METRIC} {row['cold_best']:.4f} after {row['cold_epochs']} epochs "
                f"cold, {row['warm_epochs']} warm; 99 % of it after {row['cold_epochs_nearly']} "
                f"and {row['warm_epochs_nearly']}; after one epoch {row['cold_after_1']:.4f} and "
                f"{row['warm_after_1']:.4f}; warm at its best {row['warm_best']:.4f}; test "
                f"{test['cold']:.4f} and {test['warm']:.4f}, difference "
                f"{test['difference']:+.4f} ± {test['standard_error']:.4f}"
            )
    write("warm-start", {"rows": rows}, given)


if __name__ == "__main__":
    main()
