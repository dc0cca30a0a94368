"""Anomalies in tables: ours beside scikit-learn's IsolationForest, PyOD's ECOD and scikit-learn's
GaussianMixture with full covariances.

    python benchmarks/table_anomalies.py [--sets wbc ...] [--methods ours ...] [--seeds 0 1 2]
    [--peer PYTHON] [--results FOLDER]

The six public tables come with packages that `peers.py` installs (`table_anomalies_peers.py` says
where each is from); two have mixed columns, one of them with gaps. A seventh is generated: 50,000
rows of 30 columns with 0.5 % of anomalies of three kinds, see `generate`.

Half of the rows, drawn by the seed with the anomalies and the ordinary rows halved apart, are
fitted without labels; the other half are scored. This is done twice: `contaminated` fits all of the
first half, its anomalies unlabelled among the rest, and `ordinary` fits its ordinary rows alone.
The scored rows are the same.

Nothing is chosen by the labels. Ours is the recipe as it is; its score is the log-likelihood, which
`lowerbound score` takes for its column `anomalous`, and the bound and the typicality stand beside
it. The peers have their own settings, and the mixture as many components as its BIC says.
Ours gets the tables as they are; the peers get numbers that are standardised, with gaps filled by
the median, and categories as a column for each level.

AUROC and average precision are means over the seeds. The standard errors (DeLong for the AUROC and
for its differences, which are paired; 200 bootstrap samples for the average precision) are the
means of those of each seed: the halves of different seeds share rows, so that more seeds do not
make them smaller. Seconds are of CPU, on all threads, of a fit and of the scores of the other half,
without the start of Python and its imports.

The result file is written after each table. It keeps the rows of tables and protocols that are not
asked for, if an earlier run left some; all rows of one table in one protocol are of one run.
"""

import argparse
import csv
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

import table_anomalies_peers as peers
from common import PEERS, answer, arguments, parser, write
from lowerbound.evaluation import auroc, average_precision
from lowerbound.evaluation.detection import percentile

SCRIPT = Path(__file__).with_name("table_anomalies_peers.py")

GENERATED = "generated"

SETS = (*peers.SETS, GENERATED)

RESULT = "table-anomalies"

OURS = "ours"

SCORES = {"log_likelihood": -1.0, "elbo": -1.0, "typicality": 1.0}
"""Our scores, and the sign that puts their anomalous end up; the first is the one that counts."""

OUR_SCORES = [f"{OURS}, {score}" for score in SCORES]

FIRST = OUR_SCORES[0]

ORDER = [*OUR_SCORES, *peers.METHODS]
"""The columns of the printed tables."""

PROTOCOLS = {"contaminated": True, "ordinary": False}
"""Whether anomalies are among the rows that are fitted."""

SETTINGS = {"data.test": 0, "report.write": False}
"""What is not as the recipe has it: no row is needed for a test, and nobody reads the report."""

RESAMPLES = 200
"""Bootstrap samples of each average precision."""

KIND = "kind"
"""The column of the generated table that says which kind of anomaly a row is."""

KINDS = ("outlier", "dependence", "cluster")


# The tables


@dataclass(frozen=True)
class Table:
    """A table as text, and what is known of its rows.

    Attributes:
        source: where it is from.
        names: of the columns that are fitted.
        rows: the cells of each row.
        anomalies: which rows are anomalies, (N,) bool.
        kinds: the kind of each anomaly, "" for ordinary rows, (N,); None where there are no kinds.
    """

    source: str
    names: list[str]
    rows: list[list[str]]
    anomalies: np.ndarray
    kinds: np.ndarray | None = None

    def facts(self) -> dict[str, Any]:
        """Returns what the result says of the table."""
        mixed = any(peers.as_numbers(list(cells)) is None for cells in zip(*self.rows, strict=True))
        gaps = sum(cell in peers.GAPS for row in self.rows for cell in row)
        return {
            "source": self.source,
            "rows": len(self.rows),
            "columns": len(self.names),
            "mixed": mixed,
            "gaps": gaps / (len(self.rows) * len(self.names)),
            "anomalies": int(self.anomalies.sum()),
        }


