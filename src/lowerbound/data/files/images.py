"""A folder of PNG or JPEG images, with sub-folders as labels."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError, one_line
from ..prepare import resize_image
from .limits import refuse_bomb
from .sizes import AUTO, Size, choose_size, spread, tell_choice
from .sources import Raw, Source, Wanted, reason

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg")
"""The names of images end in one of these."""

SYSTEM_FILES = ("thumbs.db", "desktop.ini")
"""Systems leave these files in folders; names that begin with a dot are passed over too."""

START_OF_SCAN = b"\xff\xda"
"""A scan of a JPEG file begins with these bytes."""

MOST_SCANS = 100
"""A JPEG file may have this many scans, each of which passes over the whole image.

Progressive files have about ten.
"""

GREY_MODES = ("1", "L", "LA", "La")
"""Pillow has grey images of at most 8 bits in these modes."""

LYING = (5, 6, 7, 8)
"""The orientation tag of a camera has one of these values where height and width are exchanged."""

BYTES_PER_PIXEL = 4
"""Pillow keeps a pixel in this many bytes."""


class Images(Source):
    """PNG and JPEG files anywhere below a folder, in the order of their paths."""

    summary = "a folder of PNG or JPEG images"
    fallback = True

    def claims(self, path: Path) -> bool:
        """Says whether the path is a folder. It may hold images if no other kind claims it."""
        return path.is_dir()

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Decodes all images to uint8 (N, C, H, W).

        Raises:
            DataError: a file is broken, or two are of unlike size; the message names them.
        """
        names = _find_images(path)
        files = [path / name for name in names]
        size = wanted.size
        notes: tuple[str, ...] = ()
        if size == AUTO:
            size, notes = _choose_size(files)
        values = _read_images(files, size)
        return Raw(str(path), "image", values, 256, _labels(names), notes=notes)


def _find_images(folder: Path) -> list[Path]:
    """Finds the images below a folder, as relative paths in their order.

    Raises:
        DataError: there are none, or there is a file of another kind.
    """
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    files.sort(key=lambda path: path.as_posix())
    images = [path for path in files if _is_visible(path)]
    if not images:
        raise DataError(
            f"{folder} holds no images; allowed: files that end in {', '.join(SUFFIXES)}"
        )
    for path in images:
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(
                f"{one_line(folder / path)} is no image; allowed in a folder of images: "
                f"{', '.join(SUFFIXES)}"
            )
    return images


def _is_visible(path: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in path.parts)
    return not is_hidden and path.name.lower() not in SYSTEM_FILES


def _choose_size(paths: list[Path]) -> tuple[Size | None, tuple[str, ...]]:
    """Chooses the size of a folder of images from their headers, and says what it chose.

    Returns:
        None where no image can be read, which is told of when they are decoded.
    """
    sizes = [size for size in map(_size_of, spread(paths)) if size is not None]
    if not sizes:
        return None, ()
    chosen = choose_size(sizes)
    return chosen, tell_choice(sizes, chosen)


def _size_of(path: Path) -> Size | None:
    """Reads the (height, width) of an upright image from its header; None if it has none."""
    from PIL import ExifTags

    try:
        with _opened(path) as image:
            width, height = image.size
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises many kinds of errors for a file that is damaged
        return None
    if orientation in LYING:
        return width, height
    return height, width


@contextmanager
def _opened(path: Path) -> Iterator["Image"]:
    """Opens an image, of which Pillow reads the header alone, for a block."""
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of metadata that are odd but harmless.
        warnings.simplefilter("ignore")
        # Pillow only warns of an image of a size that no one would mean; here that is an error.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            yield image


def _read_images(paths: list[Path], size: tuple[int, int] | None) -> np.ndarray:
    """Decodes files to one array (N, C, H, W); grey images become RGB once one is in colour."""
    values: np.ndarray = np.empty(0, np.uint8)
    for row, path in enumerate(paths):
        image = _decode(path, size)
        if row == 0:
            held = sum(file.stat().st_size for file in paths)
            refuse_bomb("the folder of images", len(paths) * image.nbytes, held)
            values = np.empty((len(paths), *image.shape), np.uint8)
        if image.shape[1:] != values.shape[2:]:
            first_size = "x".join(map(str, values.shape[2:]))
            other_size = "x".join(map(str, image.shape[1:]))
            raise DataError(
                f"images differ in size: {one_line(paths[0], 160)} is {first_size}, "
                f"{one_line(path, 160)} is {other_size} (height x width); "
                f"resize them with --set data.size={first_size}"
            )
        if len(image) > values.shape[1]:
            values = np.repeat(values, len(image), axis=1)
        values[row] = image  # one channel is repeated over three
    return values


def _decode(path: Path, size: tuple[int, int] | None) -> np.ndarray:
    """Decodes one file to uint8 (C, H, W), of (height, width) `size` if that is not None."""
    try:
        with _opened(path) as image:
            _refuse_costly(image, path)
            return _to_array(image, size)
    # Pillow raises many kinds of errors for a file that is damaged.
    except Exception as error:
        raise DataError(f"{one_line(path)} cannot be used as an image: {reason(error)}") from None


def _refuse_costly(image: "Image", path: Path) -> None:
    """Refuses an image whose decoding would take memory or time out of all proportion to its file.

    Raises:
        DataError: it has too many pixels or too many scans.
    """
    claimed = BYTES_PER_PIXEL * image.width * image.height
    refuse_bomb("it", claimed, path.stat().st_size)
    if image.format == "JPEG":
        scans = path.read_bytes().count(START_OF_SCAN)
        if scans > MOST_SCANS:
            raise DataError(f"it has {scans} scans; allowed in a JPEG file: {MOST_SCANS}")


def _to_array(image: "Image", size: tuple[int, int] | None) -> np.ndarray:
    """Converts an image to uint8 (C, H, W), upright as the camera's orientation tag says."""
    from PIL import ImageOps

    picture = _to_eight_bits(ImageOps.exif_transpose(image))
    if size is not None:
        picture = resize_image(picture, size)
    array = np.asarray(picture)
    if array.ndim == 2:
        return array[None]
    return np.moveaxis(array, -1, 0)


def _to_eight_bits(image: "Image") -> "Image":
    """Converts an image to grey (L) or RGB.

    Alpha and palettes go: the colour under a transparent pixel is kept as stored.
    """
    if image.mode.startswith(("I", "F")):
        raise DataError(
            f"it has more than 8 bits a channel (mode {image.mode}); allowed: 8 bits, or a .npy "
            "file"
        )
    if image.mode in GREY_MODES:
        return image.convert("L")
    if image.mode == "P":
        # A palette with transparent entries must pass through RGBA, or Pillow warns.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _labels(paths: list[Path]) -> np.ndarray | None:
    """Returns the first sub-folder of each image, or None if an image is in none."""
    for path in paths:
        if len(path.parts) == 1:
            return None
    return np.array([path.parts[0] for path in paths])
