"""Pictures of images and matrices."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...system.image_grid import tiles
from .style import DEPTH, DIFFERENCE, SIZE, figure_of, on_axes, words


def _picture(
    images: np.ndarray,
    ax: Axes | None,
    columns: int | None = None,
    extent: Sequence[float] | None = None,
) -> tuple:
    """Tiles on axes that have their shape; (figure, axes, pixels of the canvas)."""
    canvas = tiles(images, columns)
    height, width = canvas.shape[:2]
    figure, ax = on_axes(ax, (SIZE[0], float(np.clip(SIZE[0] * height / width + 0.25, 1.2, 9))))
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
    figure, ax = on_axes(ax, (SIZE[0], float(np.clip(4.2 * height / width, 1.5, 7))))
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
    figure, ax = on_axes(ax, (SIZE[0], 4.4))
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
