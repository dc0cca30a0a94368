"""Reports: one page for a run, one for a comparison, and each picture as a function.

Names are imported when they are first used: `report.text` needs neither matplotlib nor torch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..specs import lazy

if TYPE_CHECKING:
    from .comparison.measure import Comparison
    from .comparison.page import compare
    from .inline import InlinePage, show
    from .report import glance, page

__getattr__: Callable[[str], Any]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        "comparison.measure": ("Comparison",),
        "comparison.page": ("compare",),
        "inline": ("InlinePage", "show"),
        "report": ("glance", "page"),
    },
)

__all__ = ["Comparison", "InlinePage", "compare", "glance", "page", "show"]
