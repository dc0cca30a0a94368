"""The columns of a table with columns of several kinds: what is known of each, and their codes.

A table is one array of numbers, (N, D), in three forms. *Values* are those of the source: numbers
as they are, levels as their positions, dates as days since 1970; a gap is NaN. *Codes* are what a
model sees: standardised values, standardised logs, whole numbers. *Features* are what an encoder
sees of the codes (`model.inputs`).
"""

from .coding import Coding
from .schema import DISCRETE, KINDS, LEVELLED, NUMBERS, ColumnSchema
from .statistics import fit_columns

__all__ = [
    "DISCRETE",
    "KINDS",
    "LEVELLED",
    "NUMBERS",
    "Coding",
    "ColumnSchema",
    "fit_columns",
]
