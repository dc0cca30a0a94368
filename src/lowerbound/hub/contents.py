"""The files of a run that travel. What is not named here stays where it is."""

import os
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, RunError, one_line, unknown
from ..system.files import UNFINISHED, apply_umask, is_file, sync, within, write_bytes, writing


@dataclass(frozen=True)
class Known:
    """A file that travels.

    Attributes:
        name: in the folder of the run.
        content: what it holds, for those who decide whether it may be seen.
        is_needed: whether a run without it cannot be loaded.
    """

    name: str
    content: str
    is_needed: bool = False


FILES = (
    Known("model.safetensors", "the weights", is_needed=True),
    Known("recipe.toml", "the settings of the fit; of paths the last part alone", is_needed=True),
    Known(
        "data.json",
        "what the data were: shape or columns (names, kinds, levels, means, ranges), how many "
        "examples, and their digest; no example",
        is_needed=True,
    ),
    Known(
        "items.parquet",
        "of a recommender: the ids and titles of all items, and the other columns of their table",
    ),
    Known(
        "conditions.safetensors",
        "of a conditional model: the conditions of up to 20,000 training rows, row by row, from "
        "which `sample` draws",
    ),
    Known(
        "reference.json",
        "log-likelihoods of held-out examples, one number each, for the percentiles of `score`; of "
        "a table also what is usual for each column",
    ),
    Known(
        "partner.safetensors",
        "of a recommender with a linear method beside the network: that method; a GraphFilter "
        "holds which items each training user has, without the ids of the users",
    ),
    Known(
        "calibration.json",
        "of a recommender: how scores become probabilities, and how well, by groups of users",
    ),
    Known("metrics.csv", "the measures of each epoch"),
    Known("summary.json", "the figures of the best epoch, versions, hardware and seconds"),
)
"""The files of a run that travel, the needed ones first."""

WRITTEN = ("README.md", "config.json")
"""The files that are written for a hub beside those of the run."""

KNOWN: tuple[str, ...] = (*(known.name for known in FILES), *WRITTEN)
"""The names of all files that travel."""

NEEDED: tuple[str, ...] = tuple(known.name for known in FILES if known.is_needed)
"""The names of the files without which a folder is no run."""

MAY_STAY: tuple[str, ...] = ("conditions.safetensors", "reference.json", "metrics.csv")
"""The files that a user may leave out. What needs them then says so."""


def travelling(folder: Path, leave_out: Collection[str] = ()) -> list[Known]:
    """Lists the files of a run that travel.

    Args:
        folder: of the run.
        leave_out: names of files that are to stay.

    Raises:
        ConfigError: one of these cannot be left out.
        RunError: a file is a link that leads out of the folder.
    """
    for name in leave_out:
        if name not in MAY_STAY:
            raise ConfigError(unknown("file", name, MAY_STAY, " to leave out"))
    found = []
    for known in FILES:
        if known.name not in leave_out and is_file(within(folder, known.name)):
            found.append(known)
    return found


def copy_run(
    folder: Path,
    target: Path,
    *,
    replaced: Mapping[str, bytes],
    leave_out: Collection[str] = (),
) -> list[Known]:
    """Copies the files of a run that travel into a new or empty folder.

    Args:
        folder: of the run.
        target: the folder.
        replaced: what takes the place of the content of some files.
        leave_out: names of files that are to stay.

    Returns:
        The files that were copied.

    Raises:
        RunError: the target holds something, or cannot be written.
    """
    files = travelling(folder, leave_out)
    with writing(one_line(target)):
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise RunError(f"{target} is not an empty folder; choose another")
        target.mkdir(parents=True, exist_ok=True)
        for known in files:
            if known.name in replaced:
                write_bytes(target / known.name, replaced[known.name])
            else:
                shutil.copyfile(folder / known.name, target / known.name)
    return files


def settle(snapshot: Path, target: Path) -> None:
    """Puts the known files of a hub's cache into a folder of their own, by one rename.

    The cache has links in place of files, and a run folder must not lead out of itself. The files
    are linked where the file system can, so that they need no second place.

    Args:
        snapshot: the folder in the hub's cache.
        target: the folder.

    Raises:
        RunError: it cannot be written.
    """
    if target.is_dir():
        return
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=target.parent))
        try:
            apply_umask(temporary)
            for name in KNOWN:
                if is_file(snapshot / name):
                    _link((snapshot / name).resolve(), temporary / name)
            sync(temporary)
            if not target.is_dir():  # another process may have been faster
                os.replace(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Makes a second name for a file, or a copy where that is not possible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def tell(files: Sequence[Known]) -> list[str]:
    """Says what each of these files holds, a line each."""
    return [f"{known.name}: {known.content}" for known in files]
