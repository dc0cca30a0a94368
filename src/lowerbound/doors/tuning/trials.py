"""What a search found: a record of each trial, and the tables of all."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...report.text import plain_number
from ...run import Run, load
from ...run.display import as_html, as_text
from ...system.files import write_json, write_text
from .goal import Goal
from .space import write_value

if TYPE_CHECKING:
    from polars import DataFrame

SHOWN = 10
"""So many trials, the best, are printed; the files have all."""

COMPARED = 3
"""The command that compares trials, which is printed, names so many of the best."""

CAUTION = (
    "the best of several trials on the validation split is somewhat too good on it; the test split "
    "was not looked at"
)
"""What must be known of the figures of a search."""


@dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: from 0, in the order in which they were begun.
        state: "complete", "pruned" (ended early, for it was worse than others), "diverged" (its
            loss was not finite), "failed" (its settings do not go together), or "running" (it was
            stopped, and goes on when the search does).
        value: of the goal at its best epoch, or at the last one of a pruned trial; None where there
            is none.
        settings: the values that were tried.
        epochs: of the fit.
        best_epoch: the one whose weights the run has.
        seconds: of the fit.
        folder: of its run; None where another trial had the same settings, see `same_as`.
        same_as: the number of that trial.
        why: what ended it, where it is not complete.
    """

    number: int
    state: str
    value: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    best_epoch: int | None = None
    seconds: float | None = None
    folder: Path | None = None
    same_as: int | None = None
    why: str | None = None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return name_of(self.number)

    def describe(self) -> dict[str, Any]:
        """Returns all of it, as JSON has it."""
        folder = None
        if self.folder is not None:
            folder = str(self.folder)
        return {
            "trial": self.number,
            "state": self.state,
            "value": self.value,
            "settings": dict(self.settings),
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "run": folder,
            "same_as": self.same_as,
            "why": self.why,
        }


def name_of(number: int) -> str:
    """Returns the name of the folder of a trial."""
    return f"trial-{number:03d}"


@dataclass(frozen=True)
class Tuning:
    """A search over the settings of a recipe.

    Attributes:
        folder: of the search; each trial has its run in it.
        goal: what tells which trial is the better one.
        trials: all that were begun, in order.
        importances: how much each key decides, as shares of 1; empty where that is not known.
        allow_code: whether the runs may import modules of a user.
    """

    folder: Path
    goal: Goal
    trials: tuple[Trial, ...]
    importances: Mapping[str, float]
    allow_code: bool = False

    @property
    def ranked(self) -> list[Trial]:
        """The complete trials, the best first, each setting once."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        different = [trial for trial in complete if trial.same_as is None]
        sign = 1
        if not self.goal.is_minimized:
            sign = -1
        return sorted(different, key=lambda trial: sign * (trial.value or 0))

    @property
    def best(self) -> Trial | None:
        """The best complete trial; None where none is complete."""
        return next(iter(self.ranked), None)

    def load(self, trial: int | None = None) -> Run:
        """Loads the run of a trial, by default the best.

        Raises:
            RunError: there is no such run.
        """
        if trial is None and self.best is not None:
            trial = self.best.number
        return load(self.folder / name_of(trial or 0), allow_code=self.allow_code)

    def describe(self) -> dict[str, Any]:
        """Returns all of it, as JSON has it."""
        best = None
        if self.best is not None:
            best = self.best.describe()
        return {
            "study": str(self.folder),
            "measure": self.goal.measure,
            "direction": self.goal.direction,
            "split": "validation",
            "examples": self.goal.examples,
            "unit": self.goal.unit,
            "best": best,
            "trials": [trial.describe() for trial in self.trials],
            "importances": dict(self.importances),
            "caveat": CAUTION,
        }

    def to_frame(self) -> "DataFrame":
        """Returns a Polars frame with one row for each trial and a column for each key."""
        import polars

        rows = []
        for trial in self.trials:
            row = trial.describe()
            settings = row.pop("settings")
            rows.append(row | {key: _cell(value) for key, value in settings.items()})
        return polars.DataFrame(rows, infer_schema_length=None, strict=False)

    def write(self) -> None:
        """Writes `trials.csv` and `trials.json` into the folder."""
        write_text(self.folder / "trials.csv", self.to_frame().write_csv())
        write_json(self.folder / "trials.json", self.describe())

    def __repr__(self) -> str:
        """Returns how many trials there are, and the best."""
        return as_text(f"Tuning {self.folder}", self.facts())

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the same as a table."""
        return as_html(f"Tuning {self.folder}", self.facts())

    def facts(self) -> list[tuple[str, str]]:
        """Lists what was found, as names and values for people."""
        facts = [("trials", counts(self.trials)), ("measure", f"validation {self.goal.title}")]
        if self.best is not None:
            best = self.best
            facts.append(("best", f"{value_text(best.value, self.goal)} in {best.name}"))
            facts += [(key, write_value(value)) for key, value in best.settings.items()]
        facts.append(("note", CAUTION))
        return facts


