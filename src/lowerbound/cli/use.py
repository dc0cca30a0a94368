"""The commands that use runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError, DataError
from .app import Command, Json, Out, RunFolder, Source, app, command, show
from .text import recommendation_table


@command()
def sample(
    run: RunFolder,
    out: Out,
    n: Annotated[int, typer.Option("-n", help="How many.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0, max=2**63 - 1)] = 0,
    json: Json = False,
) -> None:
    """Draw from the model: a PNG grid (means of p(x|z)), or .npy, .csv, .parquet (draws from it)."""
    from ..run import load
    from .outputs import write_samples

    count = write_samples(load(run), n, out, seed)
    show({"out": str(out), "samples": count}, [f"{count} samples in {out}"], json)


@command()
def encode(
    run: RunFolder,
    out: Out,
    data: Source = None,
    json: Json = False,
) -> None:
    """Write the posterior means of all examples, of interactions also the items' vectors: .npy,
    .csv or .parquet.
    """
    from ..run import load
    from .outputs import write_codes

    fitted = load(run)
    found = write_codes(fitted, fitted.data(data).split("all"), out)
    line = f"{found['examples']:,} codes in {out}: {', '.join(found['columns'][:4])}{' ...' if len(found['columns']) > 4 else ''}"
    beside = (
        [f"{found['items']:,} vectors of items in {found['items_out']}"] if "items" in found else []
    )
    show({"out": str(out)} | found, [line, *beside], json)


SEVERAL = ("--history", "--allow", "--deny")
"""Options that take every value up to the next option."""


def spread(arguments: list[str]) -> list[str]:
    """Each value of an option of `SEVERAL` behind an option of its own, as the parser wants it.

    >>> spread(["runs/r", "--history", "Fargo", "Alien", "-k", "5"])
    ['runs/r', '--history', 'Fargo', '--history', 'Alien', '-k', '5']
    """
    found: list[str] = []
    option = None
    for argument in arguments:
        starts = argument.startswith("-") and argument != "-"
        if starts:
            option = argument if argument in SEVERAL else None
            found += [] if option else [argument]
        else:
            found += [option, argument] if option else [argument]
    return found


class Spread(Command):
    """A command whose options of `SEVERAL` take several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for option, following in zip(args, [*args[1:], "-"], strict=True):
            if option in SEVERAL and following.startswith("-"):
                raise ConfigError(f"{option} needs one value or more")
        return super().parse_args(ctx, spread(args))


def items_of(values: list[str] | None) -> list[str] | None:
    """Items that were named, or that stand in text files, one a line. DataError for a file that is
    no text.
    """
    from ..system.files import exists

    if values is None:
        return None
    return [
        item
        for value in values
        for item in (
            _lines(Path(value)) if exists(Path(value)) and Path(value).is_file() else [value]
        )
    ]


def _lines(path: Path) -> list[str]:
    try:
        return [
            line.strip()
            for line in path.read_text(encoding="utf-8-sig").splitlines()
            if line.strip()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of items: {error}") from None


@app.command(cls=Spread)
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
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="With --users: .csv or .parquet.")
    ] = None,
    json: Json = False,
) -> None:
    """Recommend items for a history, or for many users into a file; or find the items most like
    one.
    """
    refuse_unclear({"--history": history, "--users": users, "--similar": similar}, out)
    from ..recommend import Recommender

    recommender = Recommender.load(run)
    limits: dict[str, Any] = {"allow": items_of(allow), "deny": items_of(deny) or ()}
    if users is not None and out is not None:
        data = recommender.run.data(users)
        found = recommender.recommend_many(data.whole, k, exclude_seen=not include_seen, **limits)
        result, lines = write_recommendations(found, out)
        unknown_items = data.facts.get("unknown_items", 0)
        lines += (
            [f"{unknown_items:,} items of {users} are not known to the run and were left out"]
            if unknown_items
            else []
        )
        show(result | {"unknown_items": unknown_items}, lines, json)
        return
    if similar is not None:
        listed = recommender.similar(similar, k, **limits)
    else:
        listed = recommender.recommend(history or [], k, exclude_seen=not include_seen, **limits)
    show({"items": [r._asdict() for r in listed]}, recommendation_table(listed), json)


def refuse_unclear(asked: dict[str, Any], out: Path | None) -> None:
    """ConfigError unless one thing is asked for, and a file is named where one is to be written."""
    from .outputs import TABLE_ENDINGS, suffix

    given = [name for name, value in asked.items() if value is not None]
    if len(given) != 1:
        raise ConfigError(
            f"recommend needs one of {', '.join(asked)}; got {' and '.join(given) or 'none'}"
        )
    if given == ["--users"] and out is None:
        raise ConfigError("--users needs --out FILE")
    if given != ["--users"] and out is not None:
        raise ConfigError(f"--out goes with --users; what {given[0]} finds is printed")
    if out is not None:
        suffix(out, TABLE_ENDINGS)


def write_recommendations(found: Any, out: Path) -> tuple[dict[str, Any], list[str]]:
    """Write the lists of many users, and say what was written: as JSON, and as text."""
    from .outputs import write_table

    write_table(out, found.to_frame())
    rows, without = int(found.counts.sum()), int((found.counts == 0).sum())
    rest = (
        f"; {without:,} users get nothing: none of their items is known, or none is left"
        if without
        else ""
    )
    line = f"{rows:,} recommendations for {len(found):,} users in {out}{rest}"
    return {"out": str(out), "users": len(found), "rows": rows, "users_without": without}, [line]
