"""Histograms, bars and marginal distributions."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import COLOURS, REST, SIZE, Bars, above, on_axes, shared, words


def marginal(
    data: np.ndarray,
    samples: np.ndarray,
    ax: Axes | None = None,
    *,
    name: str = "",
    labels: tuple[str, str] = ("data", "samples"),
    legend: bool = True,
) -> Figure:
    """Histograms of one quantity in two sets, (N,) and (M,): the first filled, the second a line."""
    figure, ax = on_axes(ax)
    (first, second), edges = shared([data, samples])
    ax.hist(first, edges, density=True, alpha=0.55, label=labels[0], color=COLOURS[4])
    ax.hist(second, edges, density=True, histtype="step", label=labels[1], color="black")
    ax.set_title(words(name, 32), fontsize=9)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    if legend:
        ax.legend(frameon=False, fontsize=8)
    return figure


def marginals(
    data: np.ndarray,
    samples: np.ndarray,
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    labels: tuple[str, str] = ("data", "samples"),
) -> Figure:
    """`marginal` of each column of (N, D) and (M, D), four to a row, in small pictures on the axes."""
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, ax = on_axes(ax, (7.2, 1.0 + 1.35 * rows))
    ax.axis("off")
    for i, name in enumerate(names):
        across, down = 1 / columns, 1 / rows
        place = (
            (i % columns + 0.04) * across,
            1 - (i // columns + 1) * down + 0.22 * down,
            0.92 * across,
            0.56 * down,
        )
        part = ax.inset_axes(place)
        marginal(data[:, i], samples[:, i], part, name=name, labels=labels, legend=False)
        part.tick_params(labelsize=7)
        part.title.set_fontsize(8)
    handles, told = part.get_legend_handles_labels()
    ax.legend(
        handles,
        told,
        frameon=False,
        fontsize=9,
        ncols=2,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.03),
    )
    return figure


def histogram(series: Mapping[str, np.ndarray], xlabel: str, ax: Axes | None = None) -> Figure:
    """How the values of one set or several are spread; the lowest two hundredth piles up at the
    left end.
    """
    figure, ax = on_axes(ax)
    series = {name: values[np.isfinite(values)] for name, values in series.items()}
    series = {name: values for name, values in series.items() if len(values)} or {
        "none is finite": np.zeros(1)
    }
    low = min(float(np.quantile(v, 0.005)) for v in series.values())
    clipped = {name: np.maximum(v, low) for name, v in series.items()}
    bins = int(np.clip(2 * math.sqrt(min(map(len, clipped.values()))), 8, 60))
    edges = np.histogram_bin_edges(np.concatenate(list(clipped.values())), bins=bins).tolist()
    for i, (name, values) in enumerate(clipped.items()):
        how: dict[str, Any] = {"alpha": 0.55} if i == 0 else {"histtype": "step", "linewidth": 1.4}
        ax.hist(
            values, edges, density=True, label=words(name), color=COLOURS[(4, 9, 1)[i % 3]], **how
        )
    ax.set(xlabel=xlabel, yticks=[])
    if len(series) > 1:
        above(ax, len(series))
    return figure


def bars(
    names: Sequence[str], series: Bars, ylabel: str, ax: Axes | None = None, *, xlabel: str = ""
) -> Figure:
    """Bars side by side at each of some places, with their standard errors; what is not a number
    has no bar.
    """
    figure, ax = on_axes(ax)
    width = 0.8 / max(1, len(series))
    for i, (label, (values, errors)) in enumerate(series.items()):
        at = np.arange(len(names)) + (i - (len(series) - 1) / 2) * width
        spread = None if errors is None else np.nan_to_num(np.asarray(errors, dtype=float))
        style: dict[str, Any] = {
            "hatch": ("", "///", "...")[i % 3],
            "edgecolor": "white",
            "linewidth": 0.5,
        }
        whisker = {"elinewidth": 1, "capsize": 2, "ecolor": "black"}
        heights = np.nan_to_num(np.asarray(values, dtype=float))
        ax.bar(
            at,
            heights,
            width,
            color=COLOURS[i % 10],
            yerr=spread,
            label=words(label),
            error_kw=whisker,
            **style,
        )
    ax.set_xticks(
        range(len(names)), [words(name) if "\n" not in name else name for name in names], fontsize=9
    )
    ax.set(ylabel=ylabel, xlabel=xlabel)
    ax.margins(y=0.05)
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    if len(series) > 1:
        above(ax, min(len(series), 4))
    return figure


def levels(
    values: Mapping[str, float],
    xlabel: str,
    ax: Axes | None = None,
    *,
    grey: str | None = None,
    digits: int = 0,
) -> Figure:
    """One number for each name, as horizontal bars from the top down, the number written at its
    end; one of them is grey.
    """
    figure, ax = on_axes(ax, (SIZE[0], 0.9 + (0.42 if len(values) < 9 else 0.26) * len(values)))
    names = list(values)
    several = len(names) < 9
    colours = [
        REST if name == grey else COLOURS[i if several else 0] for i, name in enumerate(names)
    ]
    drawn = ax.barh(range(len(names)), list(values.values()), 0.6, color=colours)
    ax.bar_label(
        drawn,
        [f"{v:,.{digits}f}".replace("-", "−") for v in values.values()],
        padding=3,
        fontsize=9,
    )
    ax.set_yticks(range(len(names)), [words(name) for name in names])
    ax.invert_yaxis()
    ax.margins(x=0.2)
    ax.set_xlabel(xlabel)
    return figure


def rates(values: Sequence[float], ax: Axes | None = None, *, active: int | None = None) -> Figure:
    """The rate of each latent dimension in nats, the largest first; the number that are active is
    marked.
    """
    figure, ax = on_axes(ax)
    ordered = np.sort(np.nan_to_num(np.asarray(values, dtype=float), posinf=0, neginf=0))[::-1]
    ax.bar(
        np.arange(1, len(ordered) + 1),
        ordered,
        0.9 if len(ordered) <= 100 else 1.0,
        color=COLOURS[0],
    )
    if active is not None and 0 < active < len(ordered):
        ax.axvline(
            active + 0.5,
            color=COLOURS[1],
            linestyle="--",
            linewidth=1,
            label=f"{active} of {len(ordered)} units are active",
        )
        ax.legend(frameon=False, fontsize=9)
    ax.set_xlim(0.4, len(ordered) + 0.6)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    ax.set_ylim(0, max(ordered.max(initial=0), 1e-3) * 1.08)
    ax.set(xlabel="latent dimension, by rate", ylabel="rate (nats)")
    return figure
