"""What all estimators have in common: a recipe, a fitted run, and its files in a pickle."""

import json
import numbers
from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from .. import recipe as recipes
from ..data.memory import InMemory
from ..errors import Interrupted
from ..fitting import fit
from ..objectives import Elbo
from ..recipe import Recipe
from ..run import Run
from ..system.files import scratch_folder, within
from .folders import PARAMETERS_FILE, Described, read_described, refuse_taken, write_files
from .loaded import Loaded
from .scikit import BaseEstimator

KEYS = {
    "latent": "model.latent",
    "hidden": "model.network.hidden",
    "likelihood": "model.likelihood",
    "batch_size": "training.batch_size",
    "learning_rate": "training.learning_rate",
    "validation_fraction": "data.validation",
}
"""The keys of a recipe that parameters of an estimator stand for."""

SEQUENCES = ("latent", "hidden")
"""The parameters that are one number for each level or layer; one alone may stand by itself."""


class RunEstimator(BaseEstimator):
    """An estimator of scikit-learn with a fitted run underneath.

    A subclass has `beta`, `epochs`, `recipe`, `settings`, `random_state` and `verbose` among its
    parameters, and those of `KEYS` that its recipes have.

    Attributes:
        run_: the fitted run, as `lowerbound.load` gives it. Its folder is gone.
        n_features_in_: the number of columns.
        feature_names_in_: their names, where they have some.
        n_iter_: the number of epochs that were trained.
    """

    recipe: str | Path | Recipe
    beta: float | None
    epochs: int | None
    settings: Mapping[str, Any] | None
    random_state: Any
    verbose: bool | int
    n_features_in_: int
    feature_names_in_: np.ndarray
    n_iter_: int
    _loaded: Loaded

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "latent": [Interval(numbers.Integral, 1, None, closed="left"), "array-like", None],
        "hidden": [Interval(numbers.Integral, 1, None, closed="left"), "array-like", None],
        "recipe": [str, Path, Recipe],
        "beta": [Interval(numbers.Real, 0, None, closed="left"), None],
        "epochs": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "learning_rate": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="left"), None],
        "likelihood": [str, dict, None],
        "shape": ["array-like", None],
        "n_samples": [Interval(numbers.Integral, 1, None, closed="left")],
        "settings": [dict, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @property
    def run_(self) -> Run:
        """The fitted run.

        Raises:
            NotFittedError: there is none yet.
        """
        check_is_fitted(self)
        return self._loaded.run

    def __sklearn_is_fitted__(self) -> bool:
        """Says whether there is a run."""
        return hasattr(self, "_loaded")

    # From parameters to a run ---------------------------------------------------------------------

    def _plan(self) -> Recipe:
        """Makes the recipe that the parameters ask for."""
        recipe = self._recipe_itself()
        changes: dict[str, Any] = {"data.test": 0, "report.write": False}
        parameters = self.get_params(deep=False)
        for name, key in KEYS.items():
            value = parameters.get(name)
            if value is not None and name in SEQUENCES:
                changes[key] = np.atleast_1d(value).tolist()
            elif value is not None:
                changes[key] = _plain(value)
        if self.epochs is not None:
            changes |= {"training.epochs": int(self.epochs), "training.steps": None}
        if self.beta is not None and isinstance(recipe.objective, Elbo):
            changes["objective.beta"] = float(self.beta)
        elif self.beta is not None:
            changes["objective"] = {"type": "Elbo", "beta": float(self.beta)}
        changes |= self._more_changes(recipe)
        changes |= self.settings or {}
        return recipe.replace(changes)

    def _recipe_itself(self) -> Recipe:
        """Returns the recipe before any parameter changes it."""
        if isinstance(self.recipe, Recipe):
            return self.recipe
        return recipes.load(self.recipe)

    def _more_changes(self, recipe: Recipe) -> dict[str, Any]:
        """Returns what else an estimator changes of a recipe."""
        return {}

    def _fit_run(self, plan: Recipe, data: InMemory) -> None:
        """Fits a run to data in memory.

        Raises:
            KeyboardInterrupt: the fit was stopped; a search over parameters is to stop with it.
        """
        if hasattr(self, "_loaded"):
            del self._loaded
        try:
            with scratch_folder() as folder:
                fit(
                    plan,
                    data=data,
                    out=folder / "run",
                    seed=self._draw_seed(),
                    progress=bool(self.verbose),
                )
                self._take(Loaded(folder / "run", type(self).__name__))
        except Interrupted as error:
            raise KeyboardInterrupt("the fit was stopped before its end") from error

    def _draw_seed(self) -> int:
        """Returns the seed of the fit: `random_state` itself where it is a number."""
        return seed_of(self.random_state)

    def _take(self, loaded: Loaded) -> None:
        """Takes a run, after a fit or of a folder.

        Raises:
            ConfigError: it is of another kind than this estimator's.
        """
        self._refuse_run(loaded.run)
        self._loaded = loaded
        self.n_iter_ = int(loaded.run.summary.get("epochs", 0))

    @abstractmethod
    def _refuse_run(self, run: Run) -> None:
        """Raises ConfigError for a run of another kind than this estimator's."""

    # Pickles and folders --------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Returns parameters, numbers and the files of the run: no class of PyTorch."""
        state = dict(super().__getstate__())
        loaded = state.pop("_loaded", None)
        if loaded is not None:
            state["_files"] = loaded.files
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes what `__getstate__` gave, and makes the run of its files."""
        others = {name: value for name, value in state.items() if name != "_files"}
        super().__setstate__(others)
        if "_files" in state:
            self._loaded = Loaded.of_files(state["_files"], type(self).__name__)

    def save(self, folder: str | Path) -> None:
        """Writes a run folder, which `load`, `lowerbound.load` and the command line read.

        Raises:
            RunError: the folder holds other files, or cannot be written.
        """
        check_is_fitted(self)
        folder = Path(folder)
        refuse_taken(folder)
        described = json.dumps(self._describe().model_dump(), indent=1)
        write_files(folder, self._loaded.files | {PARAMETERS_FILE: described.encode()})

    @classmethod
    def load(cls, folder: str | Path, **parameters: Any) -> Self:
        """Makes a fitted estimator of a run folder: of one that `save` wrote, or that `lowerbound
        fit` did.

        Args:
            folder: the run folder.
            parameters: those of the estimator that are to be others than the saved ones.

        Raises:
            RunError: the folder is no run, or is damaged.
            ConfigError: the run is of another kind than this estimator's.
        """
        folder = Path(folder)
        saved = read_described(folder)
        known = cls._get_param_names()
        given = {name: value for name, value in saved.parameters.items() if name in known}
        recipe = recipes.load(within(folder, "recipe.toml"))
        estimator = cls(**{"recipe": recipe, **given, **parameters})
        estimator._take(Loaded(folder, cls.__name__))
        estimator._complete(saved)
        return estimator

    def _describe(self) -> Described:
        """Returns what `estimator.json` holds."""
        parameters = self.get_params(deep=False)
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            names = list(names)
        return Described(
            parameters={name: _plain(parameters[name]) for name in self._own_parameters()},
            columns=self.n_features_in_,
            names=names,
        )

    def _own_parameters(self) -> tuple[str, ...]:
        """Names the parameters that no recipe has."""
        return ()

    def _set_columns(self, columns: int, names: list[str] | None) -> None:
        """Sets the number of columns and their names, where they have some."""
        self.n_features_in_ = columns
        if names is not None:
            self.feature_names_in_ = np.array(names, object)

    @abstractmethod
    def _complete(self, saved: Described) -> None:
        """Sets what else a fit finds, of an estimator that is made of a run folder."""


def seed_of(random_state: Any) -> int:
    """Returns a whole number as it is, and else one that is drawn from a stream of scikit-learn.

    Raises:
        ValueError: it is none of what `check_random_state` takes.
    """
    stream = check_random_state(random_state)
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return int(stream.randint(2**31 - 1))


def _plain(value: Any) -> Any:
    """Returns numbers and sequences as Python has them, for recipes and JSON."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def takes_gaps(recipe: str | Path) -> bool:
    """Says whether a recipe takes tables with columns of several kinds, which may have gaps.

    Raises:
        ConfigError: there is no such recipe.
    """
    if str(recipe) in recipes.packaged():
        return _takes_gaps(str(recipe))
    return recipes.load(recipe).data.kinds is not None


@cache
def _takes_gaps(packaged: str) -> bool:
    """Says whether a packaged recipe takes tables with gaps; scikit-learn asks at each call."""
    return recipes.load(packaged).data.kinds is not None
