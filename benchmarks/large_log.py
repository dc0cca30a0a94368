"""A log of many millions of rows: memory and CPU time of reading, cleaning and splitting it.

    python benchmarks/large_log.py [--rows 30000000] [--users 1000000] [--catalogue 200000]
        [--splits strong random temporal] [--ids numbers] [--folder DIR]

The log is drawn by seeds, block by block, into a Parquet file: users and items by Zipf-like laws,
in the order of time, with the columns user, item and timestamp as 64-bit numbers. Each split is
made in a process of its own, which first opens a small log, so that all libraries are there; the
peak of its resident memory from then on is told above what it had then (pages of the file that the
system mapped count too). The CPU time is that of all threads. The log is removed in the end.
Writes results/large-log.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common import arguments, parser, write

BLOCK = 1_000_000
"""The rows that are drawn from one seed."""

SKEW = 0.8
"""The k-th user and the k-th item have a share of about k to the power of minus this number."""

MB = 1e6


def zipf_like(uniform: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Draws from 0 ... size - 1 by the continuous power law of the exponent `SKEW`.

    Args:
        uniform: (n,) numbers in [0, 1).
        size: how many there are to draw from.
        seed: of the names of the ranks: a popular one may have any number.
    """
    power = 1 - SKEW
    top = (size + 1.0) ** power
    ranks = ((1 + uniform * (top - 1)) ** (1 / power)).astype(np.int64) - 1
    names = np.random.default_rng(seed).permutation(size)
    return names[np.minimum(ranks, size - 1)]


def blocks(rows: int, users: int, items: int, ids: str) -> Iterator[Any]:
    """Yields the log in frames."""
    import polars

    for start in range(0, rows, BLOCK):
        rng = np.random.default_rng([11, start])
        count = min(BLOCK, rows - start)
        frame = polars.DataFrame(
            {
                "user": zipf_like(rng.random(count), users, 1),
                "item": zipf_like(rng.random(count), items, 2),
                "timestamp": 1_600_000_000 + start + np.arange(count),
            }
        )
        if ids == "texts":
            frame = frame.with_columns(
                polars.format("u{}", "user").alias("user"),
                polars.format("item-{}", "item").alias("item"),
            )
        if ids == "hashes":
            frame = frame.with_columns(
                (polars.col("user").hash() // 2).cast(polars.Int64).alias("user"),
                (polars.col("item").hash() // 2).cast(polars.Int64).alias("item"),
            )
        yield frame


def resident(key: str) -> int:
    """Reads a figure of the memory of this process in bytes: VmRSS now, VmHWM at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise KeyError(key)


def open_log(path: Path, split: str) -> Any:
    """Opens a log as `fit` does."""
    from lowerbound.data import Data, Interactions

    return Data(str(path), interactions=Interactions(split=split)).open()


def measure(path: Path, small: Path, split: str) -> dict[str, Any]:
    """Opens a log in this process, and measures what it takes."""
    open_log(small, split)
    base = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    started = time.process_time()
    data = open_log(path, split)
    seconds = time.process_time() - started
    peak = resident("VmHWM")
    return {
        "split": split,
        "base_mb": base / MB,
        "peak_above_base_mb": (peak - base) / MB,
        "held_above_base_mb": (resident("VmRSS") - base) / MB,
        "cpu_seconds": seconds,
        "facts": data.facts,
        "sizes": data.sizes,
        "sha256": data.fingerprint()["sha256"],
    }


def in_process(path: Path, small: Path, split: str) -> dict[str, Any]:
    """Measures in a process of its own."""
    command = [sys.executable, __file__, "--one", str(path), str(small), split]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(found: dict[str, Any]) -> None:
    """Prints a row of the table."""
    print(
        f"| {found['split']} | {found['facts']['kept']:,} | {found['cpu_seconds']:.1f} s "
        f"| {found['peak_above_base_mb']:,.0f} MB | {found['held_above_base_mb']:,.0f} MB |",
        flush=True,
    )


def run(args: argparse.Namespace) -> None:
    """Draws the log, opens it by each split, and writes what was found."""
    from lowerbound.system.files import write_frames

    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "log.parquet"
        small = Path(folder) / "small.parquet"
        write_frames(path, blocks(args.rows, args.users, args.catalogue, args.ids))
        write_frames(small, blocks(20_000, 500, 200, args.ids))
        size = path.stat().st_size
        print(f"{args.rows:,} rows, {size / MB:,.0f} MB of Parquet, ids are {args.ids}\n")
        print("| split | interactions | CPU | peak above the base | held in the end |")
        print("|---|---|---|---|---|", flush=True)
        results = []
        for split in args.splits:
            found = in_process(path, small, split)
            show(found)
            results.append(found)
    name = "large-log"
    if args.ids != "numbers":
        name += f"-{args.ids}"
    write(name, {"parquet_mb": size / MB, "splits": results}, args)


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        path, small, split = sys.argv[2:]
        print(json.dumps(measure(Path(path), Path(small), split)))
        return
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=30_000_000)
    options.add_argument("--users", type=int, default=1_000_000)
    options.add_argument("--catalogue", type=int, default=200_000, help="the number of items")
    options.add_argument("--splits", nargs="+", default=["strong", "random", "temporal"])
    options.add_argument("--ids", choices=["numbers", "texts", "hashes"], default="numbers")
    options.add_argument("--folder", help="where the log is drawn [default: that of the system]")
    run(arguments(options))


if __name__ == "__main__":
    main()
