"""Runs of two processes, one of which is ended: what the others do, what is told, and whether the
run can be gone on with.

    python benchmarks/processes.py [--launchers devices,torchrun,fabric] [--signals
                                   SIGINT,SIGTERM,SIGKILL] [--seed 0] [--epochs 10] [--workers 2]
                                   [--keep FOLDER]

Each run is started as a user would: by `lowerbound fit --devices 2`, by torchrun or by `fabric
run`, on the CPU, with the recipe of `survival.py`. When a checkpoint of a step that is drawn is
there, one of its processes gets a signal: the first, the second, or the launcher where that is
another one. The launcher is what the user started: its exit code counts. Then all processes must be
gone within a minute, and may not have trained on to the end as if nothing had been; there may be no
traceback but the launcher's own; and `--resume`, in turn with two processes and with one, must end
with the curve of one process that was never interrupted, to a relative difference of 1e-4. So must
runs of two that nobody ends, in batches of 349, the last with one example.

It needs Linux, and some nine minutes on two cores. It prints two tables, writes
`benchmarks/results/processes.json`, and its exit code is 1 if anything failed.
"""

import argparse
import csv
import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import survival
from common import last_line

LAUNCHERS = {"devices": "`--devices 2`", "torchrun": "torchrun", "fabric": "`fabric run`"}
"""What starts the processes, and how the table calls it."""

VICTIMS = {
    "devices": ("first", "second"),
    "torchrun": ("launcher", "first", "second"),
    "fabric": ("launcher", "first", "second"),
}
"""The processes of a run; with `--devices 2` the first starts the second."""

SETTINGS = (survival.OFTEN[0], "training.patience=none")

ENDED, WHOLE = "training.batch_size=65", "training.batch_size=349"
"""The batches of the runs that are ended, and of those that are not."""

BATCHES = 22
"""Steps in an epoch of 1,397 examples, of those that are ended."""

LEFT = 60.0
"""Seconds after which a process that is still there was left behind."""

CLOSE = 1e-4
"""The relative difference that the rounding of sums may make."""

LAUNCHERS_OWN = re.compile(
    r'^ +File "[^"]*/torch/distributed/(run\.py|elastic/|launcher/)', re.MULTILINE
)
"""A line of a traceback that torchrun, which `fabric run` calls, writes of itself."""


@dataclass
class Ended:
    """How a run ended.

    Attributes:
        code: the exit code of the process that the user started, None if it had to be killed.
        told: the lines that are messages.
        seconds: from the signal until all processes were gone, at most `LEFT`.
        left: how many were not.
        tracebacks: how many are not the launcher's own.
    """

    code: int | None
    told: list[str]
    seconds: float
    left: int
    tracebacks: int


@dataclass
class Row:
    """A run one of whose processes was ended: which and when, how it ended, and what came of going
    on.
    """

    launcher: str
    victim: str
    signal: str
    step: int
    delay: float
    again: str
    ended: Ended | None = None
    on: bool = False
    problem: str = ""
    difference: float = math.inf

    @property
    def failures(self) -> list[str]:
        """What is wrong."""
        found = {
            self.problem: bool(self.problem),
            "left behind": self.ended is not None and self.ended.left > 0,
            "trained on to the end": self.on,
            "a traceback": self.ended is not None and self.ended.tracebacks > 0,
            f"the curve differs by {self.difference:.1e}": not self.problem
            and not self.difference <= CLOSE,
        }
        return [what for what, true in found.items() if true]


# Processes


def children(pid: int) -> list[int]:
    """The processes that one has started and that are there."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended meanwhile
            found += map(int, task.read_text().split())
    return found


def family(pid: int) -> list[int]:
    """A process, those that it has started, and those that they have."""
    return [pid, *(each for child in children(pid) for each in family(child))]


def living(pid: int) -> bool:
    """Whether a process is there; one that has ended and is not yet collected is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def member(launcher: int, victim: str) -> int:
    """The launcher, or the first or second process of its run: all that are started by another have
    their number from it.
    """
    if victim == "launcher":
        return launcher
    wanted = b"LOCAL_RANK=0" if victim == "first" else b"LOCAL_RANK=1"
    numbered = [
        pid
        for pid in family(launcher)
        if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    ]
    return numbered[0] if numbered or victim == "second" else launcher


