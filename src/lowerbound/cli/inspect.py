"""The commands that say what there is."""

from functools import partial
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import ConfigError, unknown
from ..specs import listing
from .app import Command, Json, app, command, show


def _data() -> dict[str, str]:
    from ..data import named_sets

    return {
        name: f"{entry.summary}; {entry.found() or 'not here yet'}"
        for name, entry in named_sets().items()
    }


def _trackers() -> dict[str, str]:
    return {name.lower(): told for name, told in listing.parts("tracking", "Tracker").items()}


CATALOGUES: dict[str, Any] = {
    "recipes": listing.recipes,
    "data": _data,
    **{module: partial(listing.parts, module, base) for module, base in listing.BASES.items()},
    "optimizers": listing.optimizers,
    "trackers": _trackers,
}


class AsTyped(Command):
    """A command whose arguments are texts as they were typed: to read them as anything else, Typer
    would import pydantic.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                parameter.process_value = lambda ctx, value: value  # type: ignore[method-assign]


@app.command(name="list", cls=AsTyped)
def list_(
    what: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(CATALOGUES)}; all of them without it.")
    ] = None,
    json: Json = False,
) -> None:
    """List what there is: recipes, data sets and the parts that recipes are made of."""
    if what is not None and what not in CATALOGUES:
        raise ConfigError(unknown("catalogue", what, CATALOGUES))
    found = {name: CATALOGUES[name]() for name in CATALOGUES if what in (None, name)}
    width = max(len(name) for entries in found.values() for name in entries)
    lines = [
        line
        for name, entries in found.items()
        for line in ("", name, *(f"  {k:<{width}}  {v}" for k, v in entries.items()))
    ]
    show(found, lines[1:], json)


@command()
def doctor(json: Json = False) -> None:
    """Versions, devices, data found, and a self-check of the numerics on closed-form truths."""
    import platform
    from importlib import metadata

    import torch

    from ..testing import TOLERANCE, truths

    names = (
        "torch",
        "numpy",
        "lightning-fabric",
        "pydantic",
        "safetensors",
        "polars",
        "scikit-learn",
    )
    versions = {"lowerbound": __version__, "python": platform.python_version()} | {
        n: metadata.version(n) for n in names
    }
    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    checks = {name: truth() for name, truth in truths().items()}
    healthy = all(error <= TOLERANCE for error in checks.values())
    lines = [
        *(f"{name:<18}{version}" for name, version in versions.items()),
        *(f"{'device':<18}{name}" for name in devices),
        *(f"{'data':<18}{name}: {text}" for name, text in _data().items()),
        *(
            f"{'truth':<18}{name}: off by {e:.1e} {'ok' if e <= TOLERANCE else 'WRONG'}"
            for name, e in checks.items()
        ),
        "all is well" if healthy else "the numerics are wrong on this machine",
    ]
    show(
        {
            "versions": versions,
            "devices": devices,
            "data": _data(),
            "truths": checks,
            "healthy": healthy,
        },
        lines,
        json,
    )
    if not healthy:
        raise typer.Exit(1)
