"""The options of commands that can work in shards, and what they print."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .app import show

Engine = Annotated[
    str | None,
    typer.Option(
        metavar="local|ray|spark", help="Work in shards, into a folder of Parquet files, by this."
    ),
]

Shards = Annotated[
    int | None, typer.Option(help="The number of shards, each a file [default: 16].", min=1)
]

Workers = Annotated[
    int | None,
    typer.Option(help="In shards: processes of this machine at work, at most.", min=1),
]


def is_sharded(engine: str | None, shards: int | None, workers: int | None) -> bool:
    """Says whether a command line asks for work in shards.

    Raises:
        ConfigError: it asks for workers, and for nothing that they are for.
    """
    if workers is not None and engine is None and shards is None:
        raise ConfigError("--workers goes with --engine or --shards")
    return engine is not None or shards is not None


def options_of_engine(
    engine: str | None, shards: int | None, workers: int | None
) -> dict[str, Any]:
    """Returns the arguments of the functions of `doors.sharding`, of these options."""
    options: dict[str, Any] = {"engine": engine or "local", "workers": workers}
    if shards is not None:
        options["shards"] = shards
    return options


def refuse_file(out: Path) -> None:
    """Raises ConfigError where the results in shards would go into a file."""
    if out.suffix.lower() in (".csv", ".parquet", ".npy"):
        raise ConfigError(f"--out {out}: in shards it is a folder, for files part-*.parquet")


def show_sharded(made: Any, what: str, json: bool, more: tuple[str, ...] = ()) -> None:
    """Prints what was made in shards.

    Args:
        made: what was made.
        what: what the rows are, for the first line.
        json: print JSON.
        more: lines for people, behind those that are the same for all.
    """
    found = made.describe()
    users = ""
    if "users" in found and found["users"] != found["rows"]:
        users = f" for {found['users']:,} users"
    first = f"{found['rows']:,} {what}{users} in {found['out']}: {found['shards']} files"
    if made.already_done:
        first += f", {made.already_done} of which were there already"
    told = [first]
    if found.get("users_without"):
        told.append(
            f"{found['users_without']:,} users get nothing: none of their items is known, or none "
            "is left"
        )
    if found.get("users_popular"):
        told.append(
            f"of {found['users_popular']:,} users nothing is known: they get the most popular items"
        )
    if made.log.unknown_items:
        told.append(
            f"{made.log.unknown_items:,} items of {made.job.source} are not known to the run and "
            "were left out"
        )
    if made.log.missing_ids:
        told.append(
            f"{made.log.missing_ids:,} rows of {made.job.source} without a user or an item were "
            "left out"
        )
    if "anomalous" in found:
        told.append(f"{found['anomalous']:,} of {found['examples']:,} are anomalous")
    told.append(f"sha256 {made.digest}")
    show(found, [*told, *more], json)
