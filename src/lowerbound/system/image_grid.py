"""Image arrays as PNG files, figures and trackers show them, made without matplotlib."""

import io
import math

import numpy as np

SMALLEST_TILE = 56
"""Images of fewer pixels in height are enlarged, by a whole factor, to at most this height."""


def tiles(images: np.ndarray, columns: int | None = None, gap: int = 1) -> np.ndarray:
    """Places images side by side on white.

    Args:
        images: (N, C, H, W) in [0, 1]; C is 1 or 3.
        columns: images in one row; by default the grid is about square.
        gap: white pixels between two images.

    Returns:
        One array (rows, columns, C) of uint8.
    """
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    row_step = height + gap
    column_step = width + gap
    canvas_height = rows * row_step - gap
    canvas_width = columns * column_step - gap
    canvas = np.ones((channels, canvas_height, canvas_width))
    for i, picture in enumerate(images):
        row, column = divmod(i, columns)
        top = row * row_step
        left = column * column_step
        bottom = top + height
        right = left + width
        canvas[:, top:bottom, left:right] = picture
    finite = np.nan_to_num(canvas)
    intensities = np.clip(finite, 0, 1)
    pixels = np.rint(intensities * 255).astype(np.uint8)
    return pixels.transpose(1, 2, 0)


def to_unit_interval(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """Moves images with values in [low, high] to [0, 1], unless they lie there already."""
    if low >= 0 and high <= 1:
        return images
    return (images - low) / max(high - low, 1e-12)


def to_png(images: np.ndarray) -> bytes:
    """Returns a grid of images (N, C, H, W) in [0, 1] as a PNG; small images are enlarged."""
    from PIL import Image

    zoom = max(1, SMALLEST_TILE // images.shape[2])
    enlarged = images.repeat(zoom, axis=2).repeat(zoom, axis=3)
    pixels = tiles(enlarged, gap=2)
    if pixels.shape[-1] == 1:
        pixels = pixels.squeeze(-1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()
