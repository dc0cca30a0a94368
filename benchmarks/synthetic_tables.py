"""Rows drawn by our model of a table beside those of TVAE and CTGAN, all scored alike.

    python benchmarks/synthetic_tables.py [--data adult] [--work FOLDER] [--peer PYTHON]
        fits the contestants, draws as many rows as there are in train.csv, and scores them
    python benchmarks/synthetic_tables.py --score ROWS.parquet ...
        scores any files of rows, and says by what they are told from real ones

Everything is fitted to train.csv of the folder and measured with test.csv, which nothing has seen:

- AUC: gradient boosting learns the target from the drawn rows and foretells it for the real test
  rows; beside it, the difference to the same trees on the real training rows (standard errors of
  DeLong, in pairs).
- shapes, pairs: sdmetrics' column shapes and column pair trends (with its own settings, which take
  the pairs that depend on each other), to the training rows. 1 is best.
- told apart: the AUC of gradient boosting that tells drawn rows from test rows, cross-validated.
  0.5 is best.
- distance: Gower's, to the closest training row, of 5,000 of the rows: median and 5 % quantile.
  Rows that are nearer than those of the test are learned by heart.
- nearer train: the share that is nearer to a training row than to any of as many test rows.
- copies: the share of rows that are a training row. new pairs: the share of rows with a pair of
  values that no training row has.

Two more stand beside the contestants: `real` is the ceiling (the training rows teach, the test rows
are compared with them), and `shuffled` has the training rows' columns, each shuffled alone.

The peers are fitted with their published settings, by the interpreter that has ctgan and sdmetrics;
ours by the command line. What they drew is kept in the folder `--work`, and a peer whose rows are
there is not fitted again. The seconds of ours are those of the whole commands, and "of a core" are
seconds that the cores worked, which other work on the machine changes least. Prints tables in
Markdown, and writes results/synthetic-NAME.json.
"""

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import synthetic_scores as scores
from common import PEERS, ROOT, absent, answer, arguments, last_line, parser, threaded, write
from lowerbound.data.named.fetch import VARIABLE
from lowerbound.evaluation import Estimate, auroc
from lowerbound.system.files import write_json

PEER_SCRIPT = Path(__file__).with_name("synthetic_peer.py")

PEER_NAMES = ("TVAE", "CTGAN")

OURS = "lowerbound"

SETTINGS = ("data.test=0", 'data.missing=["NA"]', "report.write=false")
"""Of our fit of adult: `?` is a level, as the peers have it. All else is as the recipe has it."""

CLOSE = 5000
"""Rows whose distance to the training rows is measured."""

NEAR = 0.03
"""The AUC may lie so far below that of the real rows."""

PLACES = ("data", "work", "peer", "score")
"""Options that name places on this machine; the result does not hold them."""

ERRORS = 2
"""A distance counts as below another where the difference is more than so many standard errors."""


class Failed(Exception):
    """A command did not do its work; with the last line of what it said."""


# The table


