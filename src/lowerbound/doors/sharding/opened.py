"""What a process has open for the shards that it works on: it is opened once."""

from functools import lru_cache
from pathlib import Path

from ...data import Split
from ...data.files.dialect import TextFormat
from ...data.interactions.users import UserTable, read_users
from ...recommend import Recommender
from ...run import Run, load
from .job import Job


@lru_cache(maxsize=1)
def load_run(folder: str, allow_code: bool) -> Run:
    """Loads a run, once in a process."""
    run = load(folder, allow_code=allow_code)
    run.tell = lambda line: None  # the same would be told of every shard
    return run


@lru_cache(maxsize=1)
def _recommender_of(folder: str, allow_code: bool, unknown: str) -> Recommender:
    return Recommender(load_run(folder, allow_code), unknown)


@lru_cache(maxsize=1)
def _examples_of(
    folder: str, allow_code: bool, source: str, split: str | None
) -> tuple[str, Split]:
    return load_run(folder, allow_code).examples(source or None, split)


@lru_cache(maxsize=1)
def table_of_users(path: Path, text: TextFormat) -> UserTable:
    """Returns a table of users, which is read once in a process."""
    return read_users(path, text)


def run_of(job: Job) -> Run:
    """Returns the run of a job."""
    return load_run(job.run, job.allow_code)


def recommender_of(job: Job) -> Recommender:
    """Returns the recommender of a job."""
    return _recommender_of(job.run, job.allow_code, job.unknown)


def examples_of(job: Job) -> tuple[str, Split]:
    """Returns the split of a job whose shards are rows, and its name."""
    return _examples_of(job.run, job.allow_code, job.source, job.split)


def close() -> None:
    """Closes what this process has open."""
    for opened in (_recommender_of, _examples_of, load_run, table_of_users):
        opened.cache_clear()
