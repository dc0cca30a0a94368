"""The reference of scores: what held-out examples of a run's own data score.

A run keeps it in its folder, so that it scores other data where its own are not.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from ..data import Dataset
from ..errors import DataError, RunError
from ..evaluation.detection import Numbers
from ..evaluation.likelihood import LIKELIHOOD_SAMPLES
from ..run import Run
from ..run.contents import Typed, read_table, refuse_mistyped
from ..system.files import is_file, within, write_json
from .measures import Columns, Scorer, draw_examples, draw_rows, settings_of_scores

FILE = "reference.json"
"""The file in a run folder that holds the reference."""

FORMAT = 1
"""The version of the file."""

MOST_EXAMPLES = 5000
"""Examples of a split that a reference takes, at most."""

LEAST_EXAMPLES = 500
"""Examples of a split, as far as it has them, that a run keeps the scores of, at least."""

PART_OF_TRAINING = 10
"""A fit trains on at least this many examples for each draw of a reference beyond the least.

Measured: a draw costs about a third of a step's share for one example, so that a reference of two
splits takes below a tenth of the time of a fit.
"""

SEED = 0
"""The seed of a reference: of its draws, and of the choice of its examples."""

Reference = Literal["validation", "test", "train"]
"""The name of a split that may be the reference."""

ORDER: tuple[Reference, ...] = ("validation", "test", "train")
"""The reference is the first of these splits that a run has."""


def examples_kept(trained: int) -> int:
    """Returns how many examples of a split a run keeps the scores of.

    It depends on counts alone, so that the same fit keeps the same examples everywhere.

    Args:
        trained: the examples that the fit has trained on, each as often as it was.
    """
    affordable = trained // (PART_OF_TRAINING * LIKELIHOOD_SAMPLES)
    return min(max(affordable, LEAST_EXAMPLES), MOST_EXAMPLES)


class _KeptColumns(Typed):
    """The numbers of one split, all of one length."""

    elbo: Annotated[list[float], Field(min_length=1, max_length=MOST_EXAMPLES)]
    log_likelihood: Annotated[list[float], Field(min_length=1, max_length=MOST_EXAMPLES)]
    complexity: Annotated[list[float], Field(max_length=MOST_EXAMPLES)] | None = None
    adjusted: Annotated[list[float], Field(max_length=MOST_EXAMPLES)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "_KeptColumns":
        lengths = {len(column) for column in self._columns().values()}
        if len(lengths) > 1:
            raise ValueError("the columns of a split differ in length")
        return self

    def _columns(self) -> dict[str, list[float]]:
        columns = {"elbo": self.elbo, "log_likelihood": self.log_likelihood}
        if self.complexity is not None:
            columns["complexity"] = self.complexity
        if self.adjusted is not None:
            columns["adjusted"] = self.adjusted
        return columns

    def arrays(self) -> Columns:
        return {name: np.array(column, np.float64) for name, column in self._columns().items()}


class _KeptFile(Typed):
    """The content of the file."""

    format: int
    samples: Annotated[int, Field(ge=1)]
    splits: dict[Reference, _KeptColumns]
    usual: list[float | None] | None = None

    @model_validator(mode="after")
    def _known(self) -> "_KeptFile":
        if self.format != FORMAT:
            raise ValueError(f"a file of format {FORMAT} is needed, got {self.format}")
        if not self.splits:
            raise ValueError("it has no split")
        return self


@dataclass(frozen=True, eq=False)
class OwnScores:
    """What was measured of examples of a run's own splits.

    Attributes:
        samples: importance samples for each example.
        splits: the columns of `Scorer.measure` by the name of the split: of the split that is the
            reference, and of the test split where there is one.
        usual: what is usual for each column of a table with columns of several kinds: the mean
            log-likelihood of its cells in the reference, (D,) nats, nan where none is observed;
            None for all other data.
        left_out: what could not be measured, and why; None where nothing is left out.
    """

    samples: int
    splits: dict[Reference, Columns]
    usual: Numbers | None = None
    left_out: str | None = None

    @property
    def reference_split(self) -> Reference:
        """The split that other examples are compared with: held-out data where there are some."""
        for name in ORDER:
            if name in self.splits:
                return name
        raise RunError("nothing is known of the run's own data")

    @property
    def reference(self) -> Columns:
        """The columns of that split."""
        return self.splits[self.reference_split]

    def suffices(self, most: int | None, sizes: dict[str, int]) -> bool:
        """Says whether there are as many examples of each split as are asked for.

        Args:
            most: the number that is asked for; None takes what there is.
            sizes: how many examples each split has.
        """
        if most is None:
            return True
        for name, columns in self.splits.items():
            if len(columns["elbo"]) < min(most, sizes.get(name, 0)):
                return False
        return True

    def take(self, most: int | None) -> "OwnScores":
        """Draws at most so many examples of each split; None takes all."""
        if most is None:
            return self
        splits = {}
        for name, columns in self.splits.items():
            rows = draw_rows(len(columns["elbo"]), most, SEED)
            splits[name] = {column: values[rows] for column, values in columns.items()}
        return replace(self, splits=splits)

    @property
    def test(self) -> Columns | None:
        """The columns of the test split, or None without one."""
        return self.splits.get("test")

    def write(self, folder: Path) -> None:
        """Writes the file into a run folder, whole or not at all.

        Raises:
            RunError: a number is not finite, or the file cannot be written.
        """
        splits: dict[str, dict[str, list[float]]] = {}
        for split, columns in self.splits.items():
            splits[split] = {}
            for name, column in columns.items():
                if not np.isfinite(column).all():
                    raise RunError(f"the {name} of some {split} examples is not finite")
                splits[split][name] = column.tolist()
        content = {"format": FORMAT, "samples": self.samples, "splits": splits}
        if self.usual is not None:
            content["usual"] = self.usual.tolist()
        write_json(folder / FILE, content)


def forget(folder: Path) -> None:
    """Removes the reference of a run whose weights are about to change."""
    (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> OwnScores | None:
    """Reads what a run keeps; None for a run that keeps nothing.

    Raises:
        RunError: the file is not what a run wrote, or a link that leads out of the folder.
    """
    path = within(folder, FILE)
    if not is_file(path):
        return None
    table = refuse_mistyped(_KeptFile, read_table(folder, FILE), path)
    kept = _KeptFile.model_validate(table)
    usual = None
    if kept.usual is not None:
        usual = np.array(kept.usual, np.float64)
    splits = {name: each.arrays() for name, each in kept.splits.items()}
    return OwnScores(kept.samples, splits, usual)


def find_own(scorer: Scorer, most: int | None) -> OwnScores:
    """Finds what examples of a run's own data score: as the run keeps it, or measured anew.

    Args:
        scorer: of the run, with the importance samples that are asked for.
        most: the most examples of each split; None takes those that the run keeps.

    Raises:
        DataError: the run's own data are needed, and are gone or have changed.
        RunError: what the run keeps is damaged.
    """
    run = scorer.run
    kept = read(run.folder)
    is_enough = (
        kept is not None
        and kept.samples == scorer.settings.samples
        and kept.suffices(most, run.split_sizes())
        and _has_usual(kept, run)
    )
    if kept is not None and is_enough:
        return _with_other(kept, scorer).take(most)
    try:
        data = run.data()
    except DataError as error:
        if kept is None:
            raise
        raise DataError(
            f"{error}; without them the run has the scores of "
            f"{len(kept.reference['elbo']):,} {kept.reference_split} examples, of {kept.samples} "
            "importance samples each: ask for no others"
        ) from None
    return measure_own(scorer, data, most or MOST_EXAMPLES)


def _has_usual(kept: OwnScores, run: Run) -> bool:
    """Says whether what a run keeps says what is usual for each column that it has.

    Raises:
        RunError: it does so for other columns.
    """
    columns = run.schema.table
    if kept.usual is None:
        return not columns
    if len(kept.usual) != len(columns):
        raise RunError(
            f"{run.folder / FILE} tells of {len(kept.usual)} columns, and the run has "
            f"{len(columns)}"
        )
    return True


def _with_other(kept: OwnScores, scorer: Scorer) -> OwnScores:
    """Adds what the other run makes of the examples, for which the run's own data must be there."""
    if scorer.against is None:
        return kept
    try:
        data = scorer.run.data()
    except DataError:
        reason = "log_ratio_against of the run's own data, which are not where they were"
        return replace(kept, left_out=reason)
    splits = {}
    for name, columns in kept.splits.items():
        examples = draw_examples(data.split(name), len(columns["elbo"]), SEED)
        splits[name] = columns | {"against": scorer.measure_against(scorer.against, examples)}
    return replace(kept, splits=splits)


