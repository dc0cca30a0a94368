"""Maps of points."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import ScalarFormatter

from .style import COLOURS, DEPTH, MANY, MARKERS, REST, SIZE, add_colour_bar, prepare_axes, words

MAP_SIZE = (SIZE[0], 4.2)
"""The width and height of a map, in inches."""


LEGEND_ROWS = 4
"""A map of the usual size has room for a legend of this many rows."""


LINE_HEIGHT = 0.19
"""The height of a row of a legend in inches."""


NEIGHBOURS = 30
"""A class is named on a map where more than half of this many points next to its middle are its
own.
"""


LEGEND_CHARACTERS = 72
"""So many characters stand side by side in the legend of a map; an entry has 8 beside its name."""


ROUND_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""The ticks of a logarithmic scale of counts, as far as they lie on it."""


def classes(
    points: np.ndarray,
    kinds: Sequence[str],
    ax: Axes | None = None,
    *,
    most: int = 10,
    axes: tuple[str, str] | None = None,
) -> Figure:
    """Draws points coloured by their kind.

    If they are more than `MANY`, all are dots, and each kind that has a place of its own is named
    there too, so that the picture does not hang on its colours.

    Args:
        points: the points, (N, 2).
        kinds: the kind of each point; "" is no kind.
        ax: the axes to draw on; None makes a figure.
        most: how many kinds have a colour, the most frequent ones, 10 at most; all others are grey.
        axes: the names of the axes; None where they have no meaning.
    """
    shown = _coloured_kinds(kinds, min(most, len(COLOURS)))
    legend_columns = _legend_columns([words(kind, 18) for kind in shown])
    legend_rows = -(-(len(shown) + 1) // legend_columns)
    width, height = MAP_SIZE
    figure, ax = prepare_axes(ax, (width, height + LINE_HEIGHT * max(legend_rows - LEGEND_ROWS, 0)))
    groups = np.array([shown.index(kind) if kind in shown else -1 for kind in kinds], dtype=int)
    are_dots = len(points) > MANY
    for i, kind in enumerate(shown):
        members = points[groups == i]
        if not len(members):
            continue
        marker = "o" if are_dots else MARKERS[i]
        alpha = 0.6 if are_dots else 0.85
        style = {"s": _dot_area(points), "color": COLOURS[i], "marker": marker, "alpha": alpha}
        _scatter(ax, members, words(kind, 18), style)
        if are_dots and _is_at_home(points, groups == i):
            _name_class(ax, members, words(kind, 12))
    others = points[groups == -1]
    if len(others):
        label = _label_of_others(kinds, shown)
        style = {"s": _dot_area(points), "color": REST, "marker": "o", "alpha": 0.6, "zorder": 0.5}
        _scatter(ax, others, label, style)
    _label_axes(ax, axes)
    if shown:
        ax.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0 if axes is None else -0.16),
            ncols=legend_columns,
            frameon=False,
            fontsize=9,
            markerscale=4 if are_dots else 1.6,
            columnspacing=1,
            handletextpad=0.2,
        )
    return figure


def _label_of_others(kinds: Sequence[str], shown: Sequence[str]) -> str:
    """Names the points that have no colour: they are of other kinds, or of none that is known."""
    if not shown:
        return "items"
    are_others = any(kind and kind not in shown for kind in kinds)
    are_unknown = any(not kind for kind in kinds)
    if are_others and are_unknown:
        return "other or not known"
    if are_unknown:
        return "not known"
    return "other"


def _legend_columns(names: Sequence[str]) -> int:
    """Returns how many columns a legend of these names has, so that it is no wider than a map."""
    if not names:
        return 1
    most = 4
    if len(names) <= 9:
        most = 3
    fitting = LEGEND_CHARACTERS // (max(map(len, names)) + 8)
    return int(np.clip(fitting, 1, most))


def _coloured_kinds(kinds: Sequence[str], most: int) -> list[str]:
    """Returns the most frequent kinds; by name if these are all, else by how frequent they are."""
    names, counts = np.unique([kind for kind in kinds if kind], return_counts=True)
    by_frequency = np.argsort(-counts, kind="stable")
    frequent = [str(names[i]) for i in by_frequency[:most]]
    if len(frequent) == len(names):
        return sorted(frequent)
    return frequent


