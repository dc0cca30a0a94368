"""How well a run fills gaps: known cells are hidden, filled, and compared with the truth."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..baselines import KNN, GaussianEM, Imputer, Kind, MeanMode
from ..columns import ColumnSchema
from ..data.dataset import Examples
from ..data.memory import DataSource, source_text
from ..errors import ConfigError, DataError, one_line
from ..evaluation import Estimate
from ..run import Run
from ..system.progress import stages
from .completion import BLOCK, IMPUTATION_SAMPLES, Completed, Completer
from .errors import CellErrors, deviations, mean_over_rows
from .imputation import make_completer

INTERVAL = 0.9
"""The probability of the intervals whose coverage is measured."""

MOST_ROWS = 10_000
"""Of a split with more rows, so many are measured, drawn at random."""

MOST_FITTED = 20_000
"""Baselines are fitted to at most so many training rows, drawn at random."""

MOST_NEIGHBOURS = 5_000
"""Neighbours are looked for among at most so many rows: the time grows with their number."""

OURS = "this run"
"""The name of the run beside the baselines."""

BASELINES: Mapping[str, Imputer[Any]] = {
    "mean or mode": MeanMode(),
    "Gaussian EM": GaussianEM(),
    "kNN": KNN(donors=MOST_NEIGHBOURS),
}
"""What a run is measured beside, by the names that are printed."""


@dataclass(frozen=True, eq=False)
class HiddenMeasures:
    """What a run and baselines put in the place of hidden cells, and how far it is from the truth.

    Attributes:
        errors: of each method by its name, this run first.
        coverage: the share of hidden numbers within their 90 % interval; None without numbers.
        effective: the effective number of draws of each row with gaps, (n,).
        seconds: that each method took to fit and to impute; of this run to impute alone.
        hide: the share of known cells that were hidden.
        split: that was measured.
        source: that it is of.
        samples: draws for each row.
        seed: of the hidden cells and of the draws.
        rows: how many rows were measured.
        notes: sentences on what was left out.
    """

    errors: dict[str, CellErrors]
    coverage: Estimate | None
    effective: np.ndarray
    seconds: dict[str, float]
    hide: float
    split: str
    source: str
    samples: int
    seed: int
    rows: int
    notes: tuple[str, ...] = ()

    @property
    def ours(self) -> CellErrors:
        """The errors of this run."""
        return self.errors[OURS]

    @property
    def hidden(self) -> int:
        """The number of hidden cells."""
        return int((~np.isnan(self.ours.truth)).sum())

    def differences(self) -> dict[str, Estimate]:
        """Returns the mean error of this run minus that of each baseline on the same cells."""
        others = [name for name in self.errors if name != OURS]
        return {name: self.ours.difference(self.errors[name]) for name in others}

    def describe(self) -> dict[str, Any]:
        """Returns all numbers, as `evaluate --hide --json` prints them."""
        methods = {}
        for name, errors in self.errors.items():
            methods[name] = {
                "error": _plain(errors.mean()),
                "by_kind": _all_plain(errors.by_kind()),
                "by_column": _all_plain(errors.by_column()),
                "standardised_mse": _plain(errors.standardised()),
                "seconds": self.seconds[name],
            }
        return {
            "source": self.source,
            "split": self.split,
            "examples": self.rows,
            "hide": self.hide,
            "hidden": self.hidden,
            "seed": self.seed,
            "samples": self.samples,
            "effective_samples_median": float(np.median(self.effective)),
            "effective_samples_least": float(self.effective.min()),
            "methods": methods,
            "differences": _all_plain(self.differences()),
            "interval": INTERVAL,
            "coverage": _plain(self.coverage),
            "notes": list(self.notes),
        }


def _plain(estimate: Estimate | None) -> dict[str, float] | None:
    if estimate is None:
        return None
    return estimate._asdict()


def _all_plain(estimates: dict[str, Estimate]) -> dict[str, Any]:
    return {name: _plain(estimate) for name, estimate in estimates.items()}


def measure_hidden(
    run: Run,
    source: DataSource | None = None,
    *,
    hide: float,
    split: str | None = None,
    samples: int = IMPUTATION_SAMPLES,
    mode: str = "mean",
    seed: int = 0,
    progress: bool = True,
) -> HiddenMeasures:
    """Hides known cells of a split at random, fills them, and measures how far from the truth.

    The baselines are fitted to the training split of the run, and see the same cells.

    Args:
        run: of the likelihood `Columns`.
        source: other data, as `Run.data` takes them; None takes those of the run.
        hide: the share of known cells that are hidden, above 0 and below 1.
        split: "train", "validation", "test" or "all"; None is "test", or "all" for a source that
            brings no test part.
        samples: draws of the latent variables for each row.
        mode: see `impute`.
        seed: of the hidden cells and of the draws.
        progress: whether long work shows how far it is.

    Raises:
        ConfigError: the run knows no gaps, or an argument has no such value.
        DataError: the source does not fit the run, or no cell is hidden.
    """
    completer = make_completer(
        run, multiple=None, samples=samples, mode=mode, seed=seed, interval=INTERVAL
    )
    _refuse_share(hide)
    name, examples = run.examples(source, split)
    assert isinstance(examples, Examples)
    notes = []
    if len(examples) > MOST_ROWS:
        notes.append(f"{MOST_ROWS:,} of {len(examples):,} {name} rows are measured")
    measured = _some_rows(examples, MOST_ROWS, seed)
    values = measured.values_at(slice(None))
    given, truth = hide_cells(values, hide, seed)
    if np.isnan(truth).all():
        raise DataError(f"no cell of {len(values):,} rows was hidden; hide more")
    training, told = _training_values(run, seed)
    notes += told
    completed, filled = _fill_by_all(completer, training, given, measured.conditions, progress)
    reference = values
    if training is not None:
        reference = training
    deviation = deviations(reference)
    errors = {}
    for method, table in filled.items():
        errors[method] = CellErrors(completer.columns, truth, table.values, deviation)
    if source is None:
        source = run.recipe.data.source
    return HiddenMeasures(
        errors,
        interval_coverage(truth, completed),
        completed.effective[~np.isnan(completed.effective)],
        {method: table.seconds for method, table in filled.items()},
        hide,
        name,
        source_text(source),
        samples,
        seed,
        len(values),
        tuple(notes),
    )


class _Filled(NamedTuple):
    """What a method put in the place of hidden cells, (N, D), and how long it took."""

    values: np.ndarray
    seconds: float


def _fill_by_all(
    completer: Completer,
    training: np.ndarray | None,
    given: np.ndarray,
    conditions: np.ndarray | None,
    progress: bool,
) -> tuple[Completed, dict[str, _Filled]]:
    """Fills a table by the run, and by the baselines where there are training rows.

    Args:
        completer: that of the run.
        training: the values that baselines are fitted to, (K, D), or None.
        given: the table with gaps, (N, D).
        conditions: of the rows, (N, G), which a conditional run sees, and the baselines do not.
        progress: whether long work shows how far it is.

    Returns:
        What the run found, and what each method filled in by its name, this run first.
    """
    baselines = BASELINES
    if training is None:
        baselines = {}
    filled = {}
    blocks = -(-len(given) // BLOCK)
    with stages("impute", blocks + len(baselines), show=progress) as begin:
        started = time.perf_counter()
        completed = completer.complete(
            given, 0, lambda row: begin(f"row {row:,}"), conditions=conditions
        )
        filled[OURS] = _Filled(completed.values, time.perf_counter() - started)
        for name, imputer in baselines.items():
            assert training is not None
            begin(name)
            started = time.perf_counter()
            found = impute_by(imputer, training, given, completer.columns)
            rounded = completer.coding.rounded(found)
            filled[name] = _Filled(rounded, time.perf_counter() - started)
    return completed, filled


def _refuse_share(hide: float) -> None:
    """Raises ConfigError for what is no share of cells."""
    is_number = isinstance(hide, int | float) and not isinstance(hide, bool)
    if not is_number or not 0 < hide < 1:
        raise ConfigError(
            f"hide must be a share of the known cells, above 0 and below 1, got "
            f"{one_line(repr(hide), 60)}"
        )


def draw_hidden(values: np.ndarray, hide: float, seed: int) -> np.ndarray:
    """Draws known cells that are hidden, each with the same probability, (N, D) bool."""
    generator = np.random.default_rng(seed)
    return np.asarray((generator.random(values.shape) < hide) & ~np.isnan(values))


def hide_cells(values: np.ndarray, hide: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hides known cells of a table, drawn at random.

    Returns:
        The table without them, and they alone, (N, D) each, NaN elsewhere.
    """
    is_hidden = draw_hidden(values, hide, seed)
    return np.where(is_hidden, np.nan, values), np.where(is_hidden, values, np.nan)


