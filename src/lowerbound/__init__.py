"""Variational autoencoders for images, tables and interactions: fit, measure, look, use.

>>> import lowerbound
>>> run = lowerbound.fit("digits", progress=False)  # doctest: +SKIP
>>> run.evaluate()["log_likelihood"]  # doctest: +SKIP

Names are imported when they are first used, so that `import lowerbound` is light. What must be set
before PyTorch is loaded is set here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .specs import lazy
from .system.waiting import spin_briefly

__version__ = "0.1.0"

spin_briefly()

if TYPE_CHECKING:
    from .anomalies import score
    from .data.describing import describe
    from .doors.export import export
    from .doors.tuning import tune
    from .fitting import fit
    from .imputation import Imputation, impute
    from .model import VAE, Architecture
    from .neighbours import similar
    from .recipe import Recipe, Training
    from .recommend import Recommender
    from .report import compare
    from .run import Run, load

__getattr__: Callable[[str], Any]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        "anomalies": ("score",),
        "data.describing": ("describe",),
        "doors.export": ("export",),
        "doors.tuning": ("tune",),
        "fitting": ("fit",),
        "imputation": ("Imputation", "impute"),
        "model": ("VAE", "Architecture"),
        "neighbours": ("similar",),
        "recipe": ("Recipe", "Training"),
        "recommend": ("Recommender",),
        "report": ("compare",),
        "run": ("Run", "load"),
    },
)

__all__ = [
    "VAE",
    "Architecture",
    "Imputation",
    "Recipe",
    "Recommender",
    "Run",
    "Training",
    "__version__",
    "compare",
    "describe",
    "export",
    "fit",
    "impute",
    "load",
    "score",
    "similar",
    "tune",
]
