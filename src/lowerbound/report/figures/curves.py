"""Lines over epochs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import COLOURS, MARKERS, above, known_values, on_axes, words


def lines(
    history: Sequence[Mapping[str, float]],
    columns: Mapping[str, str],
    ylabel: str,
    ax: Axes | None = None,
    *,
    best_epoch: int | None = None,
    trim: bool = False,
) -> Figure:
    """Columns of the metrics by epoch, each with its label; epochs without a number are passed
    over.

    `trim`: the scale is that of the later epochs, so that the first may leave the picture.
    """
    figure, ax = on_axes(ax)
    drawn: list[float] = []
    for i, (column, label) in enumerate(columns.items()):
        epochs, values = known_values(history, column)
        few = len(epochs) <= 30
        style = {
            "marker": MARKERS[i % 10] if few else "",
            "markersize": 4,
            "linestyle": ("-", "--", "-.", ":")[i % 4],
        }
        ax.plot(epochs, values, color=COLOURS[i % 10], label=words(label, 40), **style)  # type: ignore[arg-type]
        drawn += values
    if best_epoch:
        ax.axvline(
            best_epoch, color="0.55", linewidth=1, label=f"best epoch ({best_epoch})", zorder=0
        )
    if trim and len(history) > 10 and drawn:
        low, high = float(np.percentile(drawn, 8)), float(np.percentile(drawn, 92))
        low, high = (low, max(drawn)) if drawn[-1] > np.median(drawn) else (min(drawn), high)
        ax.set_ylim(low - 0.07 * (high - low) - 1e-9, high + 0.07 * (high - low) + 1e-9)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    ax.set(xlabel="epoch", ylabel=ylabel)
    if len(ax.get_lines()) > 1:
        above(ax, 3)
    return figure
