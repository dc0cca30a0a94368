"""Pictures of the columns of a table by their kinds: marginals, associations and gaps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from ...columns import ColumnSchema
from ...data.frames import to_texts
from ..text import format_share
from .style import (
    COLOURS,
    DIFFERENCE,
    MARKERS,
    REST,
    SIZE,
    prepare_axes,
    put_legend_above,
    words,
)

PANELS_IN_A_ROW = 3
"""Marginals of columns stand in rows of this many."""

SCATTERS_IN_A_ROW = 4
"""Scatters of filled cells stand in rows of this many."""

MOST_LEVELS = 8
"""At most this many levels of a column are drawn, those that most rows have."""

MOST_ORDERED = 24
"""At most this many levels of a column with an order are drawn."""

MOST_ATOMS = 6
"""At most this many atoms of a column have a bar of their own, those that most rows have."""

MOST_INTEGERS = 40
"""Whole numbers within a range of this many have a bar each."""

MOST_BINS = 40
"""A histogram of numbers has at most this many bins."""

HEAVY_TAIL = 4.0
"""Numbers that reach this many times as far as the middle eight tenths of them are wide are drawn
on a logarithmic scale.
"""

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

SMALL = 6.5
"""The size of the text of a panel."""


# Marginals ---------------------------------------------------------------------------------------


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
    """Returns the shares of levels, (count,)."""
    counts = np.bincount(positions.astype(np.int64), minlength=count)
    return np.asarray(counts[:count] / len(positions))


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
    _show_shares(left.xaxis, max(first + second))
    left.tick_params(labelsize=SMALL, length=2)


def _show_shares(axis: XAxis | YAxis, greatest: float) -> None:
    """Puts a few percentages on an axis, with decimals where all are small."""
    axis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 5, 10]))
    decimals = None
    if greatest > 0.04:
        decimals = 0
    axis.set_major_formatter(PercentFormatter(1, decimals))


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
    if not len(atoms) or _are_few_integers(column, data):
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


def _are_few_integers(column: ColumnSchema, data: np.ndarray) -> bool:
    """Says whether whole numbers have so small a range that each has a bar."""
    return column.decimals == 0 and data.max() - data.min() < MOST_INTEGERS


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
    names = [_short_number(atom) for atom in atoms]
    if column.kind == "datetime":
        names = [text[:10] for text in to_texts(column, atoms)]
    ax.set_xticks(places, names, fontsize=SMALL)
    ax.set_xlim(-0.6, len(atoms) - 0.4)
    ax.set_ylim(0, max(float(top.max()), 1e-9) * 1.2)
    ax.spines[["top", "right"]].set_visible(False)
    _hide_heights(ax)


@dataclass(frozen=True)
class _Axis:
    """The scale of an axis of numbers.

    Attributes:
        name: of the scale, as matplotlib has it.
        forward: from numbers to places on the axis.
        backward: from places to numbers.
        linear_width: below this many the scale "asinh" is nearly linear.
    """

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    backward: Callable[[np.ndarray], np.ndarray]
    linear_width: float = 1.0


def _same(numbers: np.ndarray) -> np.ndarray:
    return numbers


def _choose_axis(column: ColumnSchema, numbers: np.ndarray) -> _Axis:
    """Chooses a linear scale, or a logarithmic one where the tails of the numbers are heavy; where
    some are not positive, it is linear about zero.
    """
    linear = _Axis("linear", _same, _same)
    if column.kind == "datetime" or _are_few_integers(column, numbers):
        return linear
    low, tenth, middle, nine_tenths, high = np.quantile(numbers, [0, 0.1, 0.5, 0.9, 1])
    reach = max(high - middle, middle - low)
    is_heavy = reach > HEAVY_TAIL * (nine_tenths - tenth)
    is_wide = column.kind == "positive" and high > 20 * low
    if not (is_heavy or is_wide) or reach == 0:
        return linear
    if low > 0:
        least = low / 1e3
        return _Axis("log", lambda x: np.log(np.maximum(x, least)), np.exp)
    width = max((nine_tenths - tenth) / 20, reach * 1e-4)
    return _Axis(
        "asinh", lambda x: np.arcsinh(x / width), lambda place: np.sinh(place) * width, width
    )


def _draw_histogram(column: ColumnSchema, data: np.ndarray, samples: np.ndarray, ax: Axes) -> None:
    """Draws the histograms of numbers in two sets on common bins."""
    axis = _choose_axis(column, data)
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
    _set_ticks(column, axis, (shown[0], shown[-1]), ax)
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


def _set_ticks(column: ColumnSchema, axis: _Axis, ends: tuple[float, float], ax: Axes) -> None:
    """Puts a few ticks below a histogram of numbers."""
    ax.set_xlim(*ends)
    if column.kind == "datetime":
        locator = AutoDateLocator(minticks=2, maxticks=4)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        ax.xaxis.get_offset_text().set_fontsize(SMALL)
        return
    if axis.name == "linear":
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
        ticks = [tick for tick in ax.get_xticks() if ends[0] <= tick <= ends[1]]
    else:
        ticks = _decades(axis, ends)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, [_short_number(tick) for tick in ticks])


def _decades(axis: _Axis, ends: tuple[float, float]) -> list[float]:
    """Returns zero and powers of ten of both signs as ticks that stand apart on an axis."""
    powers = [10.0**power for power in range(-12, 16)]
    candidates = [-power for power in reversed(powers)] + [0.0] + powers
    within = [tick for tick in candidates if ends[0] <= tick <= ends[1]]
    if axis.name == "asinh":
        within = [tick for tick in within if tick == 0 or abs(tick) >= axis.linear_width]
    if len(within) < 2:
        low, high = axis.forward(np.array(ends))
        inner = axis.backward(low + (high - low) * np.array([0.25, 0.75]))
        return [float(f"{tick:.2g}") for tick in inner]
    span = np.ptp(axis.forward(np.array(ends)))
    # Zero is kept, and others as far as there is room between them.
    kept: list[float] = []
    for tick in sorted(within, key=lambda tick: (tick != 0, -abs(tick))):
        place = axis.forward(np.array(tick))
        if all(abs(place - axis.forward(np.array(other))) > 0.2 * span for other in kept):
            kept.append(tick)
    return sorted(kept)


def _short_number(number: float) -> str:
    """Writes a number of a tick: 12, 1,500, 20k, 3M."""
    size = abs(number)
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit and size >= 1e4:
            return f"{number / unit:g}{letter}".replace("-", "−")
    return f"{number:,.6g}".replace("-", "−")


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
    _show_shares(above.yaxis, float(shares.max()))
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
    from matplotlib.colors import to_rgb

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
    axis = _choose_axis(column, truth)
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
    _set_ticks(column, axis, ends, ax)
    ax.set_ylim(*ends)
    ax.set_yticks(ax.get_xticks(), [tick.get_text() for tick in ax.get_xticklabels()])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.tick_params(labelsize=SMALL, length=2)


def _widened(axis: _Axis, low: float, high: float) -> tuple[float, float]:
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
