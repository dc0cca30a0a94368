"""`MultVAERecommender`: items for users, from a matrix of users x items."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from ..data import History
from ..data.interactions.cleaning import Log
from ..data.interactions.holdout import HeldOut, draw_targets
from ..data.interactions.spec import Interactions
from ..errors import ConfigError, ShapeError
from ..evaluation.batches import evaluating
from ..evaluation.ranking import rank
from ..recipe import Recipe
from ..run import Run
from .base import RunEstimator
from .folders import Described
from .scikit import ClassNamePrefixFeaturesOutMixin, Tags, TransformerMixin, checks_parameters

LEAST_ITEMS = 2
"""A matrix needs so many columns."""

CUT = 100
"""The score is NDCG at so many items, or at all of a smaller catalogue."""


class MultVAERecommender(ClassNamePrefixFeaturesOutMixin, TransformerMixin, RunEstimator):
    """Recommends items to users by a variational autoencoder with a multinomial likelihood.

    Rows are users, columns are items, and what is above 0 is an interaction. Items are named by
    their columns.

    Args:
        latent: the number of latent variables.
        hidden: the widths of the hidden layers of encoder and decoder.
        recipe: the name of a packaged recipe of interactions, the path of a TOML file or a
            `Recipe`. Parameters that are None are as it says.
        beta: the weight of the rate, which the recipe raises slowly to its own.
        epochs: the largest number of passes over the training users.
        batch_size: users in one optimiser step.
        learning_rate: step size of the optimiser.
        validation_fraction: the share of the users that is held out of training; some of their
            items are to be found, which chooses the best weights. Where users have too few items
            for that, nothing is held out.
        settings: values for other dotted keys of the recipe.
        random_state: the seed of the fit. The same whole number gives the run that `lowerbound fit
            --seed` gives; the splits are by `data.seed` of the recipe.
        verbose: whether a fit shows its progress.

    Attributes:
        run_: the fitted run, as `lowerbound.load` gives it. Its folder is gone.
        items_: the columns that the model knows, ascending: those with an interaction.
        n_features_in_: the number of columns.
        feature_names_in_: their names, where they have some.
        n_iter_: the number of epochs that were trained.
    """

    items_: np.ndarray

    def __init__(
        self,
        latent: int | Sequence[int] | None = None,
        *,
        hidden: int | Sequence[int] | None = None,
        recipe: str | Path | Recipe = "multvae",
        beta: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_fraction: float | None = None,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        self.latent = latent
        self.hidden = hidden
        self.recipe = recipe
        self.beta = beta
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        """Says that a matrix may be sparse, and has no negative values."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return sum(self.run_.model.latents.sizes)

    # Fitting --------------------------------------------------------------------------------------

    @checks_parameters
    def fit(self, X: Any, y: Any = None) -> "MultVAERecommender":
        """Fits a run to the interactions of users.

        Args:
            X: users x items (N, I), sparse or dense, nothing below 0. Weights count 1 each, unless
                the recipe says `data.interactions.binary = false`.
            y: is not looked at.

        Raises:
            ValueError: it cannot be read, or holds no interactions.
        """
        matrix = self._read(X, reset=True)
        plan = without_lacking_splits(self._plan(), matrix)
        self._fit_run(plan, matrix)
        assert self.run_.items is not None
        self.items_ = self.run_.items.ids
        return self

    def _plan(self) -> Recipe:
        plan = super()._plan()
        if plan.data.interactions is None:
            raise ConfigError(
                f"{type(self).__name__} needs a recipe of interactions, such as recipe='multvae'"
            )
        return plan

    def _refuse_run(self, run: Run) -> None:
        run.schema.refuse_dense(
            f"{type(self).__name__} is for interactions; the run is on other data"
        )

    def _complete(self, saved: Described) -> None:
        assert self.run_.items is not None
        ids = self.run_.items.ids
        if saved.columns is None:
            self._set_columns(len(ids), None)
            self.items_ = np.arange(len(ids))
        else:
            self._set_columns(saved.columns, saved.names)
            self.items_ = ids

    # Reading --------------------------------------------------------------------------------------

    def _read(self, X: Any, *, reset: bool) -> csr_matrix:
        """Validates a matrix of users x items."""
        least_items = 1
        if reset:
            least_items = LEAST_ITEMS
        found = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            ensure_min_features=least_items,
        )
        check_non_negative(found, type(self).__name__)
        matrix = csr_matrix(found)
        matrix.eliminate_zeros()
        return matrix

    def _histories(self, matrix: csr_matrix) -> csr_matrix:
        """Returns what the model sees of users: a column for each item that it knows."""
        how = self.run_.recipe.data.interactions or Interactions()
        known = csr_matrix(matrix[:, self.items_], dtype=np.float32)
        if how.threshold is not None:
            known.data[known.data < how.threshold] = 0
            known.eliminate_zeros()
        if how.is_binary:
            known.data[:] = 1
        return known

    # Using ----------------------------------------------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Encodes users x items, see `fit`: the codes of users (N, d)."""
        check_is_fitted(self)
        matrix = self._read(X, reset=False)
        levels = self._loaded.precise.encode(self._history(self._histories(matrix)))
        codes = np.concatenate([level.numpy() for level in levels], axis=1)
        return codes.astype(matrix.dtype)

    def recommend(
        self, X: Any, k: int = 10, *, exclude_seen: bool = True, return_scores: bool = False
    ) -> Any:
        """Recommends to each user the best items, the best first.

        It is what `Recommender.recommend_many` and `lowerbound recommend` give.

        Args:
            X: users x items, see `fit`.
            k: how many.
            exclude_seen: recommend nothing that the user has.
            return_scores: whether the scores are returned, too.

        Returns:
            The columns of the items (N, k), -1 where there are no more, as for a user of whom no
            item is known; with `return_scores` scores (N, k) beside them, higher is better.
        """
        check_is_fitted(self)
        histories = self._histories(self._read(X, reset=False))
        found = self._loaded.recommender.recommend_many(histories, k, exclude_seen=exclude_seen)
        columns = np.where(found.items < 0, -1, self.items_[found.items])
        if return_scores:
            return columns, found.scores
        return columns

    def score(self, X: Any, y: Any = None, *, held_out: Any = None, k: int = CUT) -> float:
        """Measures how well held-out items of users are ranked: the mean of NDCG@k over users.

        Args:
            X: users x items, see `fit`: what the model sees of users.
            y: is not looked at.
            held_out: users x items (N, I), to be found. None: a share of the items of each row of X
                with five or more is held out by the rule of the split "strong" of a recipe, and the
                model sees the others.
            k: the length of the lists; all items where there are fewer.

        Returns:
            The mean; NaN, with a warning, where nothing is held out.
        """
        check_is_fitted(self)
        matrix = self._histories(self._read(X, reset=False))
        if held_out is None:
            seen, targets = self._hold_out(matrix)
        else:
            seen = matrix
            targets = self._histories(self._read(held_out, reset=False))
        if not targets.nnz:
            warnings.warn(
                "NDCG is not defined: no user of X has the five items of which one is held out; "
                "give held_out",
                UndefinedMetricWarning,
                stacklevel=2,
            )
            return math.nan
        if seen.shape != targets.shape:
            raise ShapeError(f"held_out has {targets.shape[0]} users, X has {seen.shape[0]}")
        model = self.run_.model
        with evaluating(model, 0):
            ranking = rank(
                model.item_scores,
                self._history(seen, targets),
                ks=(min(k, len(self.items_)),),
                metrics=("ndcg",),
            )
        (estimate,) = ranking.metrics.values()
        return float(estimate.value)

    def _hold_out(self, matrix: csr_matrix) -> tuple[csr_matrix, csr_matrix]:
        """Holds out a share of the items of each user with enough of them: what the model sees, and
        what it has to find.
        """
        data = self.run_.recipe.data
        how = data.interactions or Interactions()
        entries = matrix.tocoo()
        users = np.arange(matrix.shape[0])
        log = Log("X", users, self.items_, entries.row, entries.col, entries.data)
        is_target = draw_targets(log, users, HeldOut(seed=data.seed, fold_in=how.fold_in))
        parts = []
        for mask in (~is_target, is_target):
            places = (entries.row[mask], entries.col[mask])
            parts.append(csr_matrix((entries.data[mask], places), shape=matrix.shape))
        return parts[0], parts[1]

    def _history(self, seen: csr_matrix, targets: csr_matrix | None = None) -> History:
        """Makes a split of users."""
        users = np.arange(seen.shape[0])
        schema = self.run_.schema
        return History(schema, seen, targets, users, users, schema.levels)


def without_lacking_splits(plan: Recipe, matrix: csr_matrix) -> Recipe:
    """Returns a recipe that holds out nothing where users have too few items to be found.

    Args:
        plan: the recipe.
        matrix: users x items.
    """
    validation = plan.data.open(source=matrix).validation
    if validation is not None and not validation.lacks_targets():
        return plan
    return plan.replace(
        {"data.validation": 0, "training.monitor": "objective", "training.patience": None}
    )
