"""How good are rows that a model drew? The scores of `synthetic_tables.py`, the same for every
file of rows.

All are of drawn rows beside real ones: what a classifier learns from them, whether a classifier
tells them from real rows, how near they lie to the rows that the model learned from, and which
values and pairs of values they have too often.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.spatial.distance import cdist
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import StratifiedKFold

from lowerbound.evaluation import Estimate, auroc
from lowerbound.evaluation.detection import percentile

MISSING = "?"
"""The level of a text cell that is missing, as adult's files write it."""

FEW = 32
"""A column of numbers with at most so many different ones is taken as discrete, for the pairs."""

SHOWN = 12
"""How many values and pairs a diagnosis tells."""

FOLDS = 5

BLOCK = 500
"""Rows whose distances to all others are in memory at once."""


class RowsError(ValueError):
    """A file does not hold rows of the table; the message says why."""


def read(path: Path) -> pl.DataFrame:
    """Reads rows from a CSV or Parquet file; in a CSV file only an empty cell is missing.

    Raises:
        RowsError: the file cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RowsError(f"{path}: {str(error).splitlines()[0]}") from error


@dataclass(frozen=True)
class Layout:
    """What the columns of a table are, by its training rows.

    Attributes:
        columns: the names, in order.
        levels: the levels of each column of text, in order.
        whole: the columns of whole numbers.
        target: the column to be foretold, which is one of text with two levels.
    """

    columns: tuple[str, ...]
    levels: dict[str, list[str]]
    whole: tuple[str, ...]
    target: str

    @classmethod
    def of(cls, train: pl.DataFrame, target: str) -> "Layout":
        """Finds the layout of training rows.

        Raises:
            RowsError: the target is not a column with two levels.
        """
        levels = {}
        whole = []
        for name, kind in train.schema.items():
            if kind.is_integer():
                whole.append(name)
            elif not kind.is_numeric():
                column = train[name].cast(pl.String).fill_null(MISSING)
                levels[name] = sorted(column.unique())
        found = len(levels.get(target, []))
        if found != 2:
            raise RowsError(
                f"the target {target!r} must be a column of text with 2 levels: {found}"
            )
        return cls(tuple(train.columns), levels, tuple(whole), target)

    @cached_property
    def numbers(self) -> list[str]:
        """The columns that are not text."""
        return [name for name in self.columns if name not in self.levels]

    @cached_property
    def features(self) -> list[str]:
        """The columns without the target."""
        return [name for name in self.columns if name != self.target]

    def aligned(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Gives rows these columns in this order: text, where a gap is a level, and float64.

        Raises:
            RowsError: a column is absent, or holds what is no number where numbers should be.
        """
        absent = [name for name in self.columns if name not in rows.columns]
        if absent:
            raise RowsError(f"no column {', '.join(absent)}; there are {', '.join(rows.columns)}")
        texts = [pl.col(name).cast(pl.String).fill_null(MISSING) for name in self.levels]
        numbers = [pl.col(name).cast(pl.Float64).fill_null(math.nan) for name in self.numbers]
        try:
            return rows.with_columns(*texts, *numbers).select(self.columns)
        except pl.exceptions.PolarsError as error:
            raise RowsError(str(error).splitlines()[0]) from error

    def codes(self, rows: pl.DataFrame, names: list[str]) -> np.ndarray:
        """Gives aligned rows as float64 (N, D): numbers, and the place of each level; a level that
        the training rows do not have is nan.
        """
        found = []
        for name in names:
            column = rows[name]
            if name in self.levels:
                places = {level: float(place) for place, level in enumerate(self.levels[name])}
                column = column.replace_strict(places, default=math.nan, return_dtype=pl.Float64)
            found.append(column.to_numpy())
        return np.stack(found, axis=1)

    def trees(self, names: list[str], seed: int = 0) -> HistGradientBoostingClassifier:
        """A gradient boosting for `codes` of these columns, with scikit-learn's own settings."""
        categorical = [name in self.levels for name in names]
        return HistGradientBoostingClassifier(categorical_features=categorical, random_state=seed)


# What a classifier learns from the rows


def foretold(rows: pl.DataFrame, test: pl.DataFrame, layout: Layout) -> np.ndarray:
    """The probabilities of the target's second level for each row of `test` (N,), by a gradient
    boosting that has seen `rows` alone.

    Rows that have one level of the target teach nothing: 0.5.
    """
    labels = rows[layout.target] == layout.levels[layout.target][1]
    if labels.n_unique() < 2:
        return np.full(len(test), 0.5)
    trees = layout.trees(layout.features)
    trees.fit(layout.codes(rows, layout.features), labels.to_numpy())
    return trees.predict_proba(layout.codes(test, layout.features))[:, 1]


