"""The Typer application, the options that several commands share, and the output of a result."""

import json as jsonlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup


class QuickHelp:
    """A mixin for commands that do not parse the `--help` flag where it was not given.

    To parse it, Typer would import pydantic.
    """

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        # Typer keeps the option of a command, so it may be a changed one already.
        if option is not None and "process_value" not in vars(option):
            process_value = option.process_value
            option.process_value = lambda ctx, value: process_value(ctx, bool(value))
        return option


class Commands(QuickHelp, TyperGroup):
    """The group of all commands."""


class Command(QuickHelp, TyperCommand):
    """A command whose line in the list of commands is never cut, however narrow the terminal."""

    def get_short_help_str(self, limit: int = 45) -> str:
        return super().get_short_help_str(limit=1000)


app: typer.Typer = typer.Typer(
    cls=Commands,
    help="Variational autoencoders for images, tables and interactions: fit, measure, look, use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Importing the coloured help takes longer than importing all else that it needs.
    rich_markup_mode=None,
)

command: Callable[..., Any] = partial(app.command, cls=Command)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]

RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, or hf://OWNER/NAME.")
]

Features = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Of a recommender with features of users: their table [default: that of the fit].",
    ),
]
"""The option of commands that read users with their features."""

Source = Annotated[
    str | None, typer.Option("--data", metavar="SOURCE", help="Name of a data set, or a path.")
]

Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")]

AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", help="Import the parts that a recipe names as module:Class."),
]


def show(result: dict[str, Any], lines: list[str], json: bool) -> None:
    """Prints a result as one line of JSON, or its lines of text for people."""
    from ..system.files import jsonable

    if json:
        lines = [jsonlib.dumps(jsonable(result), allow_nan=False)]
    print("\n".join(lines), flush=True)
