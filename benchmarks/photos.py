"""Makes a folder of small colour photos, cut out of a few large ones, to try `images` on.

    python benchmarks/photos.py OUT FILE_OR_FOLDER... [--size 64] [--count 2400] [--seed 0]

No set of thousands of small photos comes with a package that the tests install. Some tens of large
ones are enough for thousands of squares, of everything between a detail and the whole picture: the
two of scikit-learn, and the photographs among the backgrounds of desktops. These, for example, are
packages of Debian (`apt-get download NAME`, `dpkg -x NAME.deb FOLDER`), each with its licence in
usr/share/doc: lomiri-wallpapers-16.04, lomiri-wallpapers-20.04, mate-backgrounds and
plasma-workspace-wallpapers. Leave drawings out by naming files.

Squares of one photo look alike, and a random split puts some of them on either side: figures of a
test split are of new squares, not of new photos. Nothing of it belongs into the repository.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

LEAST_SQUARE = 2
"""The least side of a square, in sides of the small photo that it becomes."""

LEAST_CONTRAST = 8.0
"""Squares whose pixels vary by less, as a standard deviation of 8 bits, are passed over."""

TRIES = 20
"""Squares that are tried for each small photo, before the photo is passed over."""


def find_photos(places: list[Path]) -> list[Path]:
    """Returns the files of pictures among files and in folders, in the order of their names."""
    found: set[Path] = set()
    for place in places:
        if place.is_dir():
            found.update(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)
        else:
            found.add(place)
    return sorted(found)


def read(path: Path, size: int) -> Image.Image | None:
    """Reads a photo; None if it is too small, grey or transparent."""
    with Image.open(path) as picture:
        if min(picture.size) < 2 * LEAST_SQUARE * size or picture.mode not in ("RGB", "RGBA"):
            return None
        return picture.convert("RGB")


def cut(photo: Image.Image, size: int, random: np.random.Generator) -> Image.Image | None:
    """Cuts a square of any side out of a photo and shrinks it; None if all that are tried are
    plain.
    """
    width, height = photo.size
    for _ in range(TRIES):
        low = math.log(LEAST_SQUARE * size)
        side = int(math.exp(random.uniform(low, math.log(min(width, height)))))
        left = int(random.integers(width - side + 1))
        top = int(random.integers(height - side + 1))
        box = (left, top, left + side, top + side)
        small = photo.resize((size, size), Image.Resampling.LANCZOS, box)
        if np.asarray(small, float).std((0, 1)).mean() >= LEAST_CONTRAST:
            return small
    return None


def main() -> None:
    given = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    given.add_argument("out", type=Path)
    given.add_argument("places", type=Path, nargs="+")
    given.add_argument("--size", type=int, default=64)
    given.add_argument("--count", type=int, default=2400)
    given.add_argument("--seed", type=int, default=0)
    args = given.parse_args()
    paths = find_photos(args.places)
    if not paths:
        sys.exit("photos.py: no pictures among what was given")
    args.out.mkdir(parents=True)
    random = np.random.default_rng(args.seed)
    each = -(-args.count // len(paths))
    written = 0
    sources = 0
    for path in paths:
        photo = read(path, args.size)
        if photo is None:
            continue
        sources += 1
        for number in range(each):
            small = cut(photo, args.size, random)
            if small is not None:
                small.save(args.out / f"{path.stem}-{number:03}.png")
                written += 1
    print(f"{written} photos of {args.size} x {args.size} out of {sources} in {args.out}")


if __name__ == "__main__":
    main()
