"""The command that fits a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from ..system.console import is_first_process
from .app import Json, Source, command, show
from .text import figures_table, following, report_lines


@command()
def fit(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Packaged name or TOML file.")],
    data: Source = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN", help="Folder for the run [default: runs/RECIPE]."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the weights, the order of the data and the noise.")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="Number of processes, each with its device.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run.")
    ] = False,
    json: Json = False,
) -> None:
    """Fit a recipe and write a run folder."""
    from .. import fitting
    from .. import recipe as recipes
    from ..data import described

    chosen = recipes.settings(settings or [])
    found = fitting.fit(
        recipe, data=data, out=out, settings=chosen, seed=seed, devices=devices, resume=resume
    )
    if not is_first_process():
        return  # of several processes one prints
    summary = found.summary
    held = [described(summary["facts"])] if summary["facts"] else []
    speed = f"{summary['seconds']:.1f} s, {summary['examples_per_second']:,.0f} examples/s"
    lines = [
        *held,
        f"{summary['parameters']:,} parameters, {summary['epochs']} epochs (the best was "
        f"{summary['best_epoch']}), {speed}",
        *figures_table(summary),
        *([f"note: {summary['caveat']}"] if summary["caveat"] else []),
        f"run      {found.folder}",
        *report_lines(found.folder),
        f"next     {following(found)}",
    ]
    show(summary, lines, json)
