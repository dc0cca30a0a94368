"""How well are the gaps of a table filled, how likely is what was seen, and do intervals cover?

Known cells are hidden, each contestant sees the same table with the same gaps, and is measured on
what was hidden. Two protocols:

- `numbers`: breast (569 x 30), wine (178 x 13) and diabetes (442 x 10) of scikit-learn, each column
  standardised by all its values. Half of the cells are hidden completely at random, by the seeds
  1234, 1235 and 1236; the first is the mask of the notebook of MIWAE (Mattei & Frellsen 2019). The
  error is the mean square over the hidden cells.
- `mixed`: wine (6,497 x 13), default-credit (30,000 x 24) and breast (699 x 10) as Nazabal et al.
  2020 ("Handling incomplete heterogeneous data using VAEs") have them, with three of their masks
  each of 20 % and of 50 %. The error is theirs: of a column of numbers the root mean square over
  the hidden cells by the range of the column, of ordinal levels the mean absolute error by the
  number of levels, of categories the share that is wrong; then the mean over columns.

A contestant may also tell log p of the known cells of a row. It is told of the table that it was
fitted to (`log p(known)`), and of the hidden cells given the known ones, log p(row) - log p(known),
which nobody was fitted to. Discrete columns (levels, and all whole numbers) have probabilities, the
others densities, in the units of the data. A Gaussian has a density only: it is fitted to the
values (codes, for levels) with uniform noise in [0, 1) added to the discrete columns, and the mean
of its log density over such noise is a lower bound of the log probability that it gives to them
(Jensen's inequality; Theis et al. 2016). So its figure can be set beside that of a model with
probabilities; how loose the bound is, is not known. A model with a density of whole numbers may be
set beside it only if that density is smooth within a unit.

`lowerbound` is a fit of the recipe `table` to the table with its gaps, without validation rows, and
what `impute` makes of it. It starts at a factor analysis (`model.start="factors"`). Its whole
numbers that are no counts have densities: for them noise in [-0.5, 0.5) is added to the values that
are no atoms, after the fit, and the mean of the log densities is a lower bound of the log
probability, as above; a value that is an atom counts by the probability of the atom alone, which is
less than that of its whole number. Its settings were chosen by known cells that were hidden, a
tenth of them, on top of the mask: of the tables of scikit-learn (half as many latent variables as
columns) on two masks of wine and diabetes, of levels (breast of `mixed`) on the first mask. Those
of wine of `mixed` were compared with two others on its first masks. On default-credit one scale for
each column was compared with scales that follow z on 500 rows of its first mask.
`lowerbound, recipe as it is` is the recipe without any other setting, which keeps a tenth of the
rows for validation and another for a test.

A contestant that draws its imputations is measured by its intervals: the share of hidden cells of
numbers (real, positive and counts) that lie between the 5 % and the 95 % quantiles of its draws,
which are placed so that perfect draws cover 90 % however few they are.

    python benchmarks/imputation.py [--protocol numbers mixed] [--data NAME ...] [--only CONTESTANT
    ...] [--shares PERCENT ...] [--masks 3] [--draws 100] [--again]

Needs `mixed-tables` in the folder that LOWERBOUND_DATA names for the second protocol. Every figure
is a function of the seeds and settings. So what is in the result file already, with the same
settings, is not computed again without `--again`. Prints tables in Markdown, and writes
`results/imputation-PROTOCOL.json`.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import common
import lowerbound
from lowerbound.baselines import KNN, NUMBER, GaussianEM, Imputer, Iterative, Kind, MeanMode
from lowerbound.baselines.gaussian import choose_ridge
from lowerbound.batch import Batch
from lowerbound.columns import Coding
from lowerbound.evaluation.likelihood import importance_log_likelihood

QUANTILES = (0.05, 0.95)

NOISES = 10
"""So many times noise is added to the discrete columns of a table when its density is computed."""


SAMPLES = 1000
"""Importance samples of log p for each row."""


# Tables


@dataclass(frozen=True)
class Column:
    """A column: its name, its kind as the authors have it, and how many levels it has, if any.

    Attributes:
        name: of the column.
        kind: "real", "positive", "count", "ordinal" or "categorical".
        levels: the number of levels; their codes are 0 to levels - 1.
        discrete: whether the values are whole numbers or levels, which have probabilities.
    """

    name: str
    kind: str = "real"
    levels: int | None = None
    discrete: bool = False

    def for_imputer(self) -> Kind:
        """The kind as baselines know it."""
        if self.levels is None:
            return NUMBER
        return Kind(self.levels, ordered=self.kind == "ordinal")


@dataclass(frozen=True)
class Task:
    """A table with hidden cells.

    Attributes:
        data: the name of the table.
        share: of cells that are hidden, in percent.
        mask: the number of the mask, from 1.
        columns: of the table.
        truth: (N, D), NaN where nobody knows the value.
        hidden: (N, D) bool, the known cells that are hidden.
    """

    data: str
    share: int
    mask: int
    columns: tuple[Column, ...]
    truth: np.ndarray
    hidden: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """What a contestant sees: NaN in place of what is hidden."""
        return np.where(self.hidden, np.nan, self.truth)


SCIKIT = ("breast", "wine", "diabetes")

MIXED = ("breast", "wine", "default-credit")

SHARES = (20, 50)


def number_tasks(names: Iterable[str], masks: int) -> Iterator[Task]:
    """Yields the tasks of the protocol `numbers`."""
    from sklearn import datasets

    loaders = {
        "breast": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        "diabetes": datasets.load_diabetes,
    }
    for name in names:
        found = loaders[name]()
        columns = tuple(Column(str(column)) for column in found.feature_names)
        truth = (found.data - found.data.mean(0)) / found.data.std(0)
        for number in range(masks):
            hidden = miwae_mask(truth.shape, seed=1234 + number)
            yield Task(name, 50, number + 1, columns, truth, hidden)


def miwae_mask(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Hides half of the cells as the notebook of MIWAE does after `np.random.seed(seed)`."""
    cells = shape[0] * shape[1]
    random = np.random.RandomState(seed)
    hidden = np.zeros(cells, dtype=bool)
    hidden[random.choice(cells, math.floor(cells * 0.5), replace=False)] = True
    return hidden.reshape(shape)


