"""Pictures of the columns of a table by their kinds: data beside samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ...columns import ColumnSchema
from ...data.frames import to_texts
from ...evaluation.columns import shares_of_levels
from ..text import format_share
from .scales import SMALL, are_few_integers, choose_scale, set_ticks, short_number, show_shares
from .style import COLOURS, prepare_axes, words

PANELS_IN_A_ROW = 3
"""Marginals of columns stand in rows of this many."""

MOST_LEVELS = 8
"""At most this many levels of a column are drawn, those that most rows have."""

MOST_ORDERED = 24
"""At most this many levels of a column with an order are drawn."""

MOST_ATOMS = 6
"""At most this many atoms of a column have a bar of their own, those that most rows have."""

MOST_BINS = 40
"""A histogram of numbers has at most this many bins."""

MARGIN = 0.25
"""Samples are drawn up to this part of the range of the data beyond it; what lies further piles up
there.
"""

DATA: dict[str, Any] = {"color": COLOURS[4], "alpha": 0.55}
"""How the first of two sets is drawn: filled."""

SAMPLES: dict[str, Any] = {"edgecolor": "black", "linewidth": 1.0}
"""How the second is drawn: as a line."""

NAME_WIDTH = 0.023
"""The part of a panel that a character of the name of a level takes."""


def column_marginals(
    columns: Sequence[ColumnSchema],
    data: np.ndarray,
    samples: np.ndarray,
    ax: Axes | None = None,
    *,
    labels: tuple[str, str] = ("data", "samples"),
) -> Figure:
    """Draws `column_marginal` of each column in a small picture, three to a row.

    Args:
        columns: the D columns.
        data: values of the first set, (N, D); a gap is NaN.
        samples: values of the second set, (M, D).
        ax: the axes to draw on; None makes a figure.
        labels: the names of the sets.
    """
    across = PANELS_IN_A_ROW
    rows = -(-len(columns) // across)
    height = 0.5 + 1.55 * rows
    figure, ax = prepare_axes(ax, (2.6 * across + 0.4, height))
    ax.axis("off")
    legend = 0.3 / height
    tall = (1 - legend) / rows
    for i, column in enumerate(columns):
        row, place = divmod(i, across)
        bottom = 1 - (row + 1) * tall
        bounds = ((place + 0.03) / across, bottom + 0.18 * tall, 0.94 / across, 0.66 * tall)
        panel = ax.inset_axes(bounds)
        column_marginal(column, data[:, i], samples[:, i], panel)
    _add_legend(ax, labels)
    return figure


def _add_legend(ax: Axes, labels: tuple[str, str]) -> None:
    """Says below the axes which set is filled and which is a line."""
    first = Patch(label=labels[0], **DATA)
    second = Patch(label=labels[1], fill=False, **SAMPLES)
    ax.legend(
        handles=[first, second],
        frameon=False,
        fontsize=9,
        ncols=2,
        loc="lower center",
        bbox_to_anchor=(0.5, -0.04),
    )


def column_marginal(
    column: ColumnSchema, data: np.ndarray, samples: np.ndarray, ax: Axes | None = None
) -> Figure:
    """Draws how the observed values of one column are spread in two sets, the first filled, the
    second as a line.

    Numbers have histograms, on a logarithmic scale where their tails are heavy, and their atoms
    have bars of their own, with their shares; levels have bars, the most frequent of the data
    first, or in their own order where they have one.

    Args:
        column: what is known of the column.
        data: values of the first set, (N,); a gap is NaN.
        samples: values of the second set, (M,).
        ax: the axes to draw on; None makes a figure.
    """
    figure, ax = prepare_axes(ax, (3.0, 1.7))
    data = data[~np.isnan(data)]
    samples = samples[~np.isnan(samples)]
    ax.set_title(words(column.name, 36), fontsize=8, pad=4, loc="left")
    if not len(data) or not len(samples):
        ax.axis("off")
        ax.text(0.5, 0.5, "no observed cell", ha="center", fontsize=SMALL, transform=ax.transAxes)
    elif column.kind == "ordinal" and len(column.levels) <= MOST_ORDERED:
        _draw_ordered(column, data, samples, ax)
    elif column.levels:
        _draw_levels(column, data, samples, ax)
    else:
        _draw_numbers(column, data, samples, ax)
    return figure


def _shares(positions: np.ndarray, count: int) -> np.ndarray:
    """Returns the shares of the levels that a column has, (count,)."""
    return shares_of_levels(positions, count)[:count]


def _draw_ordered(column: ColumnSchema, data: np.ndarray, samples: np.ndarray, ax: Axes) -> None:
    """Draws bars of levels in their own order, from the left to the right."""
    count = len(column.levels)
    places = np.arange(count)
    ax.bar(places, _shares(data, count), 0.85, **DATA)
    ax.bar(places, _shares(samples, count), 0.85, fill=False, **SAMPLES)
    names = [words(level, 8) for level in column.levels]
    longest = max(map(len, names))
    step = max(1, -(-count * (longest + 1) // 40))
    ax.set_xticks(places[::step], names[::step], fontsize=SMALL)
    _hide_heights(ax)


def _draw_levels(column: ColumnSchema, data: np.ndarray, samples: np.ndarray, ax: Axes) -> None:
    """Draws bars of the most frequent levels from the top down, and one of all others."""
    count = len(column.levels)
    of_data = _shares(data, count)
    of_samples = _shares(samples, count)
    order = np.argsort(-of_data, kind="stable")
    shown = order[:MOST_LEVELS]
    names = [words(column.levels[i], 15) for i in shown]
    first = of_data[shown].tolist()
    second = of_samples[shown].tolist()
    if count > len(shown):
        rest = order[MOST_LEVELS:]
        names.append(f"{len(rest)} others")
        first.append(float(of_data[rest].sum()))
        second.append(float(of_samples[rest].sum()))
    width = NAME_WIDTH * (max(map(len, names)) + 2)
    left = ax.inset_axes((width, 0, 1 - width, 1))
    ax.axis("off")
    left.spines[["top", "right"]].set_visible(False)
    places = np.arange(len(names))
    left.barh(places, first, 0.8, **DATA)
    left.barh(places, second, 0.8, fill=False, **SAMPLES)
    left.set_yticks(places, names, fontsize=SMALL)
    left.set_ylim(len(names) - 0.5, -0.5)
    show_shares(left.xaxis, max(first + second))
    left.tick_params(labelsize=SMALL, length=2)


def _hide_heights(ax: Axes) -> None:
    """Takes the scale of the heights away: only their proportions matter."""
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.tick_params(labelsize=SMALL, length=2)


def _draw_numbers(column: ColumnSchema, data: np.ndarray, samples: np.ndarray, ax: Axes) -> None:
    """Draws a histogram of numbers, and bars of the atoms at its left."""
    atoms = _shown_atoms(column, data)
    others = data[~np.isin(data, atoms)]
    of_samples = samples[~np.isin(samples, atoms)]
    if not len(atoms) or are_few_integers(column, data):
        _draw_histogram(column, data, samples, ax)
        return
    ax.axis("off")
    width = min(0.14 + 0.1 * len(atoms), 0.6)
    if not len(others):
        width = 1.0
    left = ax.inset_axes((0, 0, width, 1))
    _draw_atoms(column, atoms, (data, samples), left)
    if not len(others):
        return
    right = ax.inset_axes((width + 0.06, 0, 0.94 - width, 1))
    right.spines[["top", "right"]].set_visible(False)
    if not len(of_samples):
        of_samples = np.full(1, np.nan)
    _draw_histogram(column, others, of_samples, right)
    right.set_title(
        f"others {format_share(len(others) / len(data))}", fontsize=SMALL, pad=1, loc="right"
    )


def _shown_atoms(column: ColumnSchema, data: np.ndarray) -> np.ndarray:
    """Returns the atoms that most of the data have, ascending."""
    counts = [int((data == atom).sum()) for atom in column.atoms]
    most = np.argsort(-np.array(counts), kind="stable")[:MOST_ATOMS]
    return np.sort(np.array(column.atoms)[most])


def _draw_atoms(
    column: ColumnSchema, atoms: np.ndarray, sets: tuple[np.ndarray, np.ndarray], ax: Axes
) -> None:
    """Draws a bar for each atom, with its share of the first set above."""
    places = np.arange(len(atoms))
    first = np.array([(sets[0] == atom).mean() for atom in atoms])
    second = np.array([(sets[1] == atom).mean() for atom in atoms])
    ax.bar(places, first, 0.7, **DATA)
    ax.bar(places, second, 0.7, fill=False, **SAMPLES)
    top = np.maximum(first, second)
    for place, height, share in zip(places.tolist(), top, first, strict=True):
        ax.text(place, height, format_share(share), ha="center", va="bottom", fontsize=SMALL - 1)
    names = [short_number(atom) for atom in atoms]
    if column.kind == "datetime":
        names = [text[:10] for text in to_texts(column, atoms)]
    ax.set_xticks(places, names, fontsize=SMALL)
    ax.set_xlim(-0.6, len(atoms) - 0.4)
    ax.set_ylim(0, max(float(top.max()), 1e-9) * 1.2)
    ax.spines[["top", "right"]].set_visible(False)
    _hide_heights(ax)


def _draw_histogram(column: ColumnSchema, data: np.ndarray, samples: np.ndarray, ax: Axes) -> None:
    """Draws the histograms of numbers in two sets on common bins."""
    axis = choose_scale(column, data)
    places = axis.forward(data)
    low = float(places.min())
    high = float(places.max())
    margin = MARGIN * max(high - low, 1e-9)
    of_samples = axis.forward(samples[np.isfinite(samples)])
    of_samples = np.clip(of_samples, low - margin, high + margin)
    together = np.concatenate([places, of_samples])
    edges = _bin_edges(together, len(data), column.decimals == 0 and axis.name == "linear")
    shown = axis.backward(edges)
    for values, style in ((places, {"fill": True, **DATA}), (of_samples, SAMPLES)):
        counts, _ = np.histogram(values, edges)
        ax.stairs(counts / max(len(values), 1), shown, **style)
    if axis.name == "asinh":
        ax.set_xscale("asinh", linear_width=axis.linear_width)
    else:
        ax.set_xscale(axis.name)
    set_ticks(column, axis, (shown[0], shown[-1]), ax)
    _hide_heights(ax)


def _bin_edges(places: np.ndarray, count: int, are_whole: bool) -> np.ndarray:
    """Returns the edges of bins, as many as suit `count` values; those of whole numbers lie between
    them, so that no bin has more of them than another.
    """
    low = float(places.min())
    high = float(places.max())
    bins = int(np.clip(2 * np.sqrt(count), 8, MOST_BINS))
    if not are_whole:
        if high <= low:
            high = low + max(abs(low) * 1e-6, 1e-6)
        return np.linspace(low, high, bins + 1)
    low = np.floor(low)
    high = np.ceil(high)
    width = max(1, np.ceil((high - low + 1) / bins))
    return np.asarray(np.arange(low - 0.5, high + 0.5 + width, width))
