"""Colours, sizes and axes that all pictures share."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ..text import shorten

SIZE = (5.0, 3.4)
"""The width and height of a picture of its own, in inches: its text is legible in a column of a
paper, and on a telephone.
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
"""Ten colours that all kinds of colour vision tell apart, after the "muted" scheme of Tol (2021).
The light ones are darker here, so that they are seen on white and on black.
"""


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "d")
"""Ten shapes, one for each colour, so that a picture does not hang on its colours."""


DIFFERENCE = colormaps["PuOr"]
"""The colours of signed numbers: from below zero over white to above."""


DEPTH = ListedColormap(colormaps["viridis"](np.linspace(0.9, 0, 256)).tolist())
"""The colours of amounts: from little, a green that is seen on white, to much."""


REST = "#B0B0B0"
"""The grey of everything that has no colour of its own."""


MANY = 1500
"""A map of more points than this draws all as dots, and names each class where it lies."""


Bars = Mapping[str, tuple[Sequence[float], Sequence[float] | None]]
"""The heights of the bars of each name, one for each place, and their standard errors or None."""


def words(text: str, longest: int = 28) -> str:
    """Prepares any text for matplotlib, which shows it as it is, on one line, cut off if long.

    A dollar sign would begin a formula, and an underscore in front would hide the text from a
    legend.
    """
    line = shorten(text, longest)
    if line.startswith("_"):
        line = f" {line}"
    return line.replace("$", r"\$")


def pixels(figure: Figure, dpi: int = 80) -> np.ndarray:
    """Draws a figure as an image (H, W, 3) of uint8."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def prepare_axes(ax: Axes | None, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """Returns the axes to draw on, without a line at the top and the right, and their figure.

    Args:
        ax: the axes of the caller, or None for those of a new figure.
        size: the width and height of a new figure, in inches.
    """
    if ax is None:
        ax = Figure(figsize=size, layout="constrained").subplots()
    ax.spines[["top", "right"]].set_visible(False)
    figure = ax.figure.figure  # the whole one, where the axes are those of a part of it
    assert isinstance(figure, Figure)
    return figure, ax


def add_colour_bar(ax: Axes, drawn: ScalarMappable, label: str, pad: float) -> Colorbar:
    """Adds the scale of the colours of a picture at its right, `pad` of its width away."""
    return ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.8, pad=pad)


LEGEND_CHARACTERS = 62
"""So many characters of a legend stand side by side above axes of the usual size."""

MARK_CHARACTERS = 8
"""The mark of a legend's entry, and the gap beside it, are as wide as so many characters."""


def columns_that_fit(labels: Sequence[str], most: int) -> int:
    """Returns the largest number of columns of a legend that is not wider than the axes.

    Args:
        labels: of the entries, which fill one column after the other.
        most: columns, if they fit.
    """
    for columns in range(min(most, len(labels)), 1, -1):
        width = 0
        for part in np.array_split(np.array([len(label) for label in labels]), columns):
            width += int(part.max()) + MARK_CHARACTERS
        if width <= LEGEND_CHARACTERS:
            return columns
    return 1


def put_legend_above(ax: Axes, columns: int) -> None:
    """Puts the legend above the axes, where it never hides what is drawn.

    Args:
        ax: the axes.
        columns: of the legend, if so many fit.
    """
    _, labels = ax.get_legend_handles_labels()
    ax.legend(
        frameon=False,
        fontsize=9,
        ncols=columns_that_fit(labels, columns),
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        borderaxespad=0.2,
    )
