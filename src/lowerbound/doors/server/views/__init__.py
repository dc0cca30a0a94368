"""What the page shows beyond what programs ask for: a map of all examples, rows, comparisons."""

from fastapi import APIRouter


def routers_of_runs() -> list[APIRouter]:
    """Returns the routers of one run each, reached by `/runs/{name}`."""
    from . import maps, rows

    return [maps.router, rows.router]


def routers_of_all() -> list[APIRouter]:
    """Returns the routers of all runs together."""
    from . import compare

    return [compare.router]
