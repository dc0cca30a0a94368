"""The search: trial after trial is asked for, fitted and told of, until there are enough."""

import math
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ... import __version__
from ...data import Dataset
from ...data.memory import DataSource, InMemory, is_in_memory
from ...errors import (
    ConfigError,
    DataError,
    Interrupted,
    NonFiniteError,
    RunError,
    one_line,
    unknown,
)
from ...evaluation.batches import positive
from ...fitting import (
    complete_recipe,
    first_free,
    fit_trial,
    latest_numbered,
    limit_epochs,
    name_of,
    settings_asked,
    tell_data,
)
from ...recipe import Recipe
from ...specs.user_code import allowing_code
from ...system.console import print_line
from ...system.extras import require
from ...system.files import UNFINISHED, is_file, read_json, write_json, writing
from ...system.lock import locked
from ...tracking.base import flat
from ...training import Follower
from ...training.checkpoint import remove_checkpoints
from .goal import UNTOLD_TABLES, Goal, find_goal, refuse_fixed
from .journal import PRUNERS, Journal, open_journal
from .space import Domain, Space, count_of, fit_to, read_space, setting
from .trials import Trial, Tuning, settings_text, value_text
from .trials import name_of as name_of_trial

FORMAT = 1
"""The version of the folder of a search."""

DESCRIPTION = "study.json"
"""The file in the folder of a search that says what is searched."""

LOCK = ".lock"
"""The file in the folder of a search that stands for its lock."""


def tune(
    recipe: str | Path | Recipe,
    *,
    search: Mapping[str, Any] | Iterable[str],
    data: DataSource | None = None,
    trials: int = 50,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    by: str | None = None,
    pruner: str = "median",
    resume: bool = False,
    progress: bool = True,
    allow_code: bool = False,
) -> Tuning:
    """Searches for better settings of a recipe: fits it again and again with other values of some
    keys, and compares the fits on the validation split. The test split is not looked at.

    The values are chosen by Optuna (the tree-structured Parzen estimator, Bergstra et al. 2011),
    from the seed and the trials before. Where there are no more combinations than trials, each is
    fitted once. A trial that is worse than others ends early. All trials have the same seed.

    Args:
        recipe: see `fit`.
        search: by key a list of values or a range: `{"training.learning_rate": "log(1e-4, 1e-2)",
            "model.latent": [8, 16]}`; see `lowerbound.doors.tuning.space`.
        data: see `fit`.
        trials: how many there are in all.
        out: the folder of the search, which gets a run folder for each trial; by default
            `runs/tune-NAME`, with a number if that exists.
        settings: values for dotted keys of the recipe, the same in all trials.
        seed: takes the place of `training.seed`, and seeds the choice of values.
        by: the measure of the validation split that decides: "objective", "elbo",
            "log_likelihood_term" or a ranking metric; by default the recipe's `training.monitor`.
        pruner: what ends a trial early: "median", "halving" or "none".
        resume: go on with the search in the folder, with the same arguments; a trial that was
            under way goes on from its checkpoint.
        progress: print a line for each trial, and show a bar.
        allow_code: see `fit`.

    Returns:
        The trials, the best of them, and how much each key decides.

    Raises:
        LowerboundError: one of its kinds, with one line that says what is wrong.
    """
    require("`lowerbound tune`", "tune", "optuna")
    if pruner not in PRUNERS:
        raise ConfigError(unknown("pruner", pruner, PRUNERS))
    trials = positive(trials, what="trials")
    space = read_space(search)
    refuse_fixed(space)
    folder = _find_folder(f"tune-{name_of(recipe)}", out, resume=resume)
    with allowing_code(allow_code):
        plan = _prepare(
            recipe, settings_asked(data, settings, seed), space, data, by, pruner, progress
        )
        with locked(folder, LOCK):
            plan.describe_in(folder, resume=resume)
            journal = open_journal(folder, plan.goal.direction, pruner, plan.epochs)
            return _Search(plan, folder, journal, trials, allow_code).run()


