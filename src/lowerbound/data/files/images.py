"""A folder of PNG or JPEG images, with sub-folders as labels."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError, one_line
from ..prepare import resized
from .limits import refuse_bomb
from .sources import Raw, Source, Wanted, reason

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg")


DROPPINGS = ("thumbs.db", "desktop.ini")
"""Files that systems leave in folders; names that begin with a dot are passed over too."""


START_OF_SCAN, SCANS = b"\xff\xda", 100
"""How a scan of a JPEG file begins, and the most of them: each passes over the whole image.
Progressive files have about ten.
"""


GREY = ("1", "L", "LA", "La")


def _visible(path: Path) -> bool:
    return (
        not any(part.startswith(".") for part in path.parts) and path.name.lower() not in DROPPINGS
    )


def _files(folder: Path) -> list[Path]:
    """The images below a folder, in the order of their relative paths. DataError for a file of
    another kind.
    """
    found = sorted(
        (p.relative_to(folder) for p in folder.rglob("*") if p.is_file()),
        key=lambda p: p.as_posix(),
    )
    images = [path for path in found if _visible(path)]
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


def _eight_bits(image: "Image") -> "Image":
    """The image as grey (L) or RGB. Alpha and palettes go: what lies under a transparent pixel is
    kept as stored.
    """
    if image.mode.startswith(("I", "F")):
        raise DataError(
            f"it has more than 8 bits a channel (mode {image.mode}); allowed: 8 bits, or a .npy "
            "file"
        )
    if image.mode in GREY:
        return image.convert("L")
    # A palette with transparent entries must pass through RGBA, or Pillow warns.
    return image.convert("RGBA").convert("RGB") if image.mode == "P" else image.convert("RGB")


def _pixels(image: "Image", size: tuple[int, int] | None) -> np.ndarray:
    """uint8 (C, H, W), upright (as the camera's orientation tag says)."""
    from PIL import ImageOps

    upright = _eight_bits(ImageOps.exif_transpose(image))
    array = np.asarray(upright if size is None else resized(upright, size))
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)


def _refuse_costly(image: "Image", path: Path) -> None:
    """DataError for an image that is not yet decoded and would take memory or time out of all
    proportion to its file.
    """
    refuse_bomb(
        "it", 4 * image.width * image.height, path.stat().st_size
    )  # a pixel of Pillow's has four bytes
    scans = path.read_bytes().count(START_OF_SCAN) if image.format == "JPEG" else 1
    if scans > SCANS:
        raise DataError(f"it has {scans} scans; allowed in a JPEG file: {SCANS}")


def _decode(path: Path, size: tuple[int, int] | None) -> np.ndarray:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd but harmless metadata
            # Pillow only warns of an image of a size that no one would mean; here that is an error.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                _refuse_costly(image, path)
                return _pixels(image, size)
    except Exception as error:  # Pillow raises many kinds for a file that is damaged
        raise DataError(f"{one_line(path)} cannot be used as an image: {reason(error)}") from None


def _refuse_mixed(first: Path, path: Path, one: tuple[int, ...], other: tuple[int, ...]) -> None:
    sizes = ["x".join(map(str, size)) for size in (one, other)]
    if one != other:
        raise DataError(
            f"images differ in size: {one_line(first, 160)} is {sizes[0]}, {one_line(path, 160)} is "
            f"{sizes[1]} (height x width); "
            f"resize them with --set data.size={sizes[0]}"
        )


def _stack(paths: list[Path], pictures: Iterable[np.ndarray]) -> np.ndarray:
    """One array (N, C, H, W); grey images become RGB as soon as one is in colour."""
    values: np.ndarray = np.empty(0, np.uint8)
    for at, picture in enumerate(pictures):
        if at == 0:
            refuse_bomb(
                "the folder of images",
                len(paths) * picture.nbytes,
                sum(path.stat().st_size for path in paths),
            )
            values = np.empty((len(paths), *picture.shape), np.uint8)
        _refuse_mixed(paths[0], paths[at], values.shape[2:], picture.shape[1:])
        if len(picture) > values.shape[1]:
            values = np.repeat(values, len(picture), axis=1)
        values[at] = picture  # one channel is repeated over three
    return values


def _labels(paths: list[Path]) -> np.ndarray | None:
    """The first sub-folder of each image, if all are in one."""
    return (
        np.array([path.parts[0] for path in paths])
        if all(len(path.parts) > 1 for path in paths)
        else None
    )


class Images(Source):
    """PNG and JPEG files anywhere below a folder, in the order of their paths."""

    summary = "a folder of PNG or JPEG images"
    fallback = True

    def claims(self, path: Path) -> bool:
        """Any folder that no other kind claims."""
        return path.is_dir()

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Decode all images to uint8 (N, C, H, W). DataError names the file that is broken, or two
        of unlike size.
        """
        names = _files(path)
        files = [path / name for name in names]
        values = _stack(files, (_decode(file, wanted.size) for file in files))
        return Raw(str(path), "image", values, 256, _labels(names))
