"""Estimators of scikit-learn, each a fitted run underneath.

>>> from lowerbound.sklearn import VAETransformer
>>> codes = VAETransformer(random_state=0).fit_transform(X)  # doctest: +SKIP

They are fitted by what `lowerbound fit` calls, and give the numbers of the command line for the
same data, recipe and seed. `docs/sklearn.md` tells of them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..specs import lazy

if TYPE_CHECKING:
    from .density import VAEDensity
    from .imputer import VAEImputer
    from .outliers import VAEOutlierDetector
    from .recommender import MultVAERecommender
    from .transformer import VAETransformer

__getattr__: Callable[[str], Any]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        "density": ("VAEDensity",),
        "imputer": ("VAEImputer",),
        "outliers": ("VAEOutlierDetector",),
        "recommender": ("MultVAERecommender",),
        "transformer": ("VAETransformer",),
    },
)

__all__ = [
    "MultVAERecommender",
    "VAEDensity",
    "VAEImputer",
    "VAEOutlierDetector",
    "VAETransformer",
]