def read_table(path: Path, source: str) -> Table:
    """Reads a table that `table_anomalies_peers.py sets` wrote."""
    names, *rows = peers.cells_of(path)
    marks = np.array([row[-1] == "1" for row in rows])
    return Table(source, names[:-1], [row[:-1] for row in rows], marks)


def generate_rows(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Draws ordinary rows (N, D): three groups in six latent numbers, a random network with one
    hidden layer of 40, noise, and the last third of the columns as exponentials, so that they are
    skewed.
    """
    latent = 6
    hidden = 40
    centres = random.normal(0, 1.5, (3, latent))
    numbers = centres[random.integers(3, size=rows)] + random.normal(size=(rows, latent))
    inner = random.normal(size=(latent, hidden)) / math.sqrt(latent)
    outer = random.normal(size=(hidden, columns)) * 2 / math.sqrt(hidden)
    values = np.tanh(numbers @ inner + random.normal(size=hidden)) @ outer
    values += random.normal(0, 0.3, values.shape)
    skewed = columns - columns // 3
    values[:, skewed:] = np.exp(values[:, skewed:] / 2)
    return values


def generate(
    rows: int = 50_000, columns: int = 30, share: float = 0.005, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a table with anomalies of three kinds, in equal parts.

    - `outlier`: one value, of a column drawn for each row, is 5 to 8 standard deviations of the
      column from its mean.
    - `dependence`: the values of a third of the columns, drawn for each row, are each taken from
      another ordinary row, so that the columns by themselves are as they were.
    - `cluster`: all are near one point, 2.5 standard deviations from the mean in eight columns and
      elsewhere as one ordinary row, with 0.1 standard deviations of noise.

    Ordinary rows are of low rank and not linear; this suits models with latents.

    Returns:
        The values (N, D) and the kind of each row, "" for ordinary ones, (N,).
    """
    random = np.random.default_rng(seed)
    values = generate_rows(random, rows, columns)
    ordinary = values.copy()
    mean = values.mean(0)
    deviation = values.std(0)
    kinds = np.full(rows, "", dtype=object)
    chosen = random.choice(rows, round(rows * share), replace=False)
    for number, row in enumerate(chosen):
        kinds[row] = KINDS[number % len(KINDS)]
    for row in np.flatnonzero(kinds == "outlier"):
        column = random.integers(columns)
        distance = random.uniform(5, 8) * random.choice([-1, 1])
        values[row, column] = mean[column] + distance * deviation[column]
    for row in np.flatnonzero(kinds == "dependence"):
        changed = random.choice(columns, columns // 3, replace=False)
        values[row, changed] = ordinary[random.integers(rows, size=len(changed)), changed]
    point = ordinary[random.integers(rows)].copy()
    moved = random.choice(columns, min(8, columns), replace=False)
    signs = random.choice([-1, 1], len(moved))
    point[moved] = mean[moved] + 2.5 * signs * deviation[moved]
    cluster = np.flatnonzero(kinds == "cluster")
    noise = random.normal(0, 0.1, (len(cluster), columns))
    values[cluster] = point + noise * deviation
    return values, kinds


def generated_table() -> Table:
    """Makes the generated table as text."""
    values, kinds = generate()
    rows = [[f"{value:.6g}" for value in row] for row in values.tolist()]
    source = "generated, seed 0; anomalies: outliers, broken dependence, a cluster"
    return Table(source, peers.numbered(values.shape[1]), rows, kinds != "", kinds)


def tables(wanted: list[str], python: str, threads: int, folder: Path) -> dict[str, Table]:
    """Reads the tables that are wanted.

    Raises:
        SystemExit: the packages with the public tables are not installed.
    """
    found = {}
    public = [name for name in wanted if name != GENERATED]
    if public:
        sources = answer([python, str(SCRIPT), "sets", str(folder)], threads)
        if "error" in sources:
            sys.exit(f"the public tables: {sources['error']}")
        for name in public:
            found[name] = read_table(folder / f"{name}.csv", sources[name])
    if GENERATED in wanted:
        found[GENERATED] = generated_table()
    return found


# Halves


def halves(anomalies: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws the rows to fit and the rows to score: half of the anomalies and half of the others.

    Returns:
        The numbers of the rows of each half, in ascending order.
    """
    random = np.random.default_rng(seed)
    fitted = []
    for kind in (True, False):
        rows = random.permutation(np.flatnonzero(anomalies == kind))
        fitted.append(rows[: len(rows) // 2])
    first = np.sort(np.concatenate(fitted))
    second = np.setdiff1d(np.arange(len(anomalies)), first)
    return first, second


def write_rows(table: Table, numbers: np.ndarray, path: Path, truth: bool = False) -> None:
    """Writes these rows as CSV, with the truth as the last column where it is asked for."""
    names = list(table.names)
    if truth:
        names.append(peers.TRUTH)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for number in numbers.tolist():
            row = list(table.rows[number])
            if truth:
                row.append(str(int(table.anomalies[number])))
            writer.writerow(row)


# Scores


def fit_and_score(folder: Path, recipe: str, seed: int) -> dict[str, float]:
    """Fits FOLDER/train.csv and scores FOLDER/rows.csv by ours; writes FOLDER/SCORE.npy.

    Returns:
        The seconds of CPU of the fit and of the scores.
    """
    import lowerbound

    started = time.process_time()
    run = lowerbound.fit(
        recipe,
        data=str(folder / "train.csv"),
        out=folder / "run",
        settings=SETTINGS,
        seed=seed,
        progress=False,
    )
    fitted = time.process_time()
    scores = lowerbound.score(run, str(folder / "rows.csv"), truth=peers.TRUTH, seed=seed)
    ended = time.process_time()
    for name, sign in SCORES.items():
        np.save(folder / f"{name}.npy", sign * scores.columns[name])
    return {"fit": fitted - started, "score": ended - fitted}


def scores_of(
    method: str, folder: Path, seed: int, given: argparse.Namespace
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Lets a method fit and score in a process of its own.

    Returns:
        The scores by name, high for anomalies; and the seconds, or the error line.
    """
    names = {method: method}
    command = [given.peer, str(SCRIPT), method, str(folder), str(seed)]
    if method == OURS:
        names = dict(zip(OUR_SCORES, SCORES, strict=True))
        command = [sys.executable, __file__, "--once", str(folder), str(seed)]
        command += ["--recipe", given.recipe, "--threads", str(given.threads)]
    found = answer(command, given.threads)
    if "error" in found:
        return {}, {"error": found["error"].replace(f"{folder}/", "")}
    return {name: np.load(folder / f"{file}.npy") for name, file in names.items()}, found


# Measures


def area_difference(
    anomalies: np.ndarray, ours: np.ndarray, theirs: np.ndarray
) -> tuple[float, float]:
    """Measures the difference of two AUROCs on the same rows, and its standard error.

    The error is that of DeLong, DeLong & Clarke-Pearson 1988 for correlated areas: from the
    variances of the differences of each row's share.
    """
    difference = 0.0
    variance = 0.0
    for own in (True, False):
        shares = []
        for scores in (ours, theirs):
            shares.append(percentile(scores[anomalies == own], scores[anomalies != own]) / 100)
        differences = shares[0] - shares[1]
        variance += differences.var(ddof=1) / len(differences)
        if own:
            difference = float(differences.mean())
    return difference, math.sqrt(variance)


def precision_error(anomalies: np.ndarray, scores: np.ndarray, seed: int) -> float:
    """Measures the standard error of the average precision by bootstrap: anomalies and ordinary
    rows are drawn anew, each with replacement.
    """
    random = np.random.default_rng(seed)
    sides = [np.flatnonzero(anomalies), np.flatnonzero(~anomalies)]
    found = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([random.choice(side, len(side)) for side in sides])
        found.append(average_precision(anomalies[rows], scores[rows]))
    return stdev(found)


def measure(
    anomalies: np.ndarray, kinds: np.ndarray | None, scores: dict[str, np.ndarray], seed: int
) -> dict[str, dict[str, Any]]:
    """Measures each score of the rows of one half."""
    found = {}
    for name, values in scores.items():
        area = auroc(values[~anomalies], values[anomalies])
        row: dict[str, Any] = {
            "auroc": [area.value, area.standard_error],
            "average_precision": [
                average_precision(anomalies, values),
                precision_error(anomalies, values, seed),
            ],
        }
        if kinds is not None:
            for kind in KINDS:
                part = auroc(values[~anomalies], values[kinds == kind])
                row[f"auroc of {kind}"] = [part.value, part.standard_error]
        if FIRST in scores and not name.startswith(OURS):
            row["ours minus it"] = list(area_difference(anomalies, scores[FIRST], values))
        found[name] = row
    return found


def measure_half(
    table: Table, protocol: str, seed: int, given: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Lets all methods fit the one half and score the other, and measures the scores."""
    first, second = halves(table.anomalies, seed)
    if not PROTOCOLS[protocol]:
        first = first[~table.anomalies[first]]
    scores: dict[str, np.ndarray] = {}
    seconds: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(table, first, folder / "train.csv")
        write_rows(table, second, folder / "rows.csv", truth=True)
        for method in given.methods:
            more, seconds[method] = scores_of(method, folder, seed, given)
            scores |= more
    kinds = None
    if table.kinds is not None:
        kinds = table.kinds[second]
    found = measure(table.anomalies[second], kinds, scores, seed)
    for method, used in seconds.items():
        name = method
        if method == OURS:
            name = FIRST
        if name in found:
            found[name]["seconds"] = used
    errors = {method: used["error"] for method, used in seconds.items() if "error" in used}
    return found | {method: {"error": line} for method, line in errors.items()}


def pooled(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Puts the measures of one score on all seeds together: means of values and of errors."""
    errors = [row["error"] for row in rows if "error" in row]
    if errors:
        return {"error": errors[0]}
    found: dict[str, Any] = {}
    for measured in rows[0]:
        if measured == "seconds":
            parts = rows[0][measured]
            found[measured] = {part: fmean(row[measured][part] for row in rows) for part in parts}
            continue
        values = [row[measured][0] for row in rows]
        found[measured] = {
            "value": fmean(values),
            "standard_error": fmean(row[measured][1] for row in rows),
            "seeds": values,
        }
    return found


def measure_table(
    name: str, table: Table, protocol: str, given: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Measures all methods on one table in one protocol: a row for each score."""
    measured = [measure_half(table, protocol, seed, given) for seed in given.seeds]
    for score in dict.fromkeys(score for half in measured for score in half):
        rows = [half[score] for half in measured if score in half]
        row = {"set": name, "protocol": protocol, "score": score, "seeds": given.seeds}
        row |= pooled(rows)
        print(told(row), file=sys.stderr, flush=True)
        yield row


def told(row: dict[str, Any]) -> str:
    """Says a row in a line, while the others are measured."""
    words = f"{row['set']}, {row['protocol']}: {row['score']}: "
    if "error" in row:
        return words + row["error"]
    return words + f"{cell(row, 'auroc')}, {cell(row, 'average_precision')}"


# Markdown


def cell(row: dict[str, Any] | None, measured: str) -> str:
    """Writes a value with its standard error, or that there is none."""
    if row is None:
        return "none"
    if measured == "seconds":
        return f"{row['seconds']['fit']:.2f} + {row['seconds']['score']:.2f}"
    found = row[measured]
    return f"{found['value']:.3f} ± {found['standard_error']:.3f}"


def grid(
    rows: list[dict[str, Any]], facts: dict[str, Any], protocol: str, measured: str
) -> list[str]:
    """Makes a table of one measure: a line for each set, a column for each score."""
    chosen = [row for row in rows if row["protocol"] == protocol]
    scores = [name for name in ORDER if any(r["score"] == name and measured in r for r in chosen)]
    by_place = {(row["set"], row["score"]): row for row in chosen}
    lines = [f"| table | {' | '.join(scores)} |", "|---" * (len(scores) + 1) + "|"]
    for name in dict.fromkeys(row["set"] for row in chosen if measured in row):
        cells = [cell(by_place.get((name, score)), measured) for score in scores]
        share = facts[name]["anomalies"] / facts[name]["rows"]
        lines.append(f"| {name} ({share:.1%}) | {' | '.join(cells)} |")
    return lines


def standings(rows: list[dict[str, Any]], protocol: str) -> list[str]:
    """Says of each peer on how many sets ours is at or above it, and where it is beyond two
    standard errors of the paired difference. A set that ours has no scores of is not among them.
    """
    lines = []
    chosen = [row for row in rows if row["protocol"] == protocol and "auroc" in row]
    for peer in peers.METHODS:
        measured = [row for row in chosen if row["score"] == peer]
        differences = {
            row["set"]: row["ours minus it"] for row in measured if "ours minus it" in row
        }
        if not differences:
            continue
        ahead = [name for name, found in differences.items() if found["value"] >= 0]
        clear = [
            f"{name} {found['value']:+.3f} ± {found['standard_error']:.3f}"
            for name, found in differences.items()
            if abs(found["value"]) > 2 * found["standard_error"]
        ]
        lines.append(
            f"- {FIRST} is at or above {peer} on {len(ahead)} of {len(measured)}; beyond two "
            f"standard errors: {', '.join(clear) or 'none'}"
        )
    return lines


def described(facts: dict[str, Any]) -> list[str]:
    """Makes the table of the tables."""
    lines = ["| table | rows | columns | gaps | anomalies | source |", "|---|---|---|---|---|---|"]
    for name, found in facts.items():
        columns = f"{found['columns']}"
        if found["mixed"]:
            columns += ", mixed"
        share = found["anomalies"] / found["rows"]
        lines.append(
            f"| {name} | {found['rows']:,} | {columns} | {found['gaps']:.1%} | "
            f"{found['anomalies']} ({share:.1%}) | {found['source']} |"
        )
    return lines


def markdown(rows: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    """Makes all tables of the result."""
    parts = ["\n".join(described(facts))]
    titles = {
        "auroc": "AUROC",
        "average_precision": "average precision",
        "seconds": "seconds of CPU, fit + score",
    }
    titles |= {f"auroc of {kind}": f"AUROC of one kind of anomaly: {kind}" for kind in KINDS}
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        for measured, title in titles.items():
            if any(measured in row for row in rows):
                lines = grid(rows, facts, protocol, measured)
                parts.append("\n".join([f"Fitted to {protocol} rows: {title}", "", *lines]))
        parts.append("\n".join(standings(rows, protocol)))
    failed = [told(row) for row in rows if "error" in row]
    parts.append("\n".join(f"- no scores: {line}" for line in failed))
    return "\n\n".join(part for part in parts if part)


def kept(path: Path, asked: set[tuple[str, str]]) -> dict[str, Any]:
    """Reads what an earlier run left, without the rows of each (set, protocol) asked for."""
    if not path.is_file():
        return {"sets": {}, "rows": []}
    earlier = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for row in earlier["rows"] if (row["set"], row["protocol"]) not in asked]
    return {"sets": earlier["sets"], "rows": rows}


def in_order(found: dict[str, Any]) -> dict[str, Any]:
    """Sorts tables and rows as `PROTOCOLS`, `SETS` and `ORDER` have them."""
    places = list(PROTOCOLS), list(SETS), [*ORDER, OURS]

    def place(row: dict[str, Any]) -> list[int]:
        keys = row["protocol"], row["set"], row["score"]
        return [names.index(key) for names, key in zip(places, keys, strict=True)]

    facts = {name: found["sets"][name] for name in SETS if name in found["sets"]}
    return {"sets": facts, "rows": sorted(found["rows"], key=place)}


def main() -> None:
    """Measures everything, prints the tables and writes the result."""
    words = parser(__doc__)
    words.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    methods = [OURS, *peers.METHODS]
    words.add_argument("--methods", nargs="+", choices=methods, default=methods)
    words.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    words.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    words.add_argument("--recipe", default="table", help="of ours")
    words.add_argument(
        "--peer",
        default=f"{PEERS / 'pyod'}/bin/python",
        help="the interpreter with the peers and the public tables",
    )
    words.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    given = arguments(words)
    if given.once:
        folder, seed = given.once
        print(json.dumps(fit_and_score(Path(folder), given.recipe, int(seed))))
        return
    asked = {(name, protocol) for name in given.sets for protocol in given.protocols}
    found = kept(given.results / f"{RESULT}.json", asked)
    with tempfile.TemporaryDirectory() as name:
        read = tables(given.sets, given.peer, given.threads, Path(name))
    for name, table in read.items():
        found["sets"][name] = table.facts()
        for protocol in given.protocols:
            found["rows"] += measure_table(name, table, protocol, given)
            found = in_order(found)
            write(RESULT, found, given)
    print(markdown(found["rows"], found["sets"]))


if __name__ == "__main__":
    main()