def _scatter(ax: Axes, points: np.ndarray, label: str, style: dict[str, Any]) -> None:
    x, y = points.T
    label = f"{label} ({len(points)})"
    ax.scatter(x, y, linewidths=0, label=label, rasterized=True, **style)


def _dot_area(points: np.ndarray) -> float:
    """Returns the area of a dot, the smaller the more points there are, so that all have room."""
    return float(np.clip(12000 / max(len(points), 1), 3, 30))


def _is_at_home(points: np.ndarray, members: np.ndarray) -> bool:
    """Says whether a class has most of the points about its middle, so that its name says what lies
    there.

    Args:
        points: all points, (N, 2).
        members: which of them are of the class, (N,) bool.
    """
    middle = np.median(points[members], axis=0)
    distances = ((points - middle) ** 2).sum(1)
    nearest = np.argpartition(distances, NEIGHBOURS)[:NEIGHBOURS]
    return bool(members[nearest].mean() > 0.5)


def _name_class(ax: Axes, points: np.ndarray, name: str) -> None:
    """Writes the name of a class where most of it lies."""
    x, y = np.median(points, axis=0)
    ax.text(
        x,
        y,
        name,
        fontsize=10,
        fontweight="bold",
        ha="center",
        va="center",
        path_effects=[withStroke(linewidth=3, foreground="white")],
        zorder=5,
    )


def _label_axes(ax: Axes, axes: tuple[str, str] | None) -> None:
    """Names the axes of a map; those of a projection mean nothing, and lose their scale."""
    if axes is None:
        ax.set(xticks=[], yticks=[])
        ax.spines[["left", "bottom"]].set_visible(False)
    else:
        ax.set(xlabel=axes[0], ylabel=axes[1])


def shades(
    points: np.ndarray,
    values: np.ndarray,
    label: str,
    ax: Axes | None = None,
    *,
    axes: tuple[str, str] | None = None,
) -> Figure:
    """Draws points coloured by a number; the extreme hundredths have the colours of the ends.

    Args:
        points: the points, (N, 2).
        values: the numbers, (N,).
        label: the name of the numbers.
        ax: the axes to draw on; None makes a figure.
        axes: the names of the axes; None where they have no meaning.
    """
    figure, ax = prepare_axes(ax, MAP_SIZE)
    finite = values[np.isfinite(values)]
    low = 0.0
    high = 1.0
    if len(finite):
        low, high = np.quantile(finite, [0.01, 0.99]).tolist()
    x, y = points.T
    drawn = ax.scatter(
        x,
        y,
        s=_dot_area(points),
        c=values,
        linewidths=0,
        cmap=DEPTH,
        vmin=low,
        vmax=max(high, low + 1e-9),
        rasterized=True,
    )
    add_colour_bar(ax, drawn, label, pad=0.02)
    _label_axes(ax, axes)
    return figure


def amounts(
    points: np.ndarray,
    values: Sequence[float],
    label: str,
    ax: Axes | None = None,
    *,
    axes: tuple[str, str] | None = None,
) -> Figure:
    """Draws points coloured by a count on a logarithmic scale.

    Args:
        points: the points, (N, 2).
        values: the counts, N of them; those below 1 are drawn as 1.
        label: the name of the counts.
        ax: the axes to draw on; None makes a figure.
        axes: the names of the axes; None where they have no meaning.
    """
    figure, ax = prepare_axes(ax, MAP_SIZE)
    counts = np.maximum(np.asarray(values, dtype=float), 1)
    low = counts.min(initial=np.inf)
    high = counts.max(initial=1)
    x, y = points.T
    drawn = ax.scatter(
        x,
        y,
        s=_dot_area(points),
        c=counts,
        linewidths=0,
        cmap=DEPTH,
        norm=LogNorm(low, max(high, low * 1.01)),
        rasterized=True,
    )
    bar = add_colour_bar(ax, drawn, label, pad=0.02)
    ticks = [count for count in ROUND_COUNTS if low <= count <= high]
    if len(ticks) <= 2:
        ticks = sorted({low, round(math.sqrt(low * high)), high})
    bar.set_ticks(ticks, labels=[f"{tick:,.0f}" for tick in ticks])
    bar.ax.yaxis.set_minor_formatter(ScalarFormatter())
    bar.minorticks_off()
    _label_axes(ax, axes)
    return figure
