"""A search over the settings of a recipe: many fits, compared on the validation split.

Names are imported when they are first used, so that a command line without a search needs no
Optuna.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...specs import lazy

if TYPE_CHECKING:
    from .search import tune
    from .trials import Trial, Tuning

__getattr__: Callable[[str], Any]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazy.exports(
    __name__,
    {"search": ("tune",), "trials": ("Trial", "Tuning")},
)

__all__ = ["Trial", "Tuning", "tune"]
