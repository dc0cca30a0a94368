"""The size of pictures that are of unlike sizes, or larger than a small model can learn."""

from collections.abc import Sequence
from statistics import median_low
from typing import Literal

Size = tuple[int, int]
"""A height and a width."""

AUTO: Literal["auto"] = "auto"
"""A recipe asks by this word for a size that is chosen from what is there."""

LONGEST_SIDE = 64
"""A chosen size has at most this many pixels on its longer side."""

MULTIPLE = 4
"""A chosen height or width is a multiple of this, so that it can be halved twice."""


def choose_size(sizes: Sequence[Size]) -> Size:
    """Chooses one size for pictures of these sizes.

    Pictures of one size that is small enough keep it. Of others it is the median height by the
    median width, reduced where the longer side has more than `LONGEST_SIDE` pixels.

    >>> choose_size([(28, 28), (28, 28)]), choose_size([(240, 320), (240, 320), (320, 240)])
    ((28, 28), (48, 64))
    """
    first = sizes[0]
    if set(sizes) == {first} and max(first) <= LONGEST_SIDE:
        return first
    heights, widths = zip(*sizes, strict=True)
    height = median_low(heights)
    width = median_low(widths)
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    return _nearest_multiple(scale * height), _nearest_multiple(scale * width)


def _nearest_multiple(length: float) -> int:
    return max(MULTIPLE, MULTIPLE * round(length / MULTIPLE))


def tell_choice(sizes: Sequence[Size], chosen: Size) -> tuple[str, ...]:
    """Says which size was chosen for pictures of these sizes; nothing where they keep their own."""
    if set(sizes) == {chosen}:
        return ()
    smallest = min(sizes, key=_area)
    largest = max(sizes, key=_area)
    found = f"from {_written(smallest)} to {_written(largest)}"
    if smallest == largest:
        found = f"of {_written(smallest)}"
    sentence = (
        f"pictures {found} (height x width) are resized to {_written(chosen)}; "
        "data.size=HEIGHTxWIDTH sets another size"
    )
    return (sentence,)


def _area(size: Size) -> int:
    height, width = size
    return height * width


def _written(size: Size) -> str:
    height, width = size
    return f"{height}x{width}"
