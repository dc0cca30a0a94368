"""Jobs from beginning to end: the log is scattered, an engine makes the shards, and what was found
of them is added up.
"""

import hashlib
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...data import Interactions
from ...data.interactions.logs import Writing
from ...data.interactions.scatter import Scattered, Scattering
from ...data.opening import open_log
from ...errors import ConfigError, DataError, RunError
from ...run import Run
from ...system.console import print_line
from ...system.files import UNFINISHED, is_file, read_json, remove_unfinished, write_json, writing
from ...system.lock import locked
from .engines import engine_of
from .job import WORK, Job
from .opened import close, recommender_of, run_of
from .watch import Pulse, watching

SHARDS = 16
"""The number of shards, where none is asked for."""

LOCK = f"{WORK}/.lock"


@dataclass(frozen=True)
class Sharded:
    """What a job has made.

    Attributes:
        job: the job.
        found: what was found of each shard, by its number.
        log: what the log held.
        already_done: how many shards an earlier command had made.
        unknown: the items of the request that the run does not know.
    """

    job: Job
    found: list[dict[str, Any]]
    log: Scattered = field(default_factory=Scattered)
    already_done: int = 0
    unknown: tuple[Any, ...] = ()

    def total(self, name: str) -> int:
        """Adds a count up over all shards."""
        return sum(each.get(name, 0) for each in self.found)

    @property
    def digest(self) -> str:
        """The sha256 of the digests of all files, in their order: equal where all bytes are."""
        digests = [each["sha256"] for each in self.found]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    @property
    def files(self) -> list[Path]:
        """The files, in the order of the shards."""
        return [self.job.part(number) for number in range(self.job.shards)]

    def describe(self) -> dict[str, Any]:
        """Returns what was made, as the command prints it as JSON."""
        counts = {}
        counted = ("users", "examples", "rows", "users_without", "users_popular", "anomalous")
        for name in counted:
            if any(name in each for each in self.found):
                counts[name] = self.total(name)
        return {
            "out": self.job.out,
            **counts,
            "shards": self.job.shards,
            "already_done": self.already_done,
            "unknown_items": self.log.unknown_items,
            "missing_ids": self.log.missing_ids,
            "unknown": list(self.unknown),
            "sha256": self.digest,
        }


def run_job(job: Job, engine: str = "local", workers: int | None = None) -> Sharded:
    """Does a job: makes the files that are not there yet.

    Args:
        job: what is to be made.
        engine: "local", "ray" or "spark".
        workers: how many processes of this machine may work, at most; None is one for "local", and
            all but one of the processors for others.

    Raises:
        ConfigError: there is no such engine, or its library is not there; or the request is wrong.
        DataError: the source cannot be used.
        RunError: the folder is being written by another process, or holds the results of another
            job.
        WorkerError: a process ended.
    """
    make = engine_of(engine)
    _refuse_counts(job, workers)
    job = replace(job, run=str(Path(job.run).resolve()), out=str(Path(job.out).resolve()))
    out = Path(job.out)
    with locked(out, LOCK):
        remove_unfinished(out)
        remove_unfinished(out / WORK)
        job = job.with_digest()
        _claim(job)
        missing = _missing(job)
        if missing:
            _try_request(job)
        scattered = Scattered()
        if job.is_of_users:
            scattered = _scattered(job, is_needed=bool(missing))
            job = replace(job, user_type=scattered.user_type)
        if missing:
            try:
                with watching(job, missing):
                    make(job, missing, workers)
            finally:
                close()
        found = [job.found(number) for number in range(job.shards)]
        made = [each for each in found if each is not None]
        if len(made) < job.shards:
            raise RunError(
                f"{job.shards - len(made)} of {job.shards} shards are not in {job.out}, although "
                "the engine has ended: does every machine see this folder by this path?"
            )
        shutil.rmtree(job.log, ignore_errors=True)
    return Sharded(job, made, scattered, job.shards - len(missing))


def _refuse_counts(job: Job, workers: int | None) -> None:
    """Raises ConfigError for numbers of shards or workers below 1."""
    for name, count in (("shards", job.shards), ("workers", workers)):
        if count is not None and count < 1:
            raise ConfigError(f"{name} must be 1 or more, got {count}")


def _missing(job: Job) -> list[int]:
    """Lists the shards that are not done."""
    return [number for number in range(job.shards) if job.found(number) is None]


def _claim(job: Job) -> None:
    """Notes in the folder whose results it holds.

    Raises:
        RunError: it holds those of another job.
    """
    path = Path(job.out) / WORK / "job.json"
    if not is_file(path):
        parts = list(Path(job.out).glob("part-*.parquet"))
        if parts:
            raise RunError(
                f"{job.out} holds {parts[0].name}, and nothing says of which request; choose "
                "another --out, or remove it"
            )
        write_json(path, asdict(job))
        return
    other = read_json(path)
    if other.get("digest") == job.digest:
        return
    differing = []
    for name, value in asdict(job).items():
        if name not in ("digest", "out", "user_type") and other.get(name) != value:
            differing.append(name)
    what = ", ".join(differing) or "the source or the run has changed since"
    raise RunError(
        f"{job.out} holds the results of another request (it differs in: {what}); choose another "
        "--out, or remove it"
    )


def _try_request(job: Job) -> None:
    """Makes the request for one user, so that a mistake in it shows before a large log is read."""
    if job.what != "recommend":
        return
    recommender = recommender_of(job)
    item = recommender.catalogue.ids[:1].tolist()[0]
    recommender.recommend_many({0: [item]}, **job.options)


# The log


def _scattered(job: Job, is_needed: bool) -> Scattered:
    """Scatters the log of a job, unless that was done.

    Args:
        job: the job.
        is_needed: whether the shards are needed, or only what the log held.
    """
    note = Path(job.out) / WORK / "log.json"
    if is_file(note):
        noted = read_json(note)
        is_there = job.log.is_dir() or not is_needed
        if noted.pop("job", None) == job.digest and is_there:
            return Scattered(**noted)
    run = run_of(job)
    found = _scatter(job, run)
    write_json(note, asdict(found) | {"job": job.digest})
    for line in found.notes:
        print_line(line)
    return found


def _scatter(job: Job, run: Run) -> Scattered:
    """Scatters the log of a job into shards, all or none."""
    if run.items is None:
        raise ConfigError("shards of users are of a run on interactions")
    data = run.recipe.data
    how = data.interactions or Interactions()
    written = Writing(data.text_format(), data.wanted().columns, is_other=True)
    source = open_log(job.source, written, run.items)
    columns = how.columns.for_run(other=True)
    shutil.rmtree(job.log, ignore_errors=True)
    with writing(job.log), tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=job.log.parent) as at:
        folder = Path(at) / job.log.name
        folder.mkdir()
        scattering = Scattering(source, columns, how.threshold, how.is_binary, folder, job.shards)
        found = scattering.run(run.items, Pulse(f"{job.source} is scattered into shards").rows)
        if job.unknown == "error" and found.unknown_items:
            raise DataError(
                f"{found.unknown_items:,} items of {job.source} are not known to the run; "
                "--unknown leave-out leaves them out"
            )
        os.replace(folder, job.log)
    return found
