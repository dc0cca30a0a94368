"""The report of a run: its page, and the overview, one PNG with what one looks at first."""

import math
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..data import Dataset
from ..data.memory import DataSource
from ..errors import ConfigError
from ..evaluation.batches import positive
from ..run import Run
from ..system.files import refuse_unwritable
from ..system.progress import stages
from .figures import words
from .html import save_png, write
from .records import Kind, Picture, Section
from .sections.about import about, broken, subtitle
from .sections.columns import KIND as MIXED_TABLES
from .sections.images import KIND as IMAGES
from .sections.recommender import KIND as RECOMMENDER
from .sections.tables import KIND as TABLES
from .sections.training import training

OVERVIEW_PICTURES = 6
"""An overview has at most this many pictures."""


KINDS = {"image": IMAGES, "table": TABLES, "vector": TABLES, "interactions": RECOMMENDER}
"""What a report says of a run, by the kind of its data."""


def kind_of(run: Run) -> Kind:
    """Returns what a report says of a run; tables with columns of several kinds have their own."""
    if run.schema.table:
        return MIXED_TABLES
    return KINDS[run.schema.kind]


def page(
    run: Run,
    source: DataSource | None = None,
    *,
    examples: int | None = None,
    progress: bool = False,
) -> Path:
    """Writes the report of a run into its folder.

    `report/index.html` is one file that needs no other. Its pictures stand beside it as PNG and
    SVG, and some of them together in `report/overview.png`. The report of other data than the
    run's own is in `report-NAME`, after the name of the source.

    Args:
        run: the run.
        source: the data that it is measured on; None takes those of the run.
        examples: takes the place of `report.examples`.
        progress: whether a bar on standard error shows the progress.

    Returns:
        The path of the page.

    Raises:
        ConfigError: `examples` is no such number, or a run on interactions is to be measured on
            other data than its own.
        DataError: the data are gone, or do not fit the run.
    """
    folder = run.folder / "report"
    if source is not None:
        run = run.looking_at(run.data(source))
        folder = folder_of(run)
    if examples is not None:
        count = positive(examples, what="examples")
        run = copy(run)
        run.recipe = replace(run.recipe, report=replace(run.recipe.report, examples=count))
    name = run.folder.resolve().name
    kind = kind_of(run)
    refuse_unwritable(folder)
    with stages("report", len(kind.parts) + 2, show=progress) as begins:
        made = sections(run, begins)
        begins("pictures")
        pictures: dict[str, Picture] = {}
        for section in made:
            for picture in section.pictures:
                pictures[picture.name] = picture
        panels = [pictures[panel] for panel in kind.panels if panel in pictures]
        overview = _draw_overview(name, panels[:OVERVIEW_PICTURES])
        save_png(overview, folder / "overview.png", dpi=110)
        path = write(folder, name, subtitle(run), made)
    _remove_other_pictures(folder, {*pictures, "overview"})
    return path


def folder_of(run: Run) -> Path:
    """Returns the folder of a report: that of other data than the run's own has their name.

    Raises:
        ConfigError: these are other interactions, which have no report.
    """
    if run.looked_at is None or run.is_own(run.looked_at):
        return run.folder / "report"
    if run.items is not None:
        raise ConfigError(
            f"the report of a run on interactions is of its own data; {run.looked_at.source} holds "
            "others, which evaluate takes"
        )
    return run.folder / f"report-{run.looked_at.name}"


def sections(run: Run, begins: Callable[[str], None] = lambda name: None) -> list[Section]:
    """Makes the sections of the page of a run.

    Args:
        run: the run.
        begins: is called with the name of each part before it is measured.

    Returns:
        The sections in the order of the page.
    """
    begins("data")
    made = [about(run), training(run)]
    broken_weights = broken(run)
    made.append(broken_weights)
    if broken_weights is None:
        kind = kind_of(run)
        findings = kind.measure(run)
        for part in kind.parts:
            begins(part.__name__)
            made.append(part(run, findings))
    return [section for section in made if section is not None]


def _draw_overview(name: str, pictures: list[Picture]) -> Figure:
    """Draws pictures of a page on one figure, three to a row, below the name of the run."""
    count = max(1, len(pictures))
    columns = min(3, count)
    rows = math.ceil(count / columns)
    width = 4.9 * columns
    height = 3.8 * rows + 0.3
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subfigures(rows, columns, squeeze=False)
    for panel, picture in zip(np.ravel(panels), pictures, strict=False):
        picture.draw(panel.subplots())
        panel.suptitle(picture.title, fontsize=10)
    figure.suptitle(words(name, 80), fontsize=11)
    return figure


def _remove_other_pictures(folder: Path, names: set[str]) -> None:
    """Removes the pictures of an earlier report that this one does not have."""
    for path in [*folder.glob("*.png"), *folder.glob("*.svg")]:
        if path.stem not in names:
            path.unlink(missing_ok=True)


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Draws pictures of a model in training, (H, W, C) uint8 by name."""
    return kind_of(run).glance(run, data)
