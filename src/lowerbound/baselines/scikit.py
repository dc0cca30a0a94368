"""Imputers of scikit-learn, for tables with columns of all kinds."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import ConfigError
from .base import FittedImputer, Imputer
from .features import Features, Kind


@dataclass(frozen=True)
class FittedScikit(FittedImputer):
    """A fitted imputer of scikit-learn, which sees the features of a table.

    Attributes:
        kinds: the kinds of the columns.
        features: how the table is turned into features.
        imputer: what was fitted to them.
    """

    kinds: tuple[Kind, ...]
    features: Features
    imputer: Any

    def _complete(self, table: np.ndarray) -> np.ndarray:
        from sklearn import config_context

        features = self.features.encode(table)
        # `IterativeImputer` gives a table without any value its first guess, and is of no use
        # after that. So one more row stands below, which is thrown away.
        features = np.vstack([features, np.zeros(features.shape[1])])
        with config_context(working_memory=WORKING_MEMORY):
            complete = self.imputer.transform(features)
        return self.features.decode(complete[:-1])


WORKING_MEMORY = 256
"""Megabytes that distances between rows may take at a time."""


def _fitted(imputer: Any, table: np.ndarray, features: Features) -> FittedScikit:
    """Fits an imputer of scikit-learn to the features of a table."""
    imputer.fit(features.encode(table))
    return FittedScikit(features.kinds, features, imputer)


@dataclass(frozen=True)
class KNN(Imputer[FittedScikit]):
    """Imputes what the nearest rows have, by `KNNImputer` of scikit-learn.

    Numbers and ordered levels are standardised, and get the mean of the neighbours. Each unordered
    level is an indicator of 0 or 1, so that two rows with different levels are as far apart as two
    standardised numbers are on average; a gap gets the most frequent level of the neighbours.

    Attributes:
        neighbours: the number of rows, 1 or more.
        weights: "uniform", or "distance" for the inverse of the distance.
        donors: neighbours are looked for among so many rows, drawn at random; None for all. The
            time grows as the rows of the table times the donors.
        seed: of the choice of donors.
    """

    neighbours: int = 15
    weights: Literal["uniform", "distance"] = "uniform"
    donors: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.neighbours < 1 or (self.donors is not None and self.donors < 1):
            raise ConfigError(
                f"neighbours and donors must be 1 or more, got {self.neighbours} and {self.donors}"
            )
        _refuse_other("weights", self.weights, ("uniform", "distance"))

    def _fit(self, table: np.ndarray, kinds: tuple[Kind, ...]) -> FittedScikit:
        from sklearn.impute import KNNImputer

        imputer = KNNImputer(
            n_neighbors=self.neighbours, weights=self.weights, keep_empty_features=True
        )
        features = Features.of(table, kinds, independent=False)
        if self.donors is not None and self.donors < len(table):
            random = np.random.default_rng(self.seed)
            table = table[random.choice(len(table), self.donors, replace=False)]
        return _fitted(imputer, table, features)


@dataclass(frozen=True)
class Iterative(Imputer[FittedScikit]):
    """Imputes each column by a regression on the others, round after round, by `IterativeImputer`
    of scikit-learn.

    With trees it is much like missForest (Stekhoven & Buehlmann 2012), whose number of rounds, of
    trees and of candidates of a split it has, with extremely randomised trees in place of random
    forests.

    Attributes:
        regression: "ridge" for `BayesianRidge`, "trees" for `ExtraTreesRegressor`.
        rounds: how often each column is imputed, at most.
        tolerance: it ends when no cell moves by more than this, in standard deviations.
        trees: the number of trees of a regression.
        candidates: how many features each split of a tree chooses from: "sqrt" of their number, or
            "all".
        leaf: the least number of rows in a leaf of a tree.
        seed: of the trees.
    """

    regression: Literal["ridge", "trees"] = "ridge"
    rounds: int = 10
    tolerance: float = 1e-3
    trees: int = 100
    candidates: Literal["sqrt", "all"] = "sqrt"
    leaf: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        _refuse_other("regression", self.regression, ("ridge", "trees"))
        _refuse_other("candidates", self.candidates, ("sqrt", "all"))
        for name in ("rounds", "trees", "leaf"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, got {getattr(self, name)}")

    def _fit(self, table: np.ndarray, kinds: tuple[Kind, ...]) -> FittedScikit:
        from sklearn.exceptions import ConvergenceWarning

        features = Features.of(table, kinds, independent=False)
        imputer = _chained_imputer(features.columns())(
            self._regression(),
            # One column alone has nothing to be told by: it gets its mean.
            max_iter=self.rounds if len(kinds) > 1 else 0,
            tol=self.tolerance,
            keep_empty_features=True,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the rounds are a setting
            return _fitted(imputer, table, features)

    def _regression(self) -> Any:
        """Makes the regression of a column on the others."""
        from sklearn.ensemble import ExtraTreesRegressor
        from sklearn.linear_model import BayesianRidge

        if self.regression == "ridge":
            return BayesianRidge()
        share: Any = 1.0
        if self.candidates == "sqrt":
            share = "sqrt"
        return ExtraTreesRegressor(
            self.trees, min_samples_leaf=self.leaf, max_features=share, random_state=self.seed
        )


def _chained_imputer(columns: np.ndarray) -> type:
    """Makes a class of `IterativeImputer` in which no column helps to tell itself.

    The indicators of a column are missing together. If they told each other, they would confirm
    whatever they were filled with at first.

    Args:
        columns: (F,), the column that each feature belongs to.
    """
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    class ChainedImputer(IterativeImputer):
        def _get_neighbor_feat_idx(
            self, n_features: int, feat_idx: int, abs_corr_mat: Any
        ) -> np.ndarray:
            return np.flatnonzero(columns != columns[feat_idx])

    return ChainedImputer


def _refuse_other(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises a ConfigError unless a setting has one of the values that are allowed."""
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
