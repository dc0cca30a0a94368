"""The report of a run: its page with all there is to say, and the overview, one PNG with what one looks at first."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from matplotlib.figure import Figure

from ..data import Dataset
from ..files import writable
from ..progress import stages
from ..run import Run
from . import dense, recommender
from .figures import words
from .page import Picture, Section, save, write
from .sections import about, subtitle, training

SHOWN = 6
"""Pictures of an overview, at most."""


def _kind(run: Run) -> ModuleType:
    """What there is to say of this kind of run: a module with `measure`, `parts`, `PANELS` and `glance`."""
    return recommender if run.schema.kind == "interactions" else dense


def _panels(name: str, pictures: list[Picture]) -> Figure:
    """Some pictures of a page on one."""
    columns = min(3, max(1, len(pictures)))
    rows = max(1, -(-len(pictures) // columns))
    figure = Figure(figsize=(4.9 * columns, 3.8 * rows + 0.3), layout="constrained")
    parts = np.ravel(figure.subfigures(rows, columns, squeeze=False))
    for part, picture in zip(parts, pictures, strict=False):
        picture.draw(part.subplots())
        part.suptitle(picture.title, fontsize=10)
    figure.suptitle(words(name, 80), fontsize=11)
    return figure


def sections(run: Run, begins: Callable[[str], None] = lambda name: None) -> list[Section]:
    """All that a page has to say of a run, in order; `begins` is told the name of each part."""
    begins("data")
    kind = _kind(run)
    found = kind.measure(run)
    made: list[Section | None] = [about(run), training(run)]
    for part in kind.parts(run):
        begins(part.__name__)
        made.append(part(run, found))
    return [section for section in made if section is not None]


def page(run: Run, *, progress: bool = False) -> Path:
    """Writes the report of a run into its folder and gives the path of its page.

    `report/index.html` is one file that needs no other; its pictures stand beside it as PNG and SVG, some of them together in
    `report/overview.png`.
    """
    folder, name = run.folder / "report", run.folder.resolve().name
    writable(folder)
    with stages("report", len(_kind(run).parts(run)) + 2, show=progress) as begins:
        made = sections(run, begins)
        begins("pictures")
        drawn = {picture.name: picture for section in made for picture in section.pictures}
        first = [drawn[panel] for panel in _kind(run).PANELS if panel in drawn][:SHOWN]
        save(_panels(name, first), folder / "overview.png", dpi=110)
        path = write(folder, name, subtitle(run), made)
    _remove_others(folder, {*drawn, "overview"})
    return path


def _remove_others(folder: Path, names: set[str]) -> None:
    """Removes the pictures of an earlier report that this one does not have."""
    for path in [*folder.glob("*.png"), *folder.glob("*.svg")]:
        if path.stem not in names:
            path.unlink(missing_ok=True)


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Pictures of a model in training, (H, W, C) uint8 by name."""
    found: dict[str, np.ndarray] = _kind(run).glance(run, data)
    return found
