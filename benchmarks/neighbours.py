"""A fit on a machine that is not alone: quiet, beside busy processes, and limited to one CPU.

    python benchmarks/neighbours.py [--rounds 2] [--kind NAME ...] [--spins N ...]

One short fit of each kind (an MLP and a convolutional model of images, a recommender), on random
data, as the command line runs it: with as many threads as it takes by itself, and whatever
OpenMP's variables say here set aside. A neighbour is a process that does nothing but keep a core
busy. In each round every situation of every kind has one turn; the seconds are those of the fit,
without the start of the process.

Cores are free that no neighbour uses; where there is none, a fit has the share of one among all.
The last column is the seconds times the free cores, over those of the same round without
neighbours: above 1, the fit has lost more than its cores. It is to stay below 1.5. `--spins`
measures other spin counts beside the one that the package sets (GOMP_SPINCOUNT; libgomp's own is
300000, which takes long beside neighbours). Writes results/neighbours.json; nothing else should run
meanwhile. With the defaults it takes about five minutes on two cores.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import PeerError, Work, arguments, in_turn, last_line, parser, ratios, spread, write
from lowerbound.system.waiting import SETTINGS, SPINS

BUSY = "while True: pass"


@dataclass(frozen=True)
class Situation:
    """What else the machine does.

    Attributes:
        neighbours: busy processes.
        one_cpu: whether the fit, and nothing else, is limited to one CPU.
    """

    neighbours: int = 0
    one_cpu: bool = False

    def free_cores(self, cores: int) -> float:
        """The cores that a fit has, of so many."""
        if self.one_cpu:
            return 1.0
        return max(float(cores - self.neighbours), cores / (self.neighbours + 1))


SITUATIONS = {
    "quiet": Situation(),
    "one neighbour": Situation(neighbours=1),
    "two neighbours": Situation(neighbours=2),
    "one CPU": Situation(one_cpu=True),
}


# The fits ---------------------------------------------------------------------------------------


def images(folder: Path, count: int) -> Path:
    """A file of random binary images, of the size of MNIST's."""
    path = folder / f"images-{count}.npy"
    random = np.random.default_rng(0)
    np.save(path, random.integers(0, 2, size=(count, 28, 28), dtype=np.uint8) * np.uint8(255))
    return path


def interactions(folder: Path) -> Path:
    """A file of random interactions, as many as MovieLens-100K has."""
    path = folder / "interactions.csv"
    random = np.random.default_rng(0)
    users = random.integers(943, size=100_000)
    items = np.minimum(random.exponential(200, size=100_000), 1681).astype(np.int64)
    rows = np.unique(np.stack([users, items], 1), axis=0)
    np.savetxt(path, rows, fmt="%d", delimiter=",", header="user,item", comments="")
    return path


KINDS: dict[str, tuple[str, Callable[[Path], Path], int]] = {
    "MLP": ("aevb-mnist", lambda folder: images(folder, 20_000), 3),
    "convolutional": ("conv-mnist", lambda folder: images(folder, 4_000), 1),
    "recommender": ("multvae", interactions, 40),
}
"""The recipe of each kind, what writes its data, and the number of epochs."""


def fit_command(kind: str, folder: Path) -> list[str]:
    """The command line of a fit, without the folder of its run."""
    recipe, write_data, epochs = KINDS[kind]
    settings = {"training.epochs": epochs, "training.patience": "none", "report.write": "false"}
    if recipe != "multvae":
        settings |= {"data.validation": 100, "data.test": 100}
    words = [sys.executable, "-m", "lowerbound", "fit", recipe, "--json"]
    words += ["--data", str(write_data(folder))]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    return words


def environment(spins: int) -> dict[str, str]:
    """The variables of this process without those that say how threads wait; a spin count that is
    not the package's own is set.
    """
    variables = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    if spins != SPINS:
        variables["GOMP_SPINCOUNT"] = str(spins)
    return variables


@contextmanager
def busy(neighbours: int) -> Iterator[None]:
    """Keeps so many cores busy during the block."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(neighbours)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def fitting(words: list[str], spins: int, situation: Situation) -> Work:
    """A fit in a situation, as work that tells its seconds."""
    prefix = []
    if situation.one_cpu:
        prefix = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder, busy(situation.neighbours):
            done = subprocess.run(
                [*prefix, *words, "--out", f"{folder}/run"],
                env=environment(spins),
                capture_output=True,
                text=True,
            )
        if done.returncode:
            raise PeerError(last_line(done.stderr))
        return json.loads(done.stdout.splitlines()[-1])["seconds"]

    return work


# What is measured -------------------------------------------------------------------------------


def lost(seconds: dict[str, list[float]], cores: int) -> dict[str, Any]:
    """What a fit loses in each situation, by the seconds of its rounds."""
    found = {}
    for name, each in seconds.items():
        free = SITUATIONS[name].free_cores(cores)
        needed = [one * free for one in each]
        quiet = [one * cores for one in seconds["quiet"]]
        found[name] = {
            "seconds": spread(each),
            "free_cores": free,
            "per_free_core": ratios(needed, quiet),
        }
    return found


def main() -> None:
    """Measures all kinds in turn."""
    words = parser(__doc__)
    words.add_argument("--rounds", type=int, default=2)
    words.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    words.add_argument("--spins", nargs="+", type=int, default=[SPINS])
    given = arguments(words)
    cores = len(os.sched_getaffinity(0))
    measured: dict[str, Any] = {}
    errors: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.kind:
            command = fit_command(kind, Path(folder))
            for spins in given.spins:
                work = {
                    name: fitting(command, spins, situation)
                    for name, situation in SITUATIONS.items()
                }
                seconds, failed = in_turn(work, given.rounds)
                errors |= {f"{kind}, {spins} spins, {name}": e for name, e in failed.items()}
                if "quiet" in seconds:
                    measured.setdefault(kind, {})[str(spins)] = lost(seconds, cores)
                    print(kind, spins, json.dumps(measured[kind][str(spins)]), flush=True)
    write("neighbours", {"cores": cores, "measured": measured, "errors": errors}, given)


if __name__ == "__main__":
    main()
