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

from .style import COLOURS, DEPTH, MANY, MARKERS, REST, SIZE, on_axes, words


def _plane(ax: Axes, axes: tuple[str, str] | None) -> None:
    """Axes of a map: those of a projection have no scale that means anything."""
    if axes is None:
        ax.set(xticks=[], yticks=[])
        ax.spines[["left", "bottom"]].set_visible(False)
    else:
        ax.set(xlabel=axes[0], ylabel=axes[1])


def _dot(points: np.ndarray) -> float:
    """Area of a dot, so that many have room."""
    return float(np.clip(12000 / max(len(points), 1), 3, 30))


def _named(ax: Axes, points: np.ndarray, name: str) -> None:
    """The name of a class where most of it lies."""
    x, y = np.median(points, axis=0)
    halo = [withStroke(linewidth=3, foreground="white")]
    ax.text(
        x,
        y,
        name,
        fontsize=10,
        fontweight="bold",
        ha="center",
        va="center",
        path_effects=halo,
        zorder=5,
    )


def classes(
    points: np.ndarray,
    kinds: Sequence[str],
    ax: Axes | None = None,
    *,
    most: int = 10,
    axes: tuple[str, str] | None = None,
) -> Figure:
    """Points (N, 2), coloured by kind: the `most` frequent kinds (10 at most) and all others
    together; "" is no kind.

    Of many points all are dots, and each kind is named where it lies too, so that the picture does
    not hang on its colours.
    """
    figure, ax = on_axes(ax, (SIZE[0], 4.2))
    names, counts = np.unique([kind for kind in kinds if kind], return_counts=True)
    frequent = [str(names[i]) for i in np.argsort(-counts, kind="stable")[: min(most, 10)]]
    shown = sorted(frequent) if len(frequent) == len(names) else frequent
    of = np.array([shown.index(kind) if kind in shown else -1 for kind in kinds], dtype=int)
    dots = len(points) > MANY
    for i in [*range(len(shown)), -1]:
        mask = of == i
        if mask.any():
            look: dict[str, Any] = {"color": REST, "marker": "o", "alpha": 0.6, "zorder": 0.5}
            if i >= 0:
                look = {
                    "color": COLOURS[i],
                    "marker": "o" if dots else MARKERS[i],
                    "alpha": 0.6 if dots else 0.85,
                }
            label = ("other" if shown else "items") if i < 0 else words(shown[i], 18)
            x, y = points[mask].T
            ax.scatter(
                x,
                y,
                s=_dot(points),
                linewidths=0,
                label=f"{label} ({int(mask.sum())})",
                rasterized=True,
                **look,
            )
            if dots and i >= 0:
                _named(ax, points[mask], words(shown[i], 12))
    _plane(ax, axes)
    if shown:
        below = (0.5, 0.0 if axes is None else -0.16)
        size = 1.6 if not dots else 4
        legend = {
            "frameon": False,
            "fontsize": 9,
            "markerscale": size,
            "columnspacing": 1,
            "handletextpad": 0.2,
        }
        ax.legend(
            loc="upper center", bbox_to_anchor=below, ncols=3 if len(shown) <= 9 else 4, **legend
        )
    return figure


def shades(
    points: np.ndarray,
    values: np.ndarray,
    label: str,
    ax: Axes | None = None,
    *,
    axes: tuple[str, str] | None = None,
) -> Figure:
    """Points (N, 2), coloured by a number; the extreme hundredths have the colours of the ends."""
    figure, ax = on_axes(ax, (SIZE[0], 4.2))
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.01, 0.99]).tolist() if len(known) else (0.0, 1.0)
    x, y = points.T
    look: dict[str, Any] = {
        "linewidths": 0,
        "cmap": DEPTH,
        "vmin": low,
        "vmax": max(high, low + 1e-9),
        "rasterized": True,
    }
    drawn = ax.scatter(x, y, s=_dot(points), c=values, **look)
    ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.8, pad=0.02)
    _plane(ax, axes)
    return figure


def amounts(
    points: np.ndarray,
    values: Sequence[float],
    label: str,
    ax: Axes | None = None,
    *,
    axes: tuple[str, str] | None = None,
) -> Figure:
    """Points (N, 2), coloured by a count on a logarithmic scale."""
    figure, ax = on_axes(ax, (SIZE[0], 4.2))
    counts = np.maximum(np.asarray(values, dtype=float), 1)
    low, high = counts.min(initial=np.inf), counts.max(initial=1)
    scale = LogNorm(low, max(high, low * 1.01))
    x, y = points.T
    drawn = ax.scatter(
        x, y, s=_dot(points), c=counts, linewidths=0, cmap=DEPTH, norm=scale, rasterized=True
    )
    bar = ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.8, pad=0.02)
    ticks = [
        t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if low <= t <= high
    ]
    ticks = ticks if len(ticks) > 2 else sorted({low, round(math.sqrt(low * high)), high})
    bar.set_ticks(ticks, labels=[f"{t:,.0f}" for t in ticks])
    bar.ax.yaxis.set_minor_formatter(ScalarFormatter())
    bar.minorticks_off()
    _plane(ax, axes)
    return figure
