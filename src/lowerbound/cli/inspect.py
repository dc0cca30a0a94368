"""The commands that say what can be used: the catalogues, and the state of this machine."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import ConfigError, unknown
from ..specs import listing
from .app import AllowCode, Command, Json, app, command, show


def list_parts(module: str, base: str) -> dict[str, str]:
    """Lists the parts of one module of this package, then those of installed packages."""
    return listing.parts(module, base) | listing.installed_parts(module)


def list_data() -> dict[str, str]:
    """Lists the named data sets, and where each was found."""
    from ..data import named_sets

    lines = {}
    for name, entry in named_sets().items():
        place = entry.found() or "not here yet"
        lines[name] = f"{entry.summary}; {place}"
    return lines


def list_trackers() -> dict[str, str]:
    """Lists the trackers by the names that a recipe has for them."""
    own = listing.parts("tracking", "Tracker")
    lines = {name.lower(): summary for name, summary in own.items()}
    return lines | listing.installed_parts("trackers")


def list_baselines() -> dict[str, str]:
    """Lists the methods without a neural network: recommenders, then imputers."""
    return listing.parts("baselines", "Baseline") | listing.parts("baselines", "Imputer")


CATALOGUES: dict[str, Callable[[], dict[str, str]]] = {
    "recipes": listing.recipes,
    "data": list_data,
    **{module: partial(list_parts, module, base) for module, base in listing.BASES.items()},
    "optimizers": listing.optimizers,
    "trackers": list_trackers,
    "baselines": list_baselines,
}
"""The catalogues by name, each with the function that lists it: a line on each of its entries."""


class PlainTextArguments(Command):
    """A command whose arguments stay texts as they were typed.

    To convert them to anything else, Typer would import pydantic.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                parameter.process_value = lambda ctx, value: value  # type: ignore[method-assign]


@app.command(name="list", cls=PlainTextArguments)
def list_(
    what: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(CATALOGUES)}; all of them without it.")
    ] = None,
    json: Json = False,
) -> None:
    """List what there is: recipes, data sets, the parts of recipes, and baselines."""
    if what is not None and what not in CATALOGUES:
        raise ConfigError(unknown("catalogue", what, CATALOGUES))
    names = list(CATALOGUES) if what is None else [what]
    catalogues = {name: CATALOGUES[name]() for name in names}
    width = max(len(entry) for entries in catalogues.values() for entry in entries)
    lines = []
    for name, entries in catalogues.items():
        lines += ["", name]
        if name == "recipes":
            lines += group_lines(listing.recipes_by_group(), width)
        else:
            lines += entry_lines(entries, width, "  ")
    show(catalogues, lines[1:], json)


def entry_lines(entries: dict[str, str], width: int, indent: str) -> list[str]:
    """Lays out the entries of a catalogue: the names in a column of this width."""
    return [f"{indent}{entry:<{width}}  {summary}" for entry, summary in entries.items()]


def group_lines(groups: dict[str, dict[str, str]], width: int) -> list[str]:
    """Lays out the entries of a catalogue by groups, each below its words."""
    lines = []
    for words, entries in groups.items():
        lines += [f"  {words}", *entry_lines(entries, width, "    ")]
    return lines


@app.command(name="show", cls=Command)
def show_keys(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Packaged name, TOML file, or folder of a run.")
    ],
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="Only this key, or this table of keys.")
    ] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Show every key of a recipe: its value, its default, what it means, and what is allowed."""
    from ..recipe import load
    from ..specs.keys import keys_of
    from ..specs.user_code import allowing_code
    from .text import key_lines

    with allowing_code(allow_code):
        plan = load(recipe_of_run(recipe))
    keys = list(keys_of(plan))
    chosen = [entry for entry in keys if key is None or is_within(entry.name, key)]
    if not chosen:
        raise ConfigError(unknown("key", key, names_near(str(key), keys)))
    result = {"recipe": recipe, "keys": [vars(entry) for entry in chosen]}
    show(result, key_lines(chosen), json)


def recipe_of_run(recipe: str) -> str:
    """Gives the path of the recipe in the folder of a run, and all else as it is."""
    from ..system.files import is_file

    path = Path(recipe) / "recipe.toml"
    if is_file(path):
        return str(path)
    return recipe


def names_near(key: str, keys: list[Any]) -> list[str]:
    """Lists the names that a wrong key may stand for: those of its table, or all tables."""
    table = key.partition(".")[0]
    names = [entry.name for entry in keys if entry.table == table]
    return names or list(dict.fromkeys(entry.table for entry in keys))


def is_within(name: str, key: str) -> bool:
    """Says whether the dotted name of a key is a key itself, or one of a table."""
    return name == key or name.startswith(f"{key}.")


LIBRARIES = (
    "torch",
    "numpy",
    "lightning-fabric",
    "pydantic",
    "safetensors",
    "polars",
    "scikit-learn",
)
"""`doctor` shows the versions of these libraries."""


@command()
def doctor(json: Json = False) -> None:
    """Versions, devices, data found, and a self-check of the numerics on closed-form truths."""
    import platform
    from importlib import metadata

    import torch

    from ..testing import TOLERANCE, truths

    versions = {"lowerbound": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        versions[library] = metadata.version(library)
    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    for index in range(torch.cuda.device_count()):
        devices.append(torch.cuda.get_device_name(index))
    data = list_data()
    errors = {name: truth() for name, truth in truths().items()}
    is_healthy = all(error <= TOLERANCE for error in errors.values())

    rows = list(versions.items())
    rows += [("device", device) for device in devices]
    rows += [("data", f"{name}: {line}") for name, line in data.items()]
    for name, error in errors.items():
        verdict = "ok" if error <= TOLERANCE else "WRONG"
        rows.append(("truth", f"{name}: off by {error:.1e} {verdict}"))
    lines = [f"{label:<18}{text}" for label, text in rows]
    if is_healthy:
        lines.append("all is well")
    else:
        lines.append("the numerics are wrong on this machine")
    result = {
        "versions": versions,
        "devices": devices,
        "data": data,
        "truths": errors,
        "healthy": is_healthy,
    }
    show(result, lines, json)
    if not is_healthy:
        raise typer.Exit(1)