def _find_folder(name: str, out: str | Path | None, *, resume: bool) -> Path:
    """Finds the folder of a search.

    Raises:
        RunError: it holds a search already or other files, or there is nothing to resume.
    """
    default = Path("runs") / name
    if out is not None:
        folder = Path(out)
    elif resume:
        folder = latest_numbered(default)
    else:
        folder = first_free(default)
    has_search = is_file(folder / DESCRIPTION)
    if resume and not has_search:
        raise RunError(f"there is no search in {one_line(folder)} to resume")
    if resume:
        return folder
    if has_search:
        raise RunError(
            f"{folder} holds a search already; --resume continues it; choose another --out"
        )
    with writing(one_line(folder)):
        if folder.is_dir():
            others = [path.name for path in folder.iterdir()]
            if any(name != LOCK and not name.startswith(UNFINISHED) for name in others):
                raise RunError(f"{folder} is not an empty folder; choose another --out")
        elif folder.exists():
            raise RunError(f"{folder} is not an empty folder; choose another --out")
    return folder


# What is searched --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """All that decides a search, but for the number of its trials.

    Attributes:
        recipe: what the trials have in common.
        space: what they do not.
        goal: what decides.
        pruner: what ends a trial early.
        dataset: the data of the recipe.
        held: the data where they are in memory, else None.
        shows_progress: whether lines and bars are shown.
    """

    recipe: Recipe
    space: Space
    goal: Goal
    pruner: str
    dataset: Dataset
    held: InMemory | None
    shows_progress: bool

    @property
    def seed(self) -> int:
        """The seed of the trials, and of the choice of their values."""
        return self.recipe.training.seed

    @property
    def epochs(self) -> int:
        """The epochs of a whole trial, of the longest where they are searched."""
        epochs = limit_epochs(self.recipe, len(self.dataset.train)).training.epochs
        if "training.epochs" in self.space:
            return max(self.space["training.epochs"].samples())
        return epochs

    def recipe_with(self, values: Mapping[str, Any]) -> Recipe:
        """Returns the recipe of a trial."""
        return self.recipe.replace({key: setting(value) for key, value in values.items()})

    def data_of(self, recipe: Recipe) -> Dataset:
        """Returns the data of the recipe of a trial, which are opened once."""
        if recipe.data == self.recipe.data:
            return self.dataset
        return recipe.data.open(source=self.held)

    @cached_property
    def description(self) -> dict[str, Any]:
        """What is searched, as `study.json` has it."""
        tables = self.recipe.describe()
        for name in UNTOLD_TABLES:
            tables.pop(name)
        return {
            "format": FORMAT,
            "recipe": flat(tables),
            "search": {key: str(domain) for key, domain in self.space.items()},
            "by": self.goal.measure,
            "pruner": self.pruner,
            "data": self.dataset.fingerprint(),
            "versions": {"lowerbound": __version__},
        }

    def describe_in(self, folder: Path, *, resume: bool) -> None:
        """Writes what is searched into the folder, or checks that it is what is there.

        Raises:
            RunError: another search is there, or its data are others now.
        """
        if not resume:
            if is_file(folder / DESCRIPTION):
                raise RunError(f"{folder} holds a search already; choose another --out")
            write_json(folder / DESCRIPTION, self.description)
            return
        theirs = read_json(folder / DESCRIPTION)
        if not isinstance(theirs, dict) or theirs.get("format") != FORMAT:
            raise RunError(f"{folder / DESCRIPTION} does not describe a search of format {FORMAT}")
        different = _differences(self.description, theirs)
        if different:
            raise RunError(
                f"{folder} is another search, different in {', '.join(different)}; give what it "
                "was begun with, or choose another --out"
            )


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Names what differs between two descriptions of a search.

    Where the data are does not count, but their digest.
    """
    different = []
    for part in ("recipe", "search"):
        known = theirs.get(part)
        if not isinstance(known, dict):
            known = {}
        for key in ours[part].keys() | known.keys():
            if key != "data.source" and ours[part].get(key) != known.get(key):
                different.append(key)
    for part in ("by", "pruner"):
        if ours[part] != theirs.get(part):
            different.append(part)
    if _without_place(ours["data"]) != _without_place(theirs.get("data")):
        different.append("the values of the data")
    return sorted(different)


def _without_place(fingerprint: Any) -> dict[str, Any]:
    """Returns what tells the values of data, wherever they are."""
    if not isinstance(fingerprint, dict):
        return {}
    return {name: fact for name, fact in fingerprint.items() if name != "source"}


