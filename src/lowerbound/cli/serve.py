"""The command that serves runs."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError, one_line
from .app import AllowCode, command

SEVERAL_SOURCES = "--data: with several runs give NAME=SOURCE, NAME that of the run's folder"


@command()
def serve(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    host: Annotated[
        str, typer.Option(help="Address; others than loopback need LOWERBOUND_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE", help="Where the run's own data are; NAME=SOURCE with several runs."
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page.")] = False,
    threads: Annotated[
        int | None, typer.Option(help="Threads of PyTorch [default: as many as it takes].", min=1)
    ] = None,
    allow_code: AllowCode = False,
) -> None:
    """Serve runs over HTTP with a page: encode, decode, score, recommend."""
    from ..doors.server import refuse_missing

    refuse_missing()
    sources = read_sources(data or [], runs)
    import torch

    from ..doors.server import serve as serve_runs
    from ..run import load

    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    if threads is not None:
        torch.set_num_threads(threads)
    fitted = [load(run, allow_code=allow_code) for run in runs]
    serve_runs(fitted, host=host, port=port, sources=sources, open_browser=open_browser)


def read_sources(texts: list[str], runs: list[Path]) -> list[Any]:
    """Reads where the own data of each run are; None where the run itself knows.

    Raises:
        ConfigError: a text names no run, or does not say which.
    """
    if not texts:
        return []
    if len(runs) == 1 and len(texts) == 1:
        return list(texts)
    names = [run.resolve().name for run in runs]
    sources: list[Any] = [None] * len(runs)
    for text in texts:
        name, mark, source = text.partition("=")
        if not mark or name not in names:
            raise ConfigError(
                f"{SEVERAL_SOURCES}; got {one_line(text, 80)}, the runs: {', '.join(names)}"
            )
        sources[names.index(name)] = source
    return sources
