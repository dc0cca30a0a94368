"""Scores of the examples of a source, and what they say beside the run's own data and the truth."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ..columns import ColumnSchema
from ..data import Schema, Split
from ..data.memory import DataSource, source_text
from ..errors import ConfigError, ShapeError, one_line, unknown
from ..evaluation import Estimate, auroc, average_precision
from ..evaluation.batches import positive, refuse_seed
from ..evaluation.likelihood import LIKELIHOOD_SAMPLES
from ..run import Run, digest_of, load
from ..system.progress import stages
from .cells import OddCells
from .measures import ANOMALOUS, Columns, Scorer, judged, settings_of_scores
from .reference import OwnScores, find_own
from .threshold import Threshold
from .truth import read_truth

if TYPE_CHECKING:
    import polars

ROWS_OF_FRAME = 2**16
"""So many rows of scores are written at once."""


class TruthMeasures(NamedTuple):
    """How well a score finds the anomalies that the user's own labels name.

    Attributes:
        auroc: the probability that an anomaly looks more anomalous than an ordinary example.
        average_precision: see `evaluation.average_precision`; the part of anomalies is chance.
    """

    auroc: Estimate
    average_precision: float


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of each example of a split, and of the run's own test split beside them where that
    is another one.

    Attributes:
        names: the columns that name the rows, (N,): `row` and what else the source has.
        scores: each score by name, (N,); `score` says what they are.
        own: the same scores of examples of the run's own test split, or None.
        source: what was scored.
        split: of the source.
        samples: importance samples for each example.
        reference: held-out examples that the percentiles and the typicality are taken from.
        reference_split: their split of the run's own data.
        thresholds: the cut on each score, where a rate of false alarms was asked for.
        by: the score whose cut decides which examples are anomalous.
        truth: which examples are anomalies by the user's own labels, (N,) bool, or None.
        caveat: what must be said of the likelihood on these data, or None.
        left_out: what could not be measured where the run's own data are gone, or None.
        odd: the cells that make rows of a table with columns of several kinds odd, or None.
    """

    names: dict[str, Any]
    scores: Columns
    own: Columns | None
    source: str
    split: str
    samples: int
    reference: int
    reference_split: str
    thresholds: dict[str, Threshold] = field(default_factory=dict)
    by: str = "log_likelihood"
    truth: np.ndarray | None = None
    caveat: str | None = None
    left_out: str | None = None
    odd: OddCells | None = None

    def __len__(self) -> int:
        """Returns the number of examples."""
        return len(self.scores["elbo"])

    def __repr__(self) -> str:
        """Returns what was scored, and the first and last rows of the scores."""
        return (
            f"Scores of {len(self):,} examples of {self.source} ({self.split})\n{self.to_frame()}"
        )

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the rows as a table."""
        return self.to_frame()._repr_html_()

    @property
    def columns(self) -> dict[str, Any]:
        """All columns by name, (N,): the names of the rows, the scores, `anomalous` where there is
        a threshold, `truth` where there is one, and the odd cells of rows of a table.
        """
        return self._columns_of(slice(None))

    def _columns_of(self, rows: slice) -> dict[str, Any]:
        """Returns the columns of some rows."""
        columns = self.names | self.scores
        if self.anomalous is not None:
            columns["anomalous"] = self.anomalous
        if self.truth is not None:
            columns["truth"] = self.truth
        columns = {name: values[rows] for name, values in columns.items()}
        if self.odd is not None:
            columns |= self.odd.columns_of(rows)
        return columns

    @property
    def anomalous(self) -> np.ndarray | None:
        """Which examples are beyond the cut on the score `by`, (N,) bool; None without a cut."""
        if self.by not in self.thresholds:
            return None
        return self.thresholds[self.by].flags(self.scores[self.by])

    def to_frame(self) -> "polars.DataFrame":
        """Returns a frame with one row for each example, in the order of the split."""
        import polars

        return polars.DataFrame(self.columns)

    def frames(self) -> "Iterator[polars.DataFrame]":
        """Yields the rows of `to_frame` in frames of some thousands of rows, so that the texts of
        millions are never held at once.
        """
        import polars

        for start in range(0, len(self), ROWS_OF_FRAME):
            yield polars.DataFrame(self._columns_of(slice(start, start + ROWS_OF_FRAME)))

    def least_likely(self, n: int = 5) -> "polars.DataFrame":
        """Returns the `n` least likely rows, the least likely first: by the log-likelihood, of rows
        with gaps by the adjusted one.
        """
        import polars

        order = np.argsort(judged(self.scores), kind="stable")
        rows = [polars.DataFrame(self._columns_of(slice(at, at + 1))) for at in order[:n].tolist()]
        return polars.concat(rows)

    def means(self) -> dict[str, Estimate]:
        """Returns the mean of each score over the examples, with its standard error.

        The error is that of the choice of the examples. They share their noise, whose part in the
        error of the mean it leaves out; `Run.evaluate` draws other noise for each example.
        """
        return _means(self.scores)

    def medians(self) -> dict[str, float]:
        """Returns the median of each score over the examples."""
        return _medians(self.scores)

    def auroc(self) -> dict[str, Estimate]:
        """Measures how well each score tells these examples, all of them, from the run's own test
        split. It says nothing of which of these are anomalies; `against_truth` does.

        It is the probability that one of these looks more anomalous than one of the test split,
        anomalous end up, see `evaluation.auroc`. The dict is empty without such a split, and lacks
        scores that are no numbers.
        """
        if self.own is None:
            return {}
        areas = {}
        for name, sign in self._directed():
            if name in self.own:
                areas[name] = auroc(sign * self.own[name], sign * self.scores[name])
        return areas

    def against_truth(self) -> dict[str, TruthMeasures]:
        """Measures how well each score finds the anomalies among these examples that the user's
        own labels name; the dict is empty without labels.
        """
        if self.truth is None:
            return {}
        found = {}
        for name, sign in self._directed():
            values = sign * self.scores[name]
            area = auroc(values[~self.truth], values[self.truth])
            found[name] = TruthMeasures(area, average_precision(self.truth, values))
        return found

    def _directed(self) -> list[tuple[str, int]]:
        """Lists the scores that find anomalies, and the sign that puts their anomalous end up.

        A score that is nan for an example has no order, and is left out; `summary` tells of it.
        """
        directed = []
        for name, end in ANOMALOUS.items():
            if name in self.scores and not np.isnan(self.scores[name]).any():
                sign = 1
                if end == "low":
                    sign = -1
                directed.append((name, sign))
        return directed

    def not_numbers(self) -> int:
        """Counts the examples whose log-likelihood is no number (nan)."""
        return int(np.isnan(self.scores["log_likelihood"]).sum())

    def flagged(self) -> dict[str, int]:
        """Counts the examples beyond the cut on each score."""
        counts = {}
        for name, threshold in self.thresholds.items():
            counts[name] = int(threshold.flags(self.scores[name]).sum())
        return counts

    def summary(self) -> dict[str, Any]:
        """Returns what the command line prints: counts, means and medians of the scores of source
        and own test split, the cuts, and what the scores say beside that split and the truth.
        """
        own: Columns = {}
        if self.own is not None:
            own = self.own
        return {
            "source": self.source,
            "split": self.split,
            "examples": len(self),
            "samples": self.samples,
            "reference": self.reference,
            "reference_split": self.reference_split,
            "means": _plain(self.means()),
            "medians": self.medians(),
            "own_test_examples": len(own.get("elbo", ())),
            "own_test_means": _plain(_means(own)),
            "own_test_medians": _medians(own),
            "auroc_against_own_test": _plain(self.auroc()),
            "thresholds": self._described_thresholds(),
            "truth": self._described_truth(),
            "not_numbers": self.not_numbers(),
            "caveat": self.caveat,
            "left_out": self.left_out,
        }

    def _described_thresholds(self) -> dict[str, Any] | None:
        if not self.thresholds:
            return None
        cuts = {}
        counts = self.flagged()
        for name, threshold in self.thresholds.items():
            own_flagged = None
            if self.own is not None and name in self.own:
                own_flagged = int(threshold.flags(self.own[name]).sum())
            cuts[name] = {
                "anomalous": threshold.end,
                "cut": threshold.cut,
                "false_alarms": threshold.rate,
                "interval": list(threshold.interval),
                "flagged": counts[name],
                "own_test_flagged": own_flagged,
            }
        return {"by": self.by, "cuts": cuts}

    def _described_truth(self) -> dict[str, Any] | None:
        if self.truth is None:
            return None
        found = {}
        for name, measures in self.against_truth().items():
            found[name] = {
                "auroc": measures.auroc._asdict(),
                "average_precision": measures.average_precision,
            }
        return {"anomalies": int(self.truth.sum()), "found": found}


def _means(columns: Columns) -> dict[str, Estimate]:
    return {name: Estimate.of(torch.from_numpy(values)) for name, values in columns.items()}


def _medians(columns: Columns) -> dict[str, float]:
    return {name: float(np.median(values)) for name, values in columns.items()}


def _plain(estimates: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    return {name: estimate._asdict() for name, estimate in estimates.items()}


def score(
    run: Run,
    source: DataSource | None = None,
    *,
    split: str | None = None,
    samples: int = LIKELIHOOD_SAMPLES,
    against: Run | str | Path | None = None,
    threshold: float | None = None,
    by: str | None = None,
    truth: str | np.ndarray | None = None,
    reference: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Scores:
    """Scores each example of a split of images or a table; where `source` is not the run's own
    data, examples of the run's own test split too.

    All examples are measured with the same noise, so that the score of an example is a function of
    the example alone: it is the same in any order, and whatever else is scored with it, up to the
    rounding of sums (see `Run.in_float64`). The rate of false alarms of a threshold is exact for
    such scores.

    The columns, in nats unless said otherwise, and which end of them is anomalous:

    - `row`: the example's place in the source, and what else names it: `file` of a folder of
      images, `label` where the source has them.
    - `elbo`, `log_likelihood`: the bound, and log p(x) by importance sampling. Low is anomalous, in
      theory; a simple image of another kind can be more likely than the data themselves (Nalisnick
      et al. 2018, "Do deep generative models know what they don't know?").
    - `adjusted`: of rows of a table with columns of several kinds, log p(x_obs) plus what is usual
      for the cells that the row lacks, so that rows with gaps compare with others: a row with fewer
      cells has fewer to be unlikely in. Of a row without gaps it is the log-likelihood; low is
      anomalous. `percentile`, `typicality` and the least likely rows are by it.
    - `percentile`: of the log-likelihood among those of the reference, in [0, 100]. Low is less
      likely than they are.
    - `typicality`: distance of the log-likelihood from its mean over the reference; high is
      anomalous. `typicality_percentile`: its percentile among theirs, in [0, 100].
    - `complexity`: what lossless compression needs for the image, no sign of an anomaly by itself.
      Only of images on levels.
    - `log_ratio` = log_likelihood + complexity, the log of the likelihood ratio to the compressor
      (Serra et al. 2020, with the sign turned); low is anomalous. Only where the likelihood is a
      probability of the levels, as a code length is: neither a density nor the cross entropy of
      grey values can be compared with it.
    - `log_ratio_against` = log_likelihood - that of the run `against`, such as a background model
      (Ren et al. 2019, "Likelihood ratios for out-of-distribution detection"); low is anomalous.
      Both must be densities, or both probabilities, of the data.
    - `anomalous`: whether the example is beyond the cut of `threshold` on the score `by`.
    - `truth`: whether it is an anomaly by the labels of `truth`.
    - `gaps`: of a row of a table with columns of several kinds, how many cells it lacks. `odd_1`,
      `odd_1_value`, `odd_1_below` (and `odd_2`, `odd_3`): the column, the value and the nats of the
      cell whose log-likelihood E_q[log p(x_d | z)] is furthest below what is usual for its column,
      which is the mean of it over the reference.

    The reference is of the run's own data: of the validation split where there is one, else of the
    test split, else of the training split, which the caveat then tells. A run keeps its scores in
    its folder; they are measured anew from the data where other samples or more examples are asked
    for, or the run was made before runs kept them.

    Args:
        run: what the examples are measured by.
        source: other data, as `Run.data` takes them; None takes those of the run.
        split: "train", "validation", "test" or "all"; None is "test", or "all" for a source that
            brings no test part.
        samples: importance samples for each example.
        against: another fitted run on data of the same kind, or its folder.
        threshold: the rate of false alarms, such as 0.01, of a cut on each score, see `Threshold`.
        by: the score whose cut makes the column `anomalous`; None is "adjusted" where there is one,
            else "log_likelihood".
        truth: which examples are anomalies: a column of the source (`label`, or a column of the
            table that the model does not read) that holds 0 and 1, or `COLUMN=VALUE` for the
            anomalies, or `COLUMN!=VALUE` for all others; or a boolean for each example.
        reference: the most examples of the reference, and of the run's own test split, that are
            taken; None takes those that the run keeps.
        seed: of the draws.
        progress: whether a bar on standard error shows the progress.

    Raises:
        ConfigError: the run has no likelihood (interactions, an autoencoder), or an argument has no
            such value.
        DataError: the source does not fit the run, or the data of the run are needed, and are gone
            or have changed since it was fitted.
        RunError: what the run keeps is damaged.
    """
    other = load(against) if isinstance(against, str | Path) else against
    _refuse_unfit(run, other)
    positive(samples)
    refuse_seed(seed)
    if reference is not None:
        positive(reference, what="reference")
    name, examples = run.examples(source, split)
    marks = None
    if truth is not None:
        marks = read_truth(truth, run, source, examples)
    scorer = Scorer(run, other, settings_of_scores(samples, seed, name))
    judge = Judge.of(scorer, threshold, by, reference)
    caveat = run.caveat(examples, source)
    with stages("score", scorer.stages(examples), show=progress) as begin:
        scores = judge.score(examples, begin)
    return replace(
        scores,
        own=judge.own_test(examples),
        source=source_text(run.recipe.data.source if source is None else source),
        truth=marks,
        caveat="; ".join(each for each in (caveat, scores.caveat) if each) or None,
    )


@dataclass(frozen=True)
class Judge:
    """What examples are scored by: a run, and what its own examples score.

    Attributes:
        scorer: of the run.
        home: what examples of the run's own data score.
        by: the score whose cut decides.
        thresholds: the cut on each score, where a rate of false alarms was asked for.
    """

    scorer: Scorer
    home: OwnScores
    by: str
    thresholds: dict[str, Threshold]

    @classmethod
    def of(
        cls, scorer: Scorer, threshold: float | None, by: str | None, reference: int | None = None
    ) -> "Judge":
        """Finds what the run's own examples score, and the cuts; the arguments are those of
        `score`.

        Raises:
            ConfigError: there is no such score, or the rate is none of so many examples.
            DataError: the run's own data are needed, and are gone or have changed.
        """
        _refuse_unfit(scorer.run, scorer.against)
        home = find_own(scorer, reference)
        scorer = replace(scorer, usual=home.usual)
        if by is None:
            by = "adjusted" if "adjusted" in home.reference else "log_likelihood"
        thresholds = {}
        if threshold is not None:
            held_out = scorer.scores(home.reference, judged(home.reference))
            thresholds = _cuts(held_out, threshold, by)
        return cls(scorer, home, by, thresholds)

    def own_test(self, examples: Split) -> Columns | None:
        """Returns the scores of the run's own test split; None where these examples are it."""
        run = self.scorer.run
        if self.home.test is None or examples.digest() == digest_of(run.folder):
            return None
        return self.scorer.scores(self.home.test, judged(self.home.reference))

    def score(self, examples: Split, begin: Callable[[str], None] = lambda name: None) -> Scores:
        """Scores examples.

        Args:
            examples: of a split.
            begin: is told of each piece of the work when it begins.
        """
        scorer = replace(self.scorer, begin=begin)
        likely = judged(self.home.reference)
        measured = scorer.measure(examples)
        odd = scorer.odd_cells(examples)
        return Scores(
            names=examples.names_of_rows(),
            scores=scorer.scores(measured, likely),
            own=None,
            source="",
            split=scorer.settings.split,
            samples=scorer.settings.samples,
            reference=len(likely),
            reference_split=self.home.reference_split,
            thresholds=self.thresholds,
            by=self.by,
            caveat=_caveat_of(self.home.reference_split),
            left_out=self.home.left_out,
            odd=odd,
        )


