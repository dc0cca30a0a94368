"""Engines have the shards of a job made. Each only maps the one function over their numbers."""

from collections.abc import Callable, Sequence

from ....errors import ConfigError, unknown
from ..job import Job

Engine = Callable[[Job, Sequence[int], int | None], None]
"""It makes some shards of a job, by at most so many processes; None leaves that to the engine."""

ENGINES = ("local", "ray", "spark")
"""The names of all engines. Each has a module of its name here, whose function `make` it is."""


def engine_of(name: str) -> Engine:
    """Returns an engine by its name. Its library is asked for when the engine begins.

    Raises:
        ConfigError: there is none of this name.
    """
    if name == "local":
        from .local import make
    elif name == "ray":
        from .ray import make
    elif name == "spark":
        from .spark import make
    else:
        raise ConfigError(unknown("engine", name, ENGINES))
    return make
