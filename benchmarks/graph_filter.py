"""The graph filter alone on a set with a given split: quality, seconds of one core, peak memory.

    python benchmarks/graph_filter.py [--data gowalla] [--only NAME ...] [--validation]

Each setting is fitted in a process of its own with one thread, to the training part, and ranks all
items but those of the training part for all test users. `--validation` cuts a tenth of the training
part off at random and measures on that instead, which is how the settings were chosen. Peak memory
is that of the whole process while it fits (the data and the libraries count), in MB; seconds are of
the processor. Writes results/graph-filter.json.
"""

import multiprocessing
import resource
import time
from typing import Any

import torch

from common import arguments, parser, write
from lowerbound.baselines import GraphFilter
from lowerbound.evaluation.ranking import rank
from lowerbound.recipe import parse

SETTINGS = {
    "GF-CF as published, rank 256": GraphFilter(rank=256, scale=0.3),
    "GF-CF, scale chosen on validation": GraphFilter(rank=256, scale=0.15),
    "rank chosen on validation": GraphFilter(rank=512, scale=0.15),
    "exponent of users and rank chosen on validation": GraphFilter(
        rank=1024, scale=0.3, user_exponent=0.3
    ),
}

METRICS = ["recall@20", "ndcg@20"]


def measure(name: str, data: str, validation: bool, pipe: Any) -> None:
    """Fits one setting, and sends what was measured."""
    torch.set_num_threads(1)
    held_out = 0.1 if validation else 0
    plan = {"source": data, "validation": held_out, "interactions": {"split": "given"}}
    dataset = parse({"data": plan}).data.open()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    scorer = SETTINGS[name].fit(dataset.train.matrix)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    users = dataset.validation if validation else dataset.test
    ranking = rank(scorer, users, metrics=METRICS)
    found = {metric: ranking[metric]._asdict() for metric in METRICS}
    told = {"seconds": seconds, "peak_mb": peak / 1e3, "before_fit_mb": before / 1e3}
    pipe.send(found | told | {"users": len(ranking.users)})


def main() -> None:
    """Measures each setting, and prints a table."""
    asked = parser(__doc__)
    asked.add_argument("--data", default="gowalla")
    asked.add_argument("--only", nargs="+", choices=list(SETTINGS))
    asked.add_argument("--validation", action="store_true")
    given = arguments(asked)
    results: dict[str, Any] = {"data": given.data, "validation": given.validation}
    print(f"| setting | {' | '.join(METRICS)} | seconds of one core | peak memory |")
    print("|---|---|---|---|---|", flush=True)
    context = multiprocessing.get_context("spawn")
    for name in given.only or SETTINGS:
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=measure, args=(name, given.data, given.validation, send))
        process.start()
        found = receive.recv()
        process.join()
        results[name] = found
        cells = [f"{found[m]['value']:.4f} ± {found[m]['standard_error']:.4f}" for m in METRICS]
        cells += [f"{found['seconds']:.0f}", f"{found['peak_mb']:,.0f} MB"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    suffix = "-validation" if given.validation else ""
    write(f"graph-filter{suffix}", results, given)


if __name__ == "__main__":
    main()
