"""The report of a run: its page with all there is to say, and the overview, one PNG with what one
looks at first.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..data import Dataset
from ..run import Run
from ..system.files import refuse_unwritable
from ..system.progress import stages
from .figures import words
from .html import save, write
from .records import Picture, Section
from .sections.about import about, broken, subtitle
from .sections.images import KIND as IMAGES
from .sections.recommender import KIND as RECOMMENDER
from .sections.tables import KIND as TABLES
from .sections.training import training

SHOWN = 6
"""Pictures of an overview, at most."""


KINDS = {"image": IMAGES, "table": TABLES, "vector": TABLES, "interactions": RECOMMENDER}
"""What there is to say of a run, by the kind of its data."""


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
    made: list[Section | None] = [about(run), training(run), found := broken(run)]
    if found is None:
        kind = KINDS[run.schema.kind]
        measured = kind.measure(run)
        for part in kind.parts:
            begins(part.__name__)
            made.append(part(run, measured))
    return [section for section in made if section is not None]


def page(run: Run, *, progress: bool = False) -> Path:
    """Writes the report of a run into its folder and gives the path of its page.

    `report/index.html` is one file that needs no other; its pictures stand beside it as PNG and
    SVG, some of them together in `report/overview.png`.
    """
    folder, name = run.folder / "report", run.folder.resolve().name
    refuse_unwritable(folder)
    with stages("report", len(KINDS[run.schema.kind].parts) + 2, show=progress) as begins:
        made = sections(run, begins)
        begins("pictures")
        drawn = {picture.name: picture for section in made for picture in section.pictures}
        first = [drawn[panel] for panel in KINDS[run.schema.kind].panels if panel in drawn][:SHOWN]
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
    return KINDS[run.schema.kind].glance(run, data)
