"""A run in memory with all its files, which need not stay on the disk."""

from functools import cached_property
from pathlib import Path

from ..anomalies.reference import OwnScores
from ..anomalies.reference import read as read_reference
from ..errors import RunError, one_line
from ..recommend import Recommender
from ..run import Run, load
from ..system.files import scratch_folder
from .folders import read_files, write_files


class Loaded:
    """A run of a folder that may be removed once it was read.

    Args:
        folder: the run folder.
        name: stands for the folder in messages.

    Attributes:
        files: the content of each file of the run, by name.
        run: the run.
        own: what held-out examples score; None of a run without a likelihood.

    Raises:
        RunError: the folder is no finished run, or is damaged.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.files: dict[str, bytes] = read_files(folder)
        self.run: Run = load(folder)
        if "model.safetensors" not in self.files:
            raise RunError(
                f"{one_line(folder)} was not finished; fit --resume goes on, and estimators take "
                "what is finished"
            )
        self.own: OwnScores | None = read_reference(folder)
        if self.run.schema.given:
            assert self.run.known_conditions is not None  # they are read when they are first used
        self.run.folder = Path(f"<{name}>")

    @classmethod
    def of_files(cls, files: dict[str, bytes], name: str) -> "Loaded":
        """Makes the run of its files.

        Raises:
            RunError: they are damaged.
        """
        with scratch_folder() as folder:
            write_files(folder, files)
            return cls(folder, name)

    @cached_property
    def precise(self) -> Run:
        """The run, computing in float64."""
        return self.run.in_float64()

    @cached_property
    def recommender(self) -> Recommender:
        """What recommends, of a run on interactions."""
        return Recommender(self.run, nothing_known="nothing")