def difference(scores: np.ndarray, others: np.ndarray, labels: np.ndarray) -> Estimate:
    """The AUC of `scores` (N,) less that of `others` on the same rows, with the standard error of
    the pair (DeLong, DeLong & Clarke-Pearson 1988); `labels` (N,) are bool.
    """
    variance = 0.0
    means = []
    for side, other_side in ((labels, ~labels), (~labels, labels)):
        own = percentile(scores[side], scores[other_side]) / 100
        other = percentile(others[side], others[other_side]) / 100
        shares = own - other
        variance += shares.var(ddof=1) / len(shares)
        means.append(float(shares.mean()))
    return Estimate(means[0], math.sqrt(variance))


# Whether a classifier tells the rows from real ones


@dataclass(frozen=True)
class Detection:
    """What a classifier that tells drawn rows from real ones has found.

    Attributes:
        auc: of the probabilities of the rows by classifiers that have not seen them.
        importances: what shuffling each column costs the classifier, in AUC.
        surest: the drawn rows that look least real.
    """

    auc: Estimate
    importances: dict[str, float]
    surest: pl.DataFrame


def crossed(values: np.ndarray, drawn: np.ndarray, layout: Layout, names: list[str], seed: int):
    """Classifiers that each have not seen the rows of one fold, with the places of these rows."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for seen, unseen in folds.split(values, drawn):
        yield layout.trees(names).fit(values[seen], drawn[seen]), unseen


def paired(
    rows: pl.DataFrame, real: pl.DataFrame, layout: Layout, names: list[str], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """As many rows of one as of the other, as `codes` (2N, D), and which are drawn, (2N,) bool;
    the drawn ones come first, in their order where all are taken.
    """
    count = min(len(rows), len(real))
    sides = [layout.codes(subset(side, count, seed), names) for side in (rows, real)]
    return np.concatenate(sides), np.arange(2 * count) < count


def subset(rows: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """So many of the rows, chosen at random; all if there are no more."""
    if len(rows) <= count:
        return rows
    return rows.sample(count, seed=seed)


def detected(
    rows: pl.DataFrame, real: pl.DataFrame, layout: Layout, seed: int = 0, repeats: int = 3
) -> Detection:
    """Tells rows from real ones by gradient boosting, each row by trees that have not seen it."""
    names = list(layout.columns)
    values, drawn = paired(rows, real, layout, names, seed)
    scores = np.empty(len(values))
    importances = np.zeros(len(names))
    for number, (trees, unseen) in enumerate(crossed(values, drawn, layout, names, seed)):
        scores[unseen] = trees.predict_proba(values[unseen])[:, 1]
        if number == 0:
            shuffled = permutation_importance(
                trees,
                values[unseen],
                drawn[unseen],
                scoring="roc_auc",
                n_repeats=repeats,
                random_state=seed,
            )
            importances = shuffled.importances_mean
    order = np.argsort(-scores[drawn], kind="stable")[:SHOWN]
    shown = subset(rows, int(drawn.sum()), seed)
    return Detection(
        auroc(scores[~drawn], scores[drawn]),
        dict(zip(names, importances.tolist(), strict=True)),
        shown[order.tolist()],
    )


def alone(
    rows: pl.DataFrame, real: pl.DataFrame, layout: Layout, seed: int = 0
) -> dict[str, float]:
    """The AUC of a classifier that tells rows from real ones by one column, for each column."""
    found = {}
    for name in layout.columns:
        values, drawn = paired(rows, real, layout, [name], seed)
        trees, unseen = next(crossed(values, drawn, layout, [name], seed))
        scores = trees.predict_proba(values[unseen])[:, 1]
        found[name] = auroc(scores[~drawn[unseen]], scores[drawn[unseen]]).value
    return found


# How near the rows lie to those that the model has learned from


@dataclass(frozen=True)
class Gower:
    """Gower's distance: the mean over the columns of what two rows differ by, which is 0 or 1 for
    text, and the difference over the range of the training rows for numbers (Gower 1971).
    """

    layout: Layout
    ranges: np.ndarray

    @classmethod
    def of(cls, train: pl.DataFrame, layout: Layout) -> "Gower":
        """The distance by the ranges of training rows."""
        numbers = train.select(layout.numbers).to_numpy()
        ranges = np.nanmax(numbers, axis=0) - np.nanmin(numbers, axis=0)
        return cls(layout, np.where(ranges > 0, ranges, 1.0))

    def parts(self, rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Numbers over their ranges (N, numbers), and the one-hot levels (N, levels) float32."""
        numbers = rows.select(self.layout.numbers).to_numpy() / self.ranges
        hot = []
        for name, levels in self.layout.levels.items():
            hot.append(rows[name].to_numpy()[:, None] == np.array(levels, dtype=object)[None])
        return np.nan_to_num(numbers), np.concatenate(hot, axis=1).astype(np.float32)

    def nearest(self, rows: pl.DataFrame, others: pl.DataFrame) -> np.ndarray:
        """The distance of each row to the nearest of the others, (N,)."""
        numbers, levels = self.parts(rows)
        other_numbers, other_levels = self.parts(others)
        found = []
        for start in range(0, len(rows), BLOCK):
            block = slice(start, start + BLOCK)
            sums = cdist(numbers[block], other_numbers, "cityblock")
            sums += len(self.layout.levels) - levels[block] @ other_levels.T
            found.append(sums.min(axis=1) / len(self.layout.columns))
        return np.concatenate(found)


