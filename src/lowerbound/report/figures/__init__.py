"""Pictures as functions: data and an optional `Axes` in, a `Figure` out. They know neither runs nor
folders, so that they work in a notebook.
"""

from ...system.image_grid import tiles, to_unit_interval
from .columns import column_marginal, column_marginals
from .curves import lines, stacked
from .distributions import bars, histogram, level_rates, levels, marginal, marginals, rates
from .images import grid, heat, interleaved, matrix, pairs, strips, sweep
from .points import amounts, classes, shades
from .style import COLOURS, DEPTH, DIFFERENCE, MANY, MARKERS, REST, SIZE, Bars, pixels, words
from .tables import association_gaps, associations_matrix, dumbbells, gap_map, scatters

__all__ = [
    "COLOURS",
    "DEPTH",
    "DIFFERENCE",
    "MANY",
    "MARKERS",
    "REST",
    "SIZE",
    "Bars",
    "amounts",
    "association_gaps",
    "associations_matrix",
    "bars",
    "classes",
    "column_marginal",
    "column_marginals",
    "dumbbells",
    "gap_map",
    "grid",
    "heat",
    "histogram",
    "interleaved",
    "level_rates",
    "levels",
    "lines",
    "marginal",
    "marginals",
    "matrix",
    "pairs",
    "pixels",
    "rates",
    "scatters",
    "shades",
    "stacked",
    "strips",
    "sweep",
    "tiles",
    "to_unit_interval",
    "words",
]
