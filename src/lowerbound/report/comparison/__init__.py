"""Runs measured on the very same examples, and the page and the text that say what was found."""

from .measure import Comparison, Entry, measure
from .page import compare
from .text import as_text

__all__ = ["Comparison", "Entry", "as_text", "compare", "measure"]
