"""`VAEOutlierDetector`: rows that are unlike the others."""

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..anomalies.cells import usual_of_gaps
from ..anomalies.measures import judged
from ..data import Examples, Split
from ..evaluation.likelihood import LIKELIHOOD_SAMPLES
from ..recipe import Recipe
from ..run import Run
from .dense import DenseEstimator
from .folders import Described
from .rows import Rows
from .scikit import OutlierMixin

FENCE = 1.5
"""With contamination="auto", rows are outliers whose score is so many interquartile ranges below
the lower quartile (Tukey 1977, "Exploratory data analysis").
"""


class VAEOutlierDetector(OutlierMixin, DenseEstimator):
    """Finds rows that are unlikely under a variational autoencoder.

    Args:
        contamination: the share of outliers among the rows of the fit. "auto": those are outliers
            whose score is 1.5 interquartile ranges below the lower quartile, which of normal scores
            are 0.35 %.

    The other parameters are those of `DenseEstimator`.

    Attributes:
        offset_: rows with a score below it are outliers, nats.
    """

    offset_: float

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **DenseEstimator._parameter_constraints,
        "contamination": [
            StrOptions({"auto"}),
            Interval(numbers.Real, 0, 0.5, closed="right"),
        ],
    }

    def __init__(
        self,
        latent: int | Sequence[int] | None = None,
        *,
        contamination: float | str = "auto",
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
        super().__init__(
            latent,
            hidden=hidden,
            likelihood=likelihood,
            recipe=recipe,
            shape=shape,
            beta=beta,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            validation_fraction=validation_fraction,
            n_samples=n_samples,
            settings=settings,
            random_state=random_state,
            verbose=verbose,
        )
        self.contamination = contamination

    def _fit_rows(self, X: Any) -> Rows:
        rows = super()._fit_rows(X)
        self.offset_ = self._cut(self._scores(self._open(rows)))
        return rows

    def _refuse_run(self, run: Run) -> None:
        super()._refuse_run(run)
        run.refuse_without_likelihood(type(self).__name__)

    def _cut(self, scores: np.ndarray) -> float:
        """Returns the score below which rows are outliers, of the scores of ordinary rows."""
        if isinstance(self.contamination, str):  # "auto"
            low, high = np.percentile(scores, [25, 75])
            return float(low - FENCE * (high - low))
        return float(np.percentile(scores, 100 * self.contamination))

    def _scores(self, examples: Split) -> np.ndarray:
        """Scores rows, (N,) nats: those with gaps as if these were as usual."""
        scores = self._log_likelihood(examples)
        own = self._loaded.own
        if own is not None and own.usual is not None and isinstance(examples, Examples):
            scores = scores + usual_of_gaps(examples, own.usual)
        return scores

    def score_samples(self, X: Any) -> np.ndarray:
        """Scores rows, (N,) nats: log p(x), see `VAEDensity.score_samples`; lower is more abnormal.

        To the score of a row with gaps is added what is usual for the cells that it lacks, so that
        it compares with others; it is `adjusted` of `lowerbound score`.
        """
        check_is_fitted(self)
        return self._scores(self._open(self._read(X, reset=False)))

    def decision_function(self, X: Any) -> np.ndarray:
        """Returns `score_samples(X) - offset_`, (N,): below 0 for outliers.

        PyOD has the opposite sign: its scores are high for outliers.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Returns 1 for inliers and -1 for outliers, (N,). PyOD says 0 and 1."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _own_parameters(self) -> tuple[str, ...]:
        return (*super()._own_parameters(), "contamination")

    def _describe(self) -> Described:
        return super()._describe().model_copy(update={"offset": self.offset_})

    def _complete(self, saved: Described) -> None:
        super()._complete(saved)
        if saved.offset is not None:
            self.offset_ = saved.offset
        elif self._loaded.own is not None:
            likely = judged(self._loaded.own.reference)
            self.offset_ = self._cut(likely + self._offset_of_scale)
