"""All benchmarks of speed, each in a process of its own, and then the tables of
docs/performance.md.

    python benchmarks/all.py [--long] [--only training quality ...] [--threads N] [--peers FOLDER]

The short form takes about half an hour on two cores: few rounds, and to the published quality only
the hierarchical system by one seed; the long form takes some two hours, with more rounds, three
seeds and all systems. Nothing else should run beside it. A benchmark that fails is told of at the
end, its old result stays, and the exit code is 1.

What is measured of other things than speed has scripts that are started by themselves:
anomalies.py, gpu.py, hostile.py, imputation.py, processes.py, recommend_quality.py, serve.py,
survival.py, synthetic_tables.py and table_anomalies.py.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Job:
    """A script with the options that it always has, and those of the short and of the long form."""

    script: str
    always: str = ""
    short: str = ""
    long: str = ""

    def words(self, long: bool) -> list[str]:
        """The command line after the interpreter, without the threads."""
        return [
            str(HERE / self.script),
            *self.always.split(),
            *(self.long if long else self.short).split(),
        ]


JOBS = {
    "training": [
        Job("training.py", "--recipe hierarchical-mnist aevb-mnist", "--rounds 5", "--rounds 9"),
        Job("training.py", "--recipe conv-mnist", "--rounds 5 --steps 20", "--rounds 9 --steps 50"),
    ],
    "likelihood": [
        Job(
            "likelihood.py",
            "",
            "--images 500 --samples 500 --rounds 5",
            "--images 1000 --samples 5000 --rounds 10",
        )
    ],
    "startup": [Job("startup.py", "", "--rounds 5", "--rounds 11")],
    "neighbours": [Job("neighbours.py", "", "--rounds 2", "--rounds 7")],
    "growth": [Job("growth.py", "", "--rounds 3", "--rounds 7")],
    "sharding": [Job("sharding.py", "", "--rounds 1", "--rounds 5")],
    "recommend": [
        *(Job("recommend.py", what, "--rounds 3", "--rounds 7") for what in ("step", "ranking")),
        *(Job("recommend.py", what) for what in ("memory", "peers")),
    ],
    "serving": [Job("serving.py", "", "--users 20000")],
    "quality": [
        Job("quality.py", "--recipe hierarchical-mnist", "--seeds 0"),
        Job("quality.py", "--recipe aevb-mnist conv-mnist", "--system fast --seeds 0"),
    ],
}


def peers(job: Job, folder: Path | None) -> list[str]:
    """The option that names the peers' interpreters, for the scripts that have one."""
    python = {name: f"{folder}/{name}/bin/python" for name in ("pythae", "cornac", "recbole")}
    if folder is None:
        return []
    if job.script == "training.py":
        return ["--pythae", python["pythae"]]
    return (
        ["--peers", f"cornac={python['cornac']}", f"recbole={python['recbole']}"]
        if job.script == "recommend.py"
        else []
    )


def run(job: Job, given: argparse.Namespace) -> bool:
    """Whether it ended well."""
    words = [
        *job.words(given.long),
        *peers(job, given.peers),
        "--threads",
        str(given.threads),
        "--results",
        str(given.results),
    ]
    print(f"$ python {' '.join(words)}", flush=True)
    started = time.perf_counter()
    code = subprocess.run([sys.executable, *words]).returncode
    print(f"exit {code} after {time.perf_counter() - started:.0f} s", flush=True)
    return code == 0


def main() -> int:
    """The exit code is 1 if one of them failed."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--long", action="store_true", help="the full form")
    words.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS))
    words.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    words.add_argument(
        "--peers",
        type=Path,
        help="folder of their environments (default: where `make peers` puts them)",
    )
    words.add_argument("--results", type=Path, default=HERE / "results")
    words.add_argument("--page", type=Path, default=HERE.parent / "docs" / "performance.md")
    given = words.parse_args()
    failed = [
        " ".join(job.words(given.long)[1:])
        for name in given.only
        for job in JOBS[name]
        if not run(job, given)
    ]
    drawn = subprocess.run(
        [
            sys.executable,
            str(HERE / "page.py"),
            "--results",
            str(given.results),
            "--page",
            str(given.page),
        ]
    )
    for one in failed:
        print(f"failed: {one}", file=sys.stderr)
    return int(bool(failed) or drawn.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