def gone(pids: Sequence[int], seconds: float) -> list[int]:
    """Waits until none of them is there: those that still are after so many seconds."""
    end = time.monotonic() + seconds
    while any(map(living, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return list(filter(living, pids))


def steps(out: Path) -> list[int]:
    """The steps of the checkpoints of a run, in order."""
    return sorted(int(path.name[5:]) for path in out.glob("checkpoint/step-*"))


def reaches(out: Path, step: int, process: subprocess.Popen | None = None) -> None:
    """Waits for the checkpoint of a step.

    Raises:
        TimeoutError: it does not come, or the process has ended without it.
    """
    end = time.monotonic() + survival.LIMIT
    while not any(found >= step for found in steps(out)):
        if time.monotonic() > end or (process is not None and process.poll() is not None):
            raise TimeoutError(f"there is no checkpoint of step {step}")
        time.sleep(0.005)


def log_of(out: Path) -> Path:
    """The file beside a run folder that holds what `ended_by` heard on standard error."""
    return out.with_name(f"{out.name}.log")


def tracebacks(text: str) -> int:
    """How many there are that are not the launcher's own."""
    plain = re.sub(
        r"^\[rank\d+\]: ?", "", text, flags=re.MULTILINE
    )  # which torch puts before the lines of a process
    blocks = re.findall(r"^Traceback \(most recent call last\):\n((?: .*\n)*)", plain, re.MULTILINE)
    return sum(not LAUNCHERS_OWN.search(block) for block in blocks)


def ended_by(
    words: Sequence[str], out: Path, victim: str, number: int, at: int = 20, delay: float = 0.0
) -> Ended:
    """Runs several processes and sends one of them a signal.

    Args:
        words: what the user starts.
        out: the run folder; what is told is kept in `log_of(out)`.
        victim: "launcher", "first" or "second".
        number: of the signal.
        at: the signal comes once there is a checkpoint of this step.
        delay: seconds that it comes after that.

    Raises:
        TimeoutError: there is no such checkpoint.
    """
    log = log_of(out)
    with (
        open(log, "w") as file,
        subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=file) as process,
    ):
        everyone = [process.pid]
        try:
            reaches(out, at, process)
            time.sleep(delay)
            everyone = family(process.pid)
            began = time.monotonic()
            os.kill(member(process.pid, victim), number)
            left = gone(everyone, LEFT)
            seconds = time.monotonic() - began
            code = None if process.pid in left else process.wait()
        finally:
            for pid in filter(living, {*everyone, *family(process.pid)}):
                os.kill(pid, signal.SIGKILL)
    text = log.read_text(errors="replace")
    told = [line for line in text.splitlines() if line.startswith("lowerbound: ")]
    return Ended(code, told, seconds, len(left), tracebacks(text))


# Runs


def setting(*settings: str) -> list[str]:
    """The options that set these."""
    return [word for each in settings for word in ("--set", each)]


def together(launcher: str, recipe: Path, out: Path, *options: str) -> list[str]:
    """A fit as two processes."""
    words = survival.command(recipe, out, *options, "--devices", "2")[
        3:
    ]  # without the interpreter and `-m lowerbound`
    return [*_launcher(launcher), *words]


def _launcher(name: str) -> list[str]:
    if name == "devices":
        return [sys.executable, "-m", "lowerbound"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])  # of its own, as several run at a time
    if name == "torchrun":
        return [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            "2",
            "--master-port",
            port,
            "-m",
            "lowerbound",
        ]
    scripts = sysconfig.get_path("scripts")
    return [
        f"{scripts}/fabric",
        "run",
        "--devices",
        "2",
        "--main-port",
        port,
        f"{scripts}/lowerbound",
    ]


