"""The journal of a search: a file in which Optuna keeps its trials, and what is asked of Optuna.

The file has one line of JSON for each event, and every event is on the disk before the search goes
on, so that a search goes on where it was whatever ended it. What a trial is given is a function of
the seed, its number and the trials before it: a search that was stopped and goes on is the search
that was not.
"""

import os
import warnings
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...errors import RunError, one_line
from ...system.files import writing
from .space import Space

FILE = "journal.log"
"""The file in the folder of a search."""

NAME = "tune"
"""The name of the study in its journal, which holds no other."""

FIRST_PRUNED = 5
"""So many trials are fitted to their end before one may be ended early."""

UNPRUNED_PART = 5
"""A trial is not ended early in this part of its epochs, the first fifth, nor in its first two."""


def open_journal(
    folder: Path, direction: Literal["minimize", "maximize"], pruner: str, epochs: int
) -> "Journal":
    """Opens the journal in a folder, or begins one.

    Args:
        folder: of the search, which this process has locked.
        direction: "minimize" or "maximize".
        pruner: see `make_pruner`.
        epochs: of a whole trial.

    Raises:
        RunError: the file is damaged, or cannot be written.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / FILE
    with writing(path):
        _repair(path)
        # The folder's lock is ours: a lock that is there was left by a process that was killed.
        path.with_name(f"{FILE}.lock").unlink(missing_ok=True)
    try:
        with writing(path):
            backend = JournalFileBackend(str(path), JournalFileOpenLock(str(path)))
            study = optuna.create_study(
                study_name=NAME,
                storage=JournalStorage(backend),
                pruner=make_pruner(pruner, epochs),
                direction=direction,
                load_if_exists=True,
            )
    except RunError:
        raise
    except Exception as error:  # whatever Optuna makes of a file that it has not written
        reason = one_line(f"{type(error).__name__}: {error}", 160)
        raise RunError(f"{path} is not the journal of a search: {reason}") from None
    return Journal(study)


def _repair(path: Path) -> None:
    """Removes the end of a line that a killed process has not written whole."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def make_pruner(name: str, epochs: int) -> Any:
    """Makes what decides whether a trial ends early.

    Args:
        name: "median": a trial ends where its best value so far is worse than the median of the
            others at this epoch; "halving": at a sixteenth and a quarter of the epochs, the better
            quarter goes on (Li et al. 2018, successive halving without waiting); "none".
        epochs: of a whole trial.
    """
    from optuna import pruners

    if name == "median":
        return pruners.MedianPruner(
            n_startup_trials=FIRST_PRUNED, n_warmup_steps=max(3, epochs // UNPRUNED_PART)
        )
    if name == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=max(1, epochs // 16))
    return pruners.NopPruner()


PRUNERS = ("median", "halving", "none")
"""The names of what may decide that a trial ends early."""


class Journal:
    """The trials of a search, as Optuna keeps them.

    Attributes:
        study: Optuna's.
    """

    def __init__(self, study: Any) -> None:
        self.study: Any = study

    @property
    def trials(self) -> list[Any]:
        """All trials that were begun, in order, as Optuna's frozen records."""
        return [trial for trial in self.study.trials if trial.state.name != "WAITING"]

    def plan_all(self, space: Space, seed: int) -> int:
        """Plans a trial for each combination of values that has none, in a random order.

        Returns:
            How many trials there are, begun and planned.
        """
        known = [trial.params or trial.system_attrs["fixed_params"] for trial in self.study.trials]
        combinations = list(product(*(domain.parameters() for domain in space.values())))
        for number in np.random.default_rng(seed).permutation(len(combinations)):
            wanted = dict(zip(space, combinations[number], strict=True))
            if wanted not in known:
                self.study.enqueue_trial(wanted)
        return len(self.study.trials)

    def ask(self, seed: int) -> Any:
        """Begins the next trial, or returns the one that was under way."""
        import optuna

        running = [trial for trial in self.trials if trial.state.name == "RUNNING"]
        number = len(self.trials)
        if running:
            number = running[0].number
        derived = np.random.SeedSequence([seed, number]).generate_state(1)
        self.study.sampler = optuna.samplers.TPESampler(seed=int(derived[0]))
        if running:
            return optuna.trial.Trial(self.study, running[0]._trial_id)
        return self.study.ask()

    def reported(self, trial: Any) -> list[int]:
        """Lists the epochs of a trial whose value was reported."""
        return list(self.study.trials[trial.number].intermediate_values)

    def twin(self, trial: Any) -> Any:
        """Returns an earlier trial with the values of this one that has ended, or None."""
        for other in self.trials[: trial.number]:
            if other.params == trial.params and other.state.name in ("COMPLETE", "PRUNED"):
                return other
        return None

    def tell(self, trial: Any, state: str, value: float | None, facts: Mapping[str, Any]) -> None:
        """Ends a trial.

        Args:
            trial: Optuna's.
            state: "complete", "pruned", or "failed".
            value: of a complete trial, what was sought.
            facts: of the trial, which are kept beside it.
        """
        from optuna.trial import TrialState

        states = {
            "complete": TrialState.COMPLETE,
            "pruned": TrialState.PRUNED,
            "failed": TrialState.FAIL,
        }
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        if state != "complete":
            value = None
        self.study.tell(trial, value, state=states[state])

    def importances(self) -> dict[str, float]:
        """Estimates how much each key decides, as shares of 1, the largest first; empty where the
        trials do not tell.

        They are those of PED-ANOVA (Watanabe et al. 2023).
        """
        import optuna

        complete = [trial for trial in self.trials if trial.state.name == "COMPLETE"]
        if len(complete) < LEAST_FOR_IMPORTANCES:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        except (ValueError, RuntimeError):
            return {}
        return {name: float(share) for name, share in found.items()}


LEAST_FOR_IMPORTANCES = 10
"""Of fewer complete trials, no importances are told."""
