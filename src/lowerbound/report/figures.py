"""Pictures as functions of data: each draws on a matplotlib `Axes`, so it works in a notebook; none
reads a run folder.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from ..system.image_grid import tiles

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


def _on(ax: Axes | None, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """The axes that were given, or those of a new figure."""
    ax = Figure(figsize=size, layout="constrained").subplots() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    figure = ax.figure.figure  # the whole one, where the axes are those of a part of it
    assert isinstance(figure, Figure)
    return figure, ax


def _above(ax: Axes, columns: int) -> None:
    """The legend, over the picture: it never hides what is drawn."""
    ax.legend(
        frameon=False,
        fontsize=9,
        ncols=columns,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        borderaxespad=0.2,
    )


def _known(history: Sequence[Mapping[str, float]], column: str) -> tuple[list[float], list[float]]:
    """The epochs that have a finite number in a column, and the numbers."""
    found = [
        (row["epoch"], row[column]) for row in history if math.isfinite(row.get(column, math.nan))
    ]
    return [epoch for epoch, _ in found], [value for _, value in found]


def _picture(
    images: np.ndarray,
    ax: Axes | None,
    columns: int | None = None,
    extent: Sequence[float] | None = None,
) -> tuple:
    """Tiles on axes that have their shape; (figure, axes, pixels of the canvas)."""
    canvas = tiles(images, columns)
    height, width = canvas.shape[:2]
    figure, ax = _on(ax, (SIZE[0], float(np.clip(SIZE[0] * height / width + 0.25, 1.2, 9))))
    ax.spines[:].set_visible(False)
    sharp = "nearest" if max(height, width) < 700 else "antialiased"
    ax.imshow(
        canvas.squeeze(-1) if canvas.shape[-1] == 1 else canvas,
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation=sharp,
    )
    ax.set(xticks=[], yticks=[])
    return figure, ax, (height, width)


def grid(images: np.ndarray, ax: Axes | None = None, *, columns: int | None = None) -> Figure:
    """A grid of images (N, C, H, W) in [0, 1], row by row."""
    return _picture(images, ax, columns)[0]


def interleaved(originals: np.ndarray, reconstructions: np.ndarray) -> tuple[np.ndarray, int]:
    """Images and their number in a row: originals in the odd rows, the reconstruction of each below
    it; both (N, C, H, W).
    """
    size = min(8, len(originals))
    rows = [
        part[i : i + size]
        for i in range(0, len(originals) - size + 1, size)
        for part in (originals, reconstructions)
    ]
    return np.concatenate(rows), size


def pairs(originals: np.ndarray, reconstructions: np.ndarray, ax: Axes | None = None) -> Figure:
    """Originals (N, C, H, W) and below each its reconstruction, eight to a row."""
    images, size = interleaved(originals, reconstructions)
    return _picture(images, ax, size)[0]


def strips(
    images: np.ndarray,
    ax: Axes | None = None,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    xlabel: str = "",
) -> Figure:
    """Rows of images (R, C, channels, H, W) in [0, 1], each with its name; `columns` are named
    below.
    """
    count, across = images.shape[:2]
    figure, ax, (height, width) = _picture(images.reshape(-1, *images.shape[2:]), ax, across)
    if rows:
        ax.set_yticks(
            (np.arange(count) + 0.5) * (height + 1) / count - 1,
            [words(name) for name in rows],
            fontsize=8,
        )
    if columns:
        ax.set_xticks(
            (np.arange(across) + 0.5) * (width + 1) / across - 1,
            [words(name) for name in columns],
            fontsize=8,
        )
    ax.tick_params(length=0)
    ax.set_xlabel(xlabel, fontsize=9)
    return figure


def sweep(
    images: np.ndarray,
    ticks: Sequence[float],
    ax: Axes | None = None,
    *,
    names: tuple[str, str] = ("z1", "z2"),
) -> Figure:
    """The decoder on a square grid: images (S * S, C, H, W) in [0, 1], the first row at the top;
    `ticks` are the S values.

    The first axis goes to the right; the second goes up, so that the first row of images is that of
    the last tick.
    """
    side = len(ticks)
    figure, ax, (height, width) = _picture(images, ax, side)
    middle = (ticks[0] + ticks[-1]) / 2
    shown = [ticks[0], (ticks[0] + middle) / 2, middle, (middle + ticks[-1]) / 2, ticks[-1]]
    at = (np.interp(shown, ticks, np.arange(side)) + 0.5) / side
    labels = [figure_of(value) for value in shown]
    ax.set_xticks(at * (width + 1) - 1, labels)
    ax.set_yticks((1 - at) * (height + 1) - 1, labels)
    ax.set(xlabel=words(names[0]), ylabel=words(names[1]))
    return figure


def heat(values: np.ndarray, label: str, ax: Axes | None = None) -> Figure:
    """A number for each pixel (H, W), from 0 up."""
    height, width = values.shape
    figure, ax = _on(ax, (SIZE[0], float(np.clip(4.2 * height / width, 1.5, 7))))
    drawn = ax.imshow(values, cmap=DEPTH, vmin=0, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.8, pad=0.03)
    return figure


def matrix(
    values: np.ndarray,
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    label: str = "correlation",
    scale: float = 1.0,
) -> Figure:
    """A square matrix of numbers in [-scale, scale]; rows and columns are named where there is
    room.
    """
    figure, ax = _on(ax, (SIZE[0], 4.4))
    drawn = ax.imshow(values, cmap=DIFFERENCE, vmin=-scale, vmax=scale, interpolation="nearest")
    ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.8, pad=0.03)
    few = len(names) <= 32
    small = 8 if len(names) <= 16 else 6
    ax.set_xticks(
        range(len(names)) if few else [],
        [words(n, 18) for n in names] if few else [],
        rotation=90,
        fontsize=small,
    )
    ax.set_yticks(
        range(len(names)) if few else [],
        [words(n, 18) for n in names] if few else [],
        fontsize=small,
    )
    ax.tick_params(length=0)
    return figure


def _shared(
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
    figure, ax = _on(ax)
    (first, second), edges = _shared([data, samples])
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
    figure, ax = _on(ax, (7.2, 1.0 + 1.35 * rows))
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
    figure, ax = _on(ax)
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
        _above(ax, len(series))
    return figure


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
    figure, ax = _on(ax)
    drawn: list[float] = []
    for i, (column, label) in enumerate(columns.items()):
        epochs, values = _known(history, column)
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
        _above(ax, 3)
    return figure


def bars(
    names: Sequence[str], series: Bars, ylabel: str, ax: Axes | None = None, *, xlabel: str = ""
) -> Figure:
    """Bars side by side at each of some places, with their standard errors; what is not a number
    has no bar.
    """
    figure, ax = _on(ax)
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
        _above(ax, min(len(series), 4))
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
    figure, ax = _on(ax, (SIZE[0], 0.9 + (0.42 if len(values) < 9 else 0.26) * len(values)))
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
    figure, ax = _on(ax)
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
    figure, ax = _on(ax, (SIZE[0], 4.2))
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
    figure, ax = _on(ax, (SIZE[0], 4.2))
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
    figure, ax = _on(ax, (SIZE[0], 4.2))
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
