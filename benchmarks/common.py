"""What the benchmarks share: rounds in turn, medians with their spread, the rates of the machine,
processes, result files.

It imports nothing of lowerbound until results are written, so that the scripts for peers can use it
in their interpreters.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"

ROOT = Path(__file__).parents[1]

PEERS = ROOT / ".benchmarks" / "peers"
"""Where `peers.py` puts the environments of the peers."""

Work = Callable[[], float]
"""Something that is done once and tells its seconds, per whatever it counts."""

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class PeerError(Exception):
    """A process did not answer; with the last line of what it said."""


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, least and greatest."""
    found = list(values)
    return {"median": statistics.median(found), "least": min(found), "greatest": max(found)}


def ratios(over: Sequence[float], under: Sequence[float]) -> dict[str, float]:
    """The spread of over / under, round by round."""
    return spread(a / b for a, b in zip(over, under, strict=True))


def in_turn(work: Mapping[str, Work], rounds: int) -> tuple[dict[str, list[float]], dict[str, str]]:
    """All work once to warm up, and then once in each round, beginning with another in each.

    Returns:
        The seconds of each, one number a round; and the error line of each process that did not
        answer, which is left out.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    errors: dict[str, str] = {}
    for number in range(rounds + 1):
        for name in _turned(list(work), number):
            try:
                if name not in errors:
                    seconds[name].append(work[name]())
            except PeerError as error:
                errors[name] = str(error)
                print(f"{name}: {error}", file=sys.stderr, flush=True)
    return {name: each[1:] for name, each in seconds.items() if name not in errors}, errors


def _turned(names: list[str], by: int) -> list[str]:
    return names[by % len(names) :] + names[: by % len(names)]


def clocked(work: Callable[[], Any], device: str = "cpu") -> float:
    """Seconds of a piece of work, waiting for the device."""
    wait(device)
    started = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - started


def fastest(
    work: Callable[[], Any], device: str = "cpu", times: int = 5, limit: float = 1.0
) -> float:
    """Seconds of a piece of work at its best; it is not done again once all together took longer
    than the limit.
    """
    seconds = [clocked(work, device)]
    while len(seconds) < times and sum(seconds) < limit:
        seconds.append(clocked(work, device))
    return min(seconds)


def wait(device: str) -> None:
    """Until a GPU has done what it was given; a CPU has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


