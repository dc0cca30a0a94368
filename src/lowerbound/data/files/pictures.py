"""One picture: what its header says, and how it is decoded.

The rules: a picture is turned upright as its EXIF orientation says; of several frames the first is
read; what is transparent is laid over white; grey pictures of 16 bits keep them if all of a source
have them, and else keep the upper 8, as colours of 16 bits do; palettes, CMYK and other colours
become RGB.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError
from ..prepare import resize_image, to_grey
from .folders import OTHER_PICTURES
from .limits import refuse_beyond_memory
from .sources import reason

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM")
"""Pictures are read in these formats of Pillow."""

GREY_MODES = ("1", "L", "LA", "La")
"""Pillow has grey pictures of at most 8 bits in these modes."""

DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow has grey pictures of whole numbers above 255 in these modes."""

BYTES_PER_PIXEL = 12
"""Decoding takes at most this many bytes a pixel: decoded, turned and converted, 4 each."""

START_OF_SCAN = b"\xff\xda"
"""A scan of a JPEG file begins with these bytes."""

MOST_SCANS = 100
"""A JPEG file may have this many scans, each of which passes over the whole picture.

Progressive files have about ten.
"""

ORIENTATION = 0x0112
"""The EXIF orientation stands under this tag."""

DRAFT = 2
"""A JPEG picture is decoded at a smaller scale if that leaves this many times the size asked for.

The decoder can halve, quarter or eighth, at a fraction of the time and memory.
"""


@dataclass(frozen=True)
class Header:
    """What a picture is, as its header says it.

    Attributes:
        height: of the picture turned upright.
        width: likewise.
        is_grey: it has no colours.
        is_deep: it is grey with more than 8 bits.
        is_cut: its colours have 16 bits, of which the upper 8 are read.
        has_frames: it has several frames or pages, of which the first is read.
    """

    height: int
    width: int
    is_grey: bool
    is_deep: bool
    is_cut: bool
    has_frames: bool


@dataclass(frozen=True)
class Form:
    """What the pictures of a source become.

    Attributes:
        channels: 1 or 3.
        height: in pixels.
        width: in pixels.
        levels: their pixels are 0 .. levels - 1.
    """

    channels: int
    height: int
    width: int
    levels: int = 2**8

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a picture, (C, H, W)."""
        return (self.channels, self.height, self.width)

    @property
    def is_deep(self) -> bool:
        """Whether the pixels have more than 8 bits."""
        return self.levels > 2**8

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The type of the pixels, uint8 or uint16."""
        if self.is_deep:
            return np.dtype(np.uint16)
        return np.dtype(np.uint8)


@contextmanager
def reading_pictures() -> Iterator[None]:
    """Silences Pillow's warnings of odd metadata, and sets its own bound on pixels aside.

    The bound here is `max_pixels`, and the memory. Both hold for the whole process: the block is
    entered once, around the threads that decode.
    """
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def read_header(path: Path, max_pixels: int) -> Header:
    """Reads the header of a picture, and decodes nothing.

    Args:
        path: of the file.
        max_pixels: the picture may have this many.

    Raises:
        DataError: the file is no picture that can be read; the message says why, without its name.
    """
    with _opened(path, max_pixels) as image:
        height, width = image.height, image.width
        if _lies_on_its_side(image, path):
            height, width = width, height
        is_deep = image.mode in DEEP_MODES
        is_grey = is_deep or image.mode in GREY_MODES
        is_cut = not is_deep and _has_sixteen_bits(image)
        return Header(height, width, is_grey, is_deep, is_cut, _has_frames(image))