def mixed_tasks(names: Iterable[str], masks: int) -> Iterator[Task]:
    """Yields the tasks of the protocol `mixed`."""
    for name in names:
        folder = Path(os.environ["LOWERBOUND_DATA"]) / "mixed-tables" / name
        columns, truth = mixed_table(folder)
        packed = np.load(folder / "masks.npz")
        for share in SHARES:
            for number in range(1, masks + 1):
                bits = packed[f"missing_{share}_{number}"]
                mask = np.unpackbits(bits, axis=1, count=len(columns)).astype(bool)
                yield Task(name, share, number, columns, truth, mask & ~np.isnan(truth))


def mixed_table(folder: Path) -> tuple[tuple[Column, ...], np.ndarray]:
    """Reads one of the mixed tables: its columns, and its values with levels as codes from 0."""
    import polars as pl

    frame = pl.read_parquet(folder / "data.parquet")
    described = json.loads((folder / "kinds.json").read_text(encoding="utf-8"))
    columns = tuple(
        Column(name, discrete=not frame[name].dtype.is_float(), **described[name])
        for name in frame.columns
    )
    values = [codes(frame[column.name], column) for column in columns]
    return columns, np.stack(values, axis=1)


def codes(series: Any, column: Column) -> np.ndarray:
    """Gives the values of a column as float64, levels as codes from 0, NaN where there is none.

    An ordinal level is its distance to the lowest one; a category its place among those that occur.
    """
    if column.kind == "categorical":
        numbers = series.str.strip_prefix("c").cast(int)
        return numbers.rank("dense").cast(float).to_numpy() - 1
    values = series.cast(float).fill_null(float("nan")).to_numpy()
    if column.kind == "ordinal":
        return values - np.nanmin(values)
    return values


