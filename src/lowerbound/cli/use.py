"""The commands that use runs."""

from typing import Annotated, Any

import typer

from ..errors import ConfigError, one_line
from ..report.text import plain_number
from .app import AllowCode, Features, Json, Out, RunFolder, Source, command, show
from .sharded import (
    Engine,
    Shards,
    Workers,
    is_sharded,
    options_of_engine,
    refuse_file,
    show_sharded,
)


@command()
def sample(
    run: RunFolder,
    out: Out,
    n: Annotated[int, typer.Option("-n", help="How many.")] = 64,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A condition of a conditional run, in the words of the data; may be repeated.",
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(help="Of the prior of every level; below 1: more typical, less diverse."),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0, max=2**63 - 1)] = 0,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Draw from the model: a PNG grid (means of p(x|z)), or .npy, .csv, .parquet (draws from
    it).
    """
    from ..run import load
    from ..run.given import tell_drawn
    from .outputs import write_samples

    fitted = load(run, allow_code=allow_code)
    conditions = read_conditions(given or [])
    count = write_samples(fitted, n, out, seed, conditions, temperature)
    lines = [f"{count} samples in {out}"]
    drawn = tell_drawn(conditions, fitted.schema.given)
    if drawn is not None:
        lines.append(drawn)
    result = {
        "out": str(out),
        "samples": count,
        "given": conditions,
        "temperature": temperature,
        "seed": seed,
    }
    show(result, lines, json)


def read_conditions(texts: list[str]) -> dict[str, str]:
    """Reads NAME=VALUE of `--given`.

    Raises:
        ConfigError: one is no such text, or a name is given twice.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise ConfigError(
                f"--given {one_line(text, 80)}: NAME=VALUE is needed, such as label=3; NAME= with "
                "nothing behind it is not known"
            )
        if name in given:
            raise ConfigError(f"--given names {one_line(name, 80)} twice; allowed: once")
        given[name] = value
    return given


COLUMNS_SHOWN = 4
"""`encode` prints the names of this number of columns."""


@command()
def encode(
    run: RunFolder,
    out: Out,
    data: Source = None,
    level: Annotated[
        int | None,
        typer.Option(help="Of a hierarchy one level alone, 1 next to the data [default: all]."),
    ] = None,
    features: Features = None,
    engine: Engine = None,
    shards: Shards = None,
    workers: Workers = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Write the posterior means of all examples, of interactions also the items' vectors: .npy,
    .csv or .parquet.
    """
    if is_sharded(engine, shards, workers):
        from ..doors.sharding import encode_in_shards

        refuse_file(out)
        made = encode_in_shards(
            run,
            data,
            out,
            level=level,
            **options_of_engine(engine, shards, workers),
            features=features,
            allow_code=allow_code,
        )
        show_sharded(made, "codes", json)
        return
    from ..run import load
    from .outputs import write_codes

    fitted = load(run, allow_code=allow_code).with_users(features)
    examples = fitted.data(data).split("all")
    written = write_codes(fitted, examples, out, level)
    columns = ", ".join(written["columns"][:COLUMNS_SHOWN])
    if len(written["columns"]) > COLUMNS_SHOWN:
        columns += " ..."
    lines = [f"{written['examples']:,} codes in {out}: {columns}"]
    if "items" in written:
        lines.append(f"{written['items']:,} vectors of items in {written['items_out']}")
    show({"out": str(out)} | written, lines, json)


@command()
def impute(
    run: RunFolder,
    out: Out,
    data: Source = None,
    multiple: Annotated[
        int | None,
        typer.Option(
            metavar="M", help="Also M tables of draws, for analyses: NAME-1 and so on beside FILE."
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="Importance samples for each row with gaps [default: 1000]."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(metavar="mean|median", help="What single values of numbers are."),
    ] = "mean",
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0, max=2**63 - 1)] = 0,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Fill the gaps of a table: .csv (and other texts) or .parquet; what was observed stays as it
    is written.
    """
    from ..imputation import IMPUTATION_SAMPLES, impute_file
    from ..run import load

    if samples is None:
        samples = IMPUTATION_SAMPLES
    fitted = load(run, allow_code=allow_code)
    written = impute_file(
        fitted, data, out, multiple=multiple, samples=samples, mode=mode, seed=seed
    )
    show(written.describe(), imputation_lines(written), json)


def imputation_lines(written: Any) -> list[str]:
    """Lays out what was filled, where it was written, and what is to be known of it."""
    described = written.describe()
    lines = list(written.notes)
    lines.append(written.headline)
    for name, count in described["filled"].items():
        lines.append(f"  {one_line(name, 24):<24} {count:>12,}")
    if described["effective"]:
        median = plain_number(described["effective"]["median"], 0)
        least = plain_number(described["effective"]["least"], 1)
        lines.append(
            f"{written.samples:,} draws for each row; effective: median {median}, least {least}"
        )
    if written.warning:
        lines.append(f"warning: {written.warning}")
    lines.append(f"in {described['out']}")
    if described["draws"]:
        first = described["draws"][0]
        last = described["draws"][-1]
        lines.append(f"draws, for analyses of the whole: {first} to {last}")
    return lines
