"""The commands that use runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError, DataError, one_line
from ..report.text import plain_number
from .app import AllowCode, Command, Features, Json, Out, RunFolder, Source, app, command, show
from .sharded import (
    Engine,
    Shards,
    Workers,
    is_sharded,
    options_of_engine,
    refuse_file,
    show_sharded,
)
from .text import recommendation_table


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


LIST_OPTIONS = ("--history", "--allow", "--deny", "--search")
"""These options take every value up to the next option."""


def repeat_list_options(arguments: list[str]) -> list[str]:
    """Writes each value of a list option behind an option of its own, as the parser expects it.

    >>> repeat_list_options(["runs/r", "--history", "Fargo", "Alien", "-k", "5"])
    ['runs/r', '--history', 'Fargo', '--history', 'Alien', '-k', '5']
    """
    repeated: list[str] = []
    list_option = None
    for argument in arguments:
        is_option = argument.startswith("-") and argument != "-"
        if is_option and argument in LIST_OPTIONS:
            list_option = argument
        elif is_option:
            list_option = None
            repeated.append(argument)
        elif list_option is None:
            repeated.append(argument)
        else:
            repeated += [list_option, argument]
    return repeated


LIST_ENDINGS = (".txt", ".csv", ".tsv", ".lst", ".list")
"""A value of `--allow` or `--deny` with such an ending is a file of items."""


class CommandWithLists(Command):
    """A command whose `LIST_OPTIONS` take several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        following_arguments = [*args[1:], "-"]
        for argument, following in zip(args, following_arguments, strict=True):
            if argument in LIST_OPTIONS and following.startswith("-"):
                raise ConfigError(f"{argument} needs one value or more")
        return super().parse_args(ctx, repeat_list_options(args))