def decode(path: Path, form: Form, max_pixels: int) -> tuple[np.ndarray, bool]:
    """Decodes a picture.

    Args:
        path: of the file.
        form: what the picture becomes.
        max_pixels: the picture may have this many.

    Returns:
        The pixels, uint8 or uint16 (C, H, W), and whether some were transparent.

    Raises:
        DataError: the file is damaged; the message says why, without its name.
    """
    from PIL import ImageOps

    with _opened(path, max_pixels) as image:
        _draft(image, form, path)
        needed = BYTES_PER_PIXEL * image.width * image.height
        refuse_beyond_memory("it", needed, "make the picture smaller")
        ImageOps.exif_transpose(image, in_place=True)
        return _pixels_in(image, form)


def pixels_of(pictures: "Sequence[Image]") -> list[np.ndarray]:
    """Returns the pixels of pictures in memory, (C, H, W) each, by the rules of a folder of them.

    Raises:
        DataError: a picture has real numbers, or values beyond 16 bits.
    """
    from PIL import ImageOps

    upright = [ImageOps.exif_transpose(picture) for picture in pictures]
    modes = {picture.mode for picture in upright}
    channels = 3
    if modes <= {*GREY_MODES, *DEEP_MODES}:
        channels = 1
    levels = 2**8
    if modes <= {*DEEP_MODES}:
        levels = 2**16
    pixels = []
    for picture in upright:
        form = Form(channels, picture.height, picture.width, levels)
        pixels.append(_pixels_in(picture, form)[0])
    return pixels


def _pixels_in(image: "Image", form: Form) -> tuple[np.ndarray, bool]:
    """Returns what `decode` does, of a picture that is upright.

    Raises:
        DataError: it has real numbers, or values beyond 16 bits.
    """
    if image.mode in DEEP_MODES:
        pixels, is_transparent = _deep_pixels(image, form)
    else:
        pixels, is_transparent = _plain_pixels(image, form)
    return _to_form(pixels, form), is_transparent


@contextmanager
def _opened(path: Path, max_pixels: int) -> "Iterator[ImageFile]":
    """Opens a picture, and turns what Pillow raises for a damaged one into a DataError.

    Raises:
        DataError: the file is damaged, or its decoding would take time out of all proportion.
    """
    from PIL import Image, UnidentifiedImageError

    suffix = path.suffix.lower()
    if suffix in OTHER_PICTURES:
        raise DataError(f"{suffix} is not read; convert it to JPEG, PNG or TIFF")
    try:
        # Pillow would map a file of which it has the name, and then garbles turned TIFF files.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            _refuse_costly(image, path, max_pixels)
            yield image
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError("cannot identify it as an image") from None
    except OSError as error:
        raise DataError(error.strerror or reason(error)) from None
    # Pillow raises many kinds of errors for a file that is damaged.
    except Exception as error:
        raise DataError(reason(error)) from None


def _refuse_costly(image: "ImageFile", path: Path, max_pixels: int) -> None:
    """Refuses a picture of too many pixels or scans.

    Raises:
        DataError: it has more.
    """
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise DataError(
            f"it has {image.height}x{image.width} = {pixels:,} pixels; allowed: "
            f"data.max_pixels={max_pixels}, which can be raised"
        )
    if image.format in ("JPEG", "MPO"):
        scans = path.read_bytes().count(START_OF_SCAN)
        if scans > MOST_SCANS:
            raise DataError(f"it has {scans} scans; allowed in a JPEG file: {MOST_SCANS}")


def _lies_on_its_side(image: "ImageFile", path: Path) -> bool:
    """Says whether the orientation swaps the height and the width that the header has."""
    # Pillow gives the size of a TIFF file turned already.
    if image.format == "TIFF":
        return False
    # Pillow would decode a PNG file to look for what may follow the pixels.
    has_early_exif = "exif" in image.info or "Raw profile type exif" in image.info
    if image.format == "PNG" and not has_early_exif and b"eXIf" not in path.read_bytes():
        return False
    return image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)


def _has_sixteen_bits(image: "ImageFile") -> bool:
    """Says whether the file has 16 bits a channel, of which Pillow gives 8."""
    return any(";16" in str(tile) for tile in image.tile)


