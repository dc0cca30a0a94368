"""Histograms, bars and marginal distributions."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..text import format_number
from .style import COLOURS, REST, SIZE, Bars, prepare_axes, put_legend_above, words

SERIES_COLOURS = (COLOURS[4], COLOURS[9], COLOURS[1])
"""The colours that the series of a histogram take in turn."""


HATCHES = ("", "///", "...")
"""The patterns that the series of a bar chart take in turn."""


def marginal(
    data: np.ndarray,
    samples: np.ndarray,
    ax: Axes | None = None,
    *,
    name: str = "",
    labels: tuple[str, str] = ("data", "samples"),
    legend: bool = True,
) -> Figure:
    """Draws the histograms of one quantity in two sets, the first filled, the second as a line.

    Args:
        data: the values of the first set, (N,).
        samples: the values of the second, (M,).
        ax: the axes to draw on; None makes a figure.
        name: the name of the quantity.
        labels: the names of the sets.
        legend: whether the picture says which set is which.
    """
    figure, ax = prepare_axes(ax)
    (first, second), edges = _on_common_bins(data, samples)
    ax.hist(first, edges, density=True, alpha=0.55, label=labels[0], color=COLOURS[4])
    ax.hist(second, edges, density=True, histtype="step", label=labels[1], color="black")
    ax.set_title(words(name, 32), fontsize=9)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    if legend:
        ax.legend(frameon=False, fontsize=8)
    return figure


def _on_common_bins(
    data: np.ndarray, samples: np.ndarray, spread: float = 0.5
) -> tuple[list[np.ndarray], list[float]]:
    """Clips two sets to the range of the first and somewhat more, and divides that into bins.

    What lies beyond piles up at the ends: samples far from the data are seen, and do not squeeze
    the data into one bin.

    Returns:
        The clipped finite values of both sets, and the edges of the bins.
    """
    finite = []
    for values in (data, samples):
        is_finite = np.isfinite(values)
        finite.append(values[is_finite] if is_finite.any() else np.zeros(1))
    low = float(finite[0].min())
    high = float(finite[0].max())
    margin = spread * max(high - low, 1e-9)
    clipped = [np.clip(values, low - margin, high + margin) for values in finite]
    return clipped, _bin_edges(clipped, most=50)


def _bin_edges(sets: Sequence[np.ndarray], most: int) -> list[float]:
    """Returns the edges of bins over several sets of values, as many as suit the smallest set."""
    smallest = min(len(values) for values in sets)
    bins = int(np.clip(2 * math.sqrt(smallest), 8, most))
    together = np.concatenate(sets)
    edges: list[float] = np.histogram_bin_edges(together, bins=bins).tolist()
    return edges


def marginals(
    data: np.ndarray,
    samples: np.ndarray,
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    labels: tuple[str, str] = ("data", "samples"),
) -> Figure:
    """Draws `marginal` of each column in a small picture on the axes, four to a row.

    Args:
        data: the first set, (N, D).
        samples: the second set, (M, D).
        names: the names of the columns.
        ax: the axes to draw on; None makes a figure.
        labels: the names of the sets.
    """
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, ax = prepare_axes(ax, (7.2, 1.0 + 1.35 * rows))
    ax.axis("off")
    width = 1 / columns
    height = 1 / rows
    for i, name in enumerate(names):
        row, column = divmod(i, columns)
        left = (column + 0.04) * width
        bottom = 1 - (row + 1) * height + 0.22 * height
        part = ax.inset_axes((left, bottom, 0.92 * width, 0.56 * height))
        marginal(data[:, i], samples[:, i], part, name=name, labels=labels, legend=False)
        part.tick_params(labelsize=7)
        part.title.set_fontsize(8)
    handles, texts = part.get_legend_handles_labels()
    ax.legend(
        handles,
        texts,
        frameon=False,
        fontsize=9,
        ncols=2,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.03),
    )
    return figure


def histogram(series: Mapping[str, np.ndarray], xlabel: str, ax: Axes | None = None) -> Figure:
    """Draws how the values of one set or several are spread.

    The lowest two hundredth of each piles up at the left end.

    Args:
        series: the values of each set, (N,), by its name; those that are not finite are left out.
        xlabel: the name of the values.
        ax: the axes to draw on; None makes a figure.
    """
    figure, ax = prepare_axes(ax)
    finite: dict[str, np.ndarray] = {}
    for name, values in series.items():
        known = values[np.isfinite(values)]
        if len(known):
            finite[name] = known
    if not finite:
        finite = {"none is finite": np.zeros(1)}
    low = min(float(np.quantile(values, 0.005)) for values in finite.values())
    clipped = {name: np.maximum(values, low) for name, values in finite.items()}
    edges = _bin_edges(list(clipped.values()), most=60)
    for i, (name, values) in enumerate(clipped.items()):
        style: dict[str, Any] = {"histtype": "step", "linewidth": 1.4}
        if i == 0:
            style = {"alpha": 0.55}
        colour = SERIES_COLOURS[i % len(SERIES_COLOURS)]
        ax.hist(values, edges, density=True, label=words(name), color=colour, **style)
    ax.set(xlabel=xlabel, yticks=[])
    if len(finite) > 1:
        put_legend_above(ax, len(finite))
    return figure


def bars(
    names: Sequence[str], series: Bars, ylabel: str, ax: Axes | None = None, *, xlabel: str = ""
) -> Figure:
    """Draws bars side by side at each of several places, with their standard errors.

    Args:
        names: the names of the places.
        series: the heights of the bars at the places, and their standard errors, by name; a height
            that is not a number has no bar.
        ylabel: the name of the heights.
        ax: the axes to draw on; None makes a figure.
        xlabel: the name of the places.
    """
    figure, ax = prepare_axes(ax)
    width = 0.8 / max(1, len(series))
    for i, (label, (values, errors)) in enumerate(series.items()):
        offset = (i - (len(series) - 1) / 2) * width
        whiskers = None
        if errors is not None:
            whiskers = np.nan_to_num(np.asarray(errors, dtype=float))
        ax.bar(
            np.arange(len(names)) + offset,
            np.nan_to_num(np.asarray(values, dtype=float)),
            width,
            color=COLOURS[i % len(COLOURS)],
            yerr=whiskers,
            label=words(label),
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "black"},
            hatch=HATCHES[i % len(HATCHES)],
            edgecolor="white",
            linewidth=0.5,
        )
    ticks = [_tick_text(name) for name in names]
    ax.set_xticks(range(len(names)), ticks, fontsize=9)
    ax.set(ylabel=ylabel, xlabel=xlabel)
    ax.margins(y=0.05)
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    if len(series) > 1:
        put_legend_above(ax, min(len(series), 4))
    return figure


def _tick_text(name: str) -> str:
    """Cuts a name, but one of several lines stays as it is."""
    return name if "\n" in name else words(name)


def levels(
    values: Mapping[str, float],
    xlabel: str,
    ax: Axes | None = None,
    *,
    grey: str | None = None,
    digits: int = 0,
) -> Figure:
    """Draws one number for each name as horizontal bars, with the number at the end of each.

    Args:
        values: the numbers by name, from the top down.
        xlabel: the name of the numbers.
        ax: the axes to draw on; None makes a figure.
        grey: the name whose bar is grey.
        digits: the decimals that are shown.
    """
    count = len(values)
    few = count < 9
    bar_height = 0.42 if few else 0.26
    figure, ax = prepare_axes(ax, (SIZE[0], 0.9 + bar_height * count))
    colours = []
    for i, name in enumerate(values):
        if name == grey:
            colours.append(REST)
        else:
            colours.append(COLOURS[i if few else 0])
    widths = list(values.values())
    drawn = ax.barh(range(count), widths, 0.6, color=colours)
    numbers = [format_number(width, digits) for width in widths]
    ax.bar_label(drawn, numbers, padding=3, fontsize=9)
    ax.set_yticks(range(count), [words(name) for name in values])
    ax.invert_yaxis()
    ax.margins(x=0.2)
    ax.set_xlabel(xlabel)
    return figure


def level_rates(
    names: Sequence[str],
    values: Sequence[float],
    sizes: Sequence[int],
    ax: Axes | None = None,
) -> Figure:
    """Draws the rate of each level as a bar, with the rate per dimension beside it.

    Args:
        names: of the levels, the first on top.
        values: their rates in nats.
        sizes: their numbers of dimensions.
        ax: the axes to draw on; None makes a figure.
    """
    figure, ax = prepare_axes(ax, (SIZE[0], float(np.clip(0.9 + 0.32 * len(names), 1.8, 9))))
    places = np.arange(len(names))
    finite = np.nan_to_num(np.asarray(values, dtype=float), posinf=0, neginf=0)
    ax.barh(places, finite, color=COLOURS[0], height=0.7)
    reach = max(float(finite.max(initial=0)), 1e-3)
    for place, value, size in zip(places, finite, sizes, strict=True):
        text = f" {format_number(value, 2)} ({format_number(value / size, 3)} per dimension)"
        ax.text(max(value, 0), int(place), text, va="center", fontsize=8)
    ax.set_yticks(places, [words(name) for name in names], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(min(float(finite.min(initial=0)), 0) * 1.05, reach * 2.1)
    ax.set_xlabel("rate (nats)")
    return figure


def rates(values: Sequence[float], ax: Axes | None = None, *, active: int | None = None) -> Figure:
    """Draws the rate of each latent dimension in nats, the largest first.

    Args:
        values: the rates, one for each dimension.
        ax: the axes to draw on; None makes a figure.
        active: how many dimensions are active, which a line marks.
    """
    figure, ax = prepare_axes(ax)
    finite = np.nan_to_num(np.asarray(values, dtype=float), posinf=0, neginf=0)
    ordered = np.sort(finite)[::-1]
    count = len(ordered)
    width = 0.9 if count <= 100 else 1.0
    ax.bar(np.arange(1, count + 1), ordered, width, color=COLOURS[0])
    if active is not None and 0 < active < count:
        label = f"{active} of {count} units are active"
        ax.axvline(active + 0.5, color=COLOURS[1], linestyle="--", linewidth=1, label=label)
        ax.legend(frameon=False, fontsize=9)
    ax.set_xlim(0.4, count + 0.6)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    ax.set_ylim(0, max(ordered.max(initial=0), 1e-3) * 1.08)
    ax.set(xlabel="latent dimension, by rate", ylabel="rate (nats)")
    return figure
