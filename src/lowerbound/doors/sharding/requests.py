"""What can be asked for in shards."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...data.memory import refuse_absent
from ...data.named.entries import NAMED, find_path
from ...errors import ConfigError
from ...evaluation.batches import positive, refuse_seed
from ...evaluation.likelihood import LIKELIHOOD_SAMPLES
from ...hub import fetch, is_address, read_address
from ...run import Run
from ...system.files import write_frame
from .job import Job
from .levels import written_levels
from .opened import load_run
from .sharding import SHARDS, Sharded, run_job
from .users import frame_of_items


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


def encode_in_shards(
    run: str | Path,
    source: str | Path | None,
    out: str | Path,
    *,
    level: int | None = None,
    engine: str = "local",
    shards: int = SHARDS,
    workers: int | None = None,
    features: str | Path | None = None,
    allow_code: bool = False,
) -> Sharded:
    """Encodes all examples of a source, or all users of a log, into Parquet files.

    Users are shared out as by `recommend_in_shards`, and have the codes of z1 that
    `Recommender.codes` gives, to the last bit; the vectors of the items are in `_items.parquet`.
    Other examples are shared out by ranges of rows. Each process opens the whole source.

    Args:
        run: the folder of a run, or its address on a hub.
        source: the name of a set, or a path; None takes that of the run, which is not for logs.
        out: a folder for the files.
        level: of a hierarchy one level alone, from 1; None writes all.
        engine: see `recommend_in_shards`.
        shards: how many files there are to be.
        workers: see `recommend_in_shards`.
        features: see `recommend_in_shards`.
        allow_code: whether the run may import parts that its recipe names.

    Raises:
        ConfigError: an argument has no such value, or the library of the engine is not there.
        DataError: the source cannot be used.
        RunError: the run cannot be read, or the folder holds the results of another request.
        WorkerError: a process ended; the same call goes on.
    """
    fitted = _run_of_request(run, allow_code)
    job = Job(
        what="encode",
        run=str(fitted.folder),
        source=_source_of(source, fitted),
        out=str(out),
        shards=shards,
        options={"level": level},
        split="all",
        features=_path_or_none(features),
        allow_code=allow_code,
    )
    if fitted.items is None:
        fitted.with_users(features)  # which has none
        written_levels(fitted, level)
        return run_job(job, engine, workers)
    if written_levels(fitted, level) != [0]:
        raise ConfigError("the codes of users are written in shards of level 1 alone: --level 1")
    if source is None:
        raise ConfigError("--data is needed: the log whose users are encoded in shards")
    job = replace(job, what="encode users", options={}, split=None)
    made = run_job(job, engine, workers)
    write_frame(Path(made.job.out) / "_items.parquet", frame_of_items(fitted, fitted.items))
    return made


def score_in_shards(
    run: str | Path,
    source: str | Path | None,
    out: str | Path,
    *,
    split: str | None = None,
    samples: int = LIKELIHOOD_SAMPLES,
    against: str | Path | None = None,
    threshold: float | None = None,
    by: str | None = None,
    seed: int = 0,
    engine: str = "local",
    shards: int = SHARDS,
    workers: int | None = None,
    allow_code: bool = False,
) -> Sharded:
    """Scores the examples of a source into Parquet files, by ranges of its rows.

    The columns are those of `lowerbound.score`, and their numbers the same up to the rounding of
    float32; they are equal to the last bit on every engine.

    Args:
        run: the folder of a run, or its address on a hub.
        source: as in `lowerbound.score`.
        out: a folder for the files.
        split: as in `lowerbound.score`.
        samples: importance samples for each example.
        against: the folder of another run, as in `lowerbound.score`.
        threshold: the rate of false alarms, as in `lowerbound.score`.
        by: the score that decides, as in `lowerbound.score`.
        seed: of the draws.
        engine: see `recommend_in_shards`.
        shards: how many files there are to be.
        workers: see `recommend_in_shards`.
        allow_code: whether the run may import parts that its recipe names.

    Raises:
        ConfigError: an argument has no such value, or the library of the engine is not there.
        DataError: the source cannot be used.
        RunError: the run cannot be read, or the folder holds the results of another request.
        WorkerError: a process ended; the same call goes on.
    """
    fitted = _run_of_request(run, allow_code)
    fitted.refuse_without_likelihood("score")
    refuse_seed(seed)
    options = {
        "samples": positive(samples),
        "against": _path_or_none(against),
        "threshold": threshold,
        "by": by,
        "seed": seed,
    }
    job = Job(
        what="score",
        run=str(fitted.folder),
        source=_source_of(source, fitted),
        out=str(out),
        shards=shards,
        options=options,
        split=split,
        allow_code=allow_code,
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


def _run_of_request(run: str | Path, allow_code: bool) -> Run:
    """Loads a run, to see what it is."""
    return load_run(_folder_of(run), allow_code)


def _source_of(source: str | Path | None, run: Run) -> str:
    """Returns a source as other processes find it: a name, or a whole path."""
    text = run.recipe.data.source
    if source is not None:
        text = str(source)
    if text in NAMED:
        return text
    refuse_absent(text)
    return str(find_path(text).resolve())


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
