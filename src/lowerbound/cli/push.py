"""The command that gives a run to others."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .app import AllowCode, Json, RunFolder, command, show


@command()
def push(
    run: RunFolder,
    repository: Annotated[
        str | None, typer.Argument(metavar="OWNER/NAME", help="Of the Hugging Face hub.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write what would be sent, and send nothing."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Everybody may see the repository [default: private].")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="Of the repository [default: main].")
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="Of the weights, as the hub names it.")
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="A file that is to stay, such as reference.json."),
    ] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Send a run with a model card to the Hugging Face hub, or write both into a folder: known
    files only.
    """
    from ..run import load

    if (repository is None) == (out is None):
        raise ConfigError(
            "push needs one of OWNER/NAME, of a hub, and --out FOLDER, which sends nothing"
        )
    fitted = load(run, allow_code=allow_code)
    options: dict[str, Any] = {"leave_out": leave_out or (), "license": license_}
    if out is not None:
        fitted.save_pretrained(out, **options)
        files = sorted(path.name for path in out.iterdir())
        show({"out": str(out), "files": files}, [f"in {out}: {', '.join(files)}"], json)
        return
    url = fitted.push_to_hub(str(repository), private=not public, revision=revision, **options)
    address = f"hf://{repository}"
    if revision is not None:
        address = f"{address}@{revision}"
    lines = [f"sent to {url}", f"next     lowerbound evaluate {address}"]
    show({"url": url, "run": address}, lines, json)
