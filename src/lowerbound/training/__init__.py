"""Training: one loop on Lightning Fabric, in the order in which things happen.

Everything random is a function of (seed, epoch, batch) alone: the order of the data, the
binarisation and the noise. A run that goes on from any step therefore goes on exactly, several
processes train as one does, and validation leaves no trace.

Names are imported when they are first used: whoever reads a checkpoint needs no Fabric.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..specs import lazy

if TYPE_CHECKING:
    from ..distributed.launch import make_fabric, processes_of
    from .fit import Fit
    from .follower import Follower
    from .optimizing import make_optimizer
    from .seeds import derive_seed
    from .state import State
    from .validation import WATCHED, measured, monitored, refuse_unfit, watched

__getattr__: Callable[[str], Any]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        ".distributed.launch": ("make_fabric", "processes_of"),
        "fit": ("Fit",),
        "follower": ("Follower",),
        "optimizing": ("make_optimizer",),
        "seeds": ("derive_seed",),
        "state": ("State",),
        "validation": ("WATCHED", "measured", "monitored", "refuse_unfit", "watched"),
    },
)

__all__ = [
    "WATCHED",
    "Fit",
    "Follower",
    "State",
    "derive_seed",
    "make_fabric",
    "make_optimizer",
    "measured",
    "monitored",
    "processes_of",
    "refuse_unfit",
    "watched",
]
