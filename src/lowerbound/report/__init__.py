"""Pictures and the page of a run: `figures` are functions of data, `page` writes the report. Only doors import this floor."""

from .overview import glance, page

__all__ = ["glance", "page"]