# Contestants


@dataclass(frozen=True)
class Imputed:
    """What a contestant makes of a table with gaps.

    Attributes:
        single: (N, D), the table without gaps.
        draws: gives so many tables without gaps, drawn; None if it cannot.
        log_prob_per_row: (N, D) with gaps -> (N,), log p of the known cells in nats in the units of
            the data (or a lower bound); None if it has no such thing.
        chosen: what it chose by itself, for the record.
    """

    single: np.ndarray
    draws: Callable[[int], Iterable[np.ndarray]] | None = None
    log_prob_per_row: Callable[[np.ndarray], np.ndarray] | None = None
    chosen: str = ""


FitAndImpute = Callable[[np.ndarray, tuple[Column, ...], int], Imputed]
"""Values (N, D) with gaps, their columns and a seed -> what is made of them."""


@dataclass(frozen=True)
class Contestant:
    """Somebody who fills gaps, with settings that are written down beside the figures."""

    settings: str
    fit_and_impute: FitAndImpute


def alone(imputer: Imputer) -> Contestant:
    """A baseline that gives one value for each gap."""

    def fit_and_impute(values: np.ndarray, columns: tuple[Column, ...], seed: int) -> Imputed:
        kinds = [column.for_imputer() for column in columns]
        return Imputed(imputer.fit(values, kinds).impute(values))

    return Contestant(repr(imputer), fit_and_impute)


@dataclass(frozen=True)
class Logs:
    """Takes the logs of some columns: of whole numbers log(1 + x), of others log x.

    Attributes:
        taken: (D,) bool, the columns whose logs are taken.
        shift: (D,), what is added before.
        greatest: (D,), the greatest value of each column that is known.
    """

    taken: np.ndarray
    shift: np.ndarray
    greatest: np.ndarray

    @classmethod
    def of(cls, columns: tuple[Column, ...], values: np.ndarray, *, positive: bool) -> "Logs":
        """Takes those of all positive columns, or none."""
        taken = [positive and column.kind == "positive" for column in columns]
        shift = [float(column.discrete) for column in columns]
        return cls(np.array(taken), np.array(shift), np.nanmax(values, axis=0))

    def take(self, table: np.ndarray) -> np.ndarray:
        """Gives a table with logs."""
        return np.log(table + self.shift, where=self.taken, out=table.copy())

    def undo(self, table: np.ndarray) -> np.ndarray:
        """Gives the table that has these logs, between zero and the greatest known value.

        Some logs are far beyond all that is known, and their exponentials would be absurd.
        """
        numbers = np.exp(table, where=self.taken, out=table.copy())
        return np.where(self.taken, np.clip(numbers - self.shift, 0.0, self.greatest), table)

    def log_jacobian(self, logs: np.ndarray) -> np.ndarray:
        """Gives what is added to the log density of the logs of each row, (N,)."""
        return -np.nansum(logs[:, self.taken], axis=1)


def gaussian(imputer: GaussianEM, *, choose: bool = False, in_logs: bool = False) -> Contestant:
    """A Gaussian of the columns, or of the logs of those that are positive.

    Args:
        imputer: its settings.
        choose: whether its ridge is chosen on known cells that are hidden.
        in_logs: whether it sees logs. Its single imputation of them is the median.
    """

    def fit_and_impute(values: np.ndarray, columns: tuple[Column, ...], seed: int) -> Imputed:
        kinds = [column.for_imputer() for column in columns]
        logs = Logs.of(columns, values, positive=in_logs)
        seen = logs.take(values)
        own = imputer
        if choose:
            own = choose_ridge(imputer, seen, kinds, seed=seed)
        fitted = own.fit(seen, kinds)

        def draws(count: int) -> Iterator[np.ndarray]:
            for drawn in fitted.draws(seen, count, seed):
                yield logs.undo(drawn)

        log_prob = dequantised_log_prob(own, values, columns, logs, seed)
        return Imputed(logs.undo(fitted.impute(seen)), draws, log_prob, repr(own))

    settings = repr(imputer)
    if choose:
        settings += ", ridge chosen on a tenth of the known cells"
    if in_logs:
        settings += ", logs of positive columns, none beyond the known ones"
    return Contestant(settings, fit_and_impute)


