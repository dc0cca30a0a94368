"""Reports: one page for a run, one for a comparison, and each picture as a function."""

from .comparison.measure import Comparison
from .comparison.page import compare
from .report import glance, page

__all__ = ["Comparison", "compare", "glance", "page"]
