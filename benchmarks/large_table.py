"""A table of millions of rows, larger than one wants in memory: fitted for one epoch, scored,
imputed and sampled by the commands, with the peak memory of each.

    python benchmarks/large_table.py [--rows 5000000] [--batch 1024] [--samples 5]
        [--split all] [--folder DIR]

The table is drawn by seeds, block by block: 20 columns (4 numbers, 3 positive ones of which one has
heavy tails and one zeros, 1 number of two bumps, 3 counts, 1 ordinal, 6 categories of 3 to 200
levels, 1 date, 1 binary) that depend on 4 hidden numbers, with 5 % gaps. Each command is a process
of its own. Its memory is looked at 20 times a second in /proc: RssAnon is what it has allocated;
RssFile are pages of files, such as those of the temporary file of the numbers, which the system
takes back when others need memory. Writes results/large-table.json.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars

from common import ROOT, arguments, parser, write
from lowerbound.system.files import write_frames

BLOCK = 250_000
"""The rows that are drawn from one seed."""

HIDDEN = 4
"""The hidden numbers that a row is made of."""

CATEGORIES = {"city": 200, "product": 60, "channel": 8, "region": 12, "plan": 3, "device": 25}
"""The columns of categories, and their levels."""

GAPS = 0.05
"""The share of the cells that are gaps."""

DAYS = 3000
"""The span of the dates."""

LOOKS = 20
"""Looks at the memory of a process in a second."""


def block(rows: int, seed: int) -> polars.DataFrame:
    """Draws some rows of the table."""
    rng = np.random.default_rng([7, seed])
    weights = np.random.default_rng(7)
    hidden = rng.normal(size=(rows, HIDDEN))

    def mix() -> np.ndarray:
        return hidden @ weights.normal(size=HIDDEN) / np.sqrt(HIDDEN)

    def noise() -> np.ndarray:
        return rng.normal(size=rows)

    columns: dict[str, Any] = {
        "balance": 1000 * mix() + 300 * noise(),
        "temperature": np.round(20 + 5 * mix() + noise(), 1),
        "score": mix() + 0.5 * noise(),
        "change": mix() + 0.3 * rng.standard_t(2, rows),
        "bumps": np.where(rng.random(rows) < 0.5, 3, -3) + mix() + 0.5 * noise(),
        "income": np.round(np.exp(10 + 0.6 * mix() + 0.3 * noise()), 2),
        "weight": np.exp(mix() + 0.2 * noise()),
        "refund": np.where(mix() + noise() > 1.2, np.round(np.exp(3 + noise()), 2), 0),
        "visits": rng.poisson(np.exp(1 + 0.7 * mix())),
        "orders": rng.negative_binomial(2, 1 / (1 + np.exp(0.5 + mix()))),
        "age": np.clip(np.round(40 + 12 * mix() + 5 * noise()), 18, 99).astype(int),
        "grade": np.clip(np.round(3 + mix() + 0.5 * noise()), 1, 5).astype(int),
    }
    for name, levels in CATEGORIES.items():
        angles = mix() + 0.4 * noise()
        # As with real words, some are frequent and many are rare.
        shares = 1 / (1 + np.exp(-1.5 * angles))
        places = np.minimum((shares**2 * levels).astype(int), levels - 1)
        words = np.array([f"{name} {place}" for place in range(levels)], object)
        columns[name] = words[places]
    days = np.clip(DAYS / 2 + DAYS / 6 * (mix() + 0.3 * noise()), 0, DAYS).astype(int)
    columns["joined"] = np.datetime64(date(2015, 1, 1)) + days
    columns["member"] = mix() + 0.5 * noise() > 0
    frame = polars.DataFrame(columns)
    gaps = []
    for name in frame.columns:
        is_known = polars.Series(rng.random(rows) >= GAPS)
        gaps.append(polars.when(is_known).then(polars.col(name)).alias(name))
    return frame.with_columns(gaps)


def blocks(rows: int) -> Iterator[polars.DataFrame]:
    """Draws the table block by block."""
    for seed, start in enumerate(range(0, rows, BLOCK)):
        yield block(min(BLOCK, rows - start), seed)


class Watch(threading.Thread):
    """Looks at the memory of a process until it has ended.

    Attributes:
        peaks: the greatest bytes by the names that Linux gives them.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        super().__init__(daemon=True)
        self.process = process
        self.peaks: dict[str, int] = {}

    def run(self) -> None:
        while self.process.poll() is None:
            for name, size in memory_of(self.process.pid).items():
                self.peaks[name] = max(size, self.peaks.get(name, 0))
            time.sleep(1 / LOOKS)


