"""The Typer application, the options that commands share, and the exit codes."""

import json as jsonlib
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup


class Flagged:
    """A command, or all of them. Typer imports pydantic to read a `--help` that nobody gave; here
    that is false at once.
    """

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None and "process_value" not in vars(option):
            read = option.process_value
            option.process_value = lambda ctx, value: read(ctx, bool(value))
        return option


class Commands(Flagged, TyperGroup):
    """The commands."""


class Command(Flagged, TyperCommand):
    """A command whose line in the help is whole, however wide the terminal."""

    def get_short_help_str(self, limit: int = 45) -> str:
        return super().get_short_help_str(limit=1000)


app = typer.Typer(
    cls=Commands,
    help="Variational autoencoders for images, tables and interactions: fit, measure, look, use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the coloured help takes longer to import than all else that it needs
)


command = partial(app.command, cls=Command)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]


Source = Annotated[
    str | None, typer.Option("--data", metavar="SOURCE", help="Name of a data set, or a path.")
]


Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")]


def show(result: dict[str, Any], lines: list[str], json: bool) -> None:
    """The result as one line of JSON, or as text for people."""
    from ..system.files import jsonable

    print(
        jsonlib.dumps(jsonable(result), allow_nan=False) if json else "\n".join(lines), flush=True
    )
