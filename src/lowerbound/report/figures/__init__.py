"""Pictures as functions: data and an optional `Axes` in, a `Figure` out. They know neither runs nor
folders, so that they work in a notebook.
"""

from ...system.image_grid import tiles, to_unit_interval
from .curves import lines
from .distributions import bars, histogram, levels, marginal, marginals, rates
from .images import grid, heat, interleaved, matrix, pairs, strips, sweep
from .points import amounts, classes, shades
from .style import (
    COLOURS,
    DEPTH,
    DIFFERENCE,
    MANY,
    MARKERS,
    REST,
    SIZE,
    Bars,
    figure_of,
    pixels,
    short,
    words,
)

__all__ = [
    "Bars",
    "COLOURS",
    "DEPTH",
    "DIFFERENCE",
    "MANY",
    "MARKERS",
    "REST",
    "SIZE",
    "amounts",
    "bars",
    "classes",
    "figure_of",
    "grid",
    "heat",
    "histogram",
    "interleaved",
    "levels",
    "lines",
    "marginal",
    "marginals",
    "matrix",
    "pairs",
    "pixels",
    "rates",
    "shades",
    "short",
    "strips",
    "sweep",
    "tiles",
    "to_unit_interval",
    "words",
]