def _cuts(held_out: Columns, rate: float, by: str) -> dict[str, Threshold]:
    """Finds the cut on each score that finds anomalies.

    Args:
        held_out: the scores of held-out examples.
        rate: of false alarms.
        by: the score whose cut decides.

    Raises:
        ConfigError: there is no such score, or the rate is none of so many examples.
    """
    names = [name for name in ANOMALOUS if name in held_out]
    if by not in names:
        raise ConfigError(unknown("score", by, names, " for the cut (by)"))
    return {name: Threshold.of(name, ANOMALOUS[name], held_out[name], rate) for name in names}


def _caveat_of(split: str) -> str | None:
    """Says what a reference of training examples means; None for held-out ones."""
    if split != "train":
        return None
    return (
        "the run has no held-out data, so that percentiles, typicality and thresholds are those of "
        "training examples: new ordinary examples are less likely than these, and false alarms are "
        "more than expected"
    )


def _refuse_unfit(run: Run, against: Run | None) -> None:
    """Refuses runs that cannot score.

    Raises:
        ConfigError: a run gives no likelihood.
        ShapeError: the run to compare with reads other data.
    """
    run.refuse_without_likelihood("score")
    if against is None:
        return
    against.refuse_without_likelihood("score")
    if _as_read(run.schema) != _as_read(against.schema):
        raise ShapeError(
            f"{against.folder} reads {_describe_data(against.schema)}, {run.folder} reads "
            f"{_describe_data(run.schema)}; the two must be alike"
        )


def _as_read(schema: Schema) -> Schema:
    """Returns the schema without what is measured of the training split, which two runs need not
    share: the span, and of a table with columns of several kinds all but kinds and levels.
    """
    table = []
    for column in schema.table:
        table.append(ColumnSchema(column.name, column.kind, levels=column.levels))
    return replace(schema, low=0.0, high=0.0, table=tuple(table))


def _describe_data(schema: Schema) -> str:
    article = "a"
    if schema.kind[0] in "aeiou":
        article = "an"
    values = "of real numbers"
    if schema.table:
        kinds = [f"{column.name} {column.kind}" for column in schema.table]
        values = f"with the columns {one_line(', '.join(kinds), 160)}"
    elif schema.levels:
        values = f"on {schema.levels} levels"
    elif schema.mean:
        values = "standardised by itself"
    return f"{article} {schema.kind} of shape {schema.shape} {values}"