def rows(out: Path) -> list[dict[str, float]]:
    """The metrics of all epochs of a run."""
    with open(out / "metrics.csv") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def apart(a: Path, b: Path) -> float:
    """The largest relative difference of two curves over all columns and epochs; infinite if they
    are not as long.
    """
    a_rows, b_rows = rows(a), rows(b)
    if len(a_rows) != len(b_rows) or any(
        x.keys() != y.keys() for x, y in zip(a_rows, b_rows, strict=True)
    ):
        return math.inf
    return max(
        (_relative(x[k], y[k]) for x, y in zip(a_rows, b_rows, strict=True) for k in x),
        default=math.inf,
    )


def _relative(a: float, b: float) -> float:
    if a == b:
        return 0.0
    return abs(a - b) / max(abs(a), abs(b)) if math.isfinite(a) and math.isfinite(b) else math.inf


def same_curve(a: Path, b: Path) -> bool:
    """Whether two runs have the same curve, up to the rounding of sums."""
    return apart(a, b) <= CLOSE


def finished(words: Sequence[str]) -> str:
    """Runs a fit to its end: "" where it ended well, otherwise what it said."""
    try:
        return survival.finished(words)
    except subprocess.TimeoutExpired:
        return f"it hangs: not done after {survival.LIMIT:.0f} s"


# What is measured


def planned(launchers: Sequence[str], signals: Sequence[str], epochs: int, seed: int) -> list[Row]:
    """A row for each launcher, victim and signal, with the moment at which it comes: within an
    epoch, in the first half.
    """
    found = [
        (launcher, victim, name)
        for launcher in launchers
        for victim in VICTIMS[launcher]
        for name in signals
    ]
    within = [step for step in range(14, epochs * BATCHES // 2) if step % BATCHES]
    turns = ("two", "one")
    chances = [random.Random(f"{seed} {' '.join(each)}") for each in found]
    moments = [(chance.choice(within), round(chance.uniform(0, 0.1), 3)) for chance in chances]
    return [Row(*each, *moments[i], turns[i % 2]) for i, each in enumerate(found)]


def measure(row: Row, recipe: Path, out: Path, reference: Path) -> Row:
    """Starts the run of a row, ends one of its processes, goes on, and compares."""
    settings = setting(*SETTINGS, ENDED)
    words = together(row.launcher, recipe, out, *settings)
    try:
        row.ended = ended_by(
            words, out, row.victim, signal.Signals[row.signal], row.step, row.delay
        )
    except TimeoutError as error:
        row.problem = f"{error}: {last_line(log_of(out).read_text(errors='replace'))}"
        return row
    row.ended.told = [line.replace(f"{out.parent}/", "") for line in row.ended.told]
    row.on = (out / "model.safetensors").exists()
    resumed = out / "recipe.toml"
    again = {"two": together(row.launcher, resumed, out, "--resume")}
    again["one"] = survival.command(resumed, out, "--resume", "--devices", "1")
    problem = finished(again[row.again])
    row.problem = problem and f"--resume: {problem.replace(f'{out.parent}/', '')}"
    row.difference = math.inf if problem else apart(out, reference)
    return row


def compare(folder: Path, launchers: Sequence[str], epochs: int, workers: int) -> dict[str, float]:
    """Runs of two that nobody ends, of three levels: how far the curve of each launcher is from
    that of one process.
    """
    recipe, settings = survival.write_recipe(folder, "levels", epochs), setting(*SETTINGS, WHOLE)
    whole(survival.command(recipe, folder / "levels-one", *settings))
    runs = [
        together(launcher, recipe, folder / f"levels-{launcher}", *settings)
        for launcher in launchers
    ]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(whole, runs))
    return {
        launcher: apart(folder / f"levels-{launcher}", folder / "levels-one")
        for launcher in launchers
    }


def whole(words: Sequence[str]) -> None:
    """A run that is not interrupted; where that fails there is nothing to measure."""
    problem = finished(words)
    if problem:
        raise SystemExit(f"the run that is not interrupted fails: {problem}")


def measure_all(folder: Path, planned: Sequence[Row], epochs: int, workers: int) -> list[Row]:
    """All rows, some at a time, with the run of one process that they are compared with."""
    recipe, reference = survival.write_recipe(folder, "mlp", epochs), folder / "one"
    whole(survival.command(recipe, reference, *setting(*SETTINGS, ENDED)))

    def one(row: Row) -> Row:
        measure(row, recipe, folder / f"{row.launcher}-{row.victim}-{row.signal}", reference)
        how = f"exit {row.ended.code} after {row.ended.seconds:.1f} s" if row.ended else "not ended"
        what = "; ".join(row.failures) or "ok"
        print(
            f"{row.launcher} {row.victim} {row.signal}: {how}; {what}", file=sys.stderr, flush=True
        )
        return row

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, planned))


