"""Seconds of small commands, each in a fresh process, and the peak memory of a fit.

    python benchmarks/startup.py [--rounds 7] [--threads N] [--recipe conv-mnist] [--epochs 1]

`lowerbound --help`, `list`, and `evaluate` and `sample` of a run of the recipe `digits`, which is
fitted for a few epochs first. The seconds are those from the start of the process to its end. The
peak memory is that of `lowerbound fit RECIPE` for `--epochs` epochs, with its test and its report,
and of the same without a report.
"""

import sys
import tempfile
from typing import Any

from common import PeerError, Work, arguments, in_turn, measured, parser, spread, write


def command(*words: str) -> list[str]:
    """One of the command line."""
    return [sys.executable, "-m", "lowerbound", *words]


def done(words: list[str], threads: int) -> dict[str, Any]:
    """Seconds and megabytes of a process. PeerError if it fails."""
    found = measured(words, threads)
    if "error" in found:
        raise PeerError(found["error"])
    return found


def commands(folder: str, threads: int) -> dict[str, list[str]]:
    """What is measured, with a small run to measure it on."""
    done(
        command(
            "fit",
            "digits",
            "--out",
            f"{folder}/run",
            "--set",
            "training.epochs=3",
            "--set",
            "report.write=false",
        ),
        threads,
    )
    return {
        "--help": command("--help"),
        "list": command("list"),
        "evaluate": command("evaluate", f"{folder}/run"),
        "sample": command("sample", f"{folder}/run", "--out", f"{folder}/samples.png"),
    }


def remembering(words: list[str], threads: int, megabytes: list[float]) -> Work:
    """A process as work; its megabytes go to the list."""

    def work() -> float:
        found = done(words, threads)
        megabytes.append(found["megabytes"])
        return found["seconds"]

    return work


def fits(recipe: str, epochs: int, threads: int) -> dict[str, Any]:
    """Seconds and peak megabytes of a fit, with its report and without."""
    found = {}
    for name, write_it in (("with its report", "true"), ("without a report", "false")):
        with tempfile.TemporaryDirectory() as folder:
            words = command(
                "fit", recipe, "--out", f"{folder}/run", "--set", f"training.epochs={epochs}"
            )
            found[name] = measured([*words, "--set", f"report.write={write_it}"], threads)
    return found


def main() -> None:
    """Writes results/startup.json."""
    words = parser(__doc__)
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--recipe", default="conv-mnist", help="whose memory is measured")
    words.add_argument("--epochs", type=int, default=1, help="of that fit")
    given = arguments(words)
    with tempfile.TemporaryDirectory() as folder:
        asked = commands(folder, given.threads)
        megabytes: dict[str, list[float]] = {name: [] for name in asked}
        work = {
            name: remembering(each, given.threads, megabytes[name]) for name, each in asked.items()
        }
        seconds, errors = in_turn(work, given.rounds)
    found = {
        "measured": {
            name: {"seconds": spread(each), "megabytes": spread(megabytes[name])}
            for name, each in seconds.items()
        },
        "errors": errors,
        "fit": {"recipe": given.recipe, "epochs": given.epochs}
        | fits(given.recipe, given.epochs, given.threads),
        "seconds": seconds,
    }
    write("startup", found, given)


if __name__ == "__main__":
    main()