def _prepare(
    recipe: str | Path | Recipe,
    replaced: Mapping[str, Any],
    space: Mapping[str, Domain],
    data: DataSource | None,
    by: str | None,
    pruner: str,
    progress: bool,
) -> Plan:
    """Holds the search against the recipe and its data. All that can be wrong is found here."""
    complete = complete_recipe(recipe, name_of(recipe), replaced)
    training = complete.training
    if training.devices * training.nodes > 1:
        raise ConfigError(
            "each trial of a search is fitted by one process, got training.devices="
            f"{training.devices}, training.nodes={training.nodes}"
        )
    fitted = fit_to(complete, space)
    held = None
    if data is not None and is_in_memory(data):
        held = data
    dataset = complete.data.open(source=held)
    goal = find_goal(complete, fitted, dataset, by)
    if progress:
        tell_data(dataset)
    return Plan(complete, fitted, goal, pruner, dataset, held, progress)


# The trials --------------------------------------------------------------------------------------


class _Reporter(Follower):
    """It reports the goal of each epoch to Optuna, and ends a fit that is worse than others.

    Args:
        trial: Optuna's.
        goal: what is reported.
        known: the epochs that were reported before the search was stopped.
    """

    def __init__(self, trial: Any, goal: Goal, known: Iterable[int]) -> None:
        self.trial = trial
        self.goal = goal
        self.known = set(known)
        self.is_pruned = False

    def epoch_done(self, history: list[dict[str, float]]) -> None:
        for row in history:
            epoch = int(row["epoch"])
            value = row.get(self.goal.column, math.nan)
            if math.isfinite(value) and epoch not in self.known:
                self.trial.report(value, epoch)
                self.known.add(epoch)
        # A fit that goes on may repeat epochs, at whose end it was decided that it goes on.
        if self.known and int(history[-1]["epoch"]) == max(self.known):
            self.is_pruned = self.trial.should_prune()

    def ends_fit(self) -> bool:
        return self.is_pruned


