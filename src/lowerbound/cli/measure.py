"""The commands that measure runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError, one_line
from ..report.text import name_level, plain_number
from .app import AllowCode, Features, Json, Out, RunFolder, Source, command, show
from .hidden import hidden_lines
from .scores import score_lines
from .sharded import (
    Engine,
    Shards,
    Workers,
    is_sharded,
    options_of_engine,
    refuse_file,
    show_sharded,
)
from .text import ranking_lines, report_lines

Samples = Annotated[
    int | None, typer.Option(help="Importance samples for each example [default: 100].")
]
"""The option of all commands that estimate log p(x); its default is `LIKELIHOOD_SAMPLES`."""


def asked_samples(samples: int | None) -> int:
    """Returns the number of importance samples that was asked for, or else the usual one.

    Raises:
        ConfigError: it is below 1.
    """
    from ..evaluation.batches import positive
    from ..evaluation.likelihood import LIKELIHOOD_SAMPLES

    if samples is None:
        return LIKELIHOOD_SAMPLES
    return positive(samples)


@command()
def evaluate(
    run: RunFolder,
    data: Source = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all [default: test].")
    ] = None,
    samples: Samples = None,
    hide: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Hide this share of the known cells of a table, and measure how they are filled.",
        ),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Also which level tells the label, by linear probes."),
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Seed of the draws, and of what is hidden.", min=0, max=2**63 - 1)
    ] = 0,
    features: Features = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Measure a run: the bound and the importance-sampled log-likelihood, or how well a recommender
    ranks; with --hide, how well the gaps of a table are filled; with --probe, which level tells the
    label.
    """
    from ..run import load

    if hide is not None and probe:
        raise ConfigError(
            "--hide and --probe are measures of their own; allowed: one of them at a time"
        )
    fitted = load(run, allow_code=allow_code).with_users(features)
    if hide is not None:
        from ..imputation import IMPUTATION_SAMPLES, measure_hidden

        if samples is None:
            samples = IMPUTATION_SAMPLES
        hidden = measure_hidden(fitted, data, hide=hide, split=split, samples=samples, seed=seed)
        show(hidden.describe(), hidden_lines(hidden.describe()), json)
        return
    measures = fitted.evaluate(
        data, split=split, samples=asked_samples(samples), probe=probe, seed=seed
    )
    if "metrics" in measures:
        show(measures, ranking_lines(measures), json)
    else:
        show(measures, likelihood_lines(measures), json)


def likelihood_lines(measures: dict[str, Any]) -> list[str]:
    """Lays out the bound and the likelihood of a run on images or a table."""
    rates = " ".join(map(plain_number, measures["rate"]))
    active_units = " ".join(map(str, measures["active_units"]))
    elbo = f"{plain_number(measures['elbo'])} +- {plain_number(measures['elbo_se'])}"
    likelihood = plain_number(measures["log_likelihood"])
    likelihood_error = plain_number(measures["log_likelihood_se"])
    median = f"median {plain_number(measures['effective_samples_median'], 1)}"
    least = f"least {plain_number(measures['effective_samples_least'], 1)}"
    drawn = f"{measures['samples']} importance samples; effective: {median}, {least}"
    bits = plain_number(measures["bits_per_dim"], 4)
    lines = [
        f"{measures['examples']:,} {measures['split']} examples; nats per example",
        f"ELBO                 {elbo}  ({measures['draws']} draws of z for each example)",
        f"log-likelihood       >= {likelihood} +- {likelihood_error}  ({drawn})",
        f"log-likelihood term  {plain_number(measures['log_likelihood_term'])}",
        f"rate of each level   {rates}",
        f"active units         {active_units}",
        f"bits per dimension   <= {bits} (of log p(x), for each {measures['dimension']})",
    ]
    if measures["pareto_k_above"] is not None:
        lines.insert(3, f"  its weights        {_weights(measures)}")
    lines += _column_lines(measures.get("columns", []))
    lines += _probe_lines(measures.get("probe"))
    for note in ("log_likelihood_doubt", "caveat"):
        if measures[note]:
            lines.append(f"note: {measures[note]}")
    return lines


WORST_COLUMNS = 5
"""`evaluate` prints so many columns of a table, those of the lowest log-likelihood."""


def _column_lines(columns: list[dict[str, Any]]) -> list[str]:
    """Lays out the columns of a table that have the lowest log-likelihood."""
    known = [column for column in columns if column["observed"]]
    if not known:
        return []
    known.sort(key=lambda column: column["log_likelihood_term"])
    among = f"{len(columns)} columns"
    lines = [f"log-likelihood term of the least likely of {among}, where they are observed:"]
    for column in known[:WORST_COLUMNS]:
        name = one_line(column["column"], 30)
        term = plain_number(column["log_likelihood_term"])
        error = plain_number(column["standard_error"])
        lines.append(f"  {name:<30} {term:>9} +- {error}  ({column['observed']:,} rows)")
    return lines


