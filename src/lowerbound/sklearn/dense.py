"""What the estimators of tables, vectors and images have in common."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data import Split
from ..data.files.tables import array_names
from ..data.memory import to_frame
from ..data.splits import count
from ..errors import ConfigError, LowerboundError
from ..evaluation import Estimate
from ..evaluation.likelihood import LIKELIHOOD_SAMPLES
from ..recipe import Recipe
from ..run import Run, check
from ..system.console import print_line
from .base import RunEstimator, seed_of, takes_gaps
from .folders import Described
from .rows import Rows, fold, frame_of, has_other_columns, means_of_columns, shape_of_rows, unfold
from .scikit import Tags, checks_parameters

LEAST_ROWS = 2
"""A fit needs so many rows."""


class DenseEstimator(RunEstimator):
    """An estimator on rows of numbers, on frames with columns of several kinds, or on images.

    Args:
        latent: the number of latent variables, or one for each level, that next to the data first.
        hidden: the widths of the hidden layers of encoder and decoder.
        likelihood: a family, by name or as a table of the recipe. None: that of the recipe.
        recipe: the name of a packaged recipe, the path of a TOML file or a `Recipe`. Parameters
            that are None are as it says. "table" takes columns of several kinds, and gaps (NaN).
        shape: the shape of images (H, W) or (H, W, C), whose pixels are the columns; for recipes
            such as "images".
        beta: the weight of the rate; the objective is then `Elbo`.
        epochs: the largest number of passes over the training rows; takes the place of the number
            of steps of the recipe, too.
        batch_size: rows in one optimiser step.
        learning_rate: step size of the optimiser.
        validation_fraction: the share of the rows that is held out of training, and chooses the
            best weights and the end.
        n_samples: importance samples for each row, wherever log p(x) is estimated.
        settings: values for other dotted keys of the recipe, `{"training.clip": 5.0}`.
        random_state: the seed of the fit. The same whole number gives the run that `lowerbound fit
            --seed` gives; the splits are by `data.seed` of the recipe.
        verbose: whether a fit shows its progress, and what is read is told.

    Attributes:
        run_: the fitted run, as `lowerbound.load` gives it. Its folder is gone.
        n_features_in_: the number of columns.
        feature_names_in_: their names, where they have some.
        n_iter_: the number of epochs that were trained.
        log_likelihood_: the mean of log p(x) over rows that were held out of training (over
            training rows, where none were), nats per row.
        standard_error_: its standard error over these rows.
    """

    shape: Sequence[int] | None
    log_likelihood_: float
    standard_error_: float
    _fill: np.ndarray
    _is_mixed: bool

    def __init__(
        self,
        latent: int | Sequence[int] | None = None,
        *,
        hidden: int | Sequence[int] | None = None,
        likelihood: str | Mapping[str, Any] | None = None,
        recipe: str | Path | Recipe = "table",
        shape: Sequence[int] | None = None,
        beta: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_fraction: float | None = None,
        n_samples: int = LIKELIHOOD_SAMPLES,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        self.latent = latent
        self.hidden = hidden
        self.likelihood = likelihood
        self.recipe = recipe
        self.shape = shape
        self.beta = beta
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.n_samples = n_samples
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        """Says that gaps are allowed where the recipe knows them."""
        tags = super().__sklearn_tags__()
        try:
            tags.input_tags.allow_nan = self._has_kinds()
        except LowerboundError:
            tags.input_tags.allow_nan = False
        return tags

    # Fitting --------------------------------------------------------------------------------------

    @checks_parameters
    def fit(self, X: Any, y: Any = None) -> Any:
        """Fits a run to rows.

        Args:
            X: numbers (N, D), of which NaN are gaps, or a frame of pandas or Polars. With the
                recipe "table" a frame may also have columns of words, truth values and dates.
            y: is not looked at.

        Raises:
            ValueError: the rows cannot be read, or do not fit the likelihood; `ConfigError` and
                `DataError` are such errors.
        """
        self._fit_rows(X)
        return self

    def _fit_rows(self, X: Any) -> Rows:
        """Fits the run, and returns the rows as it has read them."""
        rows = self._read(X, reset=True)
        self._fill = np.zeros(0)
        if rows.array is not None:
            self._fill = means_of_columns(rows.array)
        plan = self._plan()
        if not count(plan.data.validation, len(rows)):
            # Nothing is held out that could tell when to stop.
            plan = plan.replace({"training.patience": None})
        self._fit_run(plan, rows.source)
        self._tell_held_out()
        return rows

    def _plan(self) -> Recipe:
        plan = super()._plan()
        if plan.data.interactions is not None:
            raise ConfigError(
                f"{type(self).__name__} is for tables, vectors and images, got a recipe of "
                "interactions: take MultVAERecommender"
            )
        if plan.data.size is not None and self.shape is None:
            raise ConfigError(
                "the recipe is for images: give shape=(H, W), or (H, W, C), of the images whose "
                "pixels are the columns of X"
            )
        return plan

    def _refuse_run(self, run: Run) -> None:
        run.schema.refuse_interactions(
            f"{type(self).__name__} is for tables, vectors and images; the run is on interactions: "
            "take MultVAERecommender"
        )

    def _tell_held_out(self) -> None:
        """Sets what the rows that were held out score."""
        self.log_likelihood_ = math.nan
        self.standard_error_ = math.nan
        own = self._loaded.own
        if own is not None:
            likely = own.reference["log_likelihood"] + self._offset_of_scale
            estimate = Estimate.of(torch.from_numpy(likely))
            self.log_likelihood_ = estimate.value
            self.standard_error_ = estimate.standard_error

    def _more_changes(self, recipe: Recipe) -> dict[str, Any]:
        if recipe.data.kinds is not None and self._names_other_likelihood():
            return {"data.kinds": None, "data.hide": 0.0}
        return {}

    def _names_other_likelihood(self) -> bool:
        """Says whether the parameters ask for a likelihood that knows no kinds of columns."""
        likelihood = self.likelihood
        if isinstance(likelihood, Mapping):
            likelihood = likelihood.get("type")
        return likelihood not in (None, "Columns")

    def _has_kinds(self) -> bool:
        """Says whether tables with columns of several kinds, and with gaps, are read."""
        settings = self.settings or {}
        if self.shape is not None or self._names_other_likelihood():
            return False
        if settings.get("data.kinds", {}) is None:
            return False
        if isinstance(self.recipe, Recipe):
            return self.recipe.data.kinds is not None
        return takes_gaps(self.recipe)

    # Reading --------------------------------------------------------------------------------------

    def _read(self, X: Any, *, reset: bool) -> Rows:
        """Validates rows, and makes of them what a run reads.

        Args:
            X: what the user gave.
            reset: whether they are the rows of a fit, which say what columns there are.
        """
        has_kinds = self._has_kinds()
        if reset:
            self._is_mixed = has_kinds and has_other_columns(X)
        if self._is_mixed:
            return self._read_frame(X, reset)
        least_rows = 1
        if reset:
            least_rows = LEAST_ROWS
        types: Any = (np.float64, np.float32)
        if self.shape is not None:
            types = "numeric"  # whole numbers are levels of pixels
        finite: bool | str = True
        if has_kinds:
            finite = "allow-nan"
        array = validate_data(
            self,
            X,
            reset=reset,
            dtype=types,
            ensure_all_finite=finite,
            ensure_min_samples=least_rows,
        )
        if self.shape is not None:
            return Rows(fold(array, self._image_shape), array)
        return Rows(frame_of(array, self._column_names()), array)

    def _read_frame(self, X: Any, reset: bool) -> Rows:
        """Reads a frame with columns that are no numbers."""
        frame = to_frame(X)
        if frame is None:
            raise ValueError(
                f"{type(self).__name__} was fitted to a frame with columns that are no numbers: "
                f"give a frame with the same columns, got a {type(X).__name__}"
            )
        validate_data(self, X, reset=reset, skip_check_array=True)
        if len(frame) < LEAST_ROWS and reset:
            raise ValueError(
                f"Found array with {len(frame)} sample(s) while a minimum of {LEAST_ROWS} is "
                f"required by {type(self).__name__}."
            )
        return Rows(frame, None)

    def _column_names(self) -> list[str]:
        """Returns the names of the columns; of those of an array x1, x2, ..."""
        names = getattr(self, "feature_names_in_", None)
        if names is None or len(set(names)) < len(names):
            return array_names(self.n_features_in_)
        return list(names)

    @property
    def _image_shape(self) -> tuple[int, ...]:
        """The shape of an image, as the parameter says."""
        assert self.shape is not None
        return tuple(int(length) for length in self.shape)

    def _open(self, rows: Rows) -> Split:
        """Opens rows as the model sees them: what is drawn of one is a function of it alone."""
        dataset = self.run_.open_other(rows.source)
        if self.verbose:
            for note in dataset.notes:
                print_line(note)
        examples = dataset.split("all").drawn_alike()
        check(self.run_.recipe, examples, rows.source)
        return examples

    # What a run gives back ------------------------------------------------------------------------

    def _returned(self, made: Any) -> Any:
        """Returns values of p(x | z) in the units and columns of X: (N, D), or a Polars frame where
        the run was fitted to a frame with columns that are no numbers.

        Args:
            made: what a `Run` gives back in the units of the data.
        """
        if self._is_mixed:
            return made
        schema = self.run_.schema
        if schema.table:
            return self._with_all_columns(made.select(schema.columns).to_numpy())
        values = made.double().numpy()
        if schema.kind == "table":
            return self._with_all_columns(values)
        if schema.levels is not None:
            values = values * (schema.levels - 1)  # shares of white become levels
        if schema.kind == "image":
            return unfold(values, self._image_shape)
        return values

    def _with_all_columns(self, values: np.ndarray) -> np.ndarray:
        """Puts the columns that the run left out beside those that it reads (N, D): their means."""
        names = self._column_names()
        completed = np.tile(self._fill, (len(values), 1))
        completed[:, [names.index(name) for name in self.run_.schema.columns]] = values
        return completed

    # Likelihoods ----------------------------------------------------------------------------------

    @property
    def _offset_of_scale(self) -> float:
        """What turns the log-density of standardised values into one of the values of X, nats."""
        return -sum(math.log(scale) for scale in self.run_.schema.scale)

    def _log_likelihood(self, examples: Split) -> np.ndarray:
        """Estimates log p(x) of each row in the units of X, (N,) nats."""
        likely = self._loaded.precise.log_likelihood(examples, samples=self.n_samples)
        return likely + self._offset_of_scale

    def _sampled(self, n_samples: int, random_state: Any) -> Any:
        """Draws rows from the model, see `sample` of the estimators."""
        check_is_fitted(self)
        seed = seed_of(random_state)
        return self._returned(self.run_.sample(int(n_samples), mean=False, seed=seed))

    # Folders --------------------------------------------------------------------------------------

    def _own_parameters(self) -> tuple[str, ...]:
        return ("n_samples", "shape")

    def _describe(self) -> Described:
        fill = [None if math.isnan(number) else number for number in self._fill.tolist()]
        return super()._describe().model_copy(update={"fill": fill, "is_mixed": self._is_mixed})

    def _complete(self, saved: Described) -> None:
        if saved.columns is None:
            saved = self._describe_run()
        assert saved.columns is not None
        self._set_columns(saved.columns, saved.names)
        self._is_mixed = saved.is_mixed
        self._fill = np.array(saved.fill, np.float64)
        self._tell_held_out()

    def _describe_run(self) -> Described:
        """Describes the columns of a run that no estimator has fitted: those that it reads."""
        schema = self.run_.schema
        if schema.kind == "image" and self.shape is None:
            self.shape = shape_of_rows(schema.shape)
        names: list[str] | None = [*schema.columns, *schema.names_of_conditions]
        columns = len(names or range(math.prod(schema.shape)))
        if names == array_names(columns) or not names:
            names = None
        types = {column.type for column in (*schema.table, *schema.given)}
        return Described(
            columns=columns,
            names=names,
            fill=[None] * columns,
            is_mixed=not types <= {"float", "integer"},
        )
