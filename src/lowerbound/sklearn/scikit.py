"""What the estimators inherit from scikit-learn, with the types that it does not tell itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np

__all__ = [
    "BaseEstimator",
    "ClassNamePrefixFeaturesOutMixin",
    "DensityMixin",
    "OneToOneFeatureMixin",
    "OutlierMixin",
    "Tags",
    "TransformerMixin",
    "checks_parameters",
]

Fit = TypeVar("Fit", bound=Callable[..., Any])

if TYPE_CHECKING:

    class Tags(Protocol):
        """What an estimator can do."""

        input_tags: Any
        transformer_tags: Any

    class BaseEstimator:
        """The base of all estimators."""

        @classmethod
        def _get_param_names(cls) -> list[str]: ...

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Returns the parameters by name."""

        def set_params(self, **params: Any) -> Self:
            """Sets parameters."""

        def __sklearn_tags__(self) -> Tags: ...

        def __getstate__(self) -> dict[str, Any]: ...

        def __setstate__(self, state: dict[str, Any]) -> None: ...

    class TransformerMixin:
        """The methods of transformers."""

        def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
            """Fits and transforms the same rows."""

        def set_output(self, *, transform: str | None = None) -> Self:
            """Chooses what `transform` returns: "default", "pandas" or "polars"."""

    class ClassNamePrefixFeaturesOutMixin:
        """Names for what is transformed, which begin with that of the class."""

        def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
            """Returns the names of the columns of what `transform` returns."""

    class OneToOneFeatureMixin:
        """The names of the columns are those of what is transformed, too."""

        def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
            """Returns the names of the columns of what `transform` returns."""

    class DensityMixin:
        """The type of estimators of densities."""

    class OutlierMixin:
        """The methods of detectors of outliers."""

        def fit_predict(self, X: Any, y: Any = None, **kwargs: Any) -> np.ndarray:
            """Fits, and returns 1 for inliers and -1 for outliers among the same rows."""

    def checks_parameters(fit: Fit) -> Fit:
        """Lets a method `fit` check the parameters of its estimator before it begins."""
else:
    from sklearn.base import (
        BaseEstimator,
        ClassNamePrefixFeaturesOutMixin,
        DensityMixin,
        OneToOneFeatureMixin,
        OutlierMixin,
        TransformerMixin,
        _fit_context,
    )
    from sklearn.utils import Tags

    checks_parameters = _fit_context(prefer_skip_nested_validation=True)
