"""Colours, sizes and axes that all pictures share."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

SIZE = (5.0, 3.4)
"""Inches of a picture of its own: its text is legible in a column of a paper, and on a telephone.
"""


COLOURS = (
    "#332288",
    "#CC6677",
    "#117733",
    "#B8860B",
    "#3F93C3",
    "#882255",
    "#2F9383",
    "#8A8A22",
    "#AA4499",
    "#1B1B1B",
)
"""Told apart by all kinds of colour vision (after the "muted" scheme of Tol 2021, the light ones
darker, so that they are seen on white and on black); with `MARKERS` by shape too."""


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "d")


DIFFERENCE = colormaps["PuOr"]
"""From below zero over white to above."""


MANY = 1500
"""Points from which on all are dots, and classes are named where they lie."""


DEPTH = ListedColormap(colormaps["viridis"](np.linspace(0.9, 0, 256)).tolist())
"""From little, a green that is seen on white, to much."""


REST = "#B0B0B0"
"""Of what has no colour of its own."""


Bars = Mapping[str, tuple[Sequence[float], Sequence[float] | None]]
"""For each name the height of its bar at every place and, where they are known, the standard
errors.
"""


def short(text: str, longest: int = 40) -> str:
    """Any text on one line, cut if long."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def words(text: str, longest: int = 28) -> str:
    """Any text as matplotlib shows it and nothing else: no mathematics, not hidden from a legend,
    on one line, cut if long.
    """
    text = short(text, longest)
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")


def pixels(figure: Figure, dpi: int = 80) -> np.ndarray:
    """A figure as an image (H, W, 3) of uint8."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def figure_of(value: float) -> str:
    """A short number, without a sign where it is zero."""
    return f"{value:.2g}".replace("-", "−") if abs(value) > 1e-9 else "0"


def on_axes(ax: Axes | None, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """The axes that were given, or those of a new figure."""
    ax = Figure(figsize=size, layout="constrained").subplots() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    figure = ax.figure.figure  # the whole one, where the axes are those of a part of it
    assert isinstance(figure, Figure)
    return figure, ax


def above(ax: Axes, columns: int) -> None:
    """The legend, over the picture: it never hides what is drawn."""
    ax.legend(
        frameon=False,
        fontsize=9,
        ncols=columns,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        borderaxespad=0.2,
    )


def known_values(
    history: Sequence[Mapping[str, float]], column: str
) -> tuple[list[float], list[float]]:
    """The epochs that have a finite number in a column, and the numbers."""
    found = [
        (row["epoch"], row[column]) for row in history if math.isfinite(row.get(column, math.nan))
    ]
    return [epoch for epoch, _ in found], [value for _, value in found]


def shared(
    parts: Sequence[np.ndarray], spread: float = 0.5
) -> tuple[list[np.ndarray], list[float]]:
    """Values on the range of the first part and somewhat more (what lies beyond piles up at the
    ends), and edges of bins.
    """
    parts = [part[np.isfinite(part)] if np.isfinite(part).any() else np.zeros(1) for part in parts]
    low, high = float(parts[0].min()), float(parts[0].max())
    wide = spread * max(high - low, 1e-9)
    clipped = [np.clip(part, low - wide, high + wide) for part in parts]
    bins = int(np.clip(2 * math.sqrt(min(map(len, clipped))), 8, 50))
    return clipped, np.histogram_bin_edges(np.concatenate(clipped), bins=bins).tolist()
