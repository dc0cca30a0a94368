"""Runs beside each other: a table for the terminal, and a page."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...errors import RunError
from ...evaluation.statistics import kolmogorov_smirnov
from ...run import Run
from ...system.files import exists, read_json, write_json
from ...system.progress import stages
from ..figures import bars, grid, histogram, lines, marginals, strips
from ..findings.dense import DenseFindings
from ..html import write
from ..records import Picture, Section, Table
from ..sections.about import subtitle
from ..sections.training import CURVES, metric_rows
from ..text import figure, listed, metric
from .measure import DRAWS, MARK, Comparison, Entry, measured_runs, names, ready, refuse
from .text import figures_table, models_table, name_runs, settings_table, sizes, verdicts

ORIGINALS, PANELS, CROWD = 12, 12, 2_000
"""Examples that are reconstructed, columns whose marginals are drawn, and examples and samples
behind these.
"""


# The page.


def _series(run: Run, stem: str) -> tuple[str, list[tuple[float, float]]] | None:
    """A curve of the validation or else the training split: its name, epochs and finite numbers;
    levels are added up.
    """
    rows = metric_rows(run)
    for split in ("validation", "train"):
        whole = f"{split}_{stem}"
        columns = dict.fromkeys(
            k for row in rows for k in row if k == whole or k.startswith(f"{whole}_")
        )
        points = (
            [(row["epoch"], sum(row.get(k, math.nan) for k in columns)) for row in rows]
            if columns
            else []
        )
        if finite := [point for point in points if math.isfinite(point[1])]:
            return split, finite
    return None


def overlaid(
    curves: Mapping[str, Sequence[tuple[float, float]]], ylabel: str, ax: Axes | None = None
) -> Figure:
    """Numbers by epoch of several runs on one scale; of a long curve its first epochs may leave the
    picture.
    """
    rows = [
        {"epoch": epoch, name: value} for name, points in curves.items() for epoch, value in points
    ]
    drawn = lines(rows, {name: name for name in curves}, ylabel, ax)
    axes = drawn.axes[0] if ax is None else ax
    later = [value for points in curves.values() for _, value in points[len(points) // 12 :]]
    low, high = min(later), max(later)
    margin = 0.07 * (high - low) + 1e-9
    axes.set_ylim(low - margin, high + margin)
    return drawn


def _curve(found: Comparison, stem: str, title: str, ylabel: str, file: str) -> Picture | None:
    known = {entry.name: series for entry in found.entries if (series := _series(entry.run, stem))}
    splits = {split for split, _ in known.values()}
    labels = {
        name: name if len(splits) == 1 else f"{name} ({split})"
        for name, (split, _) in known.items()
    }
    curves = {labels[name]: points for name, (_, points) in known.items()}
    if not curves:
        return None
    whose = f"the {splits.pop()} split" if len(splits) == 1 else "the split in brackets"
    told = f"By epoch, of {whose} of each run; the first epochs may leave the picture."
    return Picture(file, title, told, lambda ax: overlaid(curves, ylabel, ax))


def training(found: Comparison) -> Section | None:
    """The curves of all runs on the same axes."""
    if found.ranked:
        pictures = [
            _curve(
                found, found.headline, metric(found.headline), "mean over users", "curve_ranking"
            )
        ]
    else:
        stems = ("elbo", "log_likelihood_term", "rate")
        pictures = [
            _curve(found, stem, CURVES[stem][0], "nats per example", f"curve_{stem}")
            for stem in stems
        ]
    drawn = tuple(picture for picture in pictures if picture is not None)
    return Section("Training", pictures=drawn) if drawn else None


def _spread_out(values: np.ndarray, xlabel: str, ax: Axes | None) -> Figure:
    """A histogram of differences, with a line at none."""
    drawn = histogram({"": values}, xlabel, ax)
    (drawn.axes[0] if ax is None else ax).axvline(0, color="0.2", linewidth=1, linestyle="--")
    return drawn


def _differences(found: Comparison, at: int) -> Picture:
    entry, first, name = found.entries[at], found.first, found.headline
    values = (entry.each[name] - first.each[name]).numpy()
    what = f"{name_runs(name)} of {entry.name} minus that of {first.name}"
    unit, whom = ("", "user") if found.ranked else (" (nats)", "example")
    told = f"The {what}, by {whom}; above 0 for {(values > 0).mean():.0%} of them, below 0 for {(values < 0).mean():.0%}."
    xlabel = f"difference of the {name_runs(name)}{unit}"
    title = f"{entry.name} and {first.name}"
    return Picture(f"difference_{at}", title, told, lambda ax: _spread_out(values, xlabel, ax))


def _quality(found: Comparison) -> Picture:
    """Bars of the ranking metrics."""
    series = {
        entry.name: (
            [entry.measures[m].value for m in found.shown],
            [entry.measures[m].standard_error for m in found.shown],
        )
        for entry in found.entries
    }
    told = "The whiskers are standard errors over users; whether two runs differ is told by those of the pairs, in the table."
    titles = [metric(name) for name in found.shown]
    return Picture(
        "quality", "Ranking", told, lambda ax: bars(titles, series, "mean over users", ax)
    )


def measured(found: Comparison) -> Section:
    """The measures, their paired differences, and how these are spread over the examples."""
    title = (
        "How well they rank"
        if found.ranked
        else f"The {'bound' if found.headline == 'elbo' else 'log-likelihood term'}"
    )
    pictures = [_differences(found, at) for at in range(1, len(found.entries))]
    pictures = [_quality(found), *pictures] if found.ranked else pictures
    tables = (figures_table(found), models_table(found))
    return Section(title, tuple(verdicts(found)), found.warnings, tables, tuple(pictures))


def differing(found: Comparison) -> Section:
    """What the runs are, and the settings that are not equal in all."""
    what = Table(
        (), tuple((entry.name, subtitle(entry.run)) for entry in found.entries), numbers=False
    )
    if not found.settings:
        return Section("Settings that differ", ("All settings are equal.",), tables=(what,))
    return Section("Settings that differ", tables=(what, settings_table(found)))


def _pictured(found: Comparison) -> list[Entry]:
    """The runs that have a prior to sample from."""
    return [entry for entry in found.entries if entry.run.recipe.objective.has_bound]


def _grid(file: str, entry: Entry, seed: int) -> Picture:
    images = DenseFindings(entry.run).shown(entry.run.sample(64, seed=seed))
    told = "64 means of p(x | z), z from the prior."
    return Picture(file, entry.name, told, lambda ax: grid(images, ax, columns=8), photo=True)


def images(found: Comparison) -> Section | None:
    """Samples of each run, drawn with the same seed."""
    pictures = tuple(
        _grid(f"samples_{i}", entry, found.seed) for i, entry in enumerate(_pictured(found), 1)
    )
    return Section("Samples", pictures=pictures) if pictures else None


def reconstructions(found: Comparison) -> Section:
    """The same examples, and below them what each run makes of them."""
    some = np.random.default_rng(found.seed).permutation(len(found.first.examples))[:ORIGINALS]

    def again(entry: Entry) -> np.ndarray:
        return DenseFindings(entry.run).shown(entry.run.reconstruct(entry.examples.batch(some)))

    originals = DenseFindings(found.first.run).shown(found.first.examples.batch(some))  # type: ignore[arg-type]
    rows = np.stack([originals, *map(again, found.entries)])
    labels = ["original", *(entry.name for entry in found.entries)]
    told = f"{len(some)} random {found.split} examples, and below each the mean of p(x | z) at the mean of q(z | x) of each run."
    picture = Picture(
        "reconstructions",
        "The same examples",
        told,
        lambda ax: strips(rows, ax, rows=labels),
        True,
        True,
    )
    return Section("Reconstructions", pictures=(picture,))


def columns(found: Comparison) -> Section | None:
    """How far the samples of each run are from the examples, column by column."""
    entries, schema = _pictured(found), found.first.run.schema
    if not entries:
        return None
    data = schema.restore(found.first.examples.batch(slice(0, CROWD)).numpy())  # type: ignore[union-attr]
    drawn = [
        e.run.schema.restore(e.run.sample(CROWD, mean=False, seed=found.seed).numpy())
        for e in entries
    ]
    names = list(schema.columns) or [f"value {i + 1}" for i in range(schema.shape[0])]
    apart = np.array(
        [[kolmogorov_smirnov(data[:, i], part[:, i]) for part in drawn] for i in range(len(names))]
    )
    order = np.argsort(-apart.mean(1), kind="stable")[:PANELS]
    which = (
        "All columns"
        if len(names) <= PANELS
        else f"The {PANELS} columns of {len(names)} that differ most"
    )
    behind = f"{len(data):,} {found.split} examples and {CROWD:,} samples of each run"
    caption = f"{which}: the greatest difference of the distribution functions (Kolmogorov and Smirnov) of {behind}."
    rows = [("mean of all columns", *(figure(v, 3) for v in apart.mean(0)))]
    rows += [(names[i], *(figure(v, 3) for v in apart[i])) for i in order]
    table = Table(("column", *(entry.name for entry in entries)), tuple(rows), caption)
    shown = [names[i] for i in order]
    pictures = [
        _marginals(f"columns_{n}", entry.name, data[:, order], part[:, order], shown)
        for n, (entry, part) in enumerate(zip(entries, drawn, strict=True), 1)
    ]
    return Section("Columns of samples", tables=(table,), pictures=tuple(pictures))


def _marginals(
    file: str, name: str, data: np.ndarray, drawn: np.ndarray, columns: list[str]
) -> Picture:
    told = "Examples (filled) and samples from the model (line)."
    return Picture(file, name, told, lambda ax: marginals(data, drawn, columns, ax), wide=True)


def _sections(found: Comparison) -> list[Section]:
    parts: tuple[Callable[[Comparison], Section | None], ...] = (measured, differing, training)
    if found.first.run.schema.kind == "image":
        parts = (*parts, images, reconstructions)
    elif not found.ranked:
        parts = (*parts, columns)
    return [section for part in parts if (section := part(found)) is not None]


def _earlier(folder: Path) -> bool:
    """Whether a folder holds a page of this command and may be written again."""
    try:
        held = read_json(folder / "comparison.json")
    except RunError:
        return False
    return isinstance(held, dict) and held.get("kind") == MARK


def place(runs: Sequence[Run], out: str | Path | None = None) -> Path:
    """The folder of a comparison: `out`, or `compare-A-B` beside the first run.

    Raises:
        RunError: something else than an earlier comparison is there.
    """
    called = [name.replace("/", "-") for name in names([run.folder for run in runs])]
    called = called if len(called) < 5 else [called[0], f"and-{len(called) - 1}-more"]
    folder = (
        Path(out)
        if out is not None
        else runs[0].folder.resolve().parent / "-".join(["compare", *called])
    )
    if exists(folder) and not (folder.is_dir() and (_earlier(folder) or not any(folder.iterdir()))):
        raise RunError(
            f"{folder} is not an empty folder, and holds no earlier comparison; choose another "
            "--out"
        )
    return folder


def compare(
    runs: Sequence[Run],
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    samples: int = DRAWS,
    seed: int = 0,
    progress: bool = False,
) -> Comparison:
    """Measures runs on the very same examples (see `measure`) and writes one page of it that needs
    no other file.

    The folder gets `index.html`, each picture as PNG and SVG, and `comparison.json` with all
    numbers.

    Args:
        runs: two or more; differences are to the first.
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
    refuse(runs)
    folder = place(runs, out)
    split, seen = ready(runs, data, split, samples)
    with stages("compare", len(runs) + 1, show=progress) as begins:
        found = measured_runs(runs, split, seen, data, samples, seed, begins)
        begins("pictures")
        found = replace(found, page=folder / "index.html")
        sections = _sections(found)
        write_json(
            folder / "comparison.json", found.describe()
        )  # first: it says whose folder this is
        told = f"{sizes(found)}; differences are to {found.first.name}"
        write(folder, listed([entry.name for entry in found.entries]), told, sections)
    return found