def _has_frames(image: "ImageFile") -> bool:
    """Says whether a picture has more than one frame or page."""
    # Pillow looks at the second frame, which may be damaged where the first is not.
    with suppress(Exception):
        return bool(getattr(image, "is_animated", False))
    return False


def _draft(image: "ImageFile", form: Form, path: Path) -> None:
    """Lets a JPEG decoder work at a smaller scale where that is large enough."""
    if image.format not in ("JPEG", "MPO"):
        return
    height, width = form.height, form.width
    if _lies_on_its_side(image, path):
        height, width = width, height
    image.draft(None, (DRAFT * width, DRAFT * height))


def _deep_pixels(image: "Image", form: Form) -> tuple[np.ndarray, bool]:
    """Returns the pixels of a grey picture of more than 8 bits, (1, H, W) uint16.

    Raises:
        DataError: its values are beyond 16 bits.
    """
    pixels = np.asarray(image)
    low = int(pixels.min())
    high = int(pixels.max())
    if low < 0 or high >= 2**16:
        raise DataError(
            f"it has values from {low} to {high}; allowed: 16 bits, 0 to {2**16 - 1}, or a .npy "
            "file of real numbers"
        )
    clear = image.info.get("transparency")
    is_clear = np.zeros(pixels.shape, bool)
    if isinstance(clear, int):
        is_clear = pixels == clear
    shown = np.where(is_clear, 2**16 - 1, pixels).astype(np.uint16)
    return resize_plane(shown, (form.height, form.width))[None], bool(is_clear.any())


def _plain_pixels(image: "Image", form: Form) -> tuple[np.ndarray, bool]:
    """Returns the pixels of a picture of 8 bits, (C, H, W) uint8 with C = 1 or 3.

    Raises:
        DataError: it has real numbers.
    """
    if image.mode == "F":
        raise DataError("it has real numbers; allowed: 8 or 16 bits, or a .npy file")
    opaque, is_transparent = _over_white(image)
    resized = resize_image(opaque, (form.height, form.width))
    pixels = np.asarray(resized)
    if pixels.ndim == 2:
        return pixels[None], is_transparent
    return np.moveaxis(pixels, -1, 0), is_transparent


def _over_white(image: "Image") -> "tuple[Image, bool]":
    """Converts a picture to grey (L) or RGB, and lays what is transparent over white.

    Returns:
        The picture, and whether some of it was transparent.
    """
    from PIL import Image

    plain_mode = "RGB"
    if image.mode in GREY_MODES:
        plain_mode = "L"
    if image.mode == plain_mode and "transparency" not in image.info:
        return image, False
    if not image.has_transparency_data:
        return image.convert(plain_mode), False
    layer = image.convert("RGBA")
    least, _ = layer.getchannel("A").getextrema()
    if least == 255:
        return layer.convert(plain_mode), False
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert(plain_mode), True


def resize_plane(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a plane (H, W) of whole numbers to (height, width), in the same type, rounded."""
    from PIL import Image

    if plane.shape == size:
        return plane
    resized = resize_image(Image.fromarray(plane.astype(np.float32)), size)
    return np.rint(np.asarray(resized)).astype(plane.dtype)


def _to_form(pixels: np.ndarray, form: Form) -> np.ndarray:
    """Gives pixels (C, H, W) of 8 or 16 bits the levels and the channels of a form.

    8 bits are scaled to the levels: 255 becomes the greatest. 16 bits are kept, or the upper 8 are.
    One channel is repeated over three.
    """
    if form.channels == 1:
        pixels = to_grey(pixels[None])[0]
    if pixels.dtype == np.uint16 and not form.is_deep:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.dtype == np.uint8 and form.levels != 2**8:
        scaled = pixels * ((form.levels - 1) / (2**8 - 1))
        pixels = np.rint(scaled).astype(form.dtype)
    return np.broadcast_to(pixels, form.shape)
