"""The data of a run: from a name or a path to splits of float batches.

`files` has one reader for each kind of file and `named` the sets that have a name. `interactions`
reads logs of users and items, which take a path of their own. Nothing here knows of models: what a
model must know of its data is a `Schema`.

Names are imported when they are first used, because a listing of the named sets needs neither NumPy
nor torch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..specs import lazy

if TYPE_CHECKING:
    from .dataset import Dataset, Examples
    from .interactions.dataset import described
    from .interactions.history import History, Items
    from .interactions.spec import Interactions
    from .named.entries import named_sets
    from .schema import Schema
    from .spec import Data
    from .split import Split

__getattr__: Callable[[str], Any]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        "dataset": ("Dataset", "Examples"),
        "interactions.history": ("History", "Items"),
        "interactions.dataset": ("described",),
        "interactions.spec": ("Interactions",),
        "named.entries": ("named_sets",),
        "schema": ("Schema",),
        "spec": ("Data",),
        "split": ("Split",),
    },
)

__all__ = [
    "Data",
    "Dataset",
    "Examples",
    "History",
    "Interactions",
    "Items",
    "Schema",
    "Split",
    "described",
    "named_sets",
]
