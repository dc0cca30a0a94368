"""Pictures and the page of a run: `figures` are functions of data, `page` writes the report. Only
doors import this floor.
"""

from .compare import compare
from .comparison import Comparison
from .overview import glance, page

__all__ = ["Comparison", "compare", "glance", "page"]
