"""What a run is seen by: the overview, one PNG with what one looks at first, and the page with all there is to say."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..data import Examples
from ..run import Run
from . import recommender
from .figures import curves, grid, marginal, pairs, unit, words
from .measures import findings
from .page import Picture, Section, save, write
from .sections import about, history, subtitle, training

SHOWN = 32
MARGINALS = 12

PANELS = ("validation", "objective", "quality", "activity", "rates_1", "items")
"""Pictures of the page that a recommender's overview has."""


def _examples(run: Run) -> tuple[str, Examples]:
    data = run.data()
    name = "test" if data.test is not None else "train"
    return name, data.split(name)


def _images(run: Run) -> Figure:
    split, examples = _examples(run)
    x = examples.batch(slice(0, SHOWN))
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(4, 4, 4))
    ends = (run.schema.low, run.schema.high)
    pairs(unit(x.numpy(), *ends), unit(run.reconstruct(x).numpy(), *ends), left)
    if run.recipe.objective.bound:
        grid(unit(run.sample(64).numpy(), *ends), middle, "samples: means of p(x | z), z from the prior", 8)
    else:
        middle.set_axis_off()  # an autoencoder has no prior to sample from
    curves(history(run), right, run.summary.get("best_epoch"))
    figure.suptitle(f"{run.folder.name}: {split} examples", fontsize=11)
    return figure


def _table(run: Run) -> Figure:
    _, examples = _examples(run)
    data = run.schema.restore(examples.batch(slice(None)).numpy())
    samples = run.schema.restore(run.sample(max(1000, len(data)), mean=False).numpy())
    names = run.schema.columns or tuple(f"value {i + 1}" for i in range(data.shape[1]))
    count = min(len(names), MARGINALS)
    rows = -(-count // 4)
    figure = Figure(figsize=(12, 2.4 + 2 * rows), layout="constrained")
    places = figure.add_gridspec(1 + rows, 4, height_ratios=[1.2] + [1] * rows)
    curves(history(run), figure.add_subplot(places[0, :]), run.summary.get("best_epoch"))
    for i in range(count):
        ax = figure.add_subplot(places[1 + i // 4, i % 4])
        marginal(data[:, i], samples[:, i], ax, names[i], legend=i == 0)
    figure.suptitle(f"{run.folder.name}: columns of the data and of samples from the model", fontsize=11)
    return figure


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


def _sections(run: Run) -> list[Section]:
    made = [about(run), training(run)]
    if run.schema.kind == "interactions":
        made += recommender.sections(run, findings(run))
    return [section for section in made if section is not None]


def page(run: Run) -> Path:
    """Writes `report/index.html` into the run folder, and its pictures as PNG beside it, and gives the page's path.

    It is one file that needs no other. Of a run on interactions `report/overview.png` is written too.
    """
    sections, folder = _sections(run), run.folder / "report"
    name = run.folder.resolve().name
    if run.schema.kind == "interactions":
        drawn = {picture.name: picture for section in sections for picture in section.pictures}
        save(_panels(name, [drawn[panel] for panel in PANELS if panel in drawn]), folder / "overview.png", dpi=110)
    return write(folder, name, subtitle(run), sections)


def overview(run: Run) -> Path:
    """Writes `report/overview.png` into the run folder and gives its path.

    Images: originals beside their reconstructions, samples, and the curve of the bound. Tables: the curve, and each column's
    histogram in the data and in samples. Interactions: curves, metrics beside baselines, rates, a map; and the page is written.
    """
    path = run.folder / "report" / "overview.png"
    if run.schema.kind == "interactions":
        page(run)
    else:
        save(_images(run) if run.schema.kind == "image" else _table(run), path, dpi=110)
    return path
