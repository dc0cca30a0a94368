"""The commands that measure runs."""

from pathlib import Path
from typing import Annotated

import typer

from .app import Json, Out, RunFolder, Source, command, show
from .text import number, ranking_lines, report_lines, score_lines


@command()
def evaluate(
    run: RunFolder,
    data: Source = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all [default: test].")
    ] = None,
    samples: Annotated[int, typer.Option(help="Importance samples for each example.")] = 100,
    json: Json = False,
) -> None:
    """Measure a run: the bound and the importance-sampled log-likelihood, or how well a recommender
    ranks.
    """
    from ..evaluation.batches import positive
    from ..run import load

    found = load(run).evaluate(data, split=split, samples=positive(samples))
    if "metrics" in found:
        show(found, ranking_lines(found), json)
        return
    drawn = f"{samples} importance samples, {found['effective_samples']:.1f} effective"
    lines = [
        f"{found['examples']:,} {found['split']} examples; nats per example",
        f"ELBO                 {number(found['elbo'])} +- {number(found['elbo_se'])}",
        f"log-likelihood       {number(found['log_likelihood'])} +- "
        f"{number(found['log_likelihood_se'])}  ({drawn})",
        f"log-likelihood term  {number(found['log_likelihood_term'])}",
        f"rate of each level   {' '.join(map(number, found['rate']))}",
        f"active units         {' '.join(map(str, found['active_units']))}",
        f"bits per dimension   {number(found['bits_per_dim'], 4)}",
        *([f"note: {found['caveat']}"] if found["caveat"] else []),
    ]
    show(found, lines, json)


@command()
def report(run: RunFolder, json: Json = False) -> None:
    """Write the report of a run: one page that needs no other file, and its pictures as PNG and
    SVG.
    """
    from ..report import page
    from ..run import load

    path = page(load(run), progress=True)
    show(
        {"page": str(path), "picture": str(path.with_name("overview.png"))}, report_lines(run), json
    )


@command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of two runs or more.")
    ],
    data: Source = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all [default: test].")
    ] = None,
    samples: Annotated[int, typer.Option(help="Importance samples for each example.")] = 20,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Of the page [default: beside RUN]."),
    ] = None,
    json: Json = False,
) -> None:
    """Compare runs on the same examples: one table, and one page with their curves and samples side
    by side.
    """
    from ..report import compare as compared
    from ..report.comparison.text import as_text
    from ..run import load

    found = compared(
        [load(folder) for folder in folders],
        out,
        data=data,
        split=split,
        samples=samples,
        progress=True,
    )
    show(found.describe(), as_text(found), json)


@command()
def score(
    run: RunFolder,
    out: Out,
    data: Source = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all [default: test].")
    ] = None,
    samples: Annotated[int, typer.Option(help="Importance samples for each example.")] = 20,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Also the likelihood ratio to this run.")
    ] = None,
    json: Json = False,
) -> None:
    """Score each example, to find anomalies: its bound, log-likelihood, percentile and likelihood
    ratios, as .csv or .parquet.
    """
    from .. import anomalies
    from ..run import load
    from .outputs import TABLE_ENDINGS, suffix, write_table

    suffix(out, TABLE_ENDINGS)
    found = anomalies.score(load(run), data, split=split, samples=samples, against=against)
    write_table(out, found.to_frame())
    show({"out": str(out)} | found.summary(), [*score_lines(found), f"all scores in {out}"], json)
