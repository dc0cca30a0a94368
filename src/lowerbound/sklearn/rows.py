"""What users of estimators give as rows, and frames and images that are made of it."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.memory import InMemory, to_frame
from ..errors import ShapeError

if TYPE_CHECKING:
    from polars import DataFrame


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows as a run reads them.

    Attributes:
        source: a frame of a table, or an array of images.
        array: the numbers that were given, (N, D); None of a frame with other columns.
    """

    source: InMemory
    array: np.ndarray | None

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.source)  # type: ignore[arg-type]

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The type of what is returned of these rows: float32 for float32, else float64."""
        if self.array is not None and self.array.dtype == np.float32:
            return np.float32
        return np.float64


def frame_of(array: np.ndarray, names: list[str]) -> "DataFrame":
    """Makes a frame of numbers (N, D), which are float64 there."""
    import polars

    return polars.DataFrame(array.astype(np.float64), schema=names, orient="row")


def has_other_columns(X: Any) -> bool:
    """Says whether this is a frame with columns that are no numbers.

    Raises:
        DataError: it is a frame that cannot be read.
    """
    import polars

    if not hasattr(X, "columns"):
        return False
    frame = to_frame(X)
    if frame is None:
        return False
    return not all(kind.is_numeric() or kind == polars.Boolean for kind in frame.dtypes)


def means_of_columns(array: np.ndarray) -> np.ndarray:
    """Returns the mean of the numbers of each column, (D,); NaN for a column without any."""
    known = ~np.isnan(array.astype(np.float64))
    totals = np.where(known, array, 0).sum(axis=0, dtype=np.float64)
    numbers = known.sum(axis=0)
    return np.divide(totals, numbers, out=np.full(len(totals), np.nan), where=numbers > 0)


def fold(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Folds rows of pixels into images, (N, H, W) or (N, H, W, C).

    Raises:
        ShapeError: the columns are more or fewer than the pixels.
    """
    if math.prod(shape) != array.shape[1]:
        raise ShapeError(
            f"images of shape={shape} have {math.prod(shape)} pixels, X has {array.shape[1]} "
            "features"
        )
    return array.reshape(len(array), *shape)


def unfold(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Makes rows of pixels of images (N, C, H, W), in the order of images of a shape."""
    if shape != images.shape[1:]:
        images = np.moveaxis(images, 1, -1)
    return images.reshape(len(images), -1)


def shape_of_rows(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of images as users have them, of the shape (C, H, W) of a run."""
    channels, height, width = shape
    if channels == 1:
        return (height, width)
    return (height, width, channels)