def _cell(value: Any) -> Any:
    """Returns a value of a setting as a cell of a table: a list or a table as its text."""
    if isinstance(value, list | tuple | Mapping):
        return write_value(value)
    return value


def counts(trials: Sequence[Trial]) -> str:
    """Says how many trials there are of each state: "50: 30 complete, 20 pruned"."""
    numbers: dict[str, int] = {}
    for trial in trials:
        numbers[trial.state] = numbers.get(trial.state, 0) + 1
    parts = [f"{number} {state}" for state, number in numbers.items()]
    return f"{len(trials)}: {', '.join(parts)}"


def value_text(value: float | None, goal: Goal) -> str:
    """Writes the value of a trial for people."""
    if value is None:
        value = math.nan
    return plain_number(value, goal.digits)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Writes the settings of a trial on one line."""
    return ", ".join(f"{key}={shown(value)}" for key, value in settings.items())


def shown(value: Any) -> str:
    """Writes a value of a setting for people: a number in four digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return write_value(value)


def lines_of(tuning: Tuning) -> list[str]:
    """Lays out a search for a terminal: the best trials, what decides, and what to do next."""
    goal = tuning.goal
    lines = [
        f"trials {counts(tuning.trials)}",
        f"{goal.examples:,} validation {goal.unit}: {goal.title}",
    ]
    ranked = tuning.ranked[:SHOWN]
    if ranked:
        lines += _align(_rows(ranked, goal))
    left_out = len(tuning.ranked) - len(ranked)
    if left_out:
        lines.append(f"... and {left_out} more")
    if tuning.importances:
        shares = [f"{key} {share:.0%}" for key, share in tuning.importances.items()]
        lines.append(f"decides  {', '.join(shares)}")
    for trial in tuning.trials:
        if trial.state == "failed":
            lines.append(f"note: {trial.name} failed: {trial.why}")
    lines.append(f"note: {CAUTION}")
    lines.append(f"all      {tuning.folder / 'trials.csv'}")
    return lines + _next_lines(tuning, ranked)


def _next_lines(tuning: Tuning, ranked: Sequence[Trial]) -> list[str]:
    """Lists the commands that people usually run after a search."""
    lines = []
    allow = ""
    if tuning.allow_code:
        allow = " --allow-code"
    folders = [shlex.quote(str(trial.folder)) for trial in ranked[:COMPARED]]
    if folders:
        lines.append(f"best     {ranked[0].folder}")
    if len(folders) > 1:
        runs = " ".join(folders)
        lines.append(f"next     lowerbound compare {runs} --split validation{allow}")
    if folders:
        lines.append(f"test     lowerbound evaluate {folders[0]}{allow}")
    return lines


def _rows(trials: Sequence[Trial], goal: Goal) -> list[tuple[str, ...]]:
    """Makes the rows of a table of trials, its head first."""
    keys = list(trials[0].settings)
    rows = [("trial", goal.measure, "epochs", "best", "seconds", *keys)]
    for trial in trials:
        rows.append(
            (
                trial.name,
                value_text(trial.value, goal),
                str(trial.epochs),
                str(trial.best_epoch),
                plain_number(trial.seconds, 1),
                *(shown(trial.settings[key]) for key in keys),
            )
        )
    return rows


def _align(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Aligns rows: names on the left, all else on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        aligned = [f"{name:<{widths[0]}}"]
        for cell, width in zip(cells, widths[1:], strict=True):
            aligned.append(f"{cell:>{width}}")
        lines.append("  ".join(aligned))
    return lines
