"""Training throughput: the published loop, the same with its data in memory, Pythae's trainer, and
ours, in one run.

Each contestant is a process of its own (no allocator, thread pool or flag is shared) that trains
`--steps` steps whenever its turn comes; all take one turn a round, and each round begins with
another. Published: the plain modules of `published.py` by the loop of `loops.py`. Ours: `Fit` with
the recipe as it is packaged; and with the precision and compilation of its `-fast` recipe, at the
batch size of the plain one. Pythae: its BaseTrainer with the layers of the published model
(`pythae_peer.py`).

    python benchmarks/training.py [--recipe hierarchical-mnist aevb-mnist conv-mnist] [--rounds 7]
        [--steps 200] [--threads N] [--device cuda] [--precision bf16-mixed] [--compile true]
        [--pythae PYTHON]

Beside them the floor: the operations of a step over the rate of matrix products, and the bytes of
weights, gradients and optimiser over the rate of a copy, both measured in the same rounds. The data
are MNIST where it is found, and random images of the same shape and type otherwise. Writes
results/training-RECIPE.json (training-RECIPE-cuda.json with --device cuda).
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from common import PEERS, Machine, Peer, arguments, in_turn, parser, ratios, serve, spread, write
from loops import InMemory, Published, loader, mnist, operations, ours, traffic
from lowerbound import recipe as recipes
from lowerbound.recipe import setting
from published import SYSTEMS

HERE = Path(__file__).parent

CONTESTANTS = ("published", "memory", "ours", "fast")


def settings(name: str, contestant: str, given: argparse.Namespace) -> dict[str, Any]:
    """What differs from the packaged recipe: the device; and of "fast" the precision and
    compilation.
    """
    chosen = {"training.accelerator": "cuda" if given.device.startswith("cuda") else "cpu"}
    if contestant == "fast":
        known = f"{name}-fast" in recipes.packaged()
        packaged = recipes.load(f"{name}-fast" if known else name).training
        chosen |= {"training.precision": packaged.precision, "training.compile": packaged.compile}
        options = {"precision": given.precision, "compile": given.compile}
        chosen |= dict(
            setting(f"training.{key}={value}")
            for key, value in options.items()
            if value is not None
        )
    return chosen


def contestant(name: str, which: str, given: argparse.Namespace) -> None:
    """Serves the steps of one contestant."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        data, system = mnist(folder), SYSTEMS[name]
        if which in ("ours", "fast"):
            chosen = settings(name, which, given)
            steps = ours(recipes.load(name).replace(chosen), data)
        else:
            batches = (loader if which == "published" else InMemory)(data.train, system.batch_size)
            chosen, steps = {}, Published(system, batches, given.device)
        serve(lambda: steps(given.steps), settings=chosen)


def peers(name: str, given: argparse.Namespace) -> dict[str, Peer]:
    """The processes of all contestants for a recipe."""
    command = [
        sys.executable,
        str(HERE / "training.py"),
        "--recipe",
        name,
        "--steps",
        str(given.steps),
    ]
    command += ["--threads", str(given.threads), "--device", given.device]
    for option in ("precision", "compile"):
        command += (
            [f"--{option}", getattr(given, option)] if getattr(given, option) is not None else []
        )
    found = {which: Peer([*command, "--serve", which], given.threads) for which in CONTESTANTS}
    if name != "hierarchical-mnist":  # Pythae has no such model with these layers
        words = [given.pythae, str(HERE / "pythae_peer.py"), name, "--steps", str(given.steps)]
        words += ["--threads", str(given.threads), "--device", given.device]
        found["pythae"] = Peer(words, given.threads)
    return found


def least(name: str, device: str) -> dict[str, float]:
    """What a step of the published model costs at the least: operations, and bytes of weights,
    gradients and optimiser.
    """
    system = SYSTEMS[name]
    model = system.model().to(device)
    optimizer = system.optimize(model)
    count = operations(model, torch.rand(system.batch_size, 1, 28, 28, device=device))
    optimizer.step()
    return {
        "operations": count,
        "bytes": traffic(optimizer),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def summary(
    name: str, seconds: dict[str, list[float]], machine: Machine, needed: dict[str, float]
) -> dict[str, Any]:
    """Of each contestant its speed, its ratios in pairs, and the share of each floor that it
    reaches.
    """
    floor = machine.floor(needed["operations"], needed["bytes"], seconds)
    contestants = {which: each for which, each in seconds.items() if which not in floor}
    found = {}
    for which, each in contestants.items():
        found[which] = {
            "examples_per_second": spread(SYSTEMS[name].batch_size / s for s in each),
            "milliseconds": spread(1e3 * s for s in each),
            "ratio_to": {
                other: ratios(theirs, each)
                for other, theirs in contestants.items()
                if other != which
            },
            "share_of_floor": {by: ratios(shortest, each) for by, shortest in floor.items()},
        }
    floors = {by: spread(1e3 * s for s in each) for by, each in floor.items()}
    return {"measured": found, "floor_milliseconds": floors, "rates": machine.rates(seconds)}


def measure(name: str, given: argparse.Namespace) -> None:
    """One recipe: all contestants in turn, and its result file."""
    machine, needed, processes = (
        Machine(given.device),
        least(name, given.device),
        peers(name, given),
    )
    try:
        seconds, errors = in_turn(processes | machine.work(), given.rounds)
    finally:
        for process in processes.values():
            process.close()
    found = {
        "recipe": name,
        "batch_size": SYSTEMS[name].batch_size,
        **needed,
        **summary(name, seconds, machine, needed),
        "errors": errors,
        "processes": {which: process.facts for which, process in processes.items()},
        "seconds": seconds,
    }
    device = "" if given.device == "cpu" else f"-{given.device.partition(':')[0]}"
    write(f"training-{name}{device}", found, given)


def options() -> argparse.Namespace:
    """The command line."""
    words = parser(__doc__)
    words.add_argument("--recipe", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--steps", type=int, default=200, help="in one turn")
    words.add_argument("--device", default="cpu", help="cpu or cuda")
    words.add_argument("--precision", help="of our fast settings, in place of those packaged")
    words.add_argument(
        "--compile", help="of our fast settings, in place of those packaged: true, false"
    )
    words.add_argument(
        "--pythae",
        default=str(PEERS / "pythae" / "bin" / "python"),
        help="an interpreter that has Pythae",
    )
    words.add_argument("--serve", choices=CONTESTANTS, help=argparse.SUPPRESS)
    return arguments(words)


def main() -> None:
    """Measures one recipe after the other."""
    given = options()
    if given.serve:
        contestant(given.recipe[0], given.serve, given)
        return
    for name in given.recipe:
        measure(name, given)


if __name__ == "__main__":
    main()
