"""What `synthetic_tables.py` runs in the interpreter that has ctgan and sdmetrics: a fit with its
sample, or the quality report of a sample.

    PYTHON benchmarks/synthetic_peer.py fit TVAE|CTGAN TRAIN.csv ROWS.parquet [--epochs 300]
    PYTHON benchmarks/synthetic_peer.py quality REAL.parquet ROWS.parquet

It is written for ctgan 0.12.1 and sdmetrics 0.32.0, and prints JSON. It imports nothing of ours.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

Frame = Any
"""A DataFrame of pandas, which only the peers' interpreter has."""


def texts(table: Frame) -> list[str]:
    """The columns that hold no numbers, which the peers are told to take as discrete."""
    return [name for name in table if table[name].dtype.kind not in "iuf"]


def fit(given: argparse.Namespace) -> dict[str, Any]:
    """Fits a peer with its published settings, and writes as many rows as it has learned from.

    A `?` of the CSV file stays a category of its own, as the peers' users have it.
    """
    import ctgan
    import pandas as pd

    random.seed(given.seed)
    np.random.seed(given.seed)  # noqa: NPY002 - the peers draw from the global generator
    torch.manual_seed(given.seed)
    table = pd.read_csv(given.train, keep_default_na=False, na_values=[""])
    model = getattr(ctgan, given.peer)(
        epochs=given.epochs, batch_size=given.batch_size, enable_gpu=False, verbose=True
    )
    started = time.perf_counter()
    busy = time.process_time()
    model.fit(table, texts(table))
    fitted = time.perf_counter()
    busy = time.process_time() - busy
    rows = model.sample(len(table))
    ended = time.perf_counter()
    rows.to_parquet(given.out, index=False)
    return {
        "fit_seconds": fitted - started,
        "fit_cpu_seconds": busy,
        "sample_seconds": ended - fitted,
        "rows": len(rows),
        "epochs": given.epochs,
        "version": ctgan.__version__,
    }


def report(real: Frame, rows: Frame, every_pair: bool) -> Any:
    """A QualityReport of rows beside real ones.

    Its own settings leave out the pairs of columns that hardly depend on each other in the real
    rows; `every_pair` takes them in.
    """
    from sdmetrics.reports import QualityReport

    types = {name: {"sdtype": "numerical"} for name in real}
    types |= {name: {"sdtype": "categorical"} for name in texts(real)}
    made = QualityReport()
    if every_pair:
        made.real_correlation_threshold = 0
        made.real_association_threshold = 0
    tables = {"tables": {"rows": {"columns": types}}}
    made.generate({"rows": real}, {"rows": rows[list(real)]}, tables, verbose=False)
    return made


def score(made: Any, name: str) -> float:
    """One of the scores of a report."""
    return float(made.get_properties().set_index("Property")["Score"][name])


def quality(given: argparse.Namespace) -> dict[str, Any]:
    """The scores of sdmetrics' QualityReport: their means, those of the columns, and those of the
    pairs of columns that are worst.
    """
    import pandas as pd
    import sdmetrics

    real = pd.read_parquet(given.real)
    rows = pd.read_parquet(given.drawn)
    usual = report(real, rows, every_pair=False)
    whole = report(real, rows, every_pair=True)
    shapes = usual.get_details("Column Shapes")
    pairs = whole.get_details("Column Pair Trends").sort_values("Score").head(given.pairs)
    return {
        "column_shapes": score(usual, "Column Shapes"),
        "pair_trends": score(usual, "Column Pair Trends"),
        "pair_trends_of_all": score(whole, "Column Pair Trends"),
        "columns": dict(zip(shapes["Column"], shapes["Score"].astype(float), strict=True)),
        "worst_pairs": pairs[["Column 1", "Column 2", "Score"]].values.tolist(),
        "version": sdmetrics.__version__,
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = words.add_subparsers(required=True)
    one = kinds.add_parser("fit")
    one.add_argument("peer", choices=("TVAE", "CTGAN"))
    one.add_argument("train", type=Path, help="CSV file")
    one.add_argument("out", type=Path, help="Parquet file for the rows it draws")
    one.add_argument("--epochs", type=int, default=300)
    one.add_argument("--batch-size", type=int, default=500)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--threads", type=int, default=1)
    one.set_defaults(work=fit)
    other = kinds.add_parser("quality")
    other.add_argument("real", type=Path, help="Parquet file of real rows")
    other.add_argument("drawn", type=Path, help="Parquet file of drawn rows")
    other.add_argument("--pairs", type=int, default=5, help="how many of the worst pairs to tell")
    other.add_argument("--threads", type=int, default=1)
    other.set_defaults(work=quality)
    return words


def main() -> int:
    """Prints the line of JSON."""
    given = parser().parse_args()
    torch.set_num_threads(given.threads)
    print(json.dumps(given.work(given)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
