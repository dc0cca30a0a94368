"""The overview of a run: one PNG with what one looks at first."""

import csv
from pathlib import Path

from matplotlib.figure import Figure

from ..data import Examples
from ..files import replacing
from ..run import Run
from .figures import curves, grid, marginal, pairs, unit

SHOWN = 32
MARGINALS = 12


def _history(run: Run) -> list[dict[str, float]]:
    with (run.folder / "metrics.csv").open(encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


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
    curves(_history(run), right, run.summary.get("best_epoch"))
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
    curves(_history(run), figure.add_subplot(places[0, :]), run.summary.get("best_epoch"))
    for i in range(count):
        ax = figure.add_subplot(places[1 + i // 4, i % 4])
        marginal(data[:, i], samples[:, i], ax, names[i], legend=i == 0)
    figure.suptitle(f"{run.folder.name}: columns of the data and of samples from the model", fontsize=11)
    return figure


def overview(run: Run) -> Path:
    """Writes `report/overview.png` into the run folder and gives its path.

    Images: originals beside their reconstructions, samples, and the curve of the bound. Tables: the curve, and each column's
    histogram in the data and in samples.
    """
    path = run.folder / "report" / "overview.png"
    figure = _images(run) if run.schema.kind == "image" else _table(run)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path
