"""Recommenders: ours against a straightforward dense PyTorch Mult-VAE and, where they are
installed, cornac and RecBole.

    python benchmarks/recommend.py step
        training steps in pairs, [I, 600, 200, 600, I], Gowalla's size
    python benchmarks/recommend.py ranking
        all users ranked and measured
    python benchmarks/recommend.py memory
        peak memory of a fit, in a process of its own
    python benchmarks/recommend.py peers --peers cornac=PYTHON recbole=PYTHON
        an epoch and a ranking, MovieLens-1M's size

The dense model is what most public code does: rows made dense, every matrix product in float32,
`log_softmax` over all items, plain Adam, `.item()` at each step; its evaluation is that of Liang et
al.'s public code (argpartition for each metric). The data are Gowalla where it is found, and
popularity-distributed random histories of its size otherwise. All in one run, on as many threads as
given; the ratio of each pair is kept, and their median. `peers` runs the same data in their
interpreters. Each measure writes a file of its own, results/recommend-WHAT.json.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import nn

from common import (
    PEERS,
    Peer,
    Work,
    answer,
    arguments,
    in_turn,
    measured,
    parser,
    ratios,
    serve,
    spread,
    write,
)
from loops import Ours
from lowerbound import recipe as recipes
from lowerbound.data import Dataset, named_sets
from lowerbound.data.interactions.history import History
from lowerbound.data.schema import Schema
from lowerbound.evaluation.batches import evaluating
from lowerbound.evaluation.ranking import rank
from lowerbound.run import contents
from lowerbound.training import Fit

BATCH = 500


def random_histories(users: int, items: int, mean: int, seed: int = 0) -> csr_matrix:
    """Histories of popularity-distributed items, at least 5 for each user."""
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, items + 1) ** 0.8
    counts = 5 + generator.geometric(1 / (mean - 4), users)
    columns = generator.choice(items, counts.sum(), p=weights / weights.sum())
    matrix = csr_matrix(
        (np.ones(len(columns), np.float32), (np.repeat(np.arange(users), counts), columns)),
        (users, items),
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def gowalla() -> tuple[csr_matrix, csr_matrix]:
    """Training and test matrix."""
    if named_sets()["gowalla"].found():
        data = recipes.load("multvae-gowalla").data.open()
        return data.test.matrix, data.test.targets
    whole = random_histories(29_858, 40_981, 34).tocoo()
    held = np.random.default_rng(1).random(whole.nnz) < 0.2
    parts = [
        csr_matrix((whole.data[m], (whole.row[m], whole.col[m])), whole.shape)
        for m in (~held, held)
    ]
    return parts[0], parts[1]


class Dense(nn.Module):
    """Mult-VAE as it is usually written."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(items, 600), nn.Tanh(), nn.Linear(600, 400))
        self.decoder = nn.Sequential(nn.Linear(200, 600), nn.Tanh(), nn.Linear(600, items))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h = F.dropout(F.normalize(x), 0.5, self.training)
        mean, log_variance = self.encoder(h).chunk(2, 1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean) if self.training else mean
        return self.decoder(z), mean, log_variance


def dense_steps(
    model: Dense, optimizer: torch.optim.Optimizer, matrix: csr_matrix, steps: int
) -> float:
    """Seconds of one step."""
    order, started = np.random.default_rng(0).permutation(matrix.shape[0]), time.perf_counter()
    for step in range(steps):
        x = torch.from_numpy(matrix[order[step * BATCH : (step + 1) * BATCH]].toarray())
        optimizer.zero_grad()
        logits, mean, log_variance = model(x)
        kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
        loss = -(F.log_softmax(logits, 1) * x).sum(1).mean() + 0.2 * kl
        loss.backward()
        optimizer.step()
        loss.item()
    return (time.perf_counter() - started) / steps


def our_fit(matrix: csr_matrix) -> Fit:
    """Our loop with the recipe of Gowalla, on this matrix."""
    plan = recipes.load("multvae-gowalla").replace(
        {"model.decoder_network": None}
    )  # the mirror: [I, 600, 200, 600, I]
    schema = Schema((matrix.shape[1],), "interactions", 2, 0.0, 1.0)
    history = History(
        schema, matrix, None, np.arange(matrix.shape[0]), np.arange(matrix.shape[0]), 2
    )
    model = contents.build(plan, schema)
    model.start_at(torch.from_numpy(history.mean()))

    data = Dataset("benchmark", schema, history, None, None, history, "benchmark", 0)  # type: ignore[arg-type]
    return Fit(model, data, plan.objective, plan.training)


def step_of(side: str, steps: int) -> Work:
    """Steps of the dense model, or of ours."""
    matrix, _ = gowalla()
    if side == "ours":
        ours = Ours(our_fit(matrix))
        return lambda: ours(steps)
    dense = Dense(matrix.shape[1])
    optimizer = torch.optim.Adam(dense.parameters(), lr=1e-3)
    return lambda: dense_steps(dense, optimizer, matrix, steps)


