"""The command that writes a run as an ONNX file."""

from typing import Annotated

import typer

from .app import AllowCode, Json, Out, RunFolder, command, show


@command()
def export(
    run: RunFolder,
    out: Out,
    what: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="encode, decode, reconstruct, score or recommend [default: recommend for a run on "
            "interactions, else encode].",
        ),
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", help="Of recommend: the length of lists [default: 10].")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="Of score: importance samples for each row [default: 100]."),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of score: seed of the noise.", min=0, max=2**63 - 1)
    ] = 0,
    check: Annotated[
        bool,
        typer.Option("--check", help="Run the file by ONNX Runtime, and compare it with the run."),
    ] = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Write what a run computes as an ONNX file: raw rows in, the data's units out, for programs
    without PyTorch.
    """
    from ..doors.export import export as write
    from ..run import load

    fitted = load(run, allow_code=allow_code)
    written = write(fitted, out, what=what, k=k, samples=samples, seed=seed, check=check)
    lines = [f"{written.what} of {run} in {written.out}, {written.size:,} bytes"]
    for port in written.takes:
        lines.append(f"  in   {port}")
    for port in written.gives:
        lines.append(f"  out  {port}")
    if written.differences is not None:
        for batch, number in written.differences.items():
            lines.append(f"checked at batch {batch:>2}: largest difference {number:.1e}")
    show(written.describe(), lines, json)