def _probe_lines(probe: dict[str, Any] | None) -> list[str]:
    """Lays out how well linear probes of each level find the label, the top first."""
    if probe is None:
        return []
    count = len(probe["levels"])
    examples = f"{probe['examples']:,} examples with {probe['classes']} labels"
    lines = [f"accuracy of linear probes of {examples} ({probe['splits']} random halvings):"]
    for level in reversed(range(count)):
        lines.append(_probe_line(name_level(level, count), probe["levels"][level]))
    if count > 1:
        lines.append(_probe_line("all levels", probe["all_levels"]))
    for components in probe["principal_components"]:
        lines.append(_probe_line("PCA of the examples", components))
    most_frequent = plain_number(probe["most_frequent"], 3)
    lines.append(f"  {'the most frequent label':<27} {most_frequent}")
    return lines


def _probe_line(name: str, probe: dict[str, Any]) -> str:
    accuracy = plain_number(probe["accuracy"], 3)
    error = plain_number(probe["accuracy_se"], 3)
    return f"  {name:<27} {accuracy} +- {error}  ({probe['size']:,} dimensions)"


def _weights(measures: dict[str, Any]) -> str:
    """Says how many of the examples have importance weights with a heavy tail, and how far the
    estimate may be below the truth.
    """
    threshold = plain_number(measures["pareto_k_threshold"])
    tail = f"Pareto k above {threshold} for {measures['pareto_k_above']:.1%} of the examples"
    looseness = plain_number(measures["log_likelihood_looseness"])
    return f"{tail}; about {looseness} nats below the truth"


@command()
def report(
    run: RunFolder,
    data: Source = None,
    examples: Annotated[
        int | None,
        typer.Option(help="Measure at most so many examples [default: report.examples]."),
    ] = None,
    features: Features = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Write the report of a run: one page that needs no other file, and its pictures as PNG and
    SVG.
    """
    from ..report import page
    from ..run import load

    fitted = load(run, allow_code=allow_code).with_users(features)
    path = page(fitted, data, examples=examples, progress=True)
    result = {"page": str(path), "picture": str(path.with_name("overview.png"))}
    show(result, report_lines(path.parent), json)


@command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of two runs or more.")
    ],
    data: Source = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all [default: test].")
    ] = None,
    samples: Samples = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Of the page [default: beside RUN]."),
    ] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Compare runs on the same examples: one table, and one page with their curves and samples side
    by side.
    """
    from ..report import compare as compare_runs
    from ..report.comparison.text import as_text
    from ..run import load

    runs = [load(folder, allow_code=allow_code) for folder in folders]
    comparison = compare_runs(
        runs,
        out,
        data=data,
        split=split,
        samples=asked_samples(samples),
        progress=True,
    )
    show(comparison.describe(), as_text(comparison), json)


@command()
def score(
    run: RunFolder,
    out: Out,
    data: Source = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all [default: test].")
    ] = None,
    samples: Samples = None,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Also the likelihood ratio to this run.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="RATE", help="Also which examples are anomalous, at this rate of false alarms."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="SCORE", help="The score whose cut makes the column anomalous."),
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN[=VALUE]",
            help="Which examples are anomalies, to measure how well they are found.",
        ),
    ] = None,
    engine: Engine = None,
    shards: Shards = None,
    workers: Workers = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Score each example, to find anomalies: its bound, log-likelihood, percentile and likelihood
    ratios, as .csv or .parquet.
    """
    if is_sharded(engine, shards, workers):
        from ..doors.sharding import score_in_shards

        refuse_file(out)
        if truth is not None:
            raise ConfigError("--truth measures all scores at once, and not those of shards")
        made = score_in_shards(
            run,
            data,
            out,
            split=split,
            samples=asked_samples(samples),
            against=against,
            threshold=threshold,
            by=by,
            **options_of_engine(engine, shards, workers),
            allow_code=allow_code,
        )
        show_sharded(made, "scores", json)
        return
    from .. import anomalies
    from ..run import load
    from ..system.files import write_frames
    from .outputs import TABLE_ENDINGS, suffix

    suffix(out, TABLE_ENDINGS)
    fitted = load(run, allow_code=allow_code)
    other = None
    if against is not None:
        other = load(against, allow_code=allow_code)
    scores = anomalies.score(
        fitted,
        data,
        split=split,
        samples=asked_samples(samples),
        against=other,
        threshold=threshold,
        by=by,
        truth=truth,
        progress=True,
    )
    write_frames(out, scores.frames())
    result = {"out": str(out)} | scores.summary()
    show(result, [*score_lines(scores), f"all scores in {out}"], json)
