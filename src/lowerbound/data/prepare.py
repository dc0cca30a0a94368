"""Statistics and changes of whole arrays, made in chunks so that memory stays bounded."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..system.maps import new_array

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 2**24
"""A chunk has at most this many bytes of the source."""

LUMA = np.array([0.299, 0.587, 0.114])
"""These are the weights of red, green and blue in a grey value (ITU-R 601-2, as in Pillow)."""


def chunks(values: np.ndarray, rows: np.ndarray | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Yields consecutive pieces of `values` along the first axis, each after its start.

    Args:
        values: (N, *shape), in memory or memory-mapped.
        rows: the pieces are of `values[rows]`; None for all of `values`.
    """
    total = len(values)
    if rows is not None:
        total = len(rows)
    bytes_each = max(1, values[0].nbytes)
    step = max(1, CHUNK // bytes_each)
    for start in range(0, total, step):
        piece = slice(start, start + step)
        if rows is None:
            yield start, np.asarray(values[piece])
        else:
            yield start, np.asarray(values[rows[piece]])


def span(values: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Finds the least and the greatest of `values` (or `values[rows]`) at each place of an example.

    Returns:
        Two arrays of the shape of one example.
    """
    lows = []
    highs = []
    for _, piece in chunks(values, rows):
        lows.append(piece.min(0))
        highs.append(piece.max(0))
    return np.min(lows, axis=0), np.max(highs, axis=0)


def is_constant(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Says which columns of `values[rows]` have one number only, or none; NaN is none, (D,)."""
    low = np.full(values.shape[1], np.inf)
    high = np.full(values.shape[1], -np.inf)
    for _, piece in chunks(values, rows):
        low = np.fmin(low, np.fmin.reduce(piece, axis=0))
        high = np.fmax(high, np.fmax.reduce(piece, axis=0))
    return np.asarray(low >= high)


def take_columns(values: np.ndarray, is_kept: np.ndarray) -> np.ndarray:
    """Returns some columns (D,) bool of values (N, D), which lie in a file if they are many; the
    very values if all are kept.
    """
    if is_kept.all():
        return values
    kept = new_array((len(values), int(is_kept.sum())))
    for start, piece in chunks(values):
        kept[start : start + len(piece)] = piece[:, is_kept]
    return kept


def refuse_nonfinite(values: np.ndarray, name: str) -> None:
    """Refuses values that are NaN, infinite or beyond float32.

    Raises:
        DataError: there are such values; it has their number and the position of the first.
    """
    count = 0
    first = None
    for start, piece in chunks(values):
        # A signalling NaN is invalid, and is found all the same.
        with np.errstate(over="ignore", invalid="ignore"):
            positions = np.argwhere(~np.isfinite(piece.astype(np.float32)))
        if first is None and len(positions):
            row, *place = positions[0].tolist()
            first = (start + row, *place)
        count += len(positions)
    if count:
        raise DataError(
            f"{name} holds {count} values that are NaN, infinite or too large for float32; first "
            f"at {first}"
        )


def moments(values: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the mean and the population standard deviation of each column of `values[rows]`.

    Two passes are made: the deviations are taken from the mean of the first.

    Returns:
        Two arrays (D,) float64.
    """
    total = np.zeros(())
    for _, piece in chunks(values, rows):
        total = total + piece.sum(0, dtype=np.float64)
    mean = total / len(rows)
    squares = np.zeros(())
    for _, piece in chunks(values, rows):
        deviations = piece - mean
        squares = squares + (deviations**2).sum(0)
    return np.asarray(mean), np.sqrt(squares / len(rows))


def resize_image(image: "Image", size: tuple[int, int]) -> "Image":
    """Resizes an image to (height, width).

    Bilinear antialiasing has no negative lobes, so that no value lies outside the image's own.
    """
    from PIL.Image import Resampling

    height, width = size
    if image.size == (width, height):
        return image
    return image.resize((width, height), Resampling.BILINEAR)


def to_size(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes images (N, C, H, W) to (height, width), in the same type.

    Images of this size already come back as the very same array.
    """
    from PIL import Image

    if values.shape[2:] == size:
        return values
    native_type: type[np.generic] = np.float32
    if values.dtype in (np.uint8, np.bool_):
        native_type = np.uint8
    count, channels = values.shape[:2]
    resized = np.empty((count, channels, *size), values.dtype)
    for place in np.ndindex(count, channels):
        plane = values[place].astype(native_type)
        image = resize_image(Image.fromarray(plane), size)
        pixels = np.asarray(image)
        if values.dtype.kind != "f":
            pixels = np.rint(pixels)
        resized[place] = pixels.astype(values.dtype)
    return resized


def to_grey(values: np.ndarray) -> np.ndarray:
    """Converts images (N, 3, H, W) to grey ones (N, 1, H, W) of the same type.

    Integer types are rounded. Grey images come back as the very same array.
    """
    if values.shape[1] == 1:
        return values
    greys = np.empty((len(values), 1, *values.shape[2:]), values.dtype)
    for start, piece in chunks(values):
        grey = np.tensordot(piece, LUMA, axes=(1, 0))[:, None]
        if values.dtype.kind != "f":
            grey = np.rint(grey)
        end = start + len(piece)
        greys[start:end] = grey
    return greys
