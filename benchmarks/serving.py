"""How fast a recommender serves: one user whom it has not seen, and very many at once.

A model with random weights, [I, 600, 200, 600, I] with tanh as in Mult-VAE, ranks the items for
histories. Training changes neither the sizes nor the steps; but how many items must be scored
exactly depends on the scores, so `--run` takes a fitted run.

    python benchmarks/serving.py [--run RUN] [--items 40981] [--users 100000] [--k 20] [--threads 2]
    [--queries 200]

Histories are those of Gowalla where it is found, sampled with replacement, and otherwise drawn:
their sizes from a log-normal law, their items by a Zipf law of popularity. Every figure but that of
the processor is of wall-clock time, so other work on the machine counts in it.
"""

import statistics
import time
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix

import lowerbound
from common import arguments, parser, write
from lowerbound.data import Data, Items, Schema, named_sets
from lowerbound.families import Multinomial
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.noise import Dropout, L2Normalize
from lowerbound.recipe import Recipe
from lowerbound.recommend import Recommender
from lowerbound.run import Run


def random_run(items: int) -> Run:
    """A run with random weights, in no folder."""
    network = MLP((600,), activation="tanh", init="xavier")
    plan = Architecture(
        latent=(200,), network=network, likelihood=Multinomial(), noise=(L2Normalize(), Dropout())
    )
    torch.manual_seed(0)
    schema = Schema((items,), "interactions", 2, 0.0, 1.0)
    recipe = Recipe(data=Data("random"), model=plan)
    return Run(
        Path("random"),
        recipe,
        schema,
        plan.build((items,), sparse=True),
        {},
        Items(np.arange(items)),
    )


def drawn(users: int, items: int, seed: int = 0) -> csr_matrix:
    """Histories (users, items): about 27 items each in the mean, the popular ones more often."""
    rng = np.random.default_rng(seed)
    counts = np.clip(rng.lognormal(2.9, 0.9, users).astype(int), 1, items // 2)
    chance = 1 / (10 + np.arange(items))
    taken = rng.choice(items, counts.sum(), p=chance / chance.sum())
    matrix = csr_matrix(
        (np.ones(len(taken), np.float32), (np.repeat(np.arange(users), counts), taken)),
        shape=(users, items),
    )
    matrix.data[:] = 1  # what was drawn twice counts once
    return matrix


def histories(run: Run, users: int) -> tuple[str, csr_matrix]:
    """Where the histories are from, and `users` of them."""
    if run.folder.is_dir():
        name, matrix = run.recipe.data.source, run.data().whole.matrix
    elif named_sets()["gowalla"].found() and run.schema.shape == (40981,):
        name, matrix = "gowalla", Data("gowalla").open().whole.matrix
    else:
        return "drawn", drawn(users, run.schema.shape[0])
    return name, matrix[np.random.default_rng(0).integers(0, matrix.shape[0], users)]


def one_by_one(
    recommender: Recommender, matrix: csr_matrix, k: int
) -> tuple[list[float], list[float]]:
    """Seconds of each call for one history, given by ids, and the seconds of the processor that it
    took; both sorted. The first calls warm up.
    """
    ids, seconds, busy = recommender.catalogue.ids, [], []
    for row in range(matrix.shape[0]):
        history = ids[matrix[row].indices].tolist()
        started = time.perf_counter()
        worked = time.process_time()
        recommender.recommend(history, k)
        busy.append(time.process_time() - worked)
        seconds.append(time.perf_counter() - started)
    first = min(10, len(seconds) // 2)
    return sorted(seconds[first:]), sorted(busy[first:])


def main() -> None:
    """Prints a table, and writes results/serving.json."""
    words = parser(__doc__)
    words.add_argument("--run", help="a fitted run instead of random weights")
    words.add_argument("--items", type=int, default=40_981)
    words.add_argument("--users", type=int, default=100_000)
    words.add_argument("--queries", type=int, default=200)
    words.add_argument("--k", type=int, default=20)
    given = arguments(words)
    run = lowerbound.load(given.run) if given.run else random_run(given.items)
    source, matrix = histories(run, max(given.users, given.queries))
    started = time.perf_counter()
    recommender = Recommender(run)
    ready = time.perf_counter() - started
    alone, busy = one_by_one(recommender, matrix[: given.queries], given.k)
    recommender.recommend_many(matrix[:1024], given.k)  # warms up
    started = time.perf_counter()
    many = recommender.recommend_many(matrix[: given.users], given.k)
    seconds = time.perf_counter() - started
    checked = range(0, min(given.users, given.queries), 10)
    same = all(
        [r.score for r in recommender.recommend(run.items.ids[matrix[i].indices].tolist(), given.k)]
        == many.scores[i, : many.counts[i]].tolist()
        for i in checked
    )
    found = {
        "histories": source,
        "items": run.schema.shape[0],
        "k": given.k,
        "ready_seconds": ready,
        "one_user_ms": {
            "median": 1e3 * statistics.median(alone),
            "p95": 1e3 * alone[int(0.95 * len(alone))],
            "processor": 1e3 * statistics.median(busy),
        },
        "users": given.users,
        "users_per_second": given.users / seconds,
        "alone_and_in_batch_agree": same,
    }
    print(
        f"{'histories':<28}{source}, {run.schema.shape[0]:,} items, top {given.k}, {given.threads} "
        "threads"
    )
    print(f"{'made ready':<28}{ready:.2f} s")
    print(
        f"{'one user':<28}{found['one_user_ms']['median']:.2f} ms median, "
        f"{found['one_user_ms']['p95']:.2f} ms p95, "
        f"{found['one_user_ms']['processor']:.2f} ms of the processor"
    )
    print(f"{f'{given.users:,} users':<28}{found['users_per_second']:,.0f} users/s")
    print(f"{'alone as in the batch':<28}{'yes' if same else 'NO'}")
    write("serving", found, given)


if __name__ == "__main__":
    main()