def dequantised_log_prob(
    imputer: GaussianEM, values: np.ndarray, columns: tuple[Column, ...], logs: Logs, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Fits a Gaussian to values with noise on discrete columns, and gives its bound of log p."""
    discrete = np.array([column.discrete for column in columns])
    random = np.random.default_rng(seed)

    def noisy(table: np.ndarray) -> np.ndarray:
        return logs.take(table + random.random(table.shape) * discrete)

    fitted = imputer.fit(noisy(values))
    count = NOISES if discrete.any() else 1

    def log_prob(table: np.ndarray) -> np.ndarray:
        total = np.zeros(len(table))
        for _ in range(count):
            seen = noisy(table)
            total += fitted.log_prob(seen) + logs.log_jacobian(seen)
        return total / count

    return log_prob


OURS = "lowerbound"
"""The name of the contestant that is a fit of the recipe `table` with settings for imputation."""

PLAIN = "lowerbound, recipe as it is"
"""The name of the contestant that is a fit of the recipe `table` without any other setting."""

SETTINGS: dict[str, Any] = {
    "data.validation": 0.0,
    "data.test": 0.0,
    "data.hide": 0.5,
    "model.likelihood": {"type": "Columns", "real": {"type": "Gaussian", "scale": "shared"}},
    "model.latent": [12],
    "model.network": {
        "type": "MLP",
        "hidden": [64],
        "activation": "silu",
        "linear_path": True,
    },
    "model.prior": {"type": "StandardNormal"},
    "model.start": "factors",
    "objective": {"type": "Iwae"},
    "training.samples": 20,
    "training.learning_rate": 3e-3,
    "training.batch_size": 64,
    "training.epochs": 200,
    "training.steps": None,
    "training.patience": None,
}
"""Of the recipe `table`, for tables of few rows; see the docstring for how they were chosen."""


NUMBERS: dict[str, Any] = SETTINGS | {"data.atoms": False}
"""For tables of numbers alone: all of them have densities, as a Gaussian has it."""

HALF_THE_COLUMNS = {"breast": 15, "wine": 6, "diabetes": 5}
"""So many latent variables the tables of scikit-learn have."""

KINDS = {"positive": "real"}
"""Positive numbers are read as real ones: the error is a square of values, not of their logs."""


LEVELS: dict[str, Any] = SETTINGS | {
    "model.likelihood": {"type": "Columns", "ordinal": {"type": "CumulativeLogits"}},
}
"""For tables of levels with an order."""

LONGER: dict[str, Any] = SETTINGS | {
    "model.likelihood": {"type": "Columns", "real": {"type": "Gaussian"}},
    "model.latent": [16],
    "model.network": {
        "type": "MLP",
        "hidden": [128, 128],
        "activation": "silu",
        "linear_path": True,
    },
    "objective": {"type": "Elbo"},
    "training.samples": 1,
    "training.batch_size": 128,
    "training.epochs": 80,
}
"""For tables of more rows."""

LONGEST: dict[str, Any] = LONGER | {
    "model.likelihood": {"type": "Columns", "real": {"type": "Gaussian", "scale": "shared"}},
    "objective": {"type": "Iwae"},
    "training.samples": 4,
    "training.batch_size": 256,
    "training.epochs": 20,
}
"""For tables of tens of thousands of rows."""


@dataclass(frozen=True)
class Draws:
    """How many draws a fit of ours is measured by.

    Attributes:
        imputing: of z for each row whose gaps are filled.
        measuring: of z for log p of each row.
        noises: so many times noise is added to whole numbers that have a density.
        medians: whether levels with an order are filled by a pass of its own, with exact medians;
            else with the medians of imputations that are drawn.
    """

    imputing: int = SAMPLES
    measuring: int = SAMPLES
    noises: int = NOISES
    medians: bool = True


FEW = Draws(600, 100, 1, medians=False)
"""For tables of tens of thousands of rows."""

IMPUTATIONS = 100
"""Of so many imputations the median of a level is taken where no pass is made for it."""


def fitted(
    settings: dict[str, Any], draws: Draws = Draws(), taken_for: Mapping[str, str] = KINDS
) -> Contestant:
    """A fit of the recipe `table`, and what `lowerbound.impute` makes of it.

    Numbers are filled with their means, levels with an order with their medians, other levels with
    the most probable ones, as the errors want it.

    Args:
        settings: what is other than in the recipe.
        draws: how many draws it is measured by.
        taken_for: the kinds that are read as others.
    """

    def fit_and_impute(values: np.ndarray, columns: tuple[Column, ...], seed: int) -> Imputed:
        frame = frame_of(values, columns)
        kinds = {column.name: taken_for.get(column.kind, column.kind) for column in columns}
        with tempfile.TemporaryDirectory() as folder:
            run = lowerbound.fit(
                "table",
                data=frame,
                out=Path(folder) / "run",
                settings=settings | {"data.kinds": kinds, "report.write": False},
                seed=seed,
                progress=False,
            )
        impute = partial(lowerbound.impute, samples=draws.imputing, seed=seed, progress=False)
        found = impute(run, frame, multiple=IMPUTATIONS)
        single = values_of(found.frame, columns)
        ordinal = np.array([column.kind == "ordinal" for column in columns])
        if ordinal.any() and draws.medians:
            medians = impute(run, frame, mode="median")
            single = np.where(ordinal, values_of(medians.frame, columns), single)
        elif ordinal.any():
            drawn = np.stack([values_of(table, columns)[:, ordinal] for table in found.frames])
            single[:, ordinal] = np.quantile(drawn, 0.5, axis=0, method="lower")

        def imputations(count: int) -> Iterator[np.ndarray]:
            tables = found.frames
            if count != IMPUTATIONS:
                tables = impute(run, frame, multiple=count).frames
            for table in tables:
                yield values_of(table, columns)

        def log_prob(table: np.ndarray) -> np.ndarray:
            return mass_or_density(run, table, columns, draws.measuring, draws.noises)

        worth = np.quantile(found.effective, (0.1, 0.5))
        chosen = f"effective draws: {worth[0]:.0f} at the tenth percentile, {worth[1]:.0f} median"
        return Imputed(single, imputations, log_prob, chosen)

    described = ", ".join(f"{key}={value}" for key, value in settings.items())
    described += f", {draws.imputing} draws of z about the mode, {draws.measuring} for log p"
    described += f", noise added {draws.noises} times"
    if taken_for:
        described += f", {dict(taken_for)}"
    return Contestant(f"recipe table, {described}", fit_and_impute)


def frame_of(values: np.ndarray, columns: tuple[Column, ...]) -> Any:
    """Makes a frame of values (N, D); discrete columns are whole numbers, gaps are null."""
    import polars as pl

    series = []
    for number, column in enumerate(columns):
        each = pl.Series(column.name, values[:, number]).fill_nan(None)
        if column.discrete:
            each = each.cast(pl.Int64)
        series.append(each)
    return pl.DataFrame(series)


def values_of(frame: Any, columns: tuple[Column, ...]) -> np.ndarray:
    """Gives the values (N, D) of a frame."""
    series = [frame[column.name].cast(float).to_numpy() for column in columns]
    return np.stack(series, axis=1)


def mass_or_density(
    run: lowerbound.Run,
    table: np.ndarray,
    columns: tuple[Column, ...],
    samples: int,
    noises: int,
) -> np.ndarray:
    """Gives log p of the known cells of each row, (N,), by importance samples.

    Whole numbers that the model has a density of have noise in [-0.5, 0.5) added, but for those
    that have a probability of their own, and the mean over such noise is a lower bound of their log
    probability, as for the Gaussians.
    """
    schemas = run.schema.table
    dense = np.array([column.discrete for column in columns])
    dense &= np.array([schema.has_density for schema in schemas])
    atoms = [np.isin(table[:, number], schema.atoms) for number, schema in enumerate(schemas)]
    noisy = dense & ~np.stack(atoms, axis=1)
    places = [[column.name for column in columns].index(schema.name) for schema in schemas]
    assert places == list(range(len(columns)))
    random = np.random.default_rng(0)
    count = noises if dense.any() else 1
    total = np.zeros(len(table))
    for number in range(count):
        noise = (random.random(table.shape) - 0.5) * noisy
        total += log_likelihood(run, table + noise, samples, seed=number)
    return total / count


def log_likelihood(run: lowerbound.Run, table: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Gives log p of the known cells of each row, (N,)."""
    # The codes of levels are their positions among those that were seen in the fit.
    codes = Coding(run.schema.table).encode(positions(table, run))
    observed = ~np.isnan(codes)
    numbers = torch.from_numpy(np.where(observed, codes, 0.0)).float()
    rows = Rows(Batch(numbers, observed=torch.from_numpy(observed)))
    found = importance_log_likelihood(run.model, rows, samples=samples, seed=seed)
    return found.per_example.numpy()


@dataclass(frozen=True)
class Rows:
    """The rows of a table, for what takes them in batches."""

    whole: Batch

    def __len__(self) -> int:
        """Counts the rows."""
        return len(self.whole)

    def batch(self, index: slice) -> Batch:
        """Gives some of them."""
        return self.whole.take(torch.arange(len(self))[index])


def positions(table: np.ndarray, run: lowerbound.Run) -> np.ndarray:
    """Gives a table with the positions that a run has for levels; a level it does not know is
    taken for a gap.
    """
    found = table.copy()
    for number, schema in enumerate(run.schema.table):
        if schema.levels:
            known = np.array([float(level) for level in schema.levels])
            cells = table[:, number]
            place = np.searchsorted(np.sort(known), cells).clip(0, len(known) - 1)
            place = np.argsort(known)[place]
            found[:, number] = np.where(known[place] == cells, place, np.nan)
    return found


QUICK = {
    "mean or mode": alone(MeanMode()),
    "kNN": alone(KNN()),
    "chained ridge": alone(Iterative("ridge")),
    "Gaussian EM": gaussian(GaussianEM()),
    "Gaussian EM, ridge chosen": gaussian(GaussianEM(), choose=True),
}
"""The contestants whose settings are the same for all tables."""


def contestants(protocol: str, data: str) -> dict[str, Contestant]:
    """Gives the contestants by name, for one table."""
    if protocol == "numbers":
        return QUICK | {
            OURS: fitted(NUMBERS | {"model.latent": [HALF_THE_COLUMNS[data]]}),
            PLAIN: fitted({}, taken_for={}),
            "chained trees": alone(Iterative("trees")),
            "chained trees, all features": alone(Iterative("trees", trees=50, candidates="all")),
        }
    # The defaults, 10 rounds of 100 trees and all rows as donors, would take hours on two cores.
    mixed = QUICK | {
        OURS: fitted(LONGER),
        PLAIN: fitted({}, taken_for={}),
        "chained trees": alone(Iterative("trees", rounds=5, trees=50, leaf=3)),
        "Gaussian EM, in logs": gaussian(GaussianEM(), in_logs=True),
    }
    if data == "breast":
        del mixed["Gaussian EM, in logs"]  # no column is positive
        mixed[OURS] = fitted(LEVELS)
    if data != "default-credit":
        return mixed
    found = mixed | {
        OURS: fitted(LONGEST, FEW),
        PLAIN: fitted({}, FEW, taken_for={}),
        "kNN": alone(KNN(donors=2000)),
        "chained ridge": alone(Iterative("ridge", rounds=5)),
        "chained trees": alone(Iterative("trees", rounds=2, trees=10, leaf=10)),
    }
    # With 30,000 rows the ridge decides little, and to choose it takes four more fits.
    del found["Gaussian EM, ridge chosen"]
    return found


# Measures


def square_error(task: Task, single: np.ndarray) -> dict[str, float]:
    """The mean square over all hidden cells."""
    return {"error": float(np.mean((single - task.truth)[task.hidden] ** 2))}


def error_by_kind(task: Task, single: np.ndarray) -> dict[str, float]:
    """The mean error over columns, and over those of each kind."""
    errors: dict[str, list[float]] = {"error": []}
    for number, column in enumerate(task.columns):
        cells = task.hidden[:, number]
        found = column_error(task.truth[:, number], single[:, number], cells, column)
        kind = column.kind if column.levels else "numbers"
        errors["error"].append(found)
        errors.setdefault(kind, []).append(found)
    return {name: float(np.mean(each)) for name, each in errors.items()}


def column_error(truth: np.ndarray, single: np.ndarray, cells: np.ndarray, column: Column) -> float:
    """The error of one column by its kind, over the hidden cells (N,)."""
    if column.kind == "categorical":
        return float(np.mean(single[cells] != truth[cells]))
    differences = single[cells] - truth[cells]
    if column.kind == "ordinal":
        return float(np.mean(np.abs(differences)) / column.levels)
    return float(np.sqrt(np.mean(differences**2)) / np.ptp(truth[~np.isnan(truth)]))


def coverage(task: Task, draws: Iterable[np.ndarray]) -> float | None:
    """The share of the hidden cells of numbers within the quantiles of the draws."""
    numbers = np.array([column.levels is None for column in task.columns])
    cells = task.hidden & numbers
    if not cells.any():
        return None
    drawn = np.stack([table[cells] for table in draws])
    low, high = np.quantile(drawn, QUANTILES, axis=0, method="weibull", overwrite_input=True)
    truth = task.truth[cells]
    return float(np.mean((low <= truth) & (truth <= high)))


def log_probs(task: Task, log_prob_per_row: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Means over rows of log p(known) and log p(hidden | known), with their standard errors."""
    known = log_prob_per_row(task.values)
    hidden = log_prob_per_row(task.truth) - known
    root = math.sqrt(len(known))
    return {
        "log_prob": float(known.mean()),
        "log_prob_error": float(known.std(ddof=1) / root),
        "hidden_log_prob": float(hidden.mean()),
        "hidden_log_prob_error": float(hidden.std(ddof=1) / root),
    }


MEASURES = {"numbers": square_error, "mixed": error_by_kind}


def measured(protocol: str, task: Task, contestant: Contestant, draws: int) -> dict[str, Any]:
    """Fits a contestant to a task, and measures it."""
    started = time.perf_counter()
    imputed = contestant.fit_and_impute(task.values, task.columns, task.mask)
    found: dict[str, Any] = MEASURES[protocol](task, imputed.single)
    found["seconds"] = round(time.perf_counter() - started, 2)
    if imputed.chosen:
        found["chosen"] = imputed.chosen
    if imputed.log_prob_per_row is not None:
        found |= log_probs(task, imputed.log_prob_per_row)
    if imputed.draws is not None:
        share = coverage(task, imputed.draws(draws))
        if share is not None:
            found["coverage"] = share
    return found


# Results


def key(protocol: str, task: Task, name: str, contestant: Contestant, draws: int) -> dict[str, Any]:
    """What decides the figures of a row."""
    return {
        "data": task.data,
        "share": task.share,
        "mask": task.mask,
        "contestant": name,
        "settings": contestant.settings,
        "draws": draws,
    }


def is_row(row: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Says whether a row of a result has this key."""
    return all(row.get(name) == value for name, value in wanted.items())


def kept_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a result file, none if there is no file."""
    if not path.is_file():
        return []
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


COLUMNS = {
    "error": ("error", 4),
    "numbers": ("of numbers", 4),
    "ordinal": ("of ordinal", 4),
    "categorical": ("of categories", 4),
    "log_prob": ("log p(known)", 3),
    "hidden_log_prob": ("log p(hidden given known)", 3),
    "coverage": ("coverage of 90 %", 3),
    "seconds": ("seconds", 1),
}
"""The columns of a table in Markdown: the heading of a figure, and its digits."""


def table(rows: list[dict[str, Any]]) -> list[str]:
    """In Markdown: a line for each table, share and contestant; means over masks."""
    present = [name for name in COLUMNS if any(name in row for row in rows)]
    headings = ["data", "hidden", "contestant", *(COLUMNS[name][0] for name in present)]
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    groups: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["share"], row["contestant"]), []).append(row)
    for (data, share, contestant), same in groups.items():
        cells = [data, f"{share} %", contestant]
        for name in present:
            values = [row[name] for row in same if name in row]
            cells.append(cell(values, COLUMNS[name][1]))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def cell(values: list[float], digits: int) -> str:
    """The mean over masks with its standard error, which one mask has not; or a dash."""
    if not values:
        return "-"
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


TASKS = {"numbers": (SCIKIT, number_tasks), "mixed": (MIXED, mixed_tasks)}
"""Of each protocol, its tables and its tasks."""


def run(protocol: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures what is missing, writing the file after each figure; gives all rows."""
    names, tasks = TASKS[protocol]
    wanted = [name for name in names if given.data is None or name in given.data]
    rows = kept_rows(given.results / f"imputation-{protocol}.json")
    for task in tasks(wanted, given.masks):
        if given.shares is not None and task.share not in given.shares:
            continue
        for name, contestant in contestants(protocol, task.data).items():
            if given.only is not None and name not in given.only:
                continue
            row_key = key(protocol, task, name, contestant, given.draws)
            if any(is_row(row, row_key) for row in rows) and not given.again:
                continue
            place = {part: row_key[part] for part in ("data", "share", "mask", "contestant")}
            rows = [row for row in rows if not is_row(row, place)]
            rows.append(row_key | measured(protocol, task, contestant, given.draws))
            rows.sort(key=lambda row: in_order(row, names))
            common.write(f"imputation-{protocol}", {"rows": rows}, given)
    return rows


ORDER = (
    "mean or mode",
    "kNN",
    "chained ridge",
    "chained trees",
    "chained trees, all features",
    "Gaussian EM",
    "Gaussian EM, ridge chosen",
    "Gaussian EM, in logs",
)
"""The order of contestants in a table; others follow."""


def in_order(row: dict[str, Any], names: tuple[str, ...]) -> tuple[int, int, int, int]:
    """The place of a row in the result file."""
    contestant = row["contestant"]
    place = ORDER.index(contestant) if contestant in ORDER else len(ORDER)
    return names.index(row["data"]), row["share"], place, row["mask"]


def main() -> None:
    """Measures, prints the tables and writes the figures."""
    words = common.parser(__doc__)
    words.add_argument("--protocol", nargs="+", choices=list(TASKS), default=list(TASKS))
    words.add_argument("--data", nargs="+", help="only these tables")
    words.add_argument("--only", nargs="+", help="only these contestants")
    words.add_argument("--shares", nargs="+", type=int, help="only these shares, in percent")
    words.add_argument("--masks", type=int, default=3, help="of each table and share, at most 3")
    words.add_argument("--draws", type=int, default=100, help="imputations for the intervals")
    words.add_argument("--again", action="store_true", help="compute what is there already")
    given = common.arguments(words)
    for protocol in given.protocol:
        print("\n".join(table(run(protocol, given))), flush=True)


if __name__ == "__main__":
    main()
