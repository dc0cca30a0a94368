"""Pictures as functions of data: each draws on a matplotlib `Axes`, so it works in a notebook; none reads a run folder."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

SIZE = (5.0, 3.4)
"""Inches of a picture of its own: its text is legible in a column of a paper, and on a telephone."""

COLOURS = ("#332288", "#CC6677", "#117733", "#DDAA33", "#88CCEE", "#882255", "#44AA99", "#999933")
"""Told apart by all kinds of colour vision (after the "muted" scheme of Tol 2021); with `MARKERS` by shape too."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")

DEPTH = ListedColormap(colormaps["viridis"](np.linspace(0.9, 0, 256)).tolist())
"""From little, a green that is seen on white, to much."""

REST = "#B0B0B0"
"""Of what has no colour of its own."""

Bars = Mapping[str, tuple[Sequence[float], Sequence[float] | None]]
"""For each name the height of its bar at every place and, where they are known, the standard errors."""


def tiles(images: np.ndarray, columns: int | None = None, gap: int = 1) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] side by side on white, as one array (rows, columns, C) of uint8; C is 1 or 3."""
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = np.ones((channels, rows * (height + gap) - gap, columns * (width + gap) - gap))
    for i, picture in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[:, top : top + height, left : left + width] = picture
    return np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def unit(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """Images of values in [low, high] as they are shown: unchanged if that lies in [0, 1], else moved there."""
    return images if low >= 0 and high <= 1 else (images - low) / max(high - low, 1e-12)


def grid(images: np.ndarray, ax: Axes, title: str, columns: int | None = None) -> None:
    """A grid of images (N, C, H, W) in [0, 1]."""
    picture = tiles(images, columns)
    ax.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_title(title, fontsize=10)
    ax.axis("off")


def pairs(originals: np.ndarray, reconstructions: np.ndarray, ax: Axes) -> None:
    """Originals in the odd rows, the reconstruction of each below it; both (N, C, H, W), eight to a row."""
    size = min(8, len(originals))
    rows = [part[i : i + size] for i in range(0, len(originals) - size + 1, size) for part in (originals, reconstructions)]
    grid(np.concatenate(rows), ax, "originals, and below each its reconstruction", size)


def curves(history: Sequence[Mapping[str, float]], ax: Axes, best_epoch: int | None = None) -> None:
    """The bound (or, for an autoencoder, the likelihood term) of each epoch; the first epochs may leave the picture."""
    epochs = [row["epoch"] for row in history]
    finite = all(math.isfinite(row["train_elbo"]) for row in history)
    name = "elbo" if finite else "log_likelihood_term"
    drawn = []
    for split, style in (("train", "-"), ("validation", "--")):
        values = [row.get(f"{split}_{name}", math.nan) for row in history]
        drawn += [v for v in values if math.isfinite(v)]
        ax.plot(epochs, values, style, label=split)
    if best_epoch:
        ax.axvline(best_epoch, color="0.7", linewidth=1, label="best epoch")
    low, high = np.percentile(drawn, 8), max(drawn)
    ax.set_ylim(low - 0.1 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", ylabel="ELBO (nats)" if finite else "log-likelihood term (nats)")
    ax.legend(frameon=False, fontsize=8)


def marginal(data: np.ndarray, samples: np.ndarray, ax: Axes, name: str, legend: bool = True) -> None:
    """Histograms of one column of the data and of samples from the model, (N,) and (M,)."""
    width = np.ptp(data)
    samples = np.clip(samples, data.min() - width / 2, data.max() + width / 2)  # what lies far outside piles up at the ends
    edges = np.histogram_bin_edges(np.concatenate([data, samples]), bins=50).tolist()
    ax.hist(data, edges, density=True, alpha=0.5, label="data")
    ax.hist(samples, edges, density=True, histtype="step", color="black", label="samples")
    ax.set_title(name, fontsize=9)
    ax.set_yticks([])
    if legend:
        ax.legend(frameon=False, fontsize=8)


def words(text: str, longest: int = 28) -> str:
    """Any text as matplotlib shows it and nothing else: no mathematics, not hidden from a legend, on one line, cut if long."""
    text = "".join(c if c.isprintable() else " " for c in text)
    text = text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")


def _on(ax: Axes | None, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """The axes that were given, or those of a new figure."""
    ax = Figure(figsize=size, layout="constrained").subplots() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    figure = ax.figure.figure  # the whole one, where the axes are those of a part of it
    assert isinstance(figure, Figure)
    return figure, ax


def _above(ax: Axes, columns: int) -> None:
    """The legend, over the picture: it never hides what is drawn."""
    ax.legend(frameon=False, fontsize=9, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0), borderaxespad=0.2)


def _known(history: Sequence[Mapping[str, float]], column: str) -> tuple[list[float], list[float]]:
    """The epochs that have a finite number in a column, and the numbers."""
    found = [(row["epoch"], row[column]) for row in history if math.isfinite(row.get(column, math.nan))]
    return [epoch for epoch, _ in found], [value for _, value in found]


def lines(
    history: Sequence[Mapping[str, float]],
    columns: Mapping[str, str],
    ylabel: str,
    ax: Axes | None = None,
    *,
    best_epoch: int | None = None,
    trim: bool = False,
) -> Figure:
    """Columns of the metrics by epoch, each with its label; epochs without a number are passed over.

    `trim`: the scale is that of the later epochs, so that the first may leave the picture at the top.
    """
    figure, ax = _on(ax)
    drawn: list[float] = []
    for i, (column, label) in enumerate(columns.items()):
        epochs, values = _known(history, column)
        few = len(epochs) <= 30
        style = {"marker": MARKERS[i % 8] if few else "", "markersize": 4, "linestyle": ("-", "--", "-.", ":")[i % 4]}
        ax.plot(epochs, values, color=COLOURS[i % 8], label=words(label, 40), **style)  # type: ignore[arg-type]
        drawn += values
    if best_epoch:
        ax.axvline(best_epoch, color="0.55", linewidth=1, label=f"best epoch ({best_epoch})", zorder=0)
    if trim and len(drawn) > 10:
        low, high = min(drawn), float(np.percentile(drawn, 92))
        ax.set_ylim(low - 0.05 * (high - low) - 1e-9, high + 0.1 * (high - low) + 1e-9)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    ax.set(xlabel="epoch", ylabel=ylabel)
    if len(ax.get_lines()) > 1:
        _above(ax, 3)
    return figure


def bars(names: Sequence[str], series: Bars, ylabel: str, ax: Axes | None = None, *, xlabel: str = "") -> Figure:
    """Bars side by side at each of some places, with their standard errors; what is not a number has no bar."""
    figure, ax = _on(ax)
    width = 0.8 / max(1, len(series))
    for i, (label, (values, errors)) in enumerate(series.items()):
        at = np.arange(len(names)) + (i - (len(series) - 1) / 2) * width
        spread = None if errors is None else np.nan_to_num(np.asarray(errors, dtype=float))
        style: dict[str, Any] = {"hatch": ("", "///", "...")[i % 3], "edgecolor": "white", "linewidth": 0.5}
        whisker = {"elinewidth": 1, "capsize": 2, "ecolor": "black"}
        heights = np.nan_to_num(np.asarray(values, dtype=float))
        ax.bar(at, heights, width, color=COLOURS[i % 8], yerr=spread, label=words(label), error_kw=whisker, **style)
    ax.set_xticks(range(len(names)), [words(name) if "\n" not in name else name for name in names], fontsize=9)
    ax.set(ylabel=ylabel, xlabel=xlabel)
    ax.margins(y=0.05)
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    if len(series) > 1:
        _above(ax, min(len(series), 4))
    return figure


def levels(values: Mapping[str, float], xlabel: str, ax: Axes | None = None, *, grey: str | None = None) -> Figure:
    """One number for each name, as horizontal bars from the top down, the number written at its end; one of them is grey."""
    figure, ax = _on(ax, (SIZE[0], 0.9 + 0.42 * len(values)))
    names = list(values)
    colours = [REST if name == grey else COLOURS[i % 8] for i, name in enumerate(names)]
    drawn = ax.barh(range(len(names)), list(values.values()), 0.6, color=colours)
    ax.bar_label(drawn, [f"{v:,.0f}" for v in values.values()], padding=3, fontsize=9)
    ax.set_yticks(range(len(names)), [words(name) for name in names])
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel(xlabel)
    return figure


def rates(values: Sequence[float], ax: Axes | None = None, *, active: int | None = None) -> Figure:
    """The rate of each latent dimension in nats, the largest first; the number that are active is marked."""
    figure, ax = _on(ax)
    ordered = np.sort(np.asarray(values, dtype=float))[::-1]
    ax.bar(np.arange(1, len(ordered) + 1), ordered, 0.9 if len(ordered) <= 100 else 1.0, color=COLOURS[0])
    if active is not None and 0 < active < len(ordered):
        ax.axvline(
            active + 0.5, color=COLOURS[1], linestyle="--", linewidth=1, label=f"{active} of {len(ordered)} units are active"
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
    return float(np.clip(12000 / max(len(points), 1), 7, 30))


def classes(
    points: np.ndarray, kinds: Sequence[str], ax: Axes | None = None, *, most: int = 8, axes: tuple[str, str] | None = None
) -> Figure:
    """Points (N, 2), coloured by kind: the `most` frequent kinds (8 at most) and all others together; "" is no kind."""
    figure, ax = _on(ax, (SIZE[0], 4.2))
    names, counts = np.unique([kind for kind in kinds if kind], return_counts=True)
    shown = [str(names[i]) for i in np.argsort(-counts, kind="stable")[: min(most, 8)]]
    of = np.array([shown.index(kind) if kind in shown else -1 for kind in kinds], dtype=int)
    for i in [*range(len(shown)), -1]:
        mask = of == i
        if mask.any():
            look: dict[str, Any] = {"color": REST, "marker": "o", "alpha": 0.6, "zorder": 0.5}
            if i >= 0:
                look = {"color": COLOURS[i], "marker": MARKERS[i], "alpha": 0.85}
            label = ("other" if shown else "items") if i < 0 else words(shown[i], 18)
            x, y = points[mask].T
            ax.scatter(x, y, s=_dot(points), linewidths=0, label=f"{label} ({int(mask.sum())})", rasterized=True, **look)
    _plane(ax, axes)
    if shown:
        below = (0.5, 0.0 if axes is None else -0.16)
        legend = {"frameon": False, "fontsize": 9, "markerscale": 1.6, "columnspacing": 1, "handletextpad": 0.2, "ncols": 3}
        ax.legend(loc="upper center", bbox_to_anchor=below, **legend)
    return figure


def amounts(
    points: np.ndarray, values: Sequence[float], label: str, ax: Axes | None = None, *, axes: tuple[str, str] | None = None
) -> Figure:
    """Points (N, 2), coloured by a count on a logarithmic scale."""
    figure, ax = _on(ax, (SIZE[0], 4.2))
    counts = np.maximum(np.asarray(values, dtype=float), 1)
    low, high = counts.min(initial=np.inf), counts.max(initial=1)
    scale = LogNorm(low, max(high, low * 1.01))
    x, y = points.T
    drawn = ax.scatter(x, y, s=_dot(points), c=counts, linewidths=0, cmap=DEPTH, norm=scale, rasterized=True)
    bar = ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.8, pad=0.02)
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if low <= t <= high]
    ticks = ticks if len(ticks) > 2 else sorted({low, round(math.sqrt(low * high)), high})
    bar.set_ticks(ticks, labels=[f"{t:,.0f}" for t in ticks])
    bar.ax.yaxis.set_minor_formatter(ScalarFormatter())
    bar.minorticks_off()
    _plane(ax, axes)
    return figure