def measure_pairs(given: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turn, each in a process of its own, so that no allocator is shared: seconds,
    and ratios of pairs.
    """
    command = [
        sys.executable,
        __file__,
        given.what,
        "--steps",
        str(given.steps),
        "--threads",
        str(given.threads),
        "--serve",
    ]
    sides = {side: Peer([*command, side], given.threads) for side in ("dense", "ours")}
    try:
        seconds, errors = in_turn(sides, given.rounds)
    finally:
        for process in sides.values():
            process.close()
    found = {f"{name}_seconds": spread(each) for name, each in seconds.items()}
    return (
        found
        | {"ratio": ratios(seconds["dense"], seconds["ours"]), "seconds": seconds}
        | ({"errors": errors} if errors else {})
    )


def published_metrics(scores: np.ndarray, wanted: csr_matrix) -> list[np.ndarray]:
    """NDCG@100, Recall@20 and Recall@50 as in the public code of Liang et al. 2018."""
    rows, found = np.arange(len(scores))[:, None], []
    top = np.argpartition(-scores, 100, axis=1)[:, :100]
    top = top[rows, np.argsort(-scores[rows, top], axis=1)]
    discount = 1.0 / np.log2(np.arange(2, 102))
    gains = (wanted[rows, top].toarray() * discount).sum(1)
    ideal = np.array([discount[: min(n, 100)].sum() for n in wanted.getnnz(axis=1)])
    found.append(gains / np.maximum(ideal, 1e-9))
    for k in (20, 50):
        top = np.argpartition(-scores, k, axis=1)
        chosen = np.zeros_like(scores, dtype=bool)
        chosen[rows, top[:, :k]] = True
        truth = (wanted > 0).toarray()
        hits = np.logical_and(truth, chosen).sum(1).astype(np.float32)
        found.append(hits / np.maximum(np.minimum(k, truth.sum(1)), 1))
    return found


@torch.no_grad()
def dense_ranking(model: Dense, matrix: csr_matrix, targets: csr_matrix) -> float:
    """Seconds to rank and measure all users."""
    model.eval()
    started = time.perf_counter()
    for start in range(0, matrix.shape[0], BATCH):
        seen = matrix[start : start + BATCH]
        scores = model(torch.from_numpy(seen.toarray()))[0].numpy()
        scores[seen.nonzero()] = -np.inf
        published_metrics(scores, targets[start : start + BATCH])
    return time.perf_counter() - started


def our_ranking(fit: Fit, matrix: csr_matrix, targets: csr_matrix) -> float:
    """Seconds to rank and measure all users: every metric, at four k."""
    numbers = np.arange(matrix.shape[0])
    history = History(fit.data.train.schema, matrix, targets, numbers, numbers, 2)
    started = time.perf_counter()
    with evaluating(fit.model, 0), torch.autocast("cpu", torch.bfloat16):
        rank(fit.model.item_scores, history)
    return time.perf_counter() - started


def ranking_of(side: str, steps: int) -> Work:
    """A full ranking by the dense model, on every tenth of the users, times ten; or by ours."""
    matrix, targets = gowalla()
    if side == "ours":
        fit = our_fit(matrix)
        return lambda: our_ranking(fit, matrix, targets)
    part = slice(0, matrix.shape[0] // 10)
    dense, ranked = Dense(matrix.shape[1]), (matrix[part], targets[part])
    return lambda: dense_ranking(dense, *ranked) * matrix.shape[0] / (matrix.shape[0] // 10)


PAIRED = {"step": step_of, "ranking": ranking_of}


def measure_memory(threads: int) -> dict[str, Any]:
    """Seconds and peak memory of `lowerbound fit multvae-gowalla`, one epoch, with its test and
    report.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "lowerbound",
            "fit",
            "multvae-gowalla",
            "--out",
            f"{folder}/run",
        ]
        return {"process": measured([*command, "--set", "training.epochs=1"], threads)}


def measure_peers(peers: dict[str, str], threads: int) -> dict[str, Any]:
    """Seconds of an epoch and of a full ranking, ours and the peers', on random histories of
    MovieLens-1M's size.
    """
    whole = random_histories(6_040, 3_706, 165).tocoo()
    held = np.random.default_rng(1).random(whole.nnz) < 0.2
    parts = [
        csr_matrix((whole.data[m], (whole.row[m], whole.col[m])), whole.shape)
        for m in (~held, held)
    ]
    fit = our_fit(parts[0])
    steps = Ours(fit)
    steps(2)
    batches = fit.loader.batches
    found: dict[str, Any] = {
        "ours": {"epoch": steps(batches) * batches, "ranking": our_ranking(fit, *parts)}
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        names = ("train_row", "train_col", "test_row", "test_col")
        arrays = [a for p in parts for a in (p.tocoo().row, p.tocoo().col)]
        np.savez(path, **dict(zip(names, arrays, strict=True)))
        script = str(Path(__file__).with_name("recommend_peers.py"))
        for peer, python in peers.items():
            found[peer] = answer([python, script, peer, str(path), str(threads)], threads, folder)
    return {"measured": found}


def main() -> None:
    """One measure, and its result file."""
    words = parser(__doc__)
    words.add_argument("what", choices=("step", "ranking", "memory", "peers"))
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--steps", type=int, default=5)
    words.add_argument("--serve", choices=("dense", "ours"), help=argparse.SUPPRESS)
    words.add_argument(
        "--peers",
        nargs="+",
        default=[f"{name}={PEERS / name}/bin/python" for name in ("cornac", "recbole")],
    )
    given = arguments(words)
    if given.serve:
        serve(PAIRED[given.what](given.serve, given.steps))
        return
    measures = {
        "step": lambda: measure_pairs(given),
        "ranking": lambda: measure_pairs(given),
        "memory": lambda: measure_memory(given.threads),
        "peers": lambda: measure_peers(
            dict(peer.split("=", 1) for peer in given.peers), given.threads
        ),
    }
    write(f"recommend-{given.what}", measures[given.what](), given)


if __name__ == "__main__":
    main()
