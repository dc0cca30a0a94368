"""What features of users bring a recommender, where the truth is known.

    python benchmarks/user_features.py [--seeds 0 1 2] [--epochs N] [--shown 0.8 0.05]
    [--results FOLDER]

The log is the embedded set `synthetic-interactions`: each user is a mixture of eight tastes. The
table of users is made of these: `taste` is the greatest part of the mixture, known for 80 % of the
users; `age` is a random number that says nothing. Both are no column of the log.

The recipe is `multvae`, once without and once with the table, same seeds, same splits: 200 users
for validation and 200 for testing, of whose items the share `shown` is seen and the rest is to be
found. Told is NDCG@100 over the test users of all seeds, with the standard error over the users of
one seed (the seeds share users): of the two models, of the features alone (empty histories), of
popularity, and of the true mixtures, which nothing that ranks by the same list can pass in the
mean. The weights are those of the epoch that was best on the validation users.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import polars
import torch
from torch import Tensor

import lowerbound
from common import arguments, parser, write
from lowerbound.baselines import Popularity
from lowerbound.data.interactions.history import History
from lowerbound.data.named import synthetic
from lowerbound.evaluation.measure import scores_when_cold
from lowerbound.evaluation.ranking import Ranking, difference, rank
from lowerbound.run import Run
from lowerbound.sparse import SparseRows

METRIC = "ndcg@100"

KNOWN = 0.8
"""The share of users whose taste the table tells."""


def truth() -> np.ndarray:
    """The mixtures of the users of the set, (users, tastes)."""
    return synthetic.mixtures(np.random.default_rng(0))


def table_of_users() -> polars.DataFrame:
    """The table that the model with features is given."""
    rng = np.random.default_rng(1)
    mixtures = truth()
    words = [f"taste-{taste}" for taste in mixtures.argmax(1)]
    is_known = rng.random(len(mixtures)) < KNOWN
    return polars.DataFrame(
        {
            "user": [f"user-{user:04}" for user in range(len(mixtures))],
            "taste": polars.Series(words).set(polars.Series(~is_known), None),
            "age": rng.integers(18, 80, len(mixtures)),
        }
    )


def fitted(folder: Path, seed: int, shown: float, epochs: int, table: Path | None) -> Run:
    """Fits the recipe, with the table or without it."""
    settings: dict[str, Any] = {
        "training.epochs": epochs,
        "training.seed": seed,
        "data.interactions.fold_in": shown,
        "report.write": False,
    }
    if table is not None:
        settings |= {"data.interactions.users": str(table), "data.given": ["taste", "age"]}
    return lowerbound.fit("multvae", out=folder, settings=settings, progress=False)


def by_truth(users: History) -> Ranking:
    """Ranks for users by the probabilities that their items were drawn from."""
    numbers = [int(user.removeprefix("user-")) for user in users.users.tolist()]
    scores = torch.from_numpy(truth()[numbers] @ synthetic.tastes()).log().float()
    start = 0

    def score(history: SparseRows) -> Tensor:
        nonlocal start
        start += len(history)
        return scores[start - len(history) : start].clone()

    return rank(score, users.without_conditions(), metrics=[METRIC])


def rankings(plain: Run, given: Run) -> dict[str, Ranking]:
    """Ranks for the test users by all that is compared."""
    users = given.data().users("test")
    train = given.data().users("train")
    assert users is not None
    assert train is not None
    alone = users.without_conditions()
    found = {"popularity": rank(Popularity().fit(train.matrix), alone, metrics=[METRIC])}
    found["without features"] = rank(plain.model.item_scores, alone, metrics=[METRIC])
    found["with features"] = rank(given.model.item_scores, users, metrics=[METRIC])
    cold = partial(scores_when_cold, given.model)
    found["features alone"] = rank(cold, users, metrics=[METRIC])
    found["the truth"] = by_truth(users)
    return found


def measure(shown: float, seeds: list[int], epochs: int, folder: Path) -> dict[str, Any]:
    """Fits and ranks for each seed, and prints the row of a table."""
    table = folder / "users.csv"
    table_of_users().write_csv(table)
    each = []
    gains = []
    for seed in seeds:
        plain = fitted(folder / f"plain-{shown}-{seed}", seed, shown, epochs, None)
        given = fitted(folder / f"given-{shown}-{seed}", seed, shown, epochs, table)
        found = rankings(plain, given)
        each.append({name: ranking[METRIC]._asdict() for name, ranking in found.items()})
        gain = difference(found["with features"], found["without features"], METRIC)
        gains.append(gain._asdict())
    row: dict[str, Any] = {"shown": shown, "seeds": each, "gains": gains}
    cells = [f"{shown:g}"]
    for name in each[0]:
        value = fmean(one[name]["value"] for one in each)
        error = fmean(one[name]["standard_error"] for one in each)
        cells.append(f"{name} {value:.3f} ± {error:.3f}")
    gain_value = fmean(one["value"] for one in gains)
    gain_error = fmean(one["standard_error"] for one in gains)
    cells.append(f"gain {gain_value:+.4f} ± {gain_error:.4f}")
    print("| " + " | ".join(cells) + " |", flush=True)
    return row


def main() -> None:
    """Measures each share of the items that is shown."""
    words = parser(__doc__)
    words.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    words.add_argument("--epochs", type=int, default=60)
    words.add_argument("--shown", type=float, nargs="+", default=[0.8, 0.05])
    given = arguments(words)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(shown, given.seeds, given.epochs, Path(folder)) for shown in given.shown]
    write("user-features", {"rows": rows}, given)


if __name__ == "__main__":
    main()
