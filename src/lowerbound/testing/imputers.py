"""The laws of imputers without a neural network."""

import numpy as np
import torch

from ..baselines import NUMBER, FittedImputer, Imputer, Kind
from .spec import require, require_close

TOLERANCE = 1e-8
"""The most by which a filled cell may depend on the other rows of its table, as a share of the
greatest number: float64 sums differ.
"""

KINDS = (NUMBER, NUMBER, NUMBER, Kind(4, ordered=True), Kind(3))
"""The kinds of the columns of the table that imputers are checked on."""

UNIT = 1024.0
"""Numbers are also given in another unit, which changes no digit of them."""


def make_table(rows: int = 60, share: float = 0.25, seed: int = 0) -> np.ndarray:
    """Draws a table (rows, 5) of the kinds `KINDS`, with this share of gaps.

    Its columns hang together. Its last row has no value, and the one before it has no gap.
    """
    random = np.random.default_rng(seed)
    hidden = random.normal(size=rows)
    numbers = hidden[:, None] * [100.0, -1.0, 0.5] + random.normal(size=(rows, 3)) * [50, 0.5, 0.5]
    ordered = np.digitize(hidden + 0.3 * random.normal(size=rows), [-0.8, 0.0, 0.8])
    unordered = np.array([2, 0, 1])[np.digitize(hidden, [-0.5, 0.5])]
    table = np.column_stack([numbers, ordered, unordered]).astype(np.float64)
    table[random.random(table.shape) < share] = np.nan
    table[-2] = [30.0, 0.2, -0.4, 1.0, 2.0]
    table[-1] = np.nan
    return table


def check_imputer(imputer: Imputer[FittedImputer], *, seed: int = 0) -> None:
    """Checks an imputer on a small table of numbers, ordered and unordered levels.

    The laws: a filled table is a new float64 array of the same shape without gaps; known values
    come back bit for bit; filled levels are levels of their column; two fits to the same table fill
    it alike; neither fitting nor filling changes the table that it is given; what fills a row
    depends on no other row that is filled with it, nor on their order; numbers in other units are
    filled alike.

    Raises:
        AssertionError: says which law was broken.
    """
    name = type(imputer).__name__
    table = make_table(seed=seed)
    before = table.copy()
    fitted = imputer.fit(table, KINDS)
    require(_is_same(table, before), f"{name}: fit changed its table")
    filled = fitted.impute(table)
    require(_is_same(table, before), f"{name}: impute changed its table")
    _check_filled(name, filled, table)
    complete = fitted.impute(filled)
    require(_is_same(complete, filled), f"{name}: a table without gaps was changed")
    fitted_again = imputer.fit(table, KINDS).impute(table)
    require(_is_same(fitted_again, filled), f"{name}: two fits to the same table differ")
    _check_rows(name, fitted, table, filled)
    _check_units(name, imputer, table, filled)


def _is_same(values: np.ndarray, expected: np.ndarray) -> bool:
    """Says whether two arrays are equal, with gaps in the same places."""
    return np.array_equal(values, expected, equal_nan=True)


def _check_filled(name: str, filled: np.ndarray, table: np.ndarray) -> None:
    """Checks shape, type and values of a filled table."""
    require(
        filled.shape == table.shape and filled.dtype == np.float64,
        f"{name}: gave {filled.shape} of {filled.dtype}, wanted {table.shape} of float64",
    )
    require(np.isfinite(filled).all(), f"{name}: left gaps, or values that are not finite")
    known = ~np.isnan(table)
    require(
        filled[known].tobytes() == table[known].tobytes(), f"{name}: changed values that are known"
    )
    for column, kind in enumerate(KINDS):
        if kind.levels is not None:
            is_level = np.isin(filled[:, column], np.arange(kind.levels))
            require(is_level.all(), f"{name}: filled column {column} with none of its levels")


def _check_rows(name: str, fitted: FittedImputer, table: np.ndarray, filled: np.ndarray) -> None:
    """Checks that what fills a row is the same in any table."""
    turned = fitted.impute(table[::-1])[::-1]
    _require_close(turned, filled, f"{name}: the order of rows matters")
    for row in (0, len(table) - 1):
        alone = fitted.impute(table[row : row + 1])
        _require_close(
            alone, filled[row : row + 1], f"{name}: what fills a row depends on the other rows"
        )


def _check_units(name: str, imputer: Imputer, table: np.ndarray, filled: np.ndarray) -> None:
    """Checks that numbers in another unit are filled alike."""
    units = np.ones(len(KINDS))
    units[0] = UNIT
    other = imputer.fit(table * units, KINDS).impute(table * units)
    _require_close(other / units, filled, f"{name}: the unit of a column matters")


def _require_close(values: np.ndarray, expected: np.ndarray, message: str) -> None:
    """Raises an AssertionError where a value is off by more than the tolerance."""
    allowed = TOLERANCE * float(np.abs(expected).max())
    require_close(
        torch.from_numpy(values.copy()), torch.from_numpy(expected.copy()), allowed, message
    )
