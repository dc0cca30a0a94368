"""Recommending at scale: what it costs by users and by items, how much an index of the items finds,
and one log of a million users with 200,000 items from end to end.

    python benchmarks/scale.py [--parts rank scatter index whole] [--threads N] [--folder DIR]
        [--users 1000000] [--items 200000] [--interactions 20] [--shards 32] [--most-shards 8]
        [--nice 10]

Each figure is of a process of its own, whose peak memory is what the system says of it. Seconds of
`rank`, `scatter` and `index` are those of the processor, so that neighbours count less; start them
with --threads 1. `rank` and
`index` take models with random weights, of the sizes that the published models have (600 hidden
units), since what a product costs does not hang on its factors; `index` also the model of `whole`,
if that was fitted, since what an index finds does. `whole` draws a log by seeds, fits a small model
by sampled items in one epoch, and recommends to its users in shards: to all of them, or to the part
--most-shards of --shards. Writes results/scale.json, and keeps there what it does not measure anew.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars
import torch

from common import ROOT, arguments, parser, write
from lowerbound.data import Data, Items, Schema
from lowerbound.data.interactions.logs import RawLog
from lowerbound.data.interactions.scatter import Scattering
from lowerbound.data.interactions.spec import Interactions
from lowerbound.families import Multinomial
from lowerbound.model import Architecture
from lowerbound.model.last import last_layer
from lowerbound.networks import MLP
from lowerbound.noise import L2Normalize
from lowerbound.recipe import Recipe
from lowerbound.recommend import Recommender
from lowerbound.run import Run, load
from lowerbound.system.files import write_frames

TASTES = 64
"""Each user has two of so many tastes; an item belongs to one."""

BLOCK = 100_000
"""The users whose interactions are drawn from one seed."""

HIDDEN = 600
"""The published models have so many units before the last layer."""

K = 20
"""The length of the lists."""


PARTS = ("rank", "scatter", "whole", "index")
"""What is measured."""


def drawn(users: int, items: int, each: int, seed: int) -> polars.DataFrame:
    """Draws the interactions of some users: items of their tastes, by a law like Zipf's."""
    rng = np.random.default_rng([11, seed])
    tastes = rng.integers(0, TASTES, (users, 2))
    chosen = tastes[np.arange(users)[:, None], rng.integers(0, 2, (users, each))]
    per_taste = items // TASTES
    rank = (per_taste ** rng.random((users, each))).astype(np.int64) - 1
    item = np.where(
        rng.random((users, each)) < 0.9,
        np.minimum(rank, per_taste - 1) * TASTES + chosen,
        rng.integers(0, items, (users, each)),
    )
    user = np.arange(users)[:, None] + seed * BLOCK
    pairs = {"user": np.broadcast_to(user, item.shape).ravel(), "item": item.ravel()}
    return polars.DataFrame(pairs)


