"""Runs beside each other: the page."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...data import Examples
from ...data.memory import DataSource
from ...errors import RunError
from ...evaluation.likelihood import LIKELIHOOD_SAMPLES
from ...run import Run, load
from ...system.files import exists, read_json, write_json, write_text
from ...system.progress import stages
from ..figures import bars, grid, histogram, lines, strips
from ..findings.dense import DenseFindings
from ..html import write
from ..records import Picture, Section, Table
from ..sections.about import subtitle
from ..sections.training import CURVES, metric_rows
from ..text import join_names, metric_title, name_measure
from .columns import column_section
from .measure import (
    MARK,
    Comparison,
    Entry,
    Request,
    measure_candidates,
    names,
    prepare,
    refuse,
)
from .text import figures_table, models_table, settings_table, sizes, verdicts

RECONSTRUCTED = 12
"""Examples that are reconstructed."""

SAMPLED_IMAGES = 64
"""Samples that are drawn of each run on images."""

CURVES_IN_NATS = ("elbo", "log_likelihood_term", "rate")
"""Columns of `metrics.csv` whose curves are drawn of runs on images and tables."""

SETTLING = 12
"""Of this many parts of a curve, the first may leave the picture."""

NAMED_IN_FOLDER = 4
"""Runs that the name of the folder has, at most; of more it has the first alone."""

Points = list[tuple[float, float]]
"""Epochs, and the number of each."""


def _series(run: Run, stem: str) -> tuple[str, Points] | None:
    """Reads a curve of the validation or else the training split; levels are added up.

    Returns:
        The name of the split, and the epochs with finite numbers, or None.
    """
    rows = metric_rows(run)
    for split in ("validation", "train"):
        points = _finite_points(rows, f"{split}_{stem}")
        if points:
            return split, points
    return None


def _finite_points(rows: Sequence[Mapping[str, float]], name: str) -> Points:
    """Reads the finite numbers of a column, or the sums of its columns for each level."""
    columns: list[str] = []
    for row in rows:
        for column in row:
            is_part = column == name or column.startswith(f"{name}_")
            if is_part and column not in columns:
                columns.append(column)
    if not columns:
        return []
    points: Points = []
    for row in rows:
        total = sum((row.get(column, math.nan) for column in columns), 0.0)
        if math.isfinite(total):
            points.append((row["epoch"], total))
    return points


def overlaid(
    curves: Mapping[str, Sequence[tuple[float, float]]], ylabel: str, ax: Axes | None = None
) -> Figure:
    """Draws numbers by epoch of several runs on one scale; of a long curve its first epochs may
    leave the picture.
    """
    rows = []
    later = []
    for name, points in curves.items():
        rows += [{"epoch": epoch, name: value} for epoch, value in points]
        settled = points[len(points) // SETTLING :]
        later += [value for _, value in settled]
    drawn = lines(rows, {name: name for name in curves}, ylabel, ax)
    low = min(later)
    high = max(later)
    margin = 0.07 * (high - low) + 1e-9
    axes = ax or drawn.axes[0]
    axes.set_ylim(low - margin, high + margin)
    return drawn


def _curve(found: Comparison, stem: str, title: str, ylabel: str, file: str) -> Picture | None:
    """Draws a column of `metrics.csv` of all runs; None if no run has it."""
    curves = {}
    splits = {}
    for entry in found.entries:
        series = _series(entry.run, stem)
        if series is not None:
            splits[entry.name], curves[entry.name] = series
    if not curves:
        return None
    if len(set(splits.values())) == 1:
        whose = f"the {next(iter(splits.values()))} split"
    else:
        whose = "the split in brackets"
        curves = {f"{name} ({splits[name]})": points for name, points in curves.items()}
    text = f"By epoch, of {whose} of each run; the first epochs may leave the picture."
    return Picture(file, title, text, lambda ax: overlaid(curves, ylabel, ax))


def _training_section(pictures: Sequence[Picture | None]) -> Section | None:
    drawn = tuple(picture for picture in pictures if picture is not None)
    if not drawn:
        return None
    return Section("Training", pictures=drawn)


def training(found: Comparison) -> Section | None:
    """Shows the bounds of all runs by epoch on the same axes."""
    pictures = []
    for stem in CURVES_IN_NATS:
        title = CURVES[stem][0]
        pictures.append(_curve(found, stem, title, "nats per example", f"curve_{stem}"))
    return _training_section(pictures)


def ranking_training(found: Comparison) -> Section | None:
    """Shows the metric that decides of all runs by epoch on the same axes."""
    title = metric_title(found.headline)
    return _training_section(
        [_curve(found, found.headline, title, "mean over users", "curve_ranking")]
    )


def _difference_histogram(values: np.ndarray, xlabel: str, ax: Axes | None) -> Figure:
    """Draws a histogram of differences, with a line at none."""
    drawn = histogram({"": values}, xlabel, ax)
    axes = ax or drawn.axes[0]
    axes.axvline(0, color="0.2", linewidth=1, linestyle="--")
    return drawn


def _difference(found: Comparison, at: int) -> Picture:
    """Draws how the differences of a run to the first are spread over the examples."""
    entry = found.entries[at]
    first = found.first
    measure = name_measure(found.headline)
    values = (entry.each[found.headline] - first.each[found.headline]).numpy()
    unit = ""
    if found.in_nats:
        unit = " (nats)"
    above = (values > 0).mean()
    below = (values < 0).mean()
    text = (
        f"The {measure} of {entry.name} minus that of {first.name}, by {found.unit[:-1]}; above 0 "
        f"for {above:.0%} of them, below 0 for {below:.0%}."
    )
    xlabel = f"difference of the {measure}{unit}"
    title = f"{entry.name} and {first.name}"
    return Picture(
        f"difference_{at}", title, text, lambda ax: _difference_histogram(values, xlabel, ax)
    )


def _quality(found: Comparison) -> Picture:
    """Draws bars of the ranking metrics."""
    series = {}
    for entry in found.entries:
        estimates = [entry.measures[name] for name in found.shown]
        values = [estimate.value for estimate in estimates]
        errors = [estimate.standard_error for estimate in estimates]
        series[entry.name] = (values, errors)
    text = (
        "The whiskers are standard errors over users; whether two runs differ is told by those of "
        "the pairs, in the table."
    )
    titles = [metric_title(name) for name in found.shown]
    return Picture(
        "quality", "Ranking", text, lambda ax: bars(titles, series, "mean over users", ax)
    )


def _measures_section(found: Comparison, title: str, pictures: Sequence[Picture] = ()) -> Section:
    """Shows the measures, their paired differences, and how these are spread over the examples."""
    drawn = list(pictures)
    for at in range(1, len(found.entries)):
        drawn.append(_difference(found, at))
    return Section(
        title,
        sentences=tuple(verdicts(found)),
        warnings=found.warnings,
        tables=(figures_table(found), models_table(found)),
        pictures=tuple(drawn),
    )


def bound(found: Comparison) -> Section:
    """Shows the bounds, or the log-likelihood terms where a run is an autoencoder."""
    title = "The log-likelihood term"
    if found.headline == "elbo":
        title = "The bound"
    return _measures_section(found, title)


def ranking(found: Comparison) -> Section:
    """Shows the ranking metrics."""
    return _measures_section(found, "How well they rank", [_quality(found)])


def differing(found: Comparison) -> Section:
    """Shows what the runs are, and the settings that are not equal in all."""
    rows = []
    for entry in found.entries:
        rows.append((entry.name, subtitle(entry.run)))
    runs = Table((), tuple(rows), numbers=False)
    if not found.settings:
        return Section("Settings that differ", ("All settings are equal.",), tables=(runs,))
    return Section("Settings that differ", tables=(runs, settings_table(found)))


def _with_prior(found: Comparison) -> list[Entry]:
    """Returns the runs that have a prior to sample from."""
    return [entry for entry in found.entries if entry.run.recipe.objective.has_bound]


def _sample_grid(file: str, entry: Entry, seed: int) -> Picture:
    samples = entry.run.sample(SAMPLED_IMAGES, seed=seed)
    images = DenseFindings(entry.run).shown(samples)
    text = f"{SAMPLED_IMAGES} means of p(x | z), z from the prior."
    return Picture(file, entry.name, text, lambda ax: grid(images, ax, columns=8), photo=True)


def images(found: Comparison) -> Section | None:
    """Shows samples of each run, drawn with the same seed."""
    pictures = []
    for i, entry in enumerate(_with_prior(found), 1):
        pictures.append(_sample_grid(f"samples_{i}", entry, found.seed))
    if not pictures:
        return None
    return Section("Samples", pictures=tuple(pictures))


def reconstructions(found: Comparison) -> Section:
    """Shows the same examples, and below them what each run makes of them."""
    examples = found.first.examples
    assert isinstance(examples, Examples)
    chosen = np.random.default_rng(found.seed).permutation(len(examples))[:RECONSTRUCTED]
    rows = [DenseFindings(found.first.run).shown(examples.tensor(chosen))]
    labels = ["original"]
    for entry in found.entries:
        means = entry.run.reconstruct(entry.examples.take(chosen))
        rows.append(DenseFindings(entry.run).shown(means))
        labels.append(entry.name)
    stacked = np.stack(rows)
    text = (
        f"{len(chosen)} random {found.split} examples, and below each the mean of p(x | z) at the "
        "mean of q(z | x) of each run."
    )
    picture = Picture(
        "reconstructions",
        "The same examples",
        text,
        lambda ax: strips(stacked, ax, rows=labels),
        wide=True,
        photo=True,
    )
    return Section("Reconstructions", pictures=(picture,))


def columns(found: Comparison) -> Section | None:
    """Shows how far the samples of each run are from the examples, column by column."""
    return column_section(found, _with_prior(found))


Part = Callable[[Comparison], Section | None]
"""Makes a section of the page, if there is anything to say."""

TABLE_PARTS: tuple[Part, ...] = (bound, differing, training, columns)
"""The sections of runs on tables and vectors."""

PARTS: dict[str, tuple[Part, ...]] = {
    "image": (bound, differing, training, images, reconstructions),
    "table": TABLE_PARTS,
    "vector": TABLE_PARTS,
    "interactions": (ranking, differing, ranking_training),
}
"""The sections of the page, by the kind of the data."""


def _sections(found: Comparison) -> list[Section]:
    sections = []
    for part in PARTS[found.first.run.schema.kind]:
        section = part(found)
        if section is not None:
            sections.append(section)
    return sections


def _is_earlier_page(folder: Path) -> bool:
    """Says whether a folder holds a page of this command and may be written again."""
    try:
        held = read_json(folder / "comparison.json")
    except RunError:
        return False
    return isinstance(held, dict) and held.get("kind") == MARK


def place(runs: Sequence[Run], run_names: Sequence[str], out: str | Path | None = None) -> Path:
    """Chooses the folder of a comparison: `out`, or `compare-A-B` beside the first run.

    Raises:
        RunError: something else than an earlier comparison is there.
    """
    if out is not None:
        folder = Path(out)
    else:
        parts = ["compare", *(name.replace("/", "-") for name in run_names)]
        if len(run_names) > NAMED_IN_FOLDER:
            parts = [*parts[:2], f"and-{len(run_names) - 1}-more"]
        folder = runs[0].folder.resolve().parent / "-".join(parts)
    if not exists(folder):
        return folder
    is_free = folder.is_dir() and (_is_earlier_page(folder) or not any(folder.iterdir()))
    if not is_free:
        raise RunError(
            f"{folder} is not an empty folder, and holds no earlier comparison; choose another "
            "--out"
        )
    return folder


def opened(run: Run | str | Path) -> Run:
    """Loads a run that is given by its folder."""
    if isinstance(run, Run):
        return run
    return load(run)


def compare(
    runs: Sequence[Run | str | Path],
    out: str | Path | None = None,
    *,
    data: DataSource | None = None,
    split: str | None = None,
    samples: int = LIKELIHOOD_SAMPLES,
    seed: int = 0,
    progress: bool = False,
) -> Comparison:
    """Measures runs on the very same examples (see `measure`) and writes one page of it that needs
    no other file.

    The folder gets `index.html`, each picture as PNG and SVG, `comparison.json` with all numbers,
    and `comparison.csv`, which `to_frame` of the comparison has as a frame.

    Args:
        runs: two or more, or their folders; differences are to the first.
        out: the folder of the page; by default `compare-A-B` beside the first run.
        data: see `measure`.
        split: see `measure`.
        samples: see `measure`.
        seed: of all draws, those of the pictures too.
        progress: show a bar on standard error.

    Raises:
        ConfigError, DataError: see `measure`.
        RunError: the folder holds something else than an earlier comparison, or cannot be written.
    """
    loaded = [opened(run) for run in runs]
    refuse(loaded)
    request = Request(data, split, samples, seed)
    run_names = names([run.folder for run in loaded])
    folder = place(loaded, run_names, out)
    split, candidates = prepare(loaded, run_names, request)
    with stages("compare", len(loaded) + 1, show=progress) as begins:
        found = measure_candidates(candidates, split, request, begins)
        begins("pictures")
        found = replace(found, page=folder / "index.html")
        sections = _sections(found)
        # The numbers are written first: they say whose folder this is.
        write_json(folder / "comparison.json", found.describe())
        write_text(folder / "comparison.csv", found.to_csv())
        title = join_names([entry.name for entry in found.entries])
        text = f"{sizes(found)}; differences are to {found.first.name}"
        write(folder, title, text, sections)
    return found