def _some_rows(examples: Examples, most: int, seed: int) -> Examples:
    """Returns at most so many rows, drawn at random, in their order."""
    count = len(examples)
    if count <= most:
        return examples
    places = np.random.default_rng(seed).choice(count, most, replace=False)
    return examples.take(np.sort(places))


def _training_values(run: Run, seed: int) -> tuple[np.ndarray | None, list[str]]:
    """Returns the values of the training rows that baselines are fitted to.

    Returns:
        None where the run's own data are gone; sentences on what was left out.
    """
    try:
        train = run.data().train
    except DataError as error:
        return None, [f"no baselines: {error}"]
    assert isinstance(train, Examples)
    told = []
    if len(train) > MOST_FITTED:
        told.append(f"baselines are fitted to {MOST_FITTED:,} of {len(train):,} training rows")
    return _some_rows(train, MOST_FITTED, seed).values_at(slice(None)), told


def impute_by(
    imputer: Imputer[Any],
    training: np.ndarray,
    given: np.ndarray,
    columns: tuple[ColumnSchema, ...],
) -> np.ndarray:
    """Fits a baseline to the training rows, and lets it fill the others."""
    kinds = []
    for column in columns:
        if column.levels:
            kinds.append(Kind(len(column.levels), ordered=column.kind == "ordinal"))
        else:
            kinds.append(Kind())
    filled: np.ndarray = imputer.fit(training, kinds).impute(given)
    return filled


def interval_coverage(truth: np.ndarray, completed: Completed) -> Estimate | None:
    """Returns the share of hidden numbers within their interval; None without numbers."""
    is_number = ~np.isnan(truth) & ~np.isnan(completed.low)
    if not is_number.any():
        return None
    inside = (truth >= completed.low) & (truth <= completed.high)
    return mean_over_rows(np.where(is_number, inside, np.nan))
