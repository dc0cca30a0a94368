"""The command that searches for better settings of a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from .app import AllowCode, Json, Source, app, show
from .list_options import CommandWithLists


@app.command(cls=CommandWithLists)
def tune(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Packaged name or TOML file.")],
    search: Annotated[
        list[str],
        typer.Option(
            "--search",
            metavar="KEY=VALUES",
            help="Keys and their values, one or more: KEY=[A,B], KEY=log(A,B), KEY=uniform(A,B), "
            "KEY=int(A,B,STEP).",
        ),
    ],
    data: Source = None,
    trials: Annotated[int, typer.Option(help="Number of trials in all.")] = 50,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Folder for all trials [default: runs/tune-RECIPE]."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key, in all trials."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of a trial, in place of training.epochs.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of all trials, and of the choice of values.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="MEASURE", help="What decides, on validation [default: training.monitor]."
        ),
    ] = None,
    pruner: Annotated[
        str, typer.Option(help="What ends a worse trial early: median, halving or none.")
    ] = "median",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in the folder.")
    ] = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Search for better settings of a recipe: fit it many times, and compare on validation."""
    from .. import recipe as recipes
    from ..doors import tuning
    from ..doors.tuning.trials import lines_of

    same = recipes.settings(settings or [])
    if epochs is not None:
        same["training.epochs"] = epochs
    found = tuning.tune(
        recipe,
        search=search,
        data=data,
        trials=trials,
        out=out,
        settings=same,
        seed=seed,
        by=by,
        pruner=pruner,
        resume=resume,
        allow_code=allow_code,
    )
    show(found.describe(), lines_of(found), json)
