"""Which run a request is about, for the handlers of all routers.

A router for runs is written once. It is reached by `/runs/{name}/...`, and where one run alone is
served also without that beginning.

The functions are coroutines, though they wait for nothing: FastAPI runs others in threads.
"""

from typing import Annotated

from fastapi import Depends, Path, Request

from .served import Served, Shelf


async def shelf_of(request: Request) -> Shelf:
    """Returns all runs that are served."""
    shelf: Shelf = request.app.state.shelf
    return shelf


async def choose_named(
    request: Request, name: Annotated[str, Path(description="Of the run, see /runs.")]
) -> None:
    """Chooses the run that the path names."""
    request.state.served = request.app.state.shelf.find(name)


async def choose_only(request: Request) -> None:
    """Chooses the run that is served alone."""
    request.state.served = request.app.state.shelf.only


async def chosen(request: Request) -> Served:
    """Returns the run that was chosen."""
    served: Served = request.state.served
    return served


Chosen = Annotated[Served, Depends(chosen)]
"""The run that a request is about, as a parameter of a handler."""

Runs = Annotated[Shelf, Depends(shelf_of)]
"""All runs that are served, as a parameter of a handler."""
