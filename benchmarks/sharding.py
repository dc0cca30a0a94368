"""What each process of a fit holds, by `training.strategy`: peak memory beyond that of the same fit
of a tiny model, and steps.

    python benchmarks/sharding.py [--hidden 4000] [--processes 2] [--rounds 3]

An MLP with two hidden layers of `--hidden` on 512 random rows of 256 numbers, batches of 64, Adam,
one thread a process, by `lowerbound fit --devices n`. The peak is VmHWM of a process, as Linux
tells it while the fit runs; it is given as a multiple of the size of the weights in float32: of the
first process, which writes the checkpoints, and of the others. Writes results/sharding.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import PeerError, arguments, last_line, parser, spread, threaded, write
from processes import family, setting

STRATEGIES = ("one process", "ddp", "fsdp")


def command(folder: str, strategy: str, hidden: int, processes: int) -> list[str]:
    """A fit of four epochs of eight steps, without validation."""
    several = strategy in STRATEGIES[1:]
    settings = [
        "data.validation=0",
        "data.test=0",
        "training.epochs=4",
        "training.batch_size=64",
        "training.patience=none",
    ]
    settings += [
        "training.accelerator=cpu",
        "report.write=false",
        f'model.network={{type="MLP",hidden=[{hidden},{hidden}]}}',
    ]
    settings += [f"training.strategy={strategy}"] if several else []
    words = ["fit", "table", "--data", f"{folder}/rows.npy", "--out", f"{folder}/run", "--json"]
    words += ["--devices", str(processes if several else 1), *setting(*settings)]
    return [sys.executable, "-m", "lowerbound", *words]


def peak(pid: int) -> int:
    """Bytes of memory that a process has had at most; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def fitted(strategy: str, hidden: int, processes: int) -> dict[str, Any]:
    """The summary of a fit, and the peaks of its first process and of the others."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/rows.npy", np.random.default_rng(0).random((512, 256), np.float32))
        words, first, others = command(folder, strategy, hidden, processes), 0, 0
        with open(f"{folder}/said", "w+", encoding="utf-8") as said:
            process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=said, text=True, env=threaded(1)
            )
            while process.poll() is None:
                peaks = [peak(pid) for pid in family(process.pid)]
                first, others = max([first, *peaks[:1]]), max([others, *peaks[1:]])
                time.sleep(0.02)
            said.seek(0)
            if process.returncode:
                raise PeerError(last_line(said.read()))
        return json.loads(process.stdout.read().splitlines()[-1]) | {
            "first": first,
            "others": others,
        }


def row(strategy: str, given: argparse.Namespace) -> dict[str, Any]:
    """Multiples of the weights, and milliseconds of a step in the mean of an epoch."""
    rounds = []
    for _ in range(given.rounds):
        large, tiny = (fitted(strategy, hidden, given.processes) for hidden in (given.hidden, 8))
        weights = 4 * large["parameters"]
        beyond = [(large[which] - tiny[which]) / weights for which in ("first", "others")]
        rounds.append((*beyond, 64e3 / large["examples_per_second"], weights / 1e6))
    columns = zip(
        ("first", "others", "milliseconds", "megabytes"), zip(*rounds, strict=True), strict=True
    )
    return {"strategy": strategy} | {name: spread(values) for name, values in columns}


def main() -> None:
    """Writes results/sharding.json."""
    words = parser(__doc__)
    words.add_argument("--hidden", type=int, default=4000)
    words.add_argument("--processes", type=int, default=2)
    words.add_argument("--rounds", type=int, default=3)
    given = arguments(words)
    write("sharding", {"rows": [row(strategy, given) for strategy in STRATEGIES]}, given)


if __name__ == "__main__":
    main()
