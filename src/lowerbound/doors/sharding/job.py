"""A job: what is to be made of a source, in shards, and where each of them is written.

A job is plain data, so that any engine can hand it to any process. Its digest names the run, the
source, and all that was asked: a shard that was written under the same digest is done.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ... import __version__
from ...data.named.entries import NAMED, find_path
from ...errors import RunError
from ...system.files import is_file, jsonable, read_json, write_json

WORK = "_work"
"""The folder for what only the work itself needs. Names that begin so are hidden to Spark, Arrow
and others that read folders of Parquet files.
"""

FILES_OF_RUN = (
    "recipe.toml",
    "data.json",
    "model.safetensors",
    "items.parquet",
    "partner.safetensors",
    "summary.json",
)
"""The files of a run that say what it computes."""


@dataclass(frozen=True)
class Job:
    """What is to be made of a source, in shards.

    Attributes:
        what: a name of `work.WORK_OF`.
        run: the folder of the run.
        source: the name of a set, or a path.
        out: the folder of the results.
        shards: how many there are.
        options: what was asked, by the names of the arguments of what does it.
        split: of the source, where the shards are ranges of its rows; None: as `Run.examples`.
        features: the table of users, of a run that needs it.
        allow_code: whether the run may import parts that its recipe names.
        unknown: what becomes of items that the run does not know.
        user_type: the type of all users' ids.
        digest: of all of this but the folders.
    """

    what: str
    run: str
    source: str
    out: str
    shards: int
    options: dict[str, Any] = field(default_factory=dict)
    split: str | None = None
    features: str | None = None
    allow_code: bool = False
    unknown: str = "leave-out"
    user_type: str = ""
    digest: str = ""

    def with_digest(self) -> "Job":
        """Returns the same job with its digest, which takes reading the run once."""
        asked = jsonable(asdict(self))
        for name in ("run", "out", "digest", "user_type"):
            del asked[name]
        asked["version"] = __version__
        asked["source files"] = fingerprint(self.source)
        if self.features is not None:
            asked["features files"] = fingerprint(self.features)
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
        for name in FILES_OF_RUN:
            path = Path(self.run) / name
            digest.update(name.encode())
            if is_file(path):
                digest.update(digest_of_file(path).encode())
        checkpoints = Path(self.run) / "checkpoint"  # of a fit that was stopped
        if not is_file(Path(self.run) / "model.safetensors") and checkpoints.is_dir():
            digest.update(repr(fingerprint(str(checkpoints))).encode())
        return replace(self, digest=digest.hexdigest())

    def to_text(self) -> str:
        """Returns the job as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> "Job":
        """Returns the job that `to_text` wrote."""
        return cls(**json.loads(text))

    @property
    def is_of_users(self) -> bool:
        """Whether the shards are users of a log, and not ranges of rows."""
        return self.what in ("recommend", "encode users")

    @property
    def log(self) -> Path:
        """The folder of the shards of a log."""
        return Path(self.out) / WORK / "log"

    def part(self, number: int) -> Path:
        """Returns the file of the results of a shard."""
        return Path(self.out) / f"{self.name_of_part(number)}.parquet"

    def name_of_part(self, number: int) -> str:
        """Returns the name of a shard's results, without an ending."""
        return f"part-{number:05d}-of-{self.shards:05d}"

    def _mark(self, number: int) -> Path:
        """Returns the file that says that a shard is done, and what was found of it."""
        return Path(self.out) / WORK / "done" / f"{self.name_of_part(number)}.json"

    def mark_done(self, number: int, found: dict[str, Any]) -> dict[str, Any]:
        """Notes that a shard is done, after its file was written.

        Returns:
            What was found, with the digest and the size of the file.
        """
        part = self.part(number)
        sizes = {"bytes": part.stat().st_size, "sha256": digest_of_file(part)}
        noted = found | sizes | {"shard": number, "job": self.digest}
        write_json(self._mark(number), noted)
        return noted

    def is_marked(self, number: int) -> bool:
        """Says whether a shard was noted as done, in whatever job."""
        return is_file(self._mark(number))

    def found(self, number: int) -> dict[str, Any] | None:
        """Returns what was found of a shard that is done, None for another.

        One is done if its note has the digest of this job, and its file has the size that is noted.
        """
        mark = self._mark(number)
        part = self.part(number)
        if not is_file(mark) or not is_file(part):
            return None
        try:
            noted = read_json(mark)
        except RunError:
            return None
        is_same = isinstance(noted, dict) and noted.get("job") == self.digest
        if not is_same or noted.get("bytes") != part.stat().st_size:
            return None
        return dict(noted)


def digest_of_file(path: Path) -> str:
    """Returns the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(source: str) -> list[Any]:
    """Returns what tells that a source is still the same: the names, sizes and times of its files.

    The files of a log may be larger than all work on them, so that they are not read for it.
    """
    if source in NAMED:
        return [source]
    path = find_path(source)
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
    found: list[Any] = []
    for each in files:
        status = each.stat()
        found.append([str(each.relative_to(path)), status.st_size, status.st_mtime_ns])
    return found
