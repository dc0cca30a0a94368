"""`VAEDensity`: the log-likelihood of rows."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .dense import DenseEstimator
from .scikit import DensityMixin


class VAEDensity(DensityMixin, DenseEstimator):
    """Estimates the density of rows by a variational autoencoder.

    `DenseEstimator` tells of the parameters and the attributes.
    """

    def score_samples(self, X: Any) -> np.ndarray:
        """Estimates log p(x) of each row by importance sampling, (N,) nats.

        It is a lower bound in expectation, closer with more `n_samples`, in the units of the data:
        a density of numbers, a probability of counts, levels and pixels. Of a row with gaps it is
        the log-likelihood of what is observed. It is a function of the row alone: all rows have the
        same noise, and the model computes in float64.
        """
        check_is_fitted(self)
        return self._log_likelihood(self._open(self._read(X, reset=False)))

    def score(self, X: Any, y: Any = None) -> float:
        """Estimates the sum of log p(x) over rows in nats, as `KernelDensity.score` does.

        Args:
            X: rows, see `fit`.
            y: is not looked at.
        """
        return float(self.score_samples(X).sum())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Draws rows from the model, in the units of the data, (n_samples, D).

        Of a frame with columns that are no numbers it is a Polars frame. Columns that the model
        leaves out, such as constant ones, have their mean.

        Args:
            n_samples: how many.
            random_state: the seed of the draws.
        """
        return self._sampled(n_samples, random_state)
