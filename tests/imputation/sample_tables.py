"""Tables of all kinds of columns, with and without gaps."""

from datetime import date, timedelta

import numpy as np
import polars as pl


def made(rows, seed=0):
    """A table of all kinds, without gaps."""
    random = np.random.default_rng(seed)
    days = random.integers(0, 1000, rows)
    return pl.DataFrame(
        {
            "id": [f"{number:04}" for number in range(rows)],
            "height": random.normal(170, 10, rows).round(2),
            "price": np.exp(random.normal(2, 1, rows)).round(2),
            "visits": random.poisson(5, rows),
            "level": random.integers(1, 5, rows),
            "town": random.choice(["Bern, old", "Köln", "Oslo"], rows),
            "member": random.random(rows) < 0.5,
            "since": [date(2020, 1, 1) + timedelta(int(day)) for day in days],
            "signed": random.normal(size=rows),
        }
    )


COLUMNS = made(1).columns[1:]


def with_gaps(frame, share=0.2, seed=1):
    """The table with cells hidden at random, but for the ids."""
    random = np.random.default_rng(seed)
    hidden = []
    for name in COLUMNS:
        is_gap = pl.Series(random.random(len(frame)) < share)
        hidden.append(pl.when(is_gap).then(None).otherwise(frame[name]).alias(name))
    return frame.with_columns(hidden)
