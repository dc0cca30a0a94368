"""Lines over epochs."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import COLOURS, DEPTH, MARKERS, prepare_axes, put_legend_above, words

LINE_STYLES = ("-", "--", "-.", ":")
"""The styles that the lines of a picture take in turn."""


MARKED_EPOCHS = 30
"""A line of at most this many epochs has a marker at each."""


UNTRIMMED_EPOCHS = 10
"""The scale of a curve of at most this many epochs holds all of them."""


def lines(
    history: Sequence[Mapping[str, float]],
    columns: Mapping[str, str],
    ylabel: str,
    ax: Axes | None = None,
    *,
    best_epoch: int | None = None,
    trim: bool = False,
) -> Figure:
    """Draws columns of the metrics by epoch.

    Args:
        history: the metrics of each epoch; a number that is missing or not finite is passed over.
        columns: the columns to draw, and the label of each.
        ylabel: the name of the vertical axis.
        ax: the axes to draw on; None makes a figure.
        best_epoch: the epoch to mark; None or 0 for none.
        trim: the scale is that of the later epochs, so that the first may leave the picture.
    """
    figure, ax = prepare_axes(ax)
    drawn: list[float] = []
    for i, (column, label) in enumerate(columns.items()):
        epochs, values = _finite_values(history, column)
        marker = MARKERS[i % len(MARKERS)] if len(epochs) <= MARKED_EPOCHS else ""
        ax.plot(
            epochs,
            values,
            color=COLOURS[i % len(COLOURS)],
            label=words(label, 40),
            marker=marker,
            markersize=4,
            linestyle=LINE_STYLES[i % len(LINE_STYLES)],
        )
        drawn += values
    if best_epoch:
        label = f"best epoch ({best_epoch})"
        ax.axvline(best_epoch, color="0.55", linewidth=1, label=label, zorder=0)
    if trim and len(history) > UNTRIMMED_EPOCHS and drawn:
        _trim_scale(ax, drawn)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    ax.set(xlabel="epoch", ylabel=ylabel)
    if len(ax.get_lines()) > 1:
        put_legend_above(ax, 3)
    return figure


def stacked(
    history: Sequence[Mapping[str, float]],
    columns: Mapping[str, str],
    ylabel: str,
    ax: Axes | None = None,
    *,
    best_epoch: int | None = None,
) -> Figure:
    """Draws columns of the metrics by epoch, one on top of the other.

    Args:
        history: the metrics of each epoch; an epoch without all of the columns is passed over.
        columns: the columns to draw, none of them below 0, the lowest first, and their labels.
        ylabel: the name of the vertical axis.
        ax: the axes to draw on; None makes a figure.
        best_epoch: the epoch to mark; None or 0 for none.
    """
    figure, ax = prepare_axes(ax)
    whole = []
    for row in history:
        if all(math.isfinite(row.get(column, math.nan)) for column in columns):
            whole.append(row)
    epochs = [row["epoch"] for row in whole]
    heights = [[row[column] for row in whole] for column in columns]
    shades = DEPTH(np.linspace(0.05, 1, len(columns)))
    labels = [words(label, 40) for label in columns.values()]
    if len(whole) == 1:
        # One epoch has no width: it becomes a band from its beginning to its end.
        epochs = [epochs[0] - 0.5, epochs[0] + 0.5]
        heights = [each * 2 for each in heights]
    ax.stackplot(epochs, heights, labels=labels, colors=shades, edgecolor="white", linewidth=0.4)
    if best_epoch:
        label = f"best epoch ({best_epoch})"
        ax.axvline(best_epoch, color="0.55", linewidth=1, label=label)
    ax.set_xlim(epochs[0], epochs[-1])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if len(whole) == 1:
        ax.set_xticks([whole[0]["epoch"]])
    ax.set(xlabel="epoch", ylabel=ylabel)
    handles, texts = ax.get_legend_handles_labels()
    # The one that lies on top is the first of the legend.
    ax.legend(
        handles[::-1],
        texts[::-1],
        frameon=False,
        fontsize=8,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
    return figure


def _finite_values(
    history: Sequence[Mapping[str, float]], column: str
) -> tuple[list[float], list[float]]:
    """Returns the epochs that have a finite number in a column, and these numbers."""
    epochs = []
    values = []
    for row in history:
        value = row.get(column, math.nan)
        if math.isfinite(value):
            epochs.append(row["epoch"])
            values.append(value)
    return epochs, values


def _trim_scale(ax: Axes, values: list[float]) -> None:
    """Leaves eight hundredths of the values out of the scale, on the side the curve comes from."""
    low = float(np.percentile(values, 8))
    high = float(np.percentile(values, 92))
    rises = values[-1] > np.median(values)
    if rises:
        high = max(values)
    else:
        low = min(values)
    margin = 0.07 * (high - low)
    ax.set_ylim(low - margin - 1e-9, high + margin + 1e-9)
