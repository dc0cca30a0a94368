"""Whole numbers as the levels of pixels, whatever the type in which they are stored."""

from typing import NamedTuple

import numpy as np

from ..system.machine import refuse_beyond_memory
from .prepare import chunks, span

GREATEST_BYTE = 255
"""The greatest level of 8-bit pixels."""

DEPTHS = (8, 10, 12, 14, 16)
"""Whole numbers have the levels of the least of these depths that holds them: cameras and scanners
write 10, 12 or 14 bits into 16.
"""


class Levelled(NamedTuple):
    """An array whose levels are known.

    Attributes:
        values: (N, *shape), as it was, or in the least whole type that holds the levels.
        levels: the values are the whole numbers 0 .. levels - 1; None for real numbers.
        notes: sentences on how the numbers were read.
    """

    values: np.ndarray
    levels: int | None
    notes: tuple[str, ...] = ()


def find_levels(values: np.ndarray, kind: str) -> Levelled:
    """Finds the levels of finite numbers.

    bool has two levels and uint8 has 256 (or two, where both 0 and 1 are there and nothing else).
    Whole numbers of any other type are levels too: of images, those from 0 to 255 have 256 levels
    and those up to 65,535 the fewest bits of `DEPTHS` that hold them; of vectors, those that reach
    from 0 to 255. Floats from 0 to 1 are shares of white, and all others real numbers.

    Args:
        values: (N, *shape), not empty.
        kind: "image" or "vector".

    Raises:
        ConfigError: the levels do not fit into memory.
    """
    if values.dtype == np.bool_:
        return Levelled(values, 2)
    if values.dtype == np.uint8:
        return Levelled(values, _levels_of_bytes(values))
    low, high = extremes(values)
    levels = None
    if holds_whole_numbers(values):
        is_share = values.dtype.kind == "f" and high <= 1
        levels = _levels_of_whole_numbers(low, high, kind, is_share)
    if levels is None:
        return Levelled(values, None, _describe_reals(low, high, kind))
    return Levelled(_to_least_type(values, levels), levels, _describe_levels(values, levels, high))


def extremes(values: np.ndarray) -> tuple[float, float]:
    """Returns the least and the greatest of all values."""
    lows, highs = span(values)
    return float(lows.min()), float(highs.max())


def holds_whole_numbers(values: np.ndarray) -> bool:
    """Says whether all values are whole numbers, whatever their type."""
    if values.dtype.kind != "f":
        return True
    return all(np.array_equal(piece, np.rint(piece)) for _, piece in chunks(values))


def _levels_of_bytes(values: np.ndarray) -> int:
    """Returns the number of levels of a uint8 array.

    Of nothing but 0 and 1 there are two: as grey values they would be all but black. An array that
    is black throughout has 256 as any other.
    """
    least = 1
    greatest = 0
    for _, piece in chunks(values):
        least = min(least, int(piece.min()))
        greatest = max(greatest, int(piece.max()))
        if greatest > 1:
            return 256
    return 2 if least < greatest else 256


def _levels_of_whole_numbers(low: float, high: float, kind: str, is_share: bool) -> int | None:
    """Returns the levels of whole numbers from `low` to `high`; None if they are real numbers."""
    if low < 0 or is_share:
        return None
    if kind == "vector":
        # Ages and counts are whole numbers too. Pixels that were laid side by side reach both ends.
        reaches_both_ends = low == 0 and high == GREATEST_BYTE
        return 256 if reaches_both_ends else None
    if high <= 1:
        return 2 if low < high else 256
    for bits in DEPTHS:
        if high < 2**bits:
            return 2**bits
    return None


def _to_least_type(values: np.ndarray, levels: int) -> np.ndarray:
    """Copies levels to the least whole type that holds them."""
    least_type = type_of_levels(levels)
    if values.dtype == least_type:
        return values
    size = values.size * np.dtype(least_type).itemsize
    refuse_beyond_memory(-(-size // 4), "the levels of the images")
    copied = np.empty(values.shape, least_type)
    for start, piece in chunks(values):
        copied[start : start + len(piece)] = piece
    return copied


def type_of_levels(levels: int) -> type[np.unsignedinteger]:
    """Returns the least type that holds the whole numbers 0 .. levels - 1."""
    if levels <= 256:
        return np.uint8
    return np.uint16


def _describe_levels(values: np.ndarray, levels: int, high: float) -> tuple[str, ...]:
    """Says that numbers were read as levels, and warns where these are dark."""
    note = f"whole numbers in {values.dtype} are read as levels from 0 to {levels - 1}"
    if 1 < high < levels // 2:
        note += f" (the greatest is {high:g}; where that is white, divide by {high:g} first)"
    return (note,)


def _describe_reals(low: float, high: float, kind: str) -> tuple[str, ...]:
    """Says how images of real numbers beyond [0, 1] become shares of white."""
    if kind != "image" or (low >= 0 and high <= 1):
        return ()
    return (f"values from {low:g} to {high:g} stay as they are; {advise_scaling(low, high)}",)


def advise_scaling(low: float, high: float, levels: int = 256) -> str:
    """Says how real numbers from `low` to `high` become shares of white, or levels, as a clause."""
    greatest = levels - 1
    if low >= 0 and high <= 1:
        return f"round {greatest} x and save whole numbers, for {levels} levels"
    if low >= 0 and GREATEST_BYTE // 2 < high <= GREATEST_BYTE:
        as_levels = "round and save as uint8, for 256 levels"
        as_shares = "divide by 255"
    elif low >= -1 and high <= 1:
        as_levels = f"round {greatest} (x + 1) / 2 and save whole numbers, for {levels} levels"
        as_shares = "take (x + 1) / 2"
    elif low >= 0:
        return f"divide by the value of white (here {high:g} or more) for pixels in [0, 1]"
    else:
        return f"take (x - {low:g}) / {high - low:g} for pixels in [0, 1]"
    return f"{as_levels}, or {as_shares} for pixels in [0, 1]"


def from_shares(values: np.ndarray, levels: int) -> np.ndarray | None:
    """Returns the levels whose shares k / (levels - 1) are given; None if there are other values.

    Args:
        values: (N, *shape) real numbers.
        levels: how many there are.
    """
    greatest = levels - 1
    found = np.empty(values.shape, type_of_levels(levels))
    for start, piece in chunks(values):
        scaled = piece.astype(np.float64) * greatest
        nearest = np.rint(scaled)
        # float16 holds eleven bits of a share.
        is_near = np.abs(scaled - nearest) <= greatest * np.finfo(values.dtype).eps
        if not (is_near & (nearest >= 0) & (nearest <= greatest)).all():
            return None
        found[start : start + len(piece)] = nearest
    return found