def memory_of(process: int) -> dict[str, int]:
    """Returns the bytes of memory of a process, by kind; nothing if it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    wanted = ("VmRSS", "RssAnon", "RssFile")
    return {
        line.partition(":")[0]: 1024 * int(line.split()[1])
        for line in lines
        if line.startswith(wanted)
    }


def call(name: str, rows: int, *words: object) -> dict[str, Any]:
    """Runs a command of lowerbound, and measures its seconds and its memory."""
    command = [sys.executable, "-m", "lowerbound", name, *map(str, words)]
    print(" ".join(command[2:]), flush=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        watch = Watch(process)
        watch.start()
        assert process.stdout is not None
        printed = process.stdout.read()
    watch.join()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}")
    print(printed, flush=True)
    found = {"seconds": seconds, "rows": rows, "rows_per_second": rows / seconds}
    found |= {f"peak_{kind}": size for kind, size in watch.peaks.items()}
    print(f"{name}: {found}", flush=True)
    return found


def measure(given: argparse.Namespace, folder: Path) -> None:
    """Draws the table, runs the commands one after another, and writes what is known after each."""
    data = folder / "large.parquet"
    run = folder / "run"
    started = time.perf_counter()
    write_frames(data, blocks(given.rows))
    drawn = time.perf_counter() - started
    bytes_of_file = data.stat().st_size
    print(f"{given.rows:,} rows, {bytes_of_file:,} bytes, {drawn:.0f} s", flush=True)
    fit = ["table", "--data", data, "--out", run]
    for setting in ("training.epochs=1", f"training.batch_size={given.batch}"):
        fit += ["--set", setting]
    samples = ["--samples", given.samples]
    scored = given.rows
    if given.split == "test":
        scored = given.rows // 10
    outputs = {name: folder / f"{name}.parquet" for name in ("score", "impute", "sample")}
    calls: dict[str, tuple[int, list[object]]] = {
        "fit": (given.rows, [*fit, "--set", "report.write=false"]),
        "score": (scored, [run, "--split", given.split, *samples, "--out", outputs["score"]]),
        "impute": (given.rows, [run, "--data", data, *samples, "--out", outputs["impute"]]),
        "sample": (given.rows, [run, "-n", given.rows, "--out", outputs["sample"]]),
    }
    found: dict[str, Any] = {"file_bytes": bytes_of_file, "commands": {}}
    for name, (rows, words) in calls.items():
        found["commands"][name] = call(name, rows, *words)
        if name in outputs:
            assert length(outputs[name]) == rows
        if name == "impute":
            found["imputed"] = check(data, outputs[name])
        write("large-table", found, given)


def length(path: Path) -> int:
    """Counts the rows of a Parquet file."""
    count: int = polars.scan_parquet(path).select(polars.len()).collect().item()
    return count


def check(data: Path, out: Path) -> dict[str, int]:
    """Looks at an imputed table: it has no gaps, and what was observed is as it was."""
    source = polars.scan_parquet(data)
    filled = polars.scan_parquet(out)
    gaps = sum(source.null_count().collect().row(0))
    left = sum(filled.null_count().collect().row(0))
    changed = 0
    for name in source.collect_schema().names():
        before = source.select(name).collect().to_series()
        after = filled.select(name).collect().to_series()
        changed += int((before.is_not_null() & before.ne_missing(after)).sum())
    assert left == 0, left
    assert changed == 0, changed
    return {"gaps": gaps, "gaps_left": left, "observed_cells_changed": changed}


def main() -> None:
    """Measures and writes."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=5_000_000)
    options.add_argument("--batch", type=int, default=1024)
    options.add_argument("--samples", type=int, default=5)
    options.add_argument("--split", choices=("test", "all"), default="all", help="What is scored.")
    options.add_argument("--folder", type=Path, help="For the files [default: a temporary one].")
    given = arguments(options)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        measure(given, Path(folder))


if __name__ == "__main__":
    main()