class _Search:
    """A search under way.

    Args:
        plan: what is searched.
        folder: of the search.
        journal: what was tried.
        trials: how many trials there are in all.
        allow_code: whether runs may import modules of a user.
    """

    def __init__(
        self, plan: Plan, folder: Path, journal: Journal, trials: int, allow_code: bool
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.journal = journal
        self.trials = trials
        self.allow_code = allow_code

    def run(self) -> Tuning:
        """Fits trials until there are enough.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; the trial under way has its checkpoint.
        """
        combinations = count_of(self.plan.space)
        if combinations is not None and combinations <= self.trials:
            self.trials = self.journal.plan_all(self.plan.space, self.plan.seed)
            self._print(f"there are {combinations} combinations of values; each is tried once")
        while len(self._ended()) < self.trials:
            trial = self.journal.ask(self.plan.seed)
            try:
                self._try(trial)
            except KeyboardInterrupt:
                raise self._interruption(trial, signal.SIGINT) from None
            except Interrupted as error:
                raise self._interruption(trial, error.exit_code - 128) from None
            finally:
                self.tuning().write()
            self._tell(trial.number)
        found = self.tuning(self.journal.importances())
        found.write()
        return found

    def _ended(self) -> list[Any]:
        """Lists the trials that have ended, as Optuna has them."""
        return [trial for trial in self.journal.trials if trial.state.is_finished()]

    def _print(self, line: str) -> None:
        if self.plan.shows_progress:
            print_line(line)

    def _interruption(self, trial: Any, number: int) -> Interrupted:
        """Makes the error for a search that a signal stopped."""
        return Interrupted(
            f"stopped in {name_of_trial(trial.number)} of {self.folder}, after "
            f"{len(self._ended())} of {self.trials} trials; the same command with --resume "
            f"(and --out {self.folder}) goes on",
            number,
        )

    def _try(self, trial: Any) -> None:
        """Fits one trial and tells the journal what came of it."""
        values = {key: domain.suggest(trial, key) for key, domain in self.plan.space.items()}
        twin = self.journal.twin(trial)
        if twin is not None:
            self._repeat(trial, twin)
            return
        try:
            self._fit(trial, values)
        except NonFiniteError as error:
            # Such settings are as bad as any: Optuna is told that they are worse than others.
            facts = {"why": one_line(error), "diverged": True}
            self.journal.tell(trial, "pruned", None, facts)
        except (ConfigError, DataError) as error:
            self.journal.tell(trial, "failed", None, {"why": one_line(error)})
            if not any(trial.state.name == "COMPLETE" for trial in self._ended()):
                raise
        self._drop_checkpoints()

    def _fit(self, trial: Any, values: Mapping[str, Any]) -> None:
        plan = self.plan
        recipe = plan.recipe_with(values)
        reporter = _Reporter(trial, plan.goal, self.journal.reported(trial))
        run = fit_trial(
            recipe,
            self.folder / name_of_trial(trial.number),
            plan.data_of(recipe),
            held=plan.held,
            follower=reporter,
            progress=plan.shows_progress,
        )
        value = run.summary["validation"][plan.goal.measure]
        facts = {name: run.summary[name] for name in ("epochs", "best_epoch", "seconds")}
        state = "complete"
        if reporter.is_pruned and run.summary["epochs"] < run.recipe.training.epochs:
            state = "pruned"
            facts["why"] = f"worse than others at epoch {run.summary['epochs']}"
        if not math.isfinite(value):
            state = "pruned"
            facts |= {"why": f"{plan.goal.measure} is not finite", "diverged": True}
        self.journal.tell(trial, state, value, facts)

    def _repeat(self, trial: Any, twin: Any) -> None:
        """Gives a trial what came of an earlier one of the same values, which is the same."""
        for epoch, value in twin.intermediate_values.items():
            trial.report(value, epoch)
        state = twin.state.name.lower()
        facts = dict(twin.user_attrs)
        facts.setdefault("same_as", twin.number)
        self.journal.tell(trial, state, twin.value, facts)

    def _drop_checkpoints(self) -> None:
        """Removes the checkpoints of all ended trials but the best: those of large models would
        fill a disk.
        """
        best = self.tuning().best
        for ended in self._ended():
            if best is None or ended.number != best.number:
                remove_checkpoints(self.folder / name_of_trial(ended.number) / "checkpoint")

    def _tell(self, number: int) -> None:
        """Prints what came of a trial, and the best so far."""
        found = self.tuning()
        trial = found.trials[number]
        line = f"{trial.name}, {len(self._ended())} of {self.trials}: "
        line += f"{settings_text(trial.settings)}: {self._outcome(trial)}"
        if found.best is not None and found.best.number != number:
            best = value_text(found.best.value, self.plan.goal)
            line += f"; the best is {best}, of {found.best.name}"
        self._print(line)

    def _outcome(self, trial: Trial) -> str:
        """Says what came of a trial."""
        text = f"{self.plan.goal.measure} {value_text(trial.value, self.plan.goal)}"
        if trial.same_as is not None:
            return f"{text}, the settings of {name_of_trial(trial.same_as)}"
        if trial.state == "complete":
            return text
        if trial.value is None:
            return f"{trial.state}: {trial.why}"
        return f"{text}, {trial.state}: {trial.why}"

    def tuning(self, importances: Mapping[str, float] | None = None) -> Tuning:
        """Makes the record of what was found so far."""
        trials = tuple(self._record(trial) for trial in self.journal.trials)
        return Tuning(self.folder, self.plan.goal, trials, importances or {}, self.allow_code)

    def _record(self, trial: Any) -> Trial:
        """Makes the record of a trial of Optuna's."""
        facts = trial.user_attrs
        state = STATES[trial.state.name]
        if facts.get("diverged"):
            state = "diverged"
        settings = {}
        for key, domain in self.plan.space.items():
            if key in trial.params:
                settings[key] = domain.value_of(trial.params[key])
        folder = None
        if "same_as" not in facts:
            folder = self.folder / name_of_trial(trial.number)
        return Trial(
            number=trial.number,
            state=state,
            value=trial.value,
            settings=settings,
            epochs=facts.get("epochs"),
            best_epoch=facts.get("best_epoch"),
            seconds=facts.get("seconds"),
            folder=folder,
            same_as=facts.get("same_as"),
            why=facts.get("why"),
        )


STATES = {"RUNNING": "running", "COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
"""Our words for the states of Optuna's trials."""
