"""The scales of axes of numbers, dates and shares, and their ticks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from ...columns import ColumnSchema

HEAVY_TAIL = 4.0
"""Numbers that reach this many times as far as the middle eight tenths of them are wide are drawn
on a logarithmic scale.
"""

MOST_INTEGERS = 40
"""Whole numbers within a range of this many have a bar each."""

SMALL = 6.5
"""The size of the text of a panel."""


@dataclass(frozen=True)
class Scale:
    """The scale of an axis of numbers.

    Attributes:
        name: of the scale, as matplotlib has it.
        forward: from numbers to places on the axis.
        backward: from places to numbers.
        linear_width: below this many the scale "asinh" is nearly linear.
    """

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    backward: Callable[[np.ndarray], np.ndarray]
    linear_width: float = 1.0


def _same(numbers: np.ndarray) -> np.ndarray:
    return numbers


def choose_scale(column: ColumnSchema, numbers: np.ndarray) -> Scale:
    """Chooses a linear scale, or a logarithmic one where the tails of the numbers are heavy; where
    some are not positive, it is linear about zero.
    """
    linear = Scale("linear", _same, _same)
    if column.kind == "datetime" or are_few_integers(column, numbers):
        return linear
    low, tenth, middle, nine_tenths, high = np.quantile(numbers, [0, 0.1, 0.5, 0.9, 1])
    reach = max(high - middle, middle - low)
    is_heavy = reach > HEAVY_TAIL * (nine_tenths - tenth)
    is_wide = column.kind == "positive" and high > 20 * low
    if not (is_heavy or is_wide) or reach == 0:
        return linear
    if low > 0:
        least = low / 1e3
        return Scale("log", lambda x: np.log(np.maximum(x, least)), np.exp)
    width = max((nine_tenths - tenth) / 20, reach * 1e-4)
    return Scale(
        "asinh", lambda x: np.arcsinh(x / width), lambda place: np.sinh(place) * width, width
    )


def are_few_integers(column: ColumnSchema, data: np.ndarray) -> bool:
    """Says whether whole numbers have so small a range that each has a bar."""
    return column.decimals == 0 and data.max() - data.min() < MOST_INTEGERS


def set_ticks(column: ColumnSchema, axis: Scale, ends: tuple[float, float], ax: Axes) -> None:
    """Puts a few ticks below a histogram of numbers."""
    ax.set_xlim(*ends)
    if column.kind == "datetime":
        locator = AutoDateLocator(minticks=2, maxticks=4)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        ax.xaxis.get_offset_text().set_fontsize(SMALL)
        return
    if axis.name == "linear":
        ax.xaxis.set_major_locator(MaxNLocator(nbins=3))
        ticks = [tick for tick in ax.get_xticks() if ends[0] <= tick <= ends[1]]
    else:
        ticks = _decades(axis, ends)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, [short_number(tick) for tick in ticks])


def _decades(axis: Scale, ends: tuple[float, float]) -> list[float]:
    """Returns zero and powers of ten of both signs as ticks that stand apart on an axis."""
    powers = [10.0**power for power in range(-12, 16)]
    candidates = [-power for power in reversed(powers)] + [0.0] + powers
    within = [tick for tick in candidates if ends[0] <= tick <= ends[1]]
    if axis.name == "asinh":
        within = [tick for tick in within if tick == 0 or abs(tick) >= axis.linear_width]
    if len(within) < 2:
        low, high = axis.forward(np.array(ends))
        inner = axis.backward(low + (high - low) * np.array([0.25, 0.75]))
        return [float(f"{tick:.2g}") for tick in inner]
    span = np.ptp(axis.forward(np.array(ends)))
    # Zero is kept, and others as far as there is room between them.
    kept: list[float] = []
    for tick in sorted(within, key=lambda tick: (tick != 0, -abs(tick))):
        place = axis.forward(np.array(tick))
        if all(abs(place - axis.forward(np.array(other))) > 0.2 * span for other in kept):
            kept.append(tick)
    return sorted(kept)


def short_number(number: float) -> str:
    """Writes a number of a tick: 12, 1,500, 20k, 3M."""
    size = abs(number)
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit and size >= 1e4:
            return f"{number / unit:g}{letter}".replace("-", "−")
    return f"{number:,.6g}".replace("-", "−")


def show_shares(axis: XAxis | YAxis, greatest: float) -> None:
    """Puts a few percentages on an axis, with decimals where all are small."""
    axis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 5, 10]))
    decimals = None
    if greatest > 0.04:
        decimals = 0
    axis.set_major_formatter(PercentFormatter(1, decimals))
