"""The training step of each packaged recipe, before and after: another revision against this tree.

    python benchmarks/steps.py --against REVISION [--recipe NAME ...] [--rounds 7] [--seconds 1]
        [--threads N]

Each tree has a process of its own for each recipe. Both take one turn a round, and each round
begins with the other. A turn trains for about `--seconds`, from the first batch of the epoch on.
Each process reads its own `lowerbound` and drives it by the `loops.py` of its own tree, so that
names may have changed in between. The ratio of a pair is the seconds of the revision over those of
this tree: above 1 this tree is faster. Recipes whose data set is not found are left out, and so
are those for a GPU unless they are named; `table` has random numbers of 30 columns. Writes
results/steps.json.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROWS = 4_000
"""Rows of the table of random numbers."""


def serve_steps(tree: Path, name: str, seconds: float, table: Path) -> None:
    """Trains with the package of a tree, for as many steps as take about so long a turn."""
    sys.path[:0] = [str(tree / "src"), str(tree / "benchmarks")]
    import torch

    import lowerbound
    from common import serve
    from loops import Ours
    from lowerbound import recipe as recipes
    from lowerbound.training import Fit

    if tree not in Path(lowerbound.__file__).parents:
        raise SystemExit(f"lowerbound is that of {lowerbound.__file__}, not that of {tree}")
    plan = recipes.load(name)
    changed: dict[str, Any] = {"training.accelerator": "cpu", "training.patience": None}
    if name == "table":
        changed["data.source"] = str(table)
    plan = plan.replace(changed)
    torch.manual_seed(plan.training.seed)
    data = plan.data.open()
    model = plan.model.build(data.schema.shape, data.schema.kind == "interactions")
    take_steps = Ours(Fit(model, data, plan.objective, plan.training))
    batches = max(1, len(data.train) // plan.training.batch_size)
    first = take_steps(min(batches, 5))  # the first steps allocate
    first = take_steps(min(batches, 5))
    steps = max(1, min(batches, round(seconds / first)))
    turns = max(1, round(seconds / first / steps))

    def work() -> float:
        return sum(take_steps(steps) for _ in range(turns)) / turns

    serve(work, steps=steps * turns)


def measure(name: str, trees: dict[str, Path], table: Path, given: argparse.Namespace) -> Any:
    """Measures both trees in turn. It returns the milliseconds of each, and the ratios of pairs."""
    from common import Peer, in_turn, ratios, spread

    peers = {}
    for side, tree in trees.items():
        words = [sys.executable, __file__, "--serve", name, "--tree", str(tree)]
        words += ["--seconds", str(given.seconds), "--table", str(table)]
        words += ["--threads", str(given.threads)]
        peers[side] = Peer(words, given.threads)
    try:
        seconds, errors = in_turn(peers, given.rounds)
    finally:
        for peer in peers.values():
            peer.close()
    if errors:
        return {"errors": errors}
    milliseconds = {side: spread(1e3 * one for one in each) for side, each in seconds.items()}
    steps = {side: peer.facts["steps"] for side, peer in peers.items()}
    ratio = ratios(seconds["revision"], seconds["tree"])
    print(f"{name}: {ratio['median']:.3f}", flush=True)
    return {"milliseconds": milliseconds, "ratio": ratio, "steps": steps}


def main() -> None:
    """Measures one recipe after the other."""
    from common import arguments, parser, write
    from lowerbound import recipe as recipes
    from unchanged import GateError, export, find_revision

    names = sorted(recipes.packaged())
    words = parser(__doc__)
    words.add_argument("--against", required=True, metavar="REVISION")
    of_cpus = [name for name in names if not name.endswith("-gpu")]
    words.add_argument("--recipe", nargs="+", choices=names, default=of_cpus)
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--seconds", type=float, default=1.0, help="of one turn")
    given = arguments(words)
    try:
        revision = find_revision(given.against)
    except GateError as error:
        words.error(str(error))
    with tempfile.TemporaryDirectory() as folder:
        import numpy as np

        table = Path(folder) / "table.npy"
        np.save(table, np.random.default_rng(0).normal(size=(ROWS, 30)).astype(np.float32))
        old = Path(folder) / "revision"
        export(revision, old, ("src", "benchmarks"))
        trees = {"revision": old, "tree": ROOT}
        found = {name: measure(name, trees, table, given) for name in given.recipe}
    write("steps", {"recipes": found}, given)


if __name__ == "__main__":
    if "--serve" in sys.argv:
        serving = argparse.ArgumentParser()
        serving.add_argument("--serve")
        serving.add_argument("--tree", type=Path)
        serving.add_argument("--seconds", type=float)
        serving.add_argument("--table", type=Path)
        serving.add_argument("--threads", type=int)
        chosen = serving.parse_args()
        serve_steps(chosen.tree.resolve(), chosen.serve, chosen.seconds, chosen.table)
    else:
        main()