@dataclass(frozen=True)
class Table:
    """The real rows, and what does not change from contestant to contestant.

    Attributes:
        layout: of the table.
        train: the rows that the contestants learn from.
        held: the rows that nothing has seen.
        train_file: the CSV file of `train`.
    """

    layout: scores.Layout
    train: pl.DataFrame
    held: pl.DataFrame
    train_file: Path

    @classmethod
    def of(cls, given: argparse.Namespace) -> "Table":
        """Reads the table, and writes the training rows of a short form."""
        train_file = given.data / "train.csv"
        train = scores.read(train_file)
        if given.rows is not None:
            train = scores.subset(train, given.rows, given.seed)
            train_file = given.work / f"train-{given.rows}.csv"
            train_file.parent.mkdir(parents=True, exist_ok=True)
            train.write_csv(train_file)
        layout = scores.Layout.of(train, given.target)
        held = layout.aligned(scores.read(given.data / "test.csv"))
        return cls(layout, layout.aligned(train), held, train_file)

    @property
    def labels(self) -> np.ndarray:
        """Which held rows have the target's second level, (N,) bool."""
        target = self.layout.target
        return (self.held[target] == self.layout.levels[target][1]).to_numpy()

    def halves(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The held rows in two."""
        middle = len(self.held) // 2
        return self.held[:middle], self.held[middle:]

    def shuffled(self, seed: int) -> pl.DataFrame:
        """The training rows with each column shuffled alone."""
        columns = []
        for place, name in enumerate(self.layout.columns):
            columns.append(self.train[name].shuffle(seed=seed + place))
        return pl.DataFrame(columns)


# The contestants


@dataclass(frozen=True)
class Timed:
    """What a command has taken: seconds, and those of the cores."""

    seconds: float
    cpu_seconds: float


def timed(command: Sequence[str], threads: int, log: Path, out: Path | None = None) -> Timed:
    """Runs a command, of which the log can be followed while it runs.

    Args:
        command: the words.
        threads: of the process.
        log: what it says is added to this file.
        out: what it prints goes here, where it is not to go into the log.

    Raises:
        Failed: it did not end well.
    """
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("a") as errors, (out or log).open("a") as printed:
        try:
            done = subprocess.run(command, stdout=printed, stderr=errors, env=threaded(threads))
        except OSError as error:
            raise Failed(absent(command, error)) from error
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Failed(last_line(log.read_text(encoding="utf-8", errors="replace")))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(time.perf_counter() - started, cpu)


def announce(name: str, log: Path) -> None:
    """Says that a fit begins, and where its progress can be seen."""
    log.unlink(missing_ok=True)
    print(f"{name}: being fitted; its progress: {log}", file=sys.stderr, flush=True)


def peer(name: str, table: Table, given: argparse.Namespace) -> dict[str, Any]:
    """Fits TVAE or CTGAN, if its rows are not in the folder; what is known of the fit.

    Raises:
        Failed: its process did not end well.
    """
    facts = given.work / f"{name}.json"
    drawn = given.work / f"{name}.parquet"
    asked = {"rows": len(table.train), "epochs": given.epochs, "seed": given.seed}
    if facts.is_file() and drawn.is_file():
        kept = json.loads(facts.read_text(encoding="utf-8"))
        if asked.items() <= kept.items():
            return kept
    facts.unlink(missing_ok=True)
    log = given.work / f"{name}.log"
    printed = given.work / f"{name}.out"
    printed.unlink(missing_ok=True)
    announce(name, log)
    command = [str(given.peer), str(PEER_SCRIPT), "fit", name, str(table.train_file), str(drawn)]
    command += ["--epochs", str(given.epochs), "--seed", str(given.seed)]
    timed([*command, "--threads", str(given.threads)], given.threads, log, printed)
    found = asked | json.loads(last_line(printed.read_text(encoding="utf-8")))
    trained = found["rows"] * found["epochs"]
    found["train_rows_per_second"] = trained / found["fit_seconds"]
    found["train_rows_per_cpu_second"] = trained / found["fit_cpu_seconds"]
    found["sampled_rows_per_second"] = found["rows"] / found["sample_seconds"]
    found["threads"] = given.threads
    write_json(facts, found)
    return found


def ours(name: str, table: Table, given: argparse.Namespace) -> dict[str, Any]:
    """Fits our recipe and draws rows, by the command line; what is known of the fit.

    Raises:
        Failed: a command did not end well.
    """
    log = given.work / f"{name}.log"
    run = given.work / "run"
    drawn = given.work / f"{name}.parquet"
    shutil.rmtree(run, ignore_errors=True)
    announce(name, log)
    command = [sys.executable, "-m", "lowerbound"]
    fit = [*command, "fit", given.recipe, "--data", str(table.train_file), "--out", str(run)]
    for setting in given.set:
        fit += ["--set", setting]
    fitted = timed([*fit, "--seed", str(given.seed)], given.threads, log)
    count = len(table.train)
    sample = [*command, "sample", str(run), "-n", str(count), "--out", str(drawn)]
    sampled = timed([*sample, "--seed", str(given.seed)], given.threads, log)
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    trained = summary["sizes"]["train"] * summary["epochs"]
    return {
        "recipe": given.recipe,
        "settings": given.set,
        "seed": given.seed,
        "rows": count,
        "epochs": summary["epochs"],
        "best_epoch": summary["best_epoch"],
        "threads": given.threads,
        "fit_seconds": fitted.seconds,
        "fit_cpu_seconds": fitted.cpu_seconds,
        "sample_seconds": sampled.seconds,
        "train_rows_per_second": trained / fitted.seconds,
        "train_rows_per_cpu_second": trained / fitted.cpu_seconds,
        "sampled_rows_per_second": count / sampled.seconds,
    }


MAKERS: dict[str, Callable[[str, Table, argparse.Namespace], dict[str, Any]]] = {
    OURS: ours,
    **dict.fromkeys(PEER_NAMES, peer),
}


# The scores


def as_text(row: Sequence[Any]) -> str:
    """A row as a line of a CSV file shows it."""
    cells = []
    for cell in row:
        cells.append(f"{cell:.10g}" if isinstance(cell, float) else str(cell))
    return ", ".join(cells)


def quality(rows: pl.DataFrame, table: Table, given: argparse.Namespace) -> dict[str, Any]:
    """What sdmetrics says of rows beside the training rows, or `{"error": line}`."""
    with tempfile.TemporaryDirectory() as folder:
        real = Path(folder) / "real.parquet"
        drawn = Path(folder) / "rows.parquet"
        table.train.write_parquet(real)
        rows.write_parquet(drawn)
        return answer(
            [str(given.peer), str(PEER_SCRIPT), "quality", str(real), str(drawn)], given.threads
        )


def judged(
    rows: pl.DataFrame, table: Table, real: np.ndarray, given: argparse.Namespace
) -> dict[str, Any]:
    """All scores of drawn rows.

    Args:
        rows: aligned ones.
        table: the real rows.
        real: the probabilities of the held rows by trees that saw the training rows.
        given: the options.
    """
    _, second = table.halves()
    layout = table.layout
    foretold = scores.foretold(rows, table.held, layout)
    detection = scores.detected(rows, table.held, layout, given.seed)
    unseen, pairs = scores.unseen_pairs(rows, table.train, layout)
    labels = table.labels
    return {
        "auc": auroc(foretold[~labels], foretold[labels]),
        "auc_less_real": scores.difference(foretold, real, labels),
        "quality": quality(rows, table, given),
        "told_apart": detection.auc,
        **scores.closeness(rows, table.train, second, layout, given.close, given.seed),
        "unseen_pairs": unseen,
        "importances": detection.importances,
        "alone": scores.alone(rows, table.held, layout, given.seed),
        "surest": [as_text(row) for row in detection.surest.rows()],
        "unlike_values": scores.unlike_values(rows, table.held, layout),
        "unseen_pairs_most": pairs,
        "marginals": scores.marginals(rows, table.train, layout),
    }


def ceiling(table: Table, real: np.ndarray, given: argparse.Namespace) -> dict[str, Any]:
    """All scores of real rows: the training rows teach and are to be told from the held ones, and
    the held ones are compared with the training rows.
    """
    first, second = table.halves()
    layout = table.layout
    taught = judged(table.train, table, real, given)
    unseen, pairs = scores.unseen_pairs(table.held, table.train, layout)
    closeness = scores.closeness(first, table.train, second, layout, given.close, given.seed)
    closeness["copies"] = scores.copies(table.held, table.train)
    compared = {
        "quality": quality(table.held, table, given),
        **closeness,
        "unseen_pairs": unseen,
        "unseen_pairs_most": pairs,
        "marginals": scores.marginals(table.held, table.train, layout),
    }
    return taught | compared


# Tables


def number(value: Any, digits: int = 4) -> str:
    """A figure with its standard error, where it has one."""
    if value is None:
        return "-"
    if isinstance(value, Estimate):
        return f"{value.value:.{digits}f} ± {value.standard_error:.{digits}f}"
    return f"{value:.{digits}f}"


def thousands(value: Any) -> str:
    """A figure of seconds or rows per second."""
    if value is None:
        return "-"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is to the left."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


HEADS = (
    "rows of",
    "AUC",
    "less real",
    "shapes",
    "pairs",
    "all pairs",
    "told apart",
    "distance, median",
    "distance, 5 %",
    "nearer train",
    "copies",
    "new pairs",
)


def line(name: str, found: dict[str, Any]) -> list[str]:
    """The scores of one contestant."""
    if "error" in found:
        return [name, found["error"], *["-"] * (len(HEADS) - 2)]
    report = found["quality"]
    return [
        name,
        number(found["auc"]),
        number(found["auc_less_real"]),
        number(report.get("column_shapes")),
        number(report.get("pair_trends")),
        number(report.get("pair_trends_of_all")),
        number(found["told_apart"], 3),
        number(found["distance_median"]),
        number(found["distance_5_percent"]),
        number(found["nearer_train"], 3),
        number(found["copies"]),
        number(found["unseen_pairs"]),
    ]


SPEED = {
    "fit, s": "fit_seconds",
    "fit, s of a core": "fit_cpu_seconds",
    "epochs": "epochs",
    "rows/s of training": "train_rows_per_second",
    "rows/s of a core": "train_rows_per_cpu_second",
    "sample, s": "sample_seconds",
    "rows/s of sampling": "sampled_rows_per_second",
}


def speeds(found: dict[str, dict[str, Any]]) -> str:
    """How long each contestant took."""
    rows = []
    for name, each in found.items():
        if "fit" in each:
            rows.append([name, *(thousands(each["fit"].get(key)) for key in SPEED.values())])
    return markdown(["rows of", *SPEED], rows)


def most_frequent(found: dict[str, dict[str, Any]]) -> str:
    """The share of the most frequent training value of each column of numbers, and the spread."""
    whole = {name: each["marginals"] for name, each in found.items() if "marginals" in each}
    columns = list(next(iter(whole.values()), {}))
    rows = []
    for name, marginals in whole.items():
        cells = []
        for column in columns:
            one = marginals[column]
            cells.append(f"{one['share_of_it']:.3f}; {one['mean']:,.1f} ± {one['deviation']:,.1f}")
        rows.append([name, *cells])
    heads = ["share; mean ± deviation"]
    for column in columns:
        value = next(iter(whole.values()))[column]["most_frequent"]
        heads.append(f"{column} = {value:.10g}")
    return markdown(heads, rows)


def by_column(found: dict[str, Any], columns: Sequence[str]) -> str:
    """What each column contributes to telling the rows from real ones."""
    shapes = found["quality"].get("columns", {})
    rows = []
    for column in sorted(columns, key=lambda column: -found["importances"][column]):
        marginal = found["marginals"].get(column, {})
        cells = [
            found["importances"][column],
            found["alone"][column],
            shapes.get(column),
            marginal.get("beyond_range"),
            marginal.get("not_whole"),
        ]
        rows.append([column, *(number(cell, 3) for cell in cells)])
    heads = ["column", "importance", "AUC alone", "shape", "beyond range", "not whole"]
    return markdown(heads, rows)


def bullets(title: str, lines: Sequence[str]) -> str:
    """A list under a title."""
    return "\n".join([title, "", *(f"- {each}" for each in lines)])


def diagnosis(name: str, found: dict[str, Any], columns: Sequence[str]) -> str:
    """By what the rows are told from real ones, in Markdown."""
    unlike = [
        f"{column} = {value}: {real:.4f}, {drawn:.4f}"
        for column, value, real, drawn in found["unlike_values"]
    ]
    new = [f"{one}, {other}: {share:.4f}" for one, other, share in found["unseen_pairs_most"]]
    worst = [
        f"{one}, {other}: {score:.3f}"
        for one, other, score in found["quality"].get("worst_pairs", [])
    ]
    parts = [
        f"## {name}",
        by_column(found, columns),
        bullets("Values too rare or too frequent (share of real rows, of these rows):", unlike),
        bullets("Columns with values that no training row has together (share of rows):", new),
        bullets("Pairs of columns that sdmetrics scores worst:", worst),
        bullets(f"Rows that look least real ({', '.join(columns)}):", found["surest"]),
    ]
    return "\n\n".join(parts)


# The targets


def beyond(own: dict[str, Any], other: dict[str, Any], name: str) -> dict[str, bool]:
    """What our rows should have better than a peer's, and whether they do."""
    found = {f"AUC above {name}'s": own["auc"].value > other["auc"].value}
    for key in ("column_shapes", "pair_trends"):
        if key in own["quality"] and key in other["quality"]:
            better = own["quality"][key] > other["quality"][key]
            found[f"{key.replace('_', ' ')} above {name}'s"] = better
    distances = [abs(each["told_apart"].value - 0.5) for each in (own, other)]
    found[f"told apart less than {name}'s"] = distances[0] < distances[1]
    return found


def like_real(own: dict[str, Any], real: dict[str, Any]) -> dict[str, bool]:
    """What our rows should have as real ones have it, and whether they do."""
    found = {f"AUC within {NEAR} of real rows'": own["auc_less_real"].value >= -NEAR}
    for key in ("distance_median", "distance_5_percent"):
        less = real[key].value - own[key].value
        error = math.hypot(own[key].standard_error, real[key].standard_error)
        found[f"{key.replace('_', ' ')} not below held-out rows'"] = less <= ERRORS * error
    return found


def targets(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What our rows should reach, and whether they do; what cannot be told is left out."""
    own = found.get(OURS, {})
    if "auc" not in own:
        return []
    reached = {}
    for name in PEER_NAMES:
        if "auc" in found.get(name, {}):
            reached |= beyond(own, found[name], name)
    reached |= like_real(own, found["real"])
    return [{"target": target, "reached": bool(each)} for target, each in reached.items()]


# The command line


def contest(table: Table, given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The scores of all, and the facts of their fits; an error line for one that failed."""
    given.work.mkdir(parents=True, exist_ok=True)
    fits: dict[str, Any] = {}
    for name in given.only:
        try:
            fits[name] = MAKERS[name](name, table, given)
        except Failed as error:
            fits[name] = {"error": str(error)}
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    real = scores.foretold(table.train, table.held, table.layout)
    found = {"real": ceiling(table, real, given)}
    found["shuffled"] = judged(table.shuffled(given.seed), table, real, given)
    for name, fit in fits.items():
        found[name] = fit
        if "error" not in fit:
            print(f"{name}: being scored", file=sys.stderr, flush=True)
            rows = table.layout.aligned(scores.read(given.work / f"{name}.parquet"))
            found[name] = judged(rows, table, real, given) | {"fit": fit}
    return found


def files(table: Table, given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The scores of files of rows, by their names."""
    drawn = {str(path): table.layout.aligned(scores.read(path)) for path in given.score}
    real = scores.foretold(table.train, table.held, table.layout)
    found = {"real": ceiling(table, real, given)}
    for name, rows in drawn.items():
        found[name] = judged(rows, table, real, given)
    return found


def options() -> argparse.ArgumentParser:
    """The command line."""
    words = parser(__doc__)
    folder = Path(os.environ.get(VARIABLE, "")) / "adult"
    words.add_argument("--data", type=Path, default=folder, help="folder of train.csv and test.csv")
    words.add_argument("--target", default="income", help="the column to be foretold")
    words.add_argument("--work", type=Path, default=ROOT / ".benchmarks" / "synthetic")
    words.add_argument(
        "--peer", type=Path, default=PEERS / "ctgan" / "bin" / "python", help="its interpreter"
    )
    words.add_argument("--only", nargs="+", choices=MAKERS, default=list(MAKERS))
    words.add_argument("--recipe", default="table", help="of our fit")
    words.add_argument(
        "--set", nargs="+", default=list(SETTINGS), metavar="KEY=VALUE", help="of our fit"
    )
    words.add_argument("--rows", type=int, help="learn from so many rows (default: all)")
    words.add_argument("--epochs", type=int, default=300, help="of the peers")
    words.add_argument("--close", type=int, default=CLOSE, help="rows whose distance is measured")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--score", type=Path, nargs="+", metavar="FILE", help="score these alone")
    return words


def show(found: dict[str, dict[str, Any]], columns: Sequence[str]) -> None:
    """Prints the tables, and by what the rows are told from real ones."""
    parts = [
        markdown(HEADS, [line(name, each) for name, each in found.items()]),
        most_frequent(found),
    ]
    for name, each in found.items():
        if "importances" in each and name != "real":
            parts.append(diagnosis(name, each, columns))
    if any("fit" in each for each in found.values()):
        parts.append(speeds(found))
    print("\n\n".join(parts), flush=True)


def main() -> int:
    """The exit code is 1 if a contestant failed, 2 if there is nothing to score."""
    given = arguments(options())
    try:
        table = Table.of(given)
        if given.score:
            show(files(table, given), table.layout.columns)
            return 0
        found = contest(table, given)
    except scores.RowsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(found, table.layout.columns)
    reached = targets(found)
    print()
    for each in reached:
        print(f"- {each['target']}: {'reached' if each['reached'] else 'MISSED'}")
    kept = {key: value for key, value in vars(given).items() if key not in PLACES}
    named = f"synthetic-{given.data.name}"
    write(named, {"measured": found, "targets": reached}, argparse.Namespace(**kept))
    return int(any("error" in each for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
