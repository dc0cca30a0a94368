"""What can be asked for in shards."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...hub import fetch, is_address, read_address
from .job import Job
from .sharding import SHARDS, Sharded, run_job


def recommend_in_shards(
    run: str | Path,
    users: str | Path,
    out: str | Path,
    k: int = 10,
    *,
    engine: str = "local",
    shards: int = SHARDS,
    workers: int | None = None,
    features: str | Path | None = None,
    unknown: str = "leave-out",
    allow_code: bool = False,
    **options: Any,
) -> Sharded:
    """Recommends to all users of a log, as `Recommender.recommend_many` does, into Parquet files:
    one for each shard of users, by user, then rank.

    The log is read once and piece by piece, so that it may be larger than the memory. A command
    that was stopped goes on where it was; what is done is not done again.

    Args:
        run: the folder of a run on interactions, or its address on a hub.
        users: the log: a path, or the name of a set.
        out: a folder for the files.
        k: the length of each list, at most.
        engine: "local", "ray" or "spark".
        shards: how many files there are to be. Each worker has one shard in memory at a time.
        workers: processes of this machine that may work, at most, see `engines`.
        features: the table of users, of a run that was fitted with one; None is that of the fit.
        unknown: what becomes of items that the run does not know: "leave-out" or "error".
        allow_code: whether the run may import parts that its recipe names.
        options: further arguments of `Recommender.recommend_many`, the same for all users: plain
            values that JSON can hold.

    Returns:
        What was made.

    Raises:
        ConfigError: an argument has no such value, or the library of the engine is not there.
        DataError: the log cannot be used.
        RunError: the run cannot be read, or the folder holds the results of another request.
        WorkerError: a process ended; the same call goes on.
    """
    job = Job(
        what="recommend",
        run=_folder_of(run),
        source=str(users),
        out=str(out),
        shards=shards,
        options={"k": k} | _plain(options),
        features=_path_or_none(features),
        allow_code=allow_code,
        unknown=unknown,
    )
    return run_job(job, engine, workers)


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Returns options in the form that JSON gives back.

    Raises:
        ConfigError: one cannot be written as JSON.
    """
    plain: dict[str, Any] = {}
    for name, value in options.items():
        if value is not None and not isinstance(value, str | int | float | bool | dict):
            if not isinstance(value, Iterable):
                raise ConfigError(f"{name} must be plain values, got {type(value).__name__}")
            value = [_of_numpy(each) for each in value]
        plain[name] = value
    return plain


def _of_numpy(value: Any) -> Any:
    """Returns the plain value of a number of NumPy."""
    if hasattr(value, "item"):
        return value.item()
    return value


def _folder_of(run: str | Path) -> str:
    """Returns the folder of a run, which is fetched if it is the address of one."""
    if is_address(run):
        return str(fetch(read_address(run)))
    return str(run)


def _path_or_none(path: str | Path | None) -> str | None:
    """Returns a whole path as a text."""
    if path is None:
        return None
    return str(Path(path).expanduser().resolve())
