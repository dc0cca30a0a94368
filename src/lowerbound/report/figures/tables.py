"""Pictures of a table: associations of its columns, its gaps, and what they are filled with."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ...columns import ColumnSchema
from .scales import SMALL, Scale, choose_scale, set_ticks, show_shares
from .style import COLOURS, DIFFERENCE, MARKERS, REST, SIZE, prepare_axes, put_legend_above, words

SCATTERS_IN_A_ROW = 4
"""Scatters of filled cells stand in rows of this many."""


# Associations ------------------------------------------------------------------------------------


def associations_matrix(
    data: np.ndarray, samples: np.ndarray, names: Sequence[str], ax: Axes | None = None
) -> Figure:
    """Draws how columns hang together: in one square the data below the diagonal and samples above
    it, in another their difference.

    Args:
        data: the associations in the data, (D, D), in [-1, 1]; what is NaN is grey.
        samples: those in samples, (D, D).
        names: the names of the columns.
        ax: the axes to draw on; None makes a figure.
    """
    figure, ax = prepare_axes(ax, (9.6, 4.9))
    ax.axis("off")
    both = np.tril(data, -1) + np.triu(samples, 1)
    left = ax.inset_axes((0.0, 0.0, 0.45, 1.0))
    _draw_square(both, 1.0, "data (below the diagonal) and samples (above)", names, left)
    right = ax.inset_axes((0.52, 0.0, 0.45, 1.0))
    _draw_square(data - samples, 0.5, "data − samples", names, right)
    right.set_yticks([])
    return figure


def association_gaps(gaps: np.ndarray, names: Sequence[str], ax: Axes | None = None) -> Figure:
    """Draws how far the associations (D, D) of columns in the data are from those in samples."""
    figure, ax = prepare_axes(ax, (SIZE[0], 4.4))
    _draw_square(gaps, 0.5, "data − samples", names, ax)
    return figure


def _draw_square(
    values: np.ndarray, scale: float, label: str, names: Sequence[str], ax: Axes
) -> None:
    """Draws a matrix (D, D) of numbers in [-scale, scale] without its diagonal."""
    values = values.copy()
    np.fill_diagonal(values, np.nan)
    cmap = DIFFERENCE.with_extremes(bad=REST)
    drawn = ax.imshow(values, cmap=cmap, vmin=-scale, vmax=scale, interpolation="nearest")
    fontsize = float(np.clip(170 / len(names), 4.5, 7.5))
    texts = [words(name, 18) for name in names]
    ax.set_xticks(range(len(names)), texts, rotation=90, fontsize=fontsize)
    ax.set_yticks(range(len(names)), texts, fontsize=fontsize)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(label, fontsize=8)
    scale_axes = ax.inset_axes((1.02, 0.3, 0.02, 0.4))
    bar = ax.figure.colorbar(drawn, cax=scale_axes)
    bar.set_ticks([-scale, 0, scale], labels=[f"−{scale:g}", "0", f"{scale:g}"])
    bar.ax.tick_params(labelsize=SMALL, length=2)


# Gaps --------------------------------------------------------------------------------------------


def gap_map(
    observed: np.ndarray,
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    shares: np.ndarray | None = None,
) -> Figure:
    """Draws which cells of some rows are gaps, and above them the share of each column.

    Args:
        observed: which cells are observed, (n, D) bool.
        names: the names of the columns.
        ax: the axes to draw on; None makes a figure.
        shares: the share of each column that is missing, (D,); None takes that of these rows.
    """
    figure, ax = prepare_axes(ax, (7.2, 4.4))
    ax.axis("off")
    count = len(names)
    above = ax.inset_axes((0.06, 0.78, 0.93, 0.2))
    below = ax.inset_axes((0.06, 0.24, 0.93, 0.52))
    if shares is None:
        shares = (~observed).mean(0)
    above.bar(range(count), shares, 0.8, color=COLOURS[0])
    above.set_xlim(-0.5, count - 0.5)
    above.set_xticks([])
    show_shares(above.yaxis, float(shares.max()))
    above.set_ylim(0, max(float(shares.max()) * 1.1, 0.01))
    above.spines[["top", "right"]].set_visible(False)
    above.tick_params(labelsize=SMALL, length=2)
    above.set_ylabel("gaps", fontsize=SMALL + 1)
    picture = np.where(observed[..., None], _rgb("#E9E9EE"), _rgb(COLOURS[0]))
    below.imshow(picture, aspect="auto", interpolation="nearest")
    fontsize = float(np.clip(240 / count, 4.5, 7.5))
    texts = [words(name, 18) for name in names]
    below.set_xticks(range(count), texts, rotation=90, fontsize=fontsize)
    below.set_yticks([])
    below.tick_params(length=0)
    below.spines[:].set_visible(False)
    below.set_ylabel(f"{len(observed):,} rows", fontsize=SMALL + 1)
    return figure


def _rgb(colour: str) -> np.ndarray:
    return np.array(to_rgb(colour))


# Imputations -------------------------------------------------------------------------------------


def scatters(
    columns: Sequence[ColumnSchema],
    truth: np.ndarray,
    filled: np.ndarray,
    ax: Axes | None = None,
) -> Figure:
    """Draws filled cells against the truth for columns of numbers, in small pictures.

    Args:
        columns: the D columns.
        truth: the values, (n, D); NaN where there is no cell to draw.
        filled: what they were filled with, (n, D).
        ax: the axes to draw on; None makes a figure.
    """
    across = SCATTERS_IN_A_ROW
    rows = -(-len(columns) // across)
    figure, ax = prepare_axes(ax, (2.1 * across + 0.4, 2.0 * rows + 0.2))
    ax.axis("off")
    for i, column in enumerate(columns):
        row, place = divmod(i, across)
        bounds = (
            (place + 0.14) / across,
            1 - (row + 0.86) / rows,
            0.82 / across,
            0.7 / rows,
        )
        hidden = ~np.isnan(truth[:, i])
        _draw_scatter(column, truth[hidden, i], filled[hidden, i], ax.inset_axes(bounds))
    return figure


def _draw_scatter(column: ColumnSchema, truth: np.ndarray, filled: np.ndarray, ax: Axes) -> None:
    """Draws filled cells against the truth, and the line where both are equal."""
    ax.set_title(words(column.name, 26), fontsize=8, pad=3, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    if not len(truth):
        ax.set(xticks=[], yticks=[])
        return
    axis = choose_scale(column, truth)
    low = float(truth.min())
    high = float(truth.max())
    # A filled cell far outside the range of the truth is drawn at its edge.
    shown = np.clip(filled, low, high)
    ax.scatter(truth, shown, s=6, color=COLOURS[4], alpha=0.5, linewidths=0, rasterized=True)
    ax.plot([low, high], [low, high], color="0.4", linewidth=0.8)
    if axis.name == "asinh":
        ax.set_xscale("asinh", linear_width=axis.linear_width)
        ax.set_yscale("asinh", linear_width=axis.linear_width)
    else:
        ax.set_xscale(axis.name)
        ax.set_yscale(axis.name)
    ends = _widened(axis, low, high)
    set_ticks(column, axis, ends, ax)
    ax.set_ylim(*ends)
    ax.set_yticks(ax.get_xticks(), [tick.get_text() for tick in ax.get_xticklabels()])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.tick_params(labelsize=SMALL, length=2)


def _widened(axis: Scale, low: float, high: float) -> tuple[float, float]:
    """Returns ends somewhat beyond a range, so that no dot is cut."""
    start, stop = axis.forward(np.array([low, high]))
    margin = 0.05 * max(float(stop - start), 1e-9)
    first, last = axis.backward(np.array([start - margin, stop + margin])).tolist()
    return first, last


def dumbbells(
    names: Sequence[str],
    series: Mapping[str, Sequence[float]],
    xlabel: str,
    ax: Axes | None = None,
) -> Figure:
    """Draws two numbers or more for each name as dots on one line.

    Args:
        names: the names, from the top down.
        series: the numbers of the names, by what they are; NaN has no dot.
        xlabel: what all the numbers are.
        ax: the axes to draw on; None makes a figure.
    """
    figure, ax = prepare_axes(ax, (SIZE[0], 1.1 + 0.24 * len(names)))
    table = np.array(list(series.values()), np.float64)
    for place, numbers in enumerate(table.T):
        known = numbers[np.isfinite(numbers)]
        if len(known):
            ax.plot([known.min(), known.max()], [place, place], color=REST, linewidth=2, zorder=1)
    for i, (label, numbers) in enumerate(series.items()):
        face = "white"
        area = 48
        if i == 0:
            face = COLOURS[0]
            area = 24
        ax.scatter(
            numbers,
            range(len(names)),
            s=area,
            facecolors=face,
            edgecolors=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            label=words(label),
            zorder=len(series) - i + 1,  # the first is seen where others lie at its place
        )
    ax.set_yticks(range(len(names)), [words(name) for name in names], fontsize=8)
    ax.set_ylim(len(names) - 0.5, -0.5)
    known = np.append(table[np.isfinite(table)], [0.0, 1e-9])
    ax.set_xlim(1.05 * float(known.min()), 1.05 * float(known.max()))
    ax.set_xlabel(xlabel)
    put_legend_above(ax, len(series))
    return figure
