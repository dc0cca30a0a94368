"""What is measured of the columns of a table in its training rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .schema import TAIL_RANKS, ColumnSchema

QUANTILES = 65
"""So many quantiles of a column are kept: 64 parts with as many values each."""

MOST_SORTED = 200_000
"""Quantiles and atoms are found from at most this many values, drawn at random by a fixed seed."""

LEAST_REPEATED = 20
"""A number is an atom only if so many rows have it."""

ATOM_SHARE = {"real": 0.2, "positive": 0.2, "datetime": 0.2, "count": 0.05}
"""A number is an atom if at least this share of the values of its column are equal to it."""

MOST_ATOMS = 15
"""A column has at most so many atoms, those of the largest shares, unless all its values are."""

MOST_VALUES = 128
"""Counts of at most so many different values are all atoms, where there are enough of each."""

ENOUGH_OF_EACH = 50
"""So many values for each different one are enough, in the mean."""

ROUNDING = 1e-13
"""Deviations of at most this part of the mean are none: they come of its rounding."""


def fit_columns(
    columns: Sequence[ColumnSchema],
    values: np.ndarray,
    rows: np.ndarray,
    *,
    atoms: bool = True,
) -> tuple[ColumnSchema, ...]:
    """Measures the columns of a table.

    Args:
        columns: what is known of the D columns from their source.
        values: (N, D), a gap is NaN.
        rows: those that are measured.
        atoms: whether numbers that many rows share are atoms; else zeros of positive numbers alone
            are, which have no log.

    Returns:
        The columns with their statistics.
    """
    fitted = []
    for position, column in enumerate(columns):
        numbers = np.asarray(values[rows, position], np.float64)
        fitted.append(fit_column(column, numbers[~np.isnan(numbers)], atoms=atoms))
    return tuple(fitted)


def fit_column(column: ColumnSchema, numbers: np.ndarray, *, atoms: bool = True) -> ColumnSchema:
    """Measures one column by its observed training values (n,), of which there is at least one.

    Args:
        column: what is known of it from its source.
        numbers: its values.
        atoms: as `fit_columns` takes it.
    """
    column = replace(
        column,
        low=float(numbers.min()),
        high=float(numbers.max()),
        observed=len(numbers),
    )
    if not column.is_number:
        counts = np.bincount(numbers.astype(np.int64), minlength=len(column.levels))
        return replace(column, shares=_shares(counts, len(numbers)))
    sample = _draw(numbers)
    # What the source says to be an atom is one, though no training row may have it.
    found = np.union1d(_find_atoms(sample, column.kind, atoms), column.atoms)
    column = replace(
        column,
        atoms=tuple(found.tolist()),
        shares=_shares(np.array([(sample == atom).sum() for atom in found]), len(sample)),
    )
    others = _without_atoms(numbers, found, column.kind)
    drawn = _draw(others)
    quantiles = np.quantile(drawn, np.linspace(0, 1, QUANTILES))
    # A sample of a long column may lack its ends.
    quantiles[0] = others.min()
    quantiles[-1] = others.max()
    measured = _measured_values(others, column.kind)
    mean = float(measured.mean())
    scale = float(measured.std())
    # The deviation of equal numbers is what their mean is rounded by.
    if scale <= ROUNDING * abs(mean):
        scale = 1.0
    return replace(
        column,
        mean=mean,
        scale=scale,
        quantiles=tuple(quantiles.tolist()),
        tails=tuple(np.quantile(drawn, TAIL_RANKS).tolist()),
    )


def _without_atoms(numbers: np.ndarray, atoms: np.ndarray, kind: str) -> np.ndarray:
    """Returns the numbers that are no atoms; where all are, those that the kind can measure."""
    others = numbers[~np.isin(numbers, atoms)]
    if len(others):
        return others
    if kind == "positive" and numbers.any():
        return numbers[numbers > 0]
    if kind == "positive":
        return np.ones(1)
    return numbers


def _draw(numbers: np.ndarray) -> np.ndarray:
    """Draws at most `MOST_SORTED` of the numbers."""
    if len(numbers) <= MOST_SORTED:
        return numbers
    return np.random.default_rng(0).choice(numbers, MOST_SORTED, replace=False)


def _measured_values(numbers: np.ndarray, kind: str) -> np.ndarray:
    """Returns what the mean and the deviation of a column of this kind are measured of."""
    if kind == "positive":
        return np.log(numbers)
    if kind == "count":
        return np.log1p(numbers)
    return numbers


def _find_atoms(numbers: np.ndarray, kind: str, wanted: bool) -> np.ndarray:
    """Finds the numbers that are equal in many rows, ascending, if they are wanted.

    Zeros of positive numbers are always an atom: they have no log.
    """
    if not wanted:
        return np.unique(numbers[(numbers == 0) & (kind == "positive")])
    found, counts = np.unique(numbers, return_counts=True)
    if kind == "count" and len(found) <= min(MOST_VALUES, len(numbers) / ENOUGH_OF_EACH):
        return np.asarray(found)
    least = max(LEAST_REPEATED, ATOM_SHARE[kind] * len(numbers))
    is_atom = counts >= least
    if kind == "positive":
        is_atom |= found == 0
    # A column of few numbers may consist of atoms alone, and needs no others.
    most = np.argsort(-counts, kind="stable")[:MOST_ATOMS]
    kept = np.zeros(len(found), bool)
    kept[most] = True
    if kind == "positive":
        kept |= found == 0
    return np.asarray(found[is_atom & kept])


def _shares(counts: np.ndarray, total: int) -> tuple[float, ...]:
    return tuple((counts / total).tolist())
