"""Pictures of images and matrices."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...system.image_grid import tiles
from ..text import format_tick
from .style import DEPTH, DIFFERENCE, SIZE, add_colour_bar, prepare_axes, words

PAIRS_IN_A_ROW = 8
"""Reconstructions stand below their originals in rows of this many."""


NAMED_ENTRIES = 32
"""A matrix of at most this many rows shows their names."""


def grid(images: np.ndarray, ax: Axes | None = None, *, columns: int | None = None) -> Figure:
    """Draws images (N, C, H, W) in [0, 1] row by row; by default as a square."""
    figure, _, _ = _draw_tiles(images, ax, columns)
    return figure


def _draw_tiles(
    images: np.ndarray, ax: Axes | None, columns: int | None = None
) -> tuple[Figure, Axes, tuple[int, int]]:
    """Draws images side by side on axes of the shape of them all.

    Returns:
        The figure, the axes, and the height and width of the whole in pixels.
    """
    canvas = tiles(images, columns)
    height, width, channels = canvas.shape
    figure_width = SIZE[0]
    figure_height = float(np.clip(figure_width * height / width + 0.25, 1.2, 9))
    figure, ax = prepare_axes(ax, (figure_width, figure_height))
    ax.spines[:].set_visible(False)
    if channels == 1:
        canvas = canvas.squeeze(-1)
    interpolation = "nearest" if max(height, width) < 700 else "antialiased"
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=255, interpolation=interpolation)
    ax.set(xticks=[], yticks=[])
    return figure, ax, (height, width)


def interleaved(originals: np.ndarray, reconstructions: np.ndarray) -> tuple[np.ndarray, int]:
    """Orders originals and reconstructions in rows, those of one kind below those of the other.

    Args:
        originals: the images of the odd rows, (N, C, H, W).
        reconstructions: the images of the even rows, (N, C, H, W).

    Returns:
        The images in full rows, and how many a row has.
    """
    size = min(PAIRS_IN_A_ROW, len(originals))
    rows = []
    for start in range(0, len(originals) - size + 1, size):
        row = slice(start, start + size)
        rows.append(originals[row])
        rows.append(reconstructions[row])
    return np.concatenate(rows), size


def pairs(originals: np.ndarray, reconstructions: np.ndarray, ax: Axes | None = None) -> Figure:
    """Draws originals (N, C, H, W), and below each its reconstruction, eight to a row."""
    images, columns = interleaved(originals, reconstructions)
    figure, _, _ = _draw_tiles(images, ax, columns)
    return figure


def strips(
    images: np.ndarray,
    ax: Axes | None = None,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    xlabel: str = "",
) -> Figure:
    """Draws rows of images.

    Args:
        images: the images in [0, 1], (rows, columns, C, H, W).
        ax: the axes to draw on; None makes a figure.
        rows: the name of each row, on the left.
        columns: the name of each column, below.
        xlabel: the name of the columns together.
    """
    row_count, column_count = images.shape[:2]
    flat = images.reshape(-1, *images.shape[2:])
    figure, ax, (height, width) = _draw_tiles(flat, ax, column_count)
    if rows:
        middles = _tile_middles(row_count, height)
        ax.set_yticks(middles, [words(name) for name in rows], fontsize=8)
    if columns:
        middles = _tile_middles(column_count, width)
        ax.set_xticks(middles, [words(name) for name in columns], fontsize=8)
    ax.tick_params(length=0)
    ax.set_xlabel(xlabel, fontsize=9)
    return figure


def _tile_middles(count: int, length: int) -> np.ndarray:
    """Returns where the middles of tiles lie that share a length in pixels, (count,)."""
    return (np.arange(count) + 0.5) * (length + 1) / count - 1


def sweep(
    images: np.ndarray,
    ticks: Sequence[float],
    ax: Axes | None = None,
    *,
    names: tuple[str, str] = ("z1", "z2"),
) -> Figure:
    """Draws what the decoder makes of a square grid of codes.

    The first axis goes to the right. The second goes up, so that the first row of images is that of
    the last tick.

    Args:
        images: the images in [0, 1], (S * S, C, H, W), the first row at the top.
        ticks: the S values of each axis, which grow.
        ax: the axes to draw on; None makes a figure.
        names: the names of the axes.
    """
    side = len(ticks)
    figure, ax, (height, width) = _draw_tiles(images, ax, side)
    first = ticks[0]
    last = ticks[-1]
    middle = (first + last) / 2
    first_quarter = (first + middle) / 2
    last_quarter = (middle + last) / 2
    labelled = [first, first_quarter, middle, last_quarter, last]
    places = (np.interp(labelled, ticks, np.arange(side)) + 0.5) / side
    labels = [format_tick(value) for value in labelled]
    ax.set_xticks(places * (width + 1) - 1, labels)
    ax.set_yticks((1 - places) * (height + 1) - 1, labels)
    ax.set(xlabel=words(names[0]), ylabel=words(names[1]))
    return figure


def heat(values: np.ndarray, label: str, ax: Axes | None = None) -> Figure:
    """Draws a number for each pixel (H, W), on a scale from 0 up that bears the label."""
    height, width = values.shape
    figure_height = float(np.clip(4.2 * height / width, 1.5, 7))
    figure, ax = prepare_axes(ax, (SIZE[0], figure_height))
    drawn = ax.imshow(values, cmap=DEPTH, vmin=0, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    add_colour_bar(ax, drawn, label, pad=0.03)
    return figure


def matrix(
    values: np.ndarray,
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    label: str = "correlation",
    scale: float = 1.0,
) -> Figure:
    """Draws a square matrix.

    Args:
        values: the numbers in [-scale, scale], (D, D).
        names: the names of its rows and columns, which are shown where there is room.
        ax: the axes to draw on; None makes a figure.
        label: the name of the numbers.
        scale: the number that has the last colour.
    """
    figure, ax = prepare_axes(ax, (SIZE[0], 4.4))
    drawn = ax.imshow(values, cmap=DIFFERENCE, vmin=-scale, vmax=scale, interpolation="nearest")
    add_colour_bar(ax, drawn, label, pad=0.03)
    shown = names if len(names) <= NAMED_ENTRIES else []
    labels = [words(name, 18) for name in shown]
    fontsize = 8 if len(names) <= 16 else 6
    ax.set_xticks(range(len(labels)), labels, rotation=90, fontsize=fontsize)
    ax.set_yticks(range(len(labels)), labels, fontsize=fontsize)
    ax.tick_params(length=0)
    return figure