def write_log(path: Path, users: int, items: int, each: int) -> int:
    """Writes a log, block by block, and returns its rows."""
    blocks = range(-(-users // BLOCK))
    sizes = [min(BLOCK, users - block * BLOCK) for block in blocks]
    return write_frames(
        path, (drawn(size, items, each, block) for block, size in zip(blocks, sizes, strict=True))
    )


def random_run(items: int, hidden: int = HIDDEN) -> Run:
    """A run with random weights, in no folder."""
    torch.manual_seed(1)
    architecture = Architecture(
        latent=(200,),
        network=MLP((hidden,), "tanh"),
        likelihood=Multinomial(),
        noise=(L2Normalize(),),
    )
    model = architecture.build((items,), sparse=True)
    with torch.no_grad():
        last_layer(model).bias.copy_(-torch.log1p(torch.arange(items) / 50))
    recipe = Recipe(data=Data("nowhere"), model=architecture)
    schema = Schema((items,), "interactions", 2, 0.0, 1.0)
    return Run(Path("nowhere"), recipe, schema, model, {}, Items(np.arange(items)))


def matrix_of(users: int, items: int, each: int = 20) -> Any:
    """The histories of users, as a sparse matrix."""
    from scipy.sparse import csr_matrix

    frame = drawn(users, items, each, 0).unique(maintain_order=True)
    rows = (np.ones(len(frame), np.float32), (frame["user"], frame["item"]))
    return csr_matrix(rows, shape=(users, items))


def peak() -> int:
    """The greatest resident memory of this process so far, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def rank(items: int, users: int) -> dict[str, Any]:
    """Ranks all items for users, by a model of the published size."""
    run = random_run(items)
    before = peak()
    started = time.process_time()
    recommender = Recommender(run)
    made = time.process_time() - started
    matrix = matrix_of(users, items)
    recommender.recommend_many(matrix[:64], K)
    started = time.process_time()
    recommender.recommend_many(matrix, K)
    seconds = time.process_time() - started
    return {
        "items": items,
        "users": users,
        "users_per_second": users / seconds,
        "seconds_to_make": made,
        "memory_of_model": before,
        "memory": peak(),
    }


def scatter(users: int, items: int, each: int, shards: int) -> dict[str, Any]:
    """Scatters a log of so many users into shards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        rows = write_log(path, users, items, each)
        before = peak()
        out = Path(folder) / "log"
        out.mkdir()
        source = RawLog(str(path), {0: polars.scan_parquet(path)})
        started = time.process_time()
        Scattering(source, Interactions().columns, None, True, out, shards).run(
            Items(np.arange(items)), lambda count: None
        )
        seconds = time.process_time() - started
    return {
        "users": users,
        "rows": rows,
        "rows_per_second": rows / seconds,
        "memory_before": before,
        "memory": peak(),
    }


def index(items: int, users: int, run: str = "") -> dict[str, Any]:
    """Ranks by an index of the items, and counts what it misses of the exact lists."""
    fitted = load(run) if run else random_run(items)
    items = fitted.schema.shape[0]
    matrix = matrix_of(users, items)
    exact = Recommender(fitted)
    started = time.process_time()
    indexed = Recommender(fitted, index="hnsw")
    built = time.process_time() - started
    found: dict[str, Any] = {"items": items, "users": users, "seconds_to_build": built}
    lists = {}
    for name, recommender in (("exact", exact), ("index", indexed)):
        recommender.recommend_many(matrix[:8], K)
        started = time.process_time()
        lists[name] = recommender.recommend_many(matrix, K)
        found[f"{name}_users_per_second"] = users / (time.process_time() - started)
        started = time.process_time()
        for user in range(20):
            recommender.recommend_many(matrix[user], K)
        found[f"{name}_milliseconds_alone"] = (time.process_time() - started) / 20 * 1000
    shared = [
        len(np.intersect1d(a, b)) / K
        for a, b in zip(lists["exact"].items, lists["index"].items, strict=True)
    ]
    found["recall"] = float(np.mean(shared))
    found["recall_standard_error"] = float(np.std(shared) / np.sqrt(users))
    found["vectors"] = "fitted" if run else "random"
    return found


def command(words: list[str]) -> dict[str, Any]:
    """Runs a command of lowerbound in a process of its own: its seconds, and its peak memory."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "lowerbound", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    found: dict[str, Any] = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * 1024,
    }
    if status:
        raise SystemExit(f"{' '.join(words)} ended with status {status}")
    return found | {"said": json.loads(text.splitlines()[-1])}


def whole(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Draws a log, fits a small model to it, and recommends to its users."""
    log = folder / "log.parquet"
    started = time.perf_counter()
    rows = write_log(log, options.users, options.items, options.interactions)
    found: dict[str, Any] = {
        "users": options.users,
        "items": options.items,
        "rows": rows,
        "seconds_to_draw": time.perf_counter() - started,
    }
    settings = {
        "data.validation": 500,
        "data.test": 500,
        "data.interactions.split": "strong",
        "model.latent": [32],
        "model.network.hidden": [64],
        "training.epochs": 1,
        "training.batch_size": 2000,
        "training.sampled_items": 4096,
        "report.write": False,
    }
    run = folder / "run"
    words = ["fit", "multvae", "--data", str(log), "--out", str(run), "--json"]
    for key, value in settings.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    found["fit"] = command(words)
    found["fit"].pop("said")
    users = log
    if options.most_shards < options.shards:
        users = folder / "some.parquet"
        share = options.most_shards / options.shards
        some = polars.scan_parquet(log).filter(polars.col("user") < int(options.users * share))
        some.sink_parquet(users)
    words = ["recommend", str(run), "--users", str(users), "--out", str(folder / "lists")]
    words += ["-k", str(K), "--engine", "local", "--shards", str(options.most_shards), "--json"]
    found["recommend"] = command(words)
    return found


def apart(part: str, options: argparse.Namespace, **asked: Any) -> dict[str, Any]:
    """Measures one figure in a process of its own."""
    words = [sys.executable, __file__, "--threads", str(options.threads), "--one", part]
    ran = subprocess.run([*words, json.dumps(asked)], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    print(part, json.dumps(found), file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measures what is asked for."""
    options = _options()
    if options.one:
        part, asked = options.one
        measure = {"rank": rank, "scatter": scatter, "index": index}[part]
        print(json.dumps(measure(**json.loads(asked))))
        return
    os.nice(options.nice)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="scale-"))
    path = options.results / "scale.json"
    results: dict[str, Any] = {}
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        results = {part: kept[part] for part in PARTS if part in kept}
    for part in options.parts:
        results[part] = measured(part, options, folder)
        write("scale", results, options)


def measured(part: str, options: argparse.Namespace, folder: Path) -> Any:
    """Measures one part."""
    if part == "whole":
        return whole(options, folder)
    cases: list[dict[str, Any]] = []
    if part == "rank":
        cases = [{"items": items, "users": 4000} for items in (20_000, 60_000, 200_000)]
    elif part == "scatter":
        sizes = (100_000, 400_000, 1_000_000)
        cases = [{"users": users, "items": 200_000, "each": 20, "shards": 16} for users in sizes]
    elif part == "index":
        cases = [{"items": items, "users": 500} for items in (20_000, 200_000)]
        if (folder / "run").exists():
            cases.append({"items": 0, "users": 500, "run": str(folder / "run")})
    return [apart(part, options, **case) for case in cases]


def _options() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--folder", type=Path, help="where the log, run and lists are kept")
    options.add_argument("--users", type=int, default=1_000_000)
    options.add_argument("--items", type=int, default=200_000)
    options.add_argument("--interactions", type=int, default=20)
    options.add_argument("--shards", type=int, default=32)
    options.add_argument("--most-shards", type=int, default=32)
    options.add_argument("--nice", type=int, default=10)
    options.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    return arguments(options)


if __name__ == "__main__":
    main()
