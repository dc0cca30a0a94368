"""Work on whole arrays, in chunks so that memory stays bounded: scans, statistics, grey, size."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 2**24
"""Bytes of the source that are looked at in one go."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a grey value (ITU-R 601-2, as Pillow has them)."""


def chunks(values: np.ndarray, rows: np.ndarray | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Consecutive pieces of `values` (or of `values[rows]`) along the first axis, each with its
    start.
    """
    total = len(values) if rows is None else len(rows)
    step = max(1, CHUNK // max(1, values[0].nbytes))
    for start in range(0, total, step):
        piece = slice(start, start + step)
        yield start, np.asarray(values[piece] if rows is None else values[rows[piece]])


def span(values: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest of `values` (or `values[rows]`) at each place of the event: two arrays of
    its shape.
    """
    pairs = [(piece.min(0), piece.max(0)) for _, piece in chunks(values, rows)]
    return np.min([low for low, _ in pairs], axis=0), np.max([high for _, high in pairs], axis=0)


def refuse_nonfinite(values: np.ndarray, name: str) -> None:
    """DataError, with the count and the first position, if values are NaN, infinite, or beyond
    float32.
    """
    found, first = 0, None
    for start, piece in chunks(values):
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a signalling NaN is invalid, and found all the same
            at = np.argwhere(~np.isfinite(piece.astype(np.float32)))
        found += len(at)
        if first is None and len(at):
            first = (start + int(at[0][0]), *map(int, at[0][1:]))
    if found:
        raise DataError(
            f"{name} holds {found} values that are NaN, infinite or too large for float32; first "
            f"at {first}"
        )


def moments(values: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation of each column of `values[rows]`, (D,) float64, in two
    passes.
    """
    mean = sum(piece.sum(0, dtype=np.float64) for _, piece in chunks(values, rows)) / len(rows)
    square = sum(((piece - mean) ** 2).sum(0) for _, piece in chunks(values, rows)) / len(rows)
    return np.asarray(mean), np.sqrt(square)


def resized(image: "Image", size: tuple[int, int]) -> "Image":
    """The image at (height, width). Bilinear antialiasing has no negative lobes: no value outside
    the image's own.
    """
    from PIL.Image import Resampling

    return image if image.size == size[::-1] else image.resize(size[::-1], Resampling.BILINEAR)


def _plane(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    native = plane.astype(np.uint8 if plane.dtype in (np.uint8, np.bool_) else np.float32)
    return np.asarray(resized(Image.fromarray(native), size)).astype(plane.dtype)


def to_size(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images (N, C, H, W) at (height, width), of the same type; the very same array if they are so
    already.
    """
    if values.shape[2:] == size:
        return values
    out = np.empty((*values.shape[:2], *size), values.dtype)
    for at in np.ndindex(*values.shape[:2]):
        out[at] = _plane(values[at], size)
    return out


def to_grey(values: np.ndarray) -> np.ndarray:
    """Images (N, 3, H, W) as (N, 1, H, W) of the same type, whole numbers rounded; grey ones are
    passed on.
    """
    if values.shape[1] == 1:
        return values
    out = np.empty((len(values), 1, *values.shape[2:]), values.dtype)
    for start, piece in chunks(values):
        grey = np.tensordot(piece, LUMA, axes=(1, 0))[:, None]
        out[start : start + len(piece)] = grey if values.dtype.kind == "f" else np.rint(grey)
    return out
