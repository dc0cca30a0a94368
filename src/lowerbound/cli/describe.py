"""The command that says what a source would be read as."""

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import Json, command, show

if TYPE_CHECKING:
    from ..data.describing import Reading
    from ..data.files.description import Column, Description
    from ..data.splits import SplitSizes

KINDS = {
    "image": "images",
    "table": "a table",
    "vector": "vectors",
    "interactions": "a log of users and items",
}
"""What each kind is called."""

UNITS = {"image": "images", "table": "rows", "vector": "vectors", "interactions": "lines"}
"""What the examples of each kind are called."""

MOST_COLUMNS = 40
"""So many columns are printed."""


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
    splits: dict[str, int] = {}
    problem = found.problem
    try:
        splits = split_counts(found, sizes)
    except DataError as error:
        problem = problem or str(error)
    following = next_command(source, found, settings or [])
    result = asdict(found) | {"problem": problem, "splits": splits, "next": following}
    show(result, description_lines(found, splits, problem, following), json)


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
    words = [COMMANDS[found.kind].format(shlex.quote(source))]
    words += [f"--set {shlex.quote(setting)}" for setting in settings]
    return "lowerbound " + " ".join(words)


def description_lines(
    found: "Description", splits: dict[str, int], problem: str | None, following: str | None
) -> list[str]:
    """Lays out a description for people."""
    lines = [f"{found.name}: {KINDS.get(found.kind, found.kind)}"]
    count = "how many is not known before it is read"
    if found.count is not None:
        count = f"{found.count:,} {UNITS.get(found.kind, 'examples')}"
    lines.append(row("content", "; ".join((count, *found.facts))))
    if splits:
        cut = ", ".join(f"{name} {size:,}" for name, size in splits.items())
        lines.append(row("splits", f"{cut} ({origin_of_splits(found)})"))
    if found.labels:
        counted = ", ".join(f"{label or '(none)'} {n:,}" for label, n in found.labels.items())
        lines.append(row("labels", counted))
    for note in found.notes:
        lines.append(row("note", note))
    lines += column_table(found)
    if problem is not None:
        lines.append(row("problem", problem))
    elif following is not None:
        lines.append(row("next", following))
    return lines


def row(label: str, text: str) -> str:
    """Lays out one row of a description."""
    return f"{label:<9}{text}"


def origin_of_splits(found: "Description") -> str:
    """Says which splits the source brings, and which are drawn."""
    own = []
    if found.train is not None:
        own += ["train", "test"]
    if found.validation is not None:
        own.append("validation")
    if not own:
        return "drawn at random by data.seed; data.validation and data.test set their sizes"
    return f"the source's own: {', '.join(own)}"


def column_table(found: "Description") -> list[str]:
    """Lays out the columns of a table or a log, one a row."""
    if not found.columns:
        return []
    shown = found.columns[:MOST_COLUMNS]
    width = max(len(column.name) for column in shown)
    width = min(max(width, len("column")), 40)
    lines = [
        f"the first {found.looked_at:,} rows:",
        f"  {'column':<{width}}  {'kind':<13}{'use':<10}{'missing':>8}  examples",
    ]
    for column in shown:
        lines.append(column_row(column, width))
    rest = len(found.columns) - len(shown)
    if rest:
        lines.append(f"  and {rest:,} more")
    return lines


def column_row(column: "Column", width: int) -> str:
    """Lays out one column."""
    name: Any = column.name
    if len(name) > width:
        name = name[: width - 3] + "..."
    values = ", ".join(column.examples)
    return f"  {name:<{width}}  {column.kind:<13}{column.use:<10}{column.missing:>8}  {values}"
