"""Run folders of estimators: the files of a run in memory, and what an estimator adds to them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ..errors import RunError, one_line
from ..run.contents import FILES, Typed, read_table, refuse_mistyped
from ..system.files import is_file, replacing_all, within

PARAMETERS_FILE = "estimator.json"
"""The file in the folder of a saved estimator that says what no file of a run does."""


class Described(Typed):
    """The content of `estimator.json`.

    Attributes:
        parameters: those of the estimator that are none of a recipe.
        columns: the number of columns of the rows of the fit; None where no estimator was saved.
        names: their names, or None.
        fill: the mean of each column, None for one without numbers; empty for other columns.
        is_mixed: whether the rows were a frame with columns that are no numbers.
        offset: the score below which rows are outliers, or None.
    """

    parameters: dict[str, Any] = Field(default_factory=dict)
    columns: Annotated[int, Field(ge=1)] | None = None
    names: list[str] | None = None
    fill: list[float | None] = Field(default_factory=list)
    is_mixed: bool = False
    offset: float | None = None


def read_described(folder: Path) -> Described:
    """Reads `estimator.json`; of a folder without one nothing is known.

    Raises:
        RunError: the file does not hold what `save` wrote.
    """
    path = within(folder, PARAMETERS_FILE)
    if not is_file(path):
        return Described()
    table = refuse_mistyped(Described, read_table(folder, PARAMETERS_FILE), path)
    return Described.model_validate(table)


def read_files(folder: Path) -> dict[str, bytes]:
    """Reads the files of a run into memory."""
    files = {}
    for name in FILES:
        path = within(folder, name)
        if is_file(path):
            files[name] = path.read_bytes()
    return files


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files of a run into a folder: all of them, or none.

    Raises:
        RunError: the folder cannot be written.
    """
    paths = [folder / name for name in files]
    with replacing_all(paths) as temporaries:
        for path, content in zip(temporaries, files.values(), strict=True):
            path.write_bytes(content)


def refuse_taken(folder: Path) -> None:
    """Refuses a folder that holds something.

    Raises:
        RunError: it is no folder, or not empty.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        raise RunError(f"{one_line(folder)} is not an empty folder; choose another one")
