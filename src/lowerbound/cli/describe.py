"""The command that says what a source would be read as."""

import shlex
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from .app import Json, command, show

if TYPE_CHECKING:
    from ..data.describing import Reading
    from ..data.files.description import Description
    from ..data.splits import SplitSizes

NUMBERS_ALONE = (
    "data.kinds=none takes numbers alone, without gaps: kinds are not used then, and columns of "
    "words and columns with gaps are refused"
)
"""What is said of the kinds that are shown where they were not asked for."""

LEVELS_OF_RECIPE = 256
"""The likelihood of the recipe for images is one of so many levels."""


@command()
def describe(
    source: Annotated[str, typer.Argument(metavar="DATA", help="Name of a data set, or a path.")],
    interactions: Annotated[
        bool | None,
        typer.Option(
            "--interactions/--examples",
            help="A log of users and items, or examples [default: as it looks].",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of [data], as `fit` takes it."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what a source would be read as: kind, shape, columns, labels, splits, what is left out
    and why.
    """
    from ..data.describing import describe as describe_source
    from ..data.describing import split_counts
    from ..errors import DataError

    reading, sizes = read_settings(source, settings or [], interactions)
    found = describe_source(source, reading)
    if found.kind == "table" and asks_for_numbers(settings or []):
        found = replace(found, notes=(*found.notes, NUMBERS_ALONE))
    splits: dict[str, int] = {}
    problem = found.problem
    try:
        splits = split_counts(found, sizes)
    except DataError as error:
        problem = problem or str(error)
    following = next_command(source, found, settings or [])
    result = asdict(found) | {"problem": problem, "splits": splits, "next": following}
    show(result, description_lines(found, splits, problem, following), json)


def asks_for_numbers(settings: list[str]) -> bool:
    """Says whether the settings ask for a table of numbers alone, by data.kinds=none."""
    from .. import recipe as recipes

    if not settings:
        return False
    changed = recipes.settings(settings)
    return changed.get("data.kinds", {}) is None


def read_settings(
    source: str, settings: list[str], is_log: bool | None
) -> "tuple[Reading, SplitSizes]":
    """Reads the keys of [data] that say how a source is read and split.

    Raises:
        ConfigError: a key is none of [data], or has a wrong value.
    """
    from ..data.describing import Reading
    from ..data.splits import SplitSizes

    if not settings:
        return Reading(is_log=is_log), SplitSizes()
    # What follows imports torch, which takes longer than all else here.
    from .. import recipe as recipes
    from ..errors import ConfigError

    changed = recipes.settings(settings)
    for key in changed:
        if not key.startswith("data."):
            raise ConfigError(f"describe reads keys of [data] alone, got {key}")
    data = recipes.load("images").replace({"data.source": source, **changed}).data
    if data.interactions is None:
        reading = Reading(data.wanted(), is_log=is_log)
    else:
        reading = Reading(data.wanted(), data.interactions.columns, is_log=True)
    return reading, SplitSizes(data.validation, data.test, data.seed)


def next_command(source: str, found: "Description", settings: list[str]) -> str | None:
    """Gives the command that fits such data; None where nothing is known that does."""
    from ..data.describing import COMMANDS

    if found.kind not in COMMANDS:
        return None
    if found.kind == "image":
        if found.levels is None:
            return None
        if found.levels != LEVELS_OF_RECIPE:
            settings = [*settings, f"model.likelihood.levels={found.levels}"]
    words = [COMMANDS[found.kind].format(shlex.quote(source))]
    words += [f"--set {shlex.quote(setting)}" for setting in settings]
    return "lowerbound " + " ".join(words)


def description_lines(
    found: "Description", splits: dict[str, int], problem: str | None, following: str | None
) -> list[str]:
    """Lays out a description with what a fit would make of it."""
    from ..data.files.description import show_row

    lines = replace(found, problem=problem).lines()
    if splits:
        sizes = ", ".join(f"{name} {size:,}" for name, size in splits.items())
        lines.append(
            show_row("splits", f"{sizes} (data.validation and data.test set them, data.seed draws)")
        )
    if problem is None and following is not None:
        lines.append(show_row("next", following))
    return lines