class Machine:
    """What the machine can do, as work to be done in turn with what is measured on it: matrix
    products and a copy.

    Args:
        device: "cpu" or "cuda".
        size: of the square matrices; the operations of a product are 2 size^3.
        numbers: of the array that is copied, as float32; it must be larger than the caches.
    """

    def __init__(self, device: str, size: int | None = None, numbers: int = 2**25) -> None:
        self.device = device
        size = size or (8192 if device.startswith("cuda") else 2048)
        self.amounts = {f"product {name}": 2.0 * size**3 for name in TYPES} | {
            "copy": 8.0 * numbers
        }
        self.source, self.target = (torch.zeros(numbers, device=device) for _ in range(2))
        self.matrices = {
            name: torch.randn(size, size, device=device, dtype=kind) for name, kind in TYPES.items()
        }

    def work(self) -> dict[str, Work]:
        """Each is done some times, of which the fastest counts."""
        found: dict[str, Callable[[], Any]] = {"copy": lambda: self.target.copy_(self.source)}
        found |= {
            f"product {name}": lambda m=matrix: m @ m for name, matrix in self.matrices.items()
        }
        return {name: lambda w=work: fastest(w, self.device) for name, work in found.items()}

    def rates(self, seconds: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
        """Operations per second of the products, and bytes read and written per second of the
        copy.
        """
        return {
            name: spread(amount / s for s in seconds[name]) for name, amount in self.amounts.items()
        }

    def floor(
        self, operations: float, traffic: float, seconds: Mapping[str, Sequence[float]]
    ) -> dict[str, list[float]]:
        """The least seconds for so many operations, and for so many bytes, by the rates of each
        round.
        """
        wanted = {"product fp32": operations, "product bf16": operations, "copy": traffic}
        return {
            name: [wanted[name] / self.amounts[name] * s for s in seconds[name]] for name in wanted
        }


class Peer:
    """A process that does a piece of work each time that it is given a line, and answers with its
    seconds as JSON.

    It starts at the first call; `serve` is its other end.
    """

    def __init__(self, command: Sequence[str], threads: int) -> None:
        self.command, self.threads = list(command), threads
        self.facts: dict[str, Any] = {}
        self.process: subprocess.Popen | None = None
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process

    def __call__(self) -> float:
        if self.process is None:
            self.process = self._started()
            self.facts = self._answer()
        with suppress(BrokenPipeError):  # it has ended: the answer says why
            self.process.stdin.write("again\n")
            self.process.stdin.flush()
        return self._answer()["seconds"]

    def close(self) -> None:
        """Ends the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.log.close()

    def _started(self) -> subprocess.Popen:
        try:
            environment = threaded(self.threads)
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
            return subprocess.Popen(self.command, text=True, env=environment, **pipes)
        except OSError as error:
            raise PeerError(absent(self.command, error)) from error

    def _answer(self) -> dict[str, Any]:
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.log.seek(0)
        raise PeerError(last_line(self.log.read()))


def serve(work: Work, **facts: Any) -> None:
    """The other end of a `Peer`: says what it is, and does the work for each line that comes."""
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": work()}), flush=True)


def last_line(text: str) -> str:
    """What a process said last."""
    return (text.strip().splitlines() or ["it ended without a word"])[-1].strip()


def answer(
    command: Sequence[str], threads: int, folder: str | Path | None = None
) -> dict[str, Any]:
    """The last line of JSON that a command prints, or its last line of errors as `{"error":
    line}`.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=threaded(threads)
        )
    except OSError as error:
        return {"error": absent(command, error)}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return (
        json.loads(lines[-1])
        if lines and not done.returncode
        else {"error": last_line(done.stderr)}
    )


def absent(command: Sequence[str], error: OSError) -> str:
    """What is said of a command that cannot be started."""
    return f"{Path(command[0]).name}: {error.strerror}; `make peers` installs the peers"


def threaded(threads: int) -> dict[str, str]:
    """The environment for a process with so many threads."""
    return os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


LAUNCHER = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
seconds = time.perf_counter() - started
if done.returncode:
    sys.exit(done.stderr)
unit = 1 if sys.platform == "darwin" else 1024
megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e6
print(json.dumps({"seconds": seconds, "megabytes": megabytes}))
"""
"""A small process that starts another one: the peak memory of a process counts what the one that
started it had.
"""


def measured(command: Sequence[str], threads: int) -> dict[str, Any]:
    """Seconds and peak megabytes of a process, from its start to its end, or `{"error": line}`."""
    return answer([sys.executable, "-S", "-c", LAUNCHER, *command], threads)


def facts(threads: int, device: str = "cpu") -> dict[str, Any]:
    """The machine and the versions."""
    from lowerbound import __version__
    from lowerbound.system.machine import hardware

    return {
        "hardware": hardware(device),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lowerbound": __version__,
    }


def parser(text: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """The options that all benchmarks have: threads and where the result goes."""
    found = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument(
        "--threads",
        type=int,
        default=os.cpu_count() or 1,
        help="of each process (default: all cores)",
    )
    found.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON file")
    found.set_defaults(**defaults)
    return found


def arguments(words: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line; from here on this process has so many threads."""
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    return given


PRIVATE = ("results", "folder", "serve", "once", "pythae", "peer", "peers", "run", "items")
"""Options that say nothing of what was measured, or name places on this machine."""


def write(name: str, found: Mapping[str, Any], given: argparse.Namespace) -> None:
    """Writes results/NAME.json whole or not at all, with the facts and the options, and prints
    where.
    """
    from lowerbound.system.files import write_json

    options = {key: value for key, value in vars(given).items() if key not in PRIVATE}
    whole = {
        "name": name,
        "facts": facts(given.threads, options.get("device", "cpu")),
        "options": options,
        **found,
    }
    given.results.mkdir(parents=True, exist_ok=True)
    write_json(given.results / f"{name}.json", whole)
    print(json.dumps({"results": str(given.results / f"{name}.json")}), flush=True)