@app.command(cls=CommandWithLists)
def recommend(
    run: RunFolder,
    history: Annotated[
        list[str] | None, typer.Option(metavar="ITEM...", help="What one user had, by id or title.")
    ] = None,
    users: Annotated[
        str | None, typer.Option(metavar="FILE", help="Interactions of many users; needs --out.")
    ] = None,
    similar: Annotated[
        str | None, typer.Option(metavar="ITEM", help="Find the items most like this one.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many, for each user.")] = 10,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="FILE|ITEM...", help="Nothing but these items.")
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option(metavar="FILE|ITEM...", help="None of these items.")
    ] = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also what the history holds.")
    ] = False,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A feature of the user, of a run fitted with some; may be repeated.",
        ),
    ] = None,
    features: Features = None,
    unknown: Annotated[
        str,
        typer.Option(metavar="leave-out|error", help="What to do with items the run lacks."),
    ] = "leave-out",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="With --users: .csv or .parquet; in shards a folder."
        ),
    ] = None,
    engine: Engine = None,
    shards: Shards = None,
    workers: Workers = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Recommend items for a history, or for many users into a file; or find the items most like
    one.
    """
    if given and history is None and users is None:
        history = []  # a user of whom the features alone are known
    in_shards = is_sharded(engine, shards, workers)
    requests = {"--history": history, "--users": users, "--similar": similar}
    refuse_ambiguous_request(requests, out, in_shards)
    if features is not None and users is None:
        raise ConfigError("--features goes with --users; those of one user are --given NAME=VALUE")
    limits: dict[str, Any] = {"allow": read_items(allow), "deny": read_items(deny) or ()}
    exclude_seen = not include_seen
    conditions = None
    if given:
        conditions = read_conditions(given)
    if in_shards and users is not None and out is not None:
        from ..doors.sharding import recommend_in_shards

        made = recommend_in_shards(
            run,
            users,
            out,
            k,
            **options_of_engine(engine, shards, workers),
            features=features,
            unknown=unknown,
            allow_code=allow_code,
            given=conditions,
            exclude_seen=exclude_seen,
            **limits,
        )
        show_sharded(made, "recommendations", json)
        return
    from ..data import History
    from ..recommend import Recommender, recommend_in_blocks
    from .outputs import write_recommendations

    recommender = Recommender.load(run, allow_code=allow_code, unknown=unknown)
    if users is not None and out is not None:
        data = recommender.run.with_users(features).other_data(users)
        unknown_items = data.facts.get("unknown_items", 0)
        told = f"{unknown_items:,} items of {users} are not known to the run"
        if unknown_items and unknown == "error":
            raise DataError(f"{told}; --unknown leave-out leaves them out")
        assert isinstance(data.whole, History)
        blocks = recommend_in_blocks(
            recommender, data.whole, k, given=conditions, exclude_seen=exclude_seen, **limits
        )
        written = write_recommendations(blocks, out, len(data.whole))
        result = written.describe()
        lines = written.lines()
        if unknown_items:
            lines.append(f"{told} and were left out")
        missing = data.facts["missing_ids"]
        if missing:
            lines.append(f"{missing:,} rows of {users} without a user or an item were left out")
        lines += describe_unknown(written.unknown, recommender)
        result |= {"unknown_items": unknown_items, "unknown": list(written.unknown)}
        show(result, lines, json)
        return
    if similar is not None:
        recommendations = recommender.similar(similar, k, **limits)
    else:
        recommendations = recommender.recommend(
            history or [], k, given=conditions, exclude_seen=exclude_seen, **limits
        )
    items = [recommendation._asdict() for recommendation in recommendations]
    lines = recommendation_table(recommendations)
    if len(items) < k:
        lines.append(f"{len(items)} of {k}: no more are left to recommend")
    lines += describe_unknown(recommendations.unknown, recommender)
    show({"items": items, "unknown": list(recommendations.unknown)}, lines, json)


def describe_unknown(unknown: tuple[Any, ...], recommender: Any) -> list[str]:
    """Describes the items that a request names and the run does not know, in a line or none."""
    if not unknown:
        return []
    first = recommender.catalogue.describe_unknown(unknown[0])
    if len(unknown) == 1:
        return [f"1 item was left out: {first}"]
    return [f"{len(unknown):,} items were left out: {first}; and so on"]


def refuse_ambiguous_request(
    requests: dict[str, Any], out: Path | None, in_shards: bool = False
) -> None:
    """Refuses a command line that asks for no list or for several kinds of list.

    Only the lists of many users go into a file, whose name must then be given.

    Args:
        requests: the values of the options that each ask for one kind of list, by their names.
        out: the file that is to be written.
        in_shards: it is to be a folder.

    Raises:
        ConfigError: says which options are needed.
    """
    from .outputs import TABLE_ENDINGS, suffix

    given = [option for option, value in requests.items() if value is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise ConfigError(f"recommend needs one of {', '.join(requests)}; got {got}")
    if given == ["--users"] and out is None:
        raise ConfigError("--users needs --out FILE")
    if given != ["--users"] and out is not None:
        raise ConfigError(f"--out goes with --users; what {given[0]} finds is printed")
    if in_shards and given != ["--users"]:
        raise ConfigError(f"--engine and --shards go with --users; {given[0]} is one request")
    if out is not None and in_shards:
        refuse_file(out)
    elif out is not None:
        suffix(out, TABLE_ENDINGS)


def read_items(values: list[str] | None) -> list[str] | None:
    """Gives the items that an option names; a value that is a text file stands for its lines.

    Raises:
        DataError: a file does not hold text, or a value is called like a file that is not there.
    """
    from ..system.files import exists

    if values is None:
        return None
    items = []
    for value in values:
        path = Path(value)
        if exists(path) and path.is_file():
            items += read_lines(path)
        elif path.suffix.lower() in LIST_ENDINGS:
            raise DataError(f"{value}: there is no such file of items")
        else:
            items.append(value)
    return items


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a text file that are not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of items: {error}") from None
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line]
