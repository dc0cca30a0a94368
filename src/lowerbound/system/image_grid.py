"""Images as numbers side by side: what a PNG, a figure and a tracker show alike, without
matplotlib.
"""

import math

import numpy as np


def tiles(images: np.ndarray, columns: int | None = None, gap: int = 1) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] side by side on white, as one array (rows, columns, C) of
    uint8; C is 1 or 3.
    """
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = np.ones((channels, rows * (height + gap) - gap, columns * (width + gap) - gap))
    for i, picture in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[:, top : top + height, left : left + width] = picture
    return np.rint(np.clip(np.nan_to_num(canvas), 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def to_unit_interval(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """Images of values in [low, high] as they are shown: unchanged if that lies in [0, 1], else
    moved there.
    """
    return images if low >= 0 and high <= 1 else (images - low) / max(high - low, 1e-12)
