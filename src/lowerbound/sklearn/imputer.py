"""`VAEImputer`: tables without gaps."""

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from ..errors import ConfigError
from ..imputation import IMPUTATION_SAMPLES, impute
from ..imputation.completion import MODES
from ..imputation.imputation import refuse_unfit
from ..recipe import Recipe
from ..run import Run
from .base import seed_of
from .dense import DenseEstimator
from .rows import Rows
from .scikit import OneToOneFeatureMixin, Tags, TransformerMixin

if TYPE_CHECKING:
    from polars import DataFrame


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, DenseEstimator):
    """Fills the gaps of a table by what a variational autoencoder has learned from rows with gaps.

    Args:
        mode: what `transform` fills numbers with: "mean" or "median".
        n_samples: draws of the latent variables for each row with gaps.

    The other parameters are those of `DenseEstimator`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **DenseEstimator._parameter_constraints,
        "mode": [StrOptions(set(MODES))],
        "n_samples": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        latent: int | Sequence[int] | None = None,
        *,
        mode: str = "mean",
        hidden: int | Sequence[int] | None = None,
        recipe: str | Path | Recipe = "table",
        beta: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_fraction: float | None = None,
        n_samples: int = IMPUTATION_SAMPLES,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        self.latent = latent
        self.mode = mode
        self.hidden = hidden
        self.recipe = recipe
        self.beta = beta
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.n_samples = n_samples
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    # Gaps are in tables with columns of several kinds alone, whose likelihood is `Columns`.
    likelihood: str | Mapping[str, Any] | None = None
    shape: Sequence[int] | None = None

    def _own_parameters(self) -> tuple[str, ...]:
        return ("n_samples", "mode")

    def __sklearn_tags__(self) -> Tags:
        """Says that what is filled has the type of the rows."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _plan(self) -> Recipe:
        plan = super()._plan()
        if plan.data.kinds is None:
            raise ConfigError(
                "VAEImputer needs a recipe of tables with gaps, one with data.kinds such as "
                "recipe='table'"
            )
        return plan

    def _refuse_run(self, run: Run) -> None:
        super()._refuse_run(run)
        refuse_unfit(run)

    def transform(self, X: Any) -> Any:
        """Fills the gaps of rows, see `fit`, and leaves everything else as it is.

        Numbers are filled by their means (or medians, by `mode`) given what is observed of the row,
        levels by the most probable one. So filled, a table has too little spread to be analysed as
        if it had been observed: `impute` draws. Of a column that the model leaves out gaps have the
        mean of the column; where it had no value in the fit, they stay.

        Returns:
            An array (N, D) of the type of X. Of a frame with columns that are no numbers a frame of
            the same library, or of the one that `set_output` names.
        """
        check_is_fitted(self)
        rows = self._read(X, reset=False)
        found = impute(
            self.run_, rows.source, samples=self.n_samples, mode=self.mode, progress=False
        )
        return self._filled(found.frame, rows, X)

    def impute(self, X: Any, m: int = 5, random_state: Any = 0) -> list[Any]:
        """Draws m tables without gaps, whose spread is that of what is not known (Rubin 1987).

        What is analysed is analysed in each of them, and the results are pooled.

        Args:
            X: rows, see `fit`.
            m: how many.
            random_state: the seed of the draws.

        Returns:
            m tables as `transform` gives them.
        """
        check_is_fitted(self)
        rows = self._read(X, reset=False)
        found = impute(
            self.run_,
            rows.source,
            multiple=m,
            samples=self.n_samples,
            seed=seed_of(random_state),
            progress=False,
        )
        return [self._filled(frame, rows, X) for frame in found.frames]

    def _filled(self, frame: "DataFrame", rows: Rows, X: Any) -> Any:
        """Returns a table without gaps as the user wants it.

        Args:
            frame: the table.
            rows: that it was made of.
            X: what the user gave.
        """
        if rows.array is None:
            return self._in_library(frame, X)
        values = frame.to_numpy()
        # Of columns that the run does not read, cells are as they were.
        return np.where(np.isnan(values), self._fill, values).astype(rows.dtype)

    def _in_library(self, frame: "DataFrame", X: Any) -> Any:
        """Returns a frame as one of the library that the user wants."""
        wanted = _get_output_config("transform", self)["dense"]
        if wanted == "polars" or (wanted == "default" and not hasattr(X, "iloc")):
            return frame
        return to_pandas(frame, X)


def to_pandas(frame: "DataFrame", X: Any) -> Any:
    """Returns a frame as one of pandas, with the index and the types of `X` if it is one, too."""
    import pandas

    if not hasattr(X, "iloc"):
        return pandas.DataFrame({name: frame[name].to_list() for name in frame.columns})
    filled = X.copy()
    for position, name in enumerate(frame.columns):
        is_gap = X.iloc[:, position].isna().to_numpy()
        if is_gap.any():
            values = frame[name].filter(is_gap.tolist()).to_list()
            filled.iloc[is_gap, position] = values
    return filled
