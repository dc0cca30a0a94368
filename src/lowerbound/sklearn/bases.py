"""The base classes that scikit-learn has for estimators, and what of them is used here.

The library has no types of its own, so that checkers would know nothing of an estimator. They read
the declarations below; at run time the classes are those of the library.
"""

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:

    class BaseEstimator:
        """An estimator: its parameters are the arguments of `__init__`."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Returns the parameters by name."""
            ...

        def set_params(self, **params: Any) -> Self:
            """Sets some parameters."""
            ...

        @classmethod
        def _get_param_names(cls) -> list[str]: ...

        def __sklearn_tags__(self) -> Any:
            """Says what the estimator can do."""
            ...

        def __getstate__(self) -> dict[str, Any]: ...

        def __setstate__(self, state: dict[str, Any]) -> None: ...

    class DensityMixin:
        """Estimators of densities."""

    class OutlierMixin:
        """Detectors of outliers."""

    class TransformerMixin:
        """Transformers, whose outputs may be arrays or frames."""

        def set_output(self, *, transform: str | None = None) -> Self:
            """Sets what `transform` gives: "default", "pandas" or "polars"."""
            ...

    class OneToOneFeatureMixin:
        """Transformers that give a column for each that they take."""

    class ClassNamePrefixFeaturesOutMixin:
        """Transformers whose columns are named by their class."""

else:
    from sklearn.base import (
        BaseEstimator,
        ClassNamePrefixFeaturesOutMixin,
        DensityMixin,
        OneToOneFeatureMixin,
        OutlierMixin,
        TransformerMixin,
    )

__all__ = [
    "BaseEstimator",
    "ClassNamePrefixFeaturesOutMixin",
    "DensityMixin",
    "OneToOneFeatureMixin",
    "OutlierMixin",
    "TransformerMixin",
]
