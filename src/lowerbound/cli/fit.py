"""The command that fits a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from ..system.console import is_first_process
from .app import AllowCode, Json, Source, command, show
from .text import figures_table, next_command, report_lines


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
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from the weights of this run, as a refit to a log that has grown.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run.")
    ] = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Fit a recipe and write a run folder."""
    from .. import fitting
    from .. import recipe as recipes
    from ..data import described
    from ..report.text import HIDDEN_IN_TRAINING, tell_splits

    replaced = recipes.settings(settings or [])
    if start_from is not None:
        replaced["training.start_from"] = str(start_from)
    run = fitting.fit(
        recipe,
        data=data,
        out=out,
        settings=replaced,
        seed=seed,
        devices=devices,
        resume=resume,
        allow_code=allow_code,
    )
    if not is_first_process():
        return  # one of several processes prints
    summary = run.summary
    lines = []
    if summary["facts"]:
        lines.append(described(summary["facts"]))
    lines.append(tell_splits(summary["sizes"], summary["unit"], summary["source"]))
    lines.append(
        f"{summary['parameters']:,} parameters, {summary['epochs']} epochs (the best was "
        f"{summary['best_epoch']}), {summary['seconds']:.1f} s, "
        f"{summary['examples_per_second']:,.0f} examples/s"
    )
    lines += figures_table(summary)
    if summary["caveat"]:
        lines.append(f"note: {summary['caveat']}")
    if run.schema.table and run.recipe.data.hide:
        lines.append(f"note: in training, {HIDDEN_IN_TRAINING}")
    lines.append(f"run      {run.folder}")
    lines += report_lines(run.folder / "report")
    following = next_command(run)
    if allow_code:
        following += " --allow-code"
    lines.append(f"next     {following}")
    show(summary, lines, json)
