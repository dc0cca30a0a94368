"""The values of a column in a few words."""

import numpy as np

from ...columns import ColumnSchema
from ...data.frames import to_texts
from ...evaluation.columns import shares_of_levels
from ..text import format_plain, shorten

CALENDAR = (-719_000, 2_932_000)
"""The first and the last day that is told as a date, about those of the years 1 and 9997, in days
since 1970.
"""


def summarise(column: ColumnSchema, values: np.ndarray, reference: np.ndarray) -> str:
    """Sums up the observed values (n,) of a column: the mean and the standard deviation of numbers,
    or the share of the most frequent level of the `reference`.
    """
    known = values[~np.isnan(values)]
    if not len(known) or np.isnan(reference).all():
        return "–"
    if column.levels:
        count = len(column.levels)
        most_frequent = int(shares_of_levels(reference, count).argmax())
        share = shares_of_levels(values, count)[most_frequent]
        return f"{shorten(column.levels[most_frequent], 18)}: {100 * share:.1f} %"
    if column.kind == "datetime":
        first_day, last_day = CALENDAR
        mean = np.clip(known.mean(keepdims=True), first_day, last_day)
        (day,) = to_texts(column, mean)
        return f"{day[:10]} ± {format_plain(known.std(), 3)} days"
    return f"{format_plain(known.mean())} ± {format_plain(known.std(), 3)}"
