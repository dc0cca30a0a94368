"""How the cost grows: of a step with image size, latent levels, importance samples, items and
processes; of ranking with users.

    python benchmarks/growth.py [--rounds 5] [--steps 5] [--only image_size levels ...] [--largest
    N] [--threads N]

The recipes are the packaged ones with one number changed, not compiled, on random data of the shape
that is asked for:

    image_size   conv-mnist, batch 100, images of n x n
    levels       hierarchical-mnist, n levels of 20
    samples      iwae-mnist, batch 20, n importance samples
    items        multvae-gowalla with the mirror as decoder, batch 500, histories of about 34 of n
    items users        the full ranking of n users over 10,000 items, all metrics
    processes    conv-mnist, batch 100, by `lowerbound fit --devices n`, one thread each

The values of one kind take turns in each round, together with the rates that the floor is made of:
the operations that were counted in a step over the rate of matrix products in float32. Writes
results/growth.json, of which `page.py` draws the picture.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from common import Machine, PeerError, Work, answer, arguments, in_turn, parser, spread, write
from loops import Ours, ours, random_images
from lowerbound import recipe as recipes
from recommend import our_fit, our_ranking, random_histories


@dataclass(frozen=True)
class Case:
    """One value on an axis: its work in seconds, and the operations of that, where they can be
    counted.
    """

    value: int
    work: Work
    operations: int | None = None


def counted(value: int, work: Callable[[], Any], clock: Work) -> Case:
    """A case whose operations are counted while it is done once."""
    with FlopCounterMode(display=False) as counter:
        work()
    return Case(value, clock, counter.get_total_flops())


def stepping(value: int, steps: Ours, given: argparse.Namespace) -> Case:
    """Training steps as a case."""
    most = min(given.steps, steps.fit.loader.batches)
    return counted(value, lambda: steps(1), lambda: steps(most))


def trained(
    recipe: str, settings: dict[str, Any], value: int, given: argparse.Namespace, size: int = 28
) -> Case:
    """Training steps of a recipe on random images."""
    plan = recipes.load(recipe).replace(
        {"training.accelerator": "cpu", "training.compile": False} | settings
    )
    with tempfile.TemporaryDirectory() as folder:
        count = plan.training.batch_size * max(given.steps, 2)
        return stepping(value, ours(plan, random_images(folder, size, count)), given)


def image_size(value: int, given: argparse.Namespace) -> Case:
    """Training steps on images of value x value."""
    return trained("conv-mnist", {}, value, given, size=value)


def levels(value: int, given: argparse.Namespace) -> Case:
    """Training steps with so many latent levels."""
    return trained("hierarchical-mnist", {"model.latent": [20] * value}, value, given)


def samples(value: int, given: argparse.Namespace) -> Case:
    """Training steps with so many importance samples."""
    return trained("iwae-mnist", {"training.samples": value}, value, given)


def items(value: int, given: argparse.Namespace) -> Case:
    """Training steps over so many items."""
    fit = our_fit(random_histories(500 * max(given.steps, 2), value, 34))
    return stepping(value, Ours(fit), given)


def users(value: int, given: argparse.Namespace) -> Case:
    """The full ranking of so many users, of whose interactions a fifth are held out."""
    whole = random_histories(value, 10_000, 34)
    held = whole.copy()
    held.data = (np.random.default_rng(1).random(whole.nnz) < 0.2).astype(np.float32)
    seen = whole - held
    for part in (held, seen):
        part.eliminate_zeros()
    fit = our_fit(seen)
    return counted(
        value, lambda: our_ranking(fit, seen, held), lambda: our_ranking(fit, seen, held)
    )


def processes(value: int, given: argparse.Namespace) -> Case:
    """Training steps of a fit with so many processes, in the mean over an epoch."""

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder:
            np.save(
                f"{folder}/images.npy",
                np.random.default_rng(0).integers(
                    0, 256, (100 * 20 * given.steps, 28, 28), np.uint8
                ),
            )
            words = [
                sys.executable,
                "-m",
                "lowerbound",
                "fit",
                "conv-mnist",
                "--data",
                f"{folder}/images.npy",
                "--json",
            ]
            words += ["--out", f"{folder}/run", "--devices", str(value)]
            for setting in (
                "data.validation=0",
                "data.test=0",
                "training.epochs=1",
                "report.write=false",
            ):
                words += ["--set", setting]
            found = answer([*words, "--set", "training.accelerator=cpu"], threads=1)
            if "error" in found:
                raise PeerError(found["error"])
            return 100 / found["examples_per_second"]

    return Case(value, work)


GROWTH = {
    "image_size": (image_size, (14, 28, 56, 112)),
    "levels": (levels, (1, 2, 3, 4, 6)),
    "samples": (samples, (1, 5, 20, 50)),
    "items": (items, (5_000, 10_000, 20_000, 40_000)),
    "users": (users, (2_000, 4_000, 8_000, 16_000)),
    "processes": (processes, (1, 2)),
}
"""By axis: what makes a case of a value, and the values."""


def axis(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """All cases of an axis, in turn."""
    make, values = GROWTH[name]
    machine, cases = (
        Machine("cpu"),
        [make(value, given) for value in values if value <= (given.largest or value)],
    )
    seconds, errors = in_turn(
        {str(case.value): case.work for case in cases} | machine.work(), given.rounds
    )
    rows = []
    for case in cases:
        if str(case.value) in seconds:
            floor = machine.floor(case.operations or 0, 0, seconds)["product fp32"]
            row = {
                "value": case.value,
                "milliseconds": spread(1e3 * s for s in seconds[str(case.value)]),
            }
            row |= {
                "operations": case.operations,
                "floor_milliseconds": spread(1e3 * s for s in floor) if case.operations else None,
            }
            rows.append(row)
    return {"rows": rows, "errors": errors, "rates": machine.rates(seconds)}


def main() -> None:
    """Writes results/growth.json."""
    words = parser(__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--steps", type=int, default=5, help="of training in one turn")
    words.add_argument("--only", nargs="+", choices=GROWTH, default=list(GROWTH))
    words.add_argument("--largest", type=int, help="leave out larger values on each axis")
    given = arguments(words)
    write("growth", {"axes": {name: axis(name, given) for name in given.only}}, given)


if __name__ == "__main__":
    main()