def quantile(values: np.ndarray, share: float, seed: int = 0, rounds: int = 200) -> Estimate:
    """A quantile with the standard error of the bootstrap."""
    random = np.random.default_rng(seed)
    drawn = random.choice(values, (rounds, len(values)))
    return Estimate(
        float(np.quantile(values, share)), float(np.quantile(drawn, share, axis=1).std(ddof=1))
    )


def copies(rows: pl.DataFrame, train: pl.DataFrame) -> float:
    """The share of rows that are equal to a training row in every column."""
    found = rows.join(train.unique(), on=train.columns, how="semi")
    return len(found) / len(rows)


def closeness(
    rows: pl.DataFrame,
    train: pl.DataFrame,
    held: pl.DataFrame,
    layout: Layout,
    count: int,
    seed: int = 0,
) -> dict[str, Any]:
    """How near rows lie to the training rows.

    Args:
        rows: drawn ones, or other real ones.
        train: what the model has learned from.
        held: real rows that it has not seen.
        layout: of the table.
        count: so many of the rows are measured, chosen at random.
        seed: of the choice.

    Returns:
        The 5 % quantile and the median of the distance to the nearest training row, the share of
        rows that are nearer to a training row than to any of as many held-out rows (1/2 for one
        that has learned nothing by heart; equal distances count half), and the share of all rows
        that are copies of a training row.
    """
    gower = Gower.of(train, layout)
    chosen = subset(rows, count, seed)
    size = min(len(train), len(held))
    to_train = gower.nearest(chosen, train)
    to_half = gower.nearest(chosen, subset(train, size, seed))
    to_held = gower.nearest(chosen, subset(held, size, seed))
    nearer = (to_half < to_held) + 0.5 * (to_half == to_held)
    return {
        "distance_5_percent": quantile(to_train, 0.05),
        "distance_median": quantile(to_train, 0.5),
        "nearer_train": Estimate(
            float(nearer.mean()), float(nearer.std() / math.sqrt(len(nearer)))
        ),
        "copies": copies(rows, train),
    }


# Values and pairs of values


def shares(rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The values of columns with the share of rows that have them, as `share`."""
    counted = rows.group_by(names).len()
    return counted.select(*names, (pl.col("len") / len(rows)).alias("share"))


def unlike_values(
    rows: pl.DataFrame, real: pl.DataFrame, layout: Layout
) -> list[tuple[str, Any, float, float]]:
    """The values whose share differs most: column, value, share of the real rows, of the rows."""
    found = []
    for name in layout.columns:
        both = shares(real, [name]).join(
            shares(rows, [name]), on=name, how="full", coalesce=True, suffix="_rows"
        )
        found += [(name, *each) for each in both.fill_null(0.0).rows()]
    found.sort(key=lambda each: (-abs(each[2] - each[3]), each[0], str(each[1])))
    return found[:SHOWN]


def discrete(train: pl.DataFrame, layout: Layout) -> list[str]:
    """The columns of text, and those of a few numbers."""
    return [
        name for name in layout.columns if name in layout.levels or train[name].n_unique() <= FEW
    ]


def unseen_pairs(
    rows: pl.DataFrame, train: pl.DataFrame, layout: Layout
) -> tuple[float, list[tuple[str, str, float]]]:
    """The share of rows with a pair of values, of two discrete columns, that no training row has;
    and the pairs of columns with most of them, with the share of rows.
    """
    names = discrete(train, layout)
    any_pair = np.zeros(len(rows), bool)
    found = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            seen = train.select(one, other).unique().with_columns(pl.lit(True).alias("seen"))
            joined = rows.select(one, other).join(
                seen, on=[one, other], how="left", maintain_order="left"
            )
            unseen = joined["seen"].is_null().to_numpy()
            any_pair |= unseen
            found.append((one, other, float(unseen.mean())))
    found.sort(key=lambda each: -each[2])
    return float(any_pair.mean()), [each for each in found[:SHOWN] if each[2] > 0]


def marginals(
    rows: pl.DataFrame, train: pl.DataFrame, layout: Layout
) -> dict[str, dict[str, float]]:
    """For each column of numbers: the share of its most frequent training value, the mean, the
    standard deviation, and the shares of cells beyond the training rows' range and of broken
    numbers where those are whole.
    """
    found = {}
    for name in layout.numbers:
        column = rows[name]
        values = train[name]
        most = values.value_counts(sort=True)[name][0]
        beyond = ~column.is_between(values.min(), values.max())
        found[name] = {
            "most_frequent": most,
            "share_of_it": float((column == most).mean()),
            "mean": float(column.mean()),
            "deviation": float(column.std()),
            "beyond_range": float(beyond.mean()),
        }
        if name in layout.whole:
            found[name]["not_whole"] = float((column != column.round()).mean())
    return found
