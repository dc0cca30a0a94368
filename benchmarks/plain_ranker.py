"""The exact ranker of `Recommender` against plain float32 in tiles of fixed size.

    python benchmarks/plain_ranker.py [--items 40981] [--users 2000] [--tiles 1 16 64 512]

The plain way computes scores as the model does, in float32, for as many users at a time as a tile
holds; a tile that is not full is filled up with empty histories, so that every product has the same
shape, and equal scores go to the lower column. What is asked of both: the same list with the same
scores, to the bit, for a user alone (first in a tile, the others empty) and at any place among
others, and with one thread and two. The network is [I, 600, 200, 600, I], its weights random. Times
are of one user alone, and of all, in turn in one process. Writes results/plain-ranker.json.
"""

import time
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack

from common import arguments, parser, spread, write
from lowerbound import Recommender
from lowerbound.evaluation.ranking import top_k
from lowerbound.sparse import SparseRows
from serving import drawn, random_run

K = 20


def plain(model: Any, matrix: csr_matrix, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """Ranks in float32, in tiles of a fixed number of users: columns and scores, (n, K)."""
    items = []
    scores = []
    for start in range(0, matrix.shape[0], tile):
        part = matrix[start : start + tile]
        count = part.shape[0]
        if count < tile:
            part = vstack([part, csr_matrix((tile - count, part.shape[1]))], format="csr")
        history = SparseRows.of(part)
        with torch.inference_mode():
            found = model.item_scores(history)
            found[history.rows, history.columns] = -torch.inf
            best = top_k(found, K)
        items.append(best.indices[:count].numpy())
        scores.append(best.values[:count].numpy())
    return np.concatenate(items), np.concatenate(scores)


def differing(rank: Any, matrix: csr_matrix, rows: np.ndarray) -> dict[str, int]:
    """Counts the users, of some, whose list is another alone, or with another number of threads."""
    before = torch.get_num_threads()
    items, scores = rank(matrix)
    alone = 0
    lists = 0
    for row in rows:
        one_items, one_scores = rank(matrix[row])
        alone += not np.array_equal(one_scores[0], scores[row])
        lists += not np.array_equal(one_items[0], items[row])
    torch.set_num_threads(3 - min(before, 2))
    other_items, other_scores = rank(matrix)
    torch.set_num_threads(before)
    return {
        "scores_differ_alone": alone,
        "lists_differ_alone": lists,
        "scores_differ_by_threads": int((other_scores != scores).any(1).sum()),
        "lists_differ_by_threads": int((other_items != items).any(1).sum()),
    }


def main() -> None:
    """Measures both, and prints a line of each."""
    asked = parser(__doc__)
    asked.add_argument("--items", type=int, default=40_981)
    asked.add_argument("--users", type=int, default=2_000)
    asked.add_argument("--tiles", type=int, nargs="+", default=[1, 16, 64, 512])
    asked.add_argument("--rounds", type=int, default=5)
    given = arguments(asked)
    run = random_run(given.items)
    matrix = drawn(given.users, given.items)
    recommender = Recommender(run)

    def exact(part: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        lists = recommender.recommend_many(part, K)
        return lists.items, lists.scores

    ways = {"exact": exact}
    for tile in given.tiles:
        ways[f"plain, tiles of {tile}"] = lambda part, tile=tile: plain(run.model, part, tile)
    rows = np.random.default_rng(0).choice(given.users, 100, replace=False)
    results: dict[str, Any] = {name: {"alone": [], "all": []} for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            for row in rows[:20]:
                way(matrix[row])
            results[name]["alone"].append((time.perf_counter() - started) / 20)
            started = time.perf_counter()
            way(matrix)
            results[name]["all"].append(given.users / (time.perf_counter() - started))
    for name, way in ways.items():
        found = results[name]
        found["alone"] = spread(found["alone"])
        found["all"] = spread(found["all"])
        found |= differing(way, matrix, rows)
        print(
            f"{name}: {1000 * found['alone']['median']:.1f} ms alone, "
            f"{found['all']['median']:,.0f} users a second, of {len(rows)} users "
            f"{found['scores_differ_alone']} other scores and {found['lists_differ_alone']} other "
            f"lists alone, of {given.users:,} {found['scores_differ_by_threads']} other scores "
            f"with other threads",
            flush=True,
        )
    write("plain-ranker", results, given)


if __name__ == "__main__":
    main()
