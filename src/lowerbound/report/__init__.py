"""Pictures and the page of a run. Nothing imports this floor but the command line."""

from .overview import overview, page

__all__ = ["overview", "page"]
