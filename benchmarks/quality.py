"""Seconds of training to the published quality: the published loop, and our recipes `*-fast`, over
several seeds.

    python benchmarks/quality.py [--recipe hierarchical-mnist aevb-mnist conv-mnist] [--system
        published fast] [--seeds 0 1 2] [--threads N] [--epochs N]

Published: the plain model, all 60,000 training images through a `DataLoader`, until its loss on the
test set reaches the target; it is measured at the end of each epoch, with the clock stopped. Ours:
`lowerbound.fit` of the fast recipe, whose settings were chosen on validation images; the clock has
its training, with compilation and the looks at the validation split, and the loss on the test set
is measured once, at the end. Reading the data counts on neither side.

One system at a time takes minutes to tens of minutes, so each writes a file of its own:
results/quality-RECIPE-SYSTEM.json. Needs the set mnist.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import lowerbound
from common import arguments, parser, spread, write
from loops import Published, loader
from lowerbound.data import Data, Examples
from lowerbound.evaluation import bound
from published import SYSTEMS, System


@torch.no_grad()
def test_loss(model: torch.nn.Module, examples: Examples) -> float:
    """The published loss on all examples, in nats, with one draw for each; the random numbers of
    training go on as before.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        starts = range(0, len(examples), 1000)
        batches = (
            examples.batch(slice(start, min(start + 1000, len(examples)))) for start in starts
        )
        return sum(model.eval().loss(x).item() * len(x) for x in batches) / len(examples)


def epochs(system: System, seed: int) -> Iterator[tuple[float, float]]:
    """Seconds of training so far, and the test loss, after each epoch of the published loop."""
    data = Data("mnist", validation=0).open()
    torch.manual_seed(seed)
    batches, seconds = loader(data.train, system.batch_size), 0.0
    train = Published(system, batches)
    while True:
        seconds += train(len(batches)) * len(batches)
        yield seconds, test_loss(train.model, data.test)


def published(name: str, seed: int, most: int | None) -> dict[str, Any]:
    """The published loop until its target, or for twice the epochs that it should need."""
    system = SYSTEMS[name]
    history: list[tuple[float, float]] = []
    for found in epochs(system, seed):
        history.append(found)
        print(
            f"{name} published, seed {seed}, epoch {len(history)}: {found[0]:.1f} s, "
            f"{found[1]:.2f} nats",
            flush=True,
        )
        if found[1] <= system.target or len(history) == (most or 2 * system.epochs):
            break
    seconds, loss = history[-1]
    return {
        "seed": seed,
        "seconds": seconds,
        "epochs": len(history),
        "loss": loss,
        "history": history,
    }


def fast(name: str, seed: int, most: int | None) -> dict[str, Any]:
    """A fit of the fast recipe, and its objective on the test split."""
    settings = {"report.write": False, "training.accelerator": "cpu"} | (
        {"training.epochs": most} if most else {}
    )
    with tempfile.TemporaryDirectory() as folder:
        run = lowerbound.fit(
            f"{name}-fast", out=Path(folder) / "run", seed=seed, settings=settings, progress=False
        )
        loss = bound(
            run.model, run.data().split("test"), objective=run.recipe.objective, seed=seed
        ).objective
    print(f"{name} fast, seed {seed}: {run.summary['seconds']:.1f} s, {loss:.2f} nats", flush=True)
    return {
        "seed": seed,
        "seconds": run.summary["seconds"],
        "epochs": run.summary["epochs"],
        "loss": loss,
    }


MEASURES = {"published": published, "fast": fast}


def measure(name: str, system: str, given: argparse.Namespace) -> None:
    """All seeds of one system for one recipe, and the result file."""
    target = SYSTEMS[name].target
    each = [MEASURES[system](name, seed, given.epochs) for seed in given.seeds]
    found = {
        "recipe": name,
        "system": system,
        "target": target,
        "seconds": spread(one["seconds"] for one in each),
        "loss": spread(one["loss"] for one in each),
        "reached": sum(one["loss"] <= target for one in each),
        "each": each,
    }
    write(f"quality-{name}-{system}", found, given)


def main() -> None:
    """One recipe and system after the other."""
    words = parser(__doc__)
    words.add_argument("--recipe", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    words.add_argument("--system", nargs="+", choices=MEASURES, default=list(MEASURES))
    words.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    words.add_argument("--epochs", type=int, help="at most (default: of ours those of the recipe)")
    given = arguments(words)
    for name in given.recipe:
        for system in given.system:
            measure(name, system, given)


if __name__ == "__main__":
    main()