def measure_own(scorer: Scorer, data: Dataset, most: int) -> OwnScores:
    """Measures the reference, and the test split, of a run's own data.

    Args:
        scorer: of the run.
        data: the run's own data.
        most: examples of each split, drawn by `SEED`.
    """
    names: list[Reference] = []
    if data.validation is not None:
        names.append("validation")
    if data.test is not None:
        names.append("test")
    if not names:
        names.append("train")
    reference = draw_examples(data.split(names[0]), most, SEED)
    scorer = replace(scorer, usual=scorer.measure_usual(reference))
    splits = {}
    for name in names:
        splits[name] = scorer.measure(draw_examples(data.split(name), most, SEED))
    return OwnScores(scorer.settings.samples, splits, scorer.usual)


def keep(run: Run, data: Dataset, trained: int) -> None:
    """Measures the reference of a finished run and writes it into its folder.

    Runs on interactions and autoencoders have no likelihood, and keep nothing.

    Args:
        run: the run.
        data: its own data.
        trained: the examples that the fit has trained on, each as often as it was.

    Raises:
        RunError: the likelihood of an example is not finite, or the file cannot be written.
    """
    if run.items is not None or not run.recipe.objective.has_bound:
        return
    scorer = Scorer(run, None, settings_of_scores(LIKELIHOOD_SAMPLES, SEED))
    measure_own(scorer, data, examples_kept(trained)).write(run.folder)
