"""`VAETransformer`: the codes of rows."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, check_is_fitted

from .dense import DenseEstimator
from .scikit import ClassNamePrefixFeaturesOutMixin, Tags, TransformerMixin


class VAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DenseEstimator):
    """Encodes rows by a variational autoencoder: their codes are the posterior means of z.

    Codes of several levels stand side by side, that next to the data first. The code of a row is a
    function of the row alone. `DenseEstimator` tells of the parameters and the attributes.

    There is no `sample_weight`: a row of weight 2 would have to give what the row gives that stands
    there twice, and batches drawn at random do not.
    """

    def __sklearn_tags__(self) -> Tags:
        """Says that codes have the type of the rows."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return sum(self.run_.model.latents.sizes)

    def transform(self, X: Any) -> np.ndarray:
        """Encodes rows, see `fit`: the codes (N, d), float32 for rows in float32, else float64."""
        check_is_fitted(self)
        rows = self._read(X, reset=False)
        levels = self._loaded.precise.encode(self._open(rows))
        codes = np.concatenate([level.numpy() for level in levels], axis=1)
        return codes.astype(rows.dtype)

    def inverse_transform(self, X: Any) -> Any:
        """Decodes codes.

        Args:
            X: codes (N, d) as `transform` gives them.

        Returns:
            The means of p(x | z) in the units of the rows of the fit, (N, D) float64; of a frame
            with columns that are no numbers, a Polars frame of means and of most probable levels.
            Columns that the model leaves out, such as constant ones, have their mean. Of pixels
            that the recipe draws (`data.binarize`) they are the probabilities of white.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float64)
        sizes = self.run_.model.latents.sizes
        if codes.shape[1] != sum(sizes):
            raise ValueError(
                f"X has {codes.shape[1]} features, but the codes of {type(self).__name__} have "
                f"{sum(sizes)}"
            )
        levels = np.split(codes, np.cumsum(sizes)[:-1], axis=1)
        return self._returned(self._loaded.precise.decode_levels(levels))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Draws rows from the model, as `inverse_transform` gives them.

        Args:
            n_samples: how many.
            random_state: the seed of the draws.
        """
        return self._sampled(n_samples, random_state)

    def score_samples(self, X: Any) -> np.ndarray:
        """Estimates log p(x) of each row, see `VAEDensity.score_samples`."""
        check_is_fitted(self)
        return self._log_likelihood(self._open(self._read(X, reset=False)))

    def score(self, X: Any, y: Any = None) -> float:
        """Estimates the mean of log p(x) over rows, nats per row, as `PCA.score` does.

        Args:
            X: rows, see `fit`.
            y: is not looked at.
        """
        return float(self.score_samples(X).mean())