# What is shown


def brief(told: Iterable[str]) -> str:
    """How messages begin, without figures and causes; equal ones are counted."""
    begun = [line.removeprefix("lowerbound: ").partition(";")[0] for line in told]
    counted = Counter(re.sub(r"\d+", "N", re.sub(r" \([^)]*\)", "", text)) for text in begun)
    return (
        ", ".join(text + (f" ({n} times)" if n > 1 else "") for text, n in counted.items())
        or "nothing"
    )


def table(found: Sequence[Row], differences: Mapping[str, float]) -> str:
    """Markdown: one row for each run that was ended, and one for each launcher."""
    head = ["started by", "ended", "signal", "exit code", "told", "seconds", "`--resume`"]
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---:|---|---:|---|"]
    for row in found:
        ended = row.ended or Ended(None, [], LEFT, 0, 0)
        outcome = "; ".join(row.failures) or f"same, by {row.again}"
        cells = [
            LAUNCHERS[row.launcher],
            row.victim,
            row.signal,
            ended.code,
            brief(ended.told),
            f"{ended.seconds:.1f}",
            outcome,
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "| two processes by | largest relative difference from one |", "|---|---:|"]
    return "\n".join(
        [*lines, *(f"| {LAUNCHERS[name]} | {value:.1e} |" for name, value in differences.items())]
    )


def record(row: Row) -> dict[str, object]:
    """A row as JSON, which has no infinity."""
    plain = asdict(row) | {"failures": row.failures}
    return plain | {"difference": row.difference if math.isfinite(row.difference) else None}


def names(allowed: Iterable[str]) -> Callable[[str], list[str]]:
    """The type of an option that takes several of these, separated by commas."""

    def read(text: str) -> list[str]:
        found = text.split(",")
        if not set(found) <= set(allowed):
            raise argparse.ArgumentTypeError(f"got {text!r}, allowed: {', '.join(allowed)}")
        return found

    return read


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--launchers", type=names(LAUNCHERS), default=list(LAUNCHERS), help="separated by commas"
    )
    signals = ("SIGINT", "SIGTERM", "SIGKILL")
    parser.add_argument(
        "--signals", type=names(signals), default=list(signals), help="separated by commas"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument("--keep", type=Path, help="folder for the runs, which stay")
    given = parser.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell that starts this in the background has it ignored
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = planned(given.launchers, given.signals, given.epochs, given.seed)
        found = measure_all(folder, wanted, given.epochs, given.workers)
        differences = compare(folder, given.launchers, given.epochs, given.workers)
    failed = sum(bool(row.failures) for row in found) + sum(
        not value <= CLOSE for value in differences.values()
    )
    print(f"{failed} of {len(found) + len(differences)} runs failed\n\n{table(found, differences)}")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    told = {
        "failed": failed,
        "seed": given.seed,
        "epochs": given.epochs,
        "differences": differences,
    }
    told["each"] = [record(row) for row in found]
    (results / "processes.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
