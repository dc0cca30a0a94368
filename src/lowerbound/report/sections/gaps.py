"""Sections on the gaps of a table, and on what a model fills hidden cells with."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...columns import NUMBERS
from ...evaluation.columns import gap_pairs
from ...run import Run
from ..figures import dumbbells, gap_map, scatters
from ..figures.tables import SCATTERS_IN_A_ROW
from ..findings.table import HIDDEN_DRAWS, HIDDEN_SHARE, HiddenCells, TableFindings
from ..records import Picture, Section, Table
from ..text import format_estimate, format_number, format_share, shorten

MAPPED_ROWS = 300
"""The map of gaps has at most this many rows."""

MAPPED_COLUMNS = 60
"""The map of gaps has at most this many columns."""

LISTED_PAIRS = 10
"""At most this many pairs of gaps that come together are listed."""

LEAST_CORRELATION = 0.1
"""Gaps whose correlation is smaller than this are not listed as coming together."""

SCATTERED_COLUMNS = 12
"""At most this many columns of numbers have a picture of what their cells were filled with."""

DRAWN_ERRORS = 24
"""A picture of errors has at most this many columns."""


@dataclass(frozen=True)
class Errors:
    """A picture of the errors of filled cells of some columns.

    Attributes:
        name: of the picture.
        title: of the picture.
        kinds: of the columns.
        measure: what the error is, see `imputation.errors.MEASURES`.
        constant: the one value that all gaps of a column are filled with.
    """

    name: str
    title: str
    kinds: tuple[str, ...]
    measure: str
    constant: str


OF_NUMBERS = Errors(
    "imputation_numbers",
    "Errors of numbers",
    NUMBERS,
    "root mean squared error / range of the training values",
    "mean",
)

OF_ORDERED = Errors(
    "imputation_ordered",
    "Errors of levels with an order",
    ("ordinal",),
    "mean absolute error / number of levels",
    "mode",
)

OF_LEVELS = Errors(
    "imputation_levels",
    "Errors of levels",
    ("categorical", "binary"),
    "share of wrong levels",
    "mode",
)


def gaps(run: Run, findings: TableFindings) -> Section | None:
    """Shows which cells are missing, and which gaps come together; None where there are none."""
    observed = ~np.isnan(findings.values)
    if observed.all():
        return None
    missing = (~observed).mean(0)
    with_gaps = int((missing > 0).sum())
    sentence = (
        f"{format_share(1 - observed.mean())} of the cells of {findings.mapped_name} are gaps: "
        f"{format_share((~observed).any(1).mean())} of the rows and {with_gaps} of "
        f"{len(findings.columns)} columns have some. The likelihood is that of the observed cells: "
        "that a cell is missing is taken to tell nothing of its value."
    )
    return Section(
        "Gaps",
        (sentence,),
        tables=_pair_tables(findings, observed),
        pictures=(_gap_picture(findings, observed, missing),),
    )


def _gap_picture(findings: TableFindings, observed: np.ndarray, missing: np.ndarray) -> Picture:
    """Draws the gaps of some rows, drawn at random; of a wide table the columns with most gaps."""
    rows = np.random.default_rng(0).permutation(len(observed))[:MAPPED_ROWS]
    shown = np.sort(np.argsort(-missing, kind="stable")[:MAPPED_COLUMNS])
    part = observed[np.sort(rows)][:, shown]
    names = [findings.columns[position].name for position in shown]
    which = "all columns, in their order"
    if len(shown) < len(missing):
        which = f"the {len(shown)} columns of {len(missing)} with most gaps, in their order"
    return Picture(
        "gaps",
        "Gaps",
        f"Gaps (dark) of {len(part):,} rows, drawn at random, in their order, and {which}; above, "
        f"the share of each column that is missing in {findings.mapped_name}.",
        lambda ax: gap_map(part, names, ax, shares=missing[shown]),
        wide=True,
    )


def _pair_tables(findings: TableFindings, observed: np.ndarray) -> tuple[Table, ...]:
    """Lists the pairs of columns whose gaps come together most."""
    shares = (~observed).mean(0)
    rows = []
    for pair in gap_pairs(observed)[:LISTED_PAIRS]:
        if abs(pair.correlation) < LEAST_CORRELATION:
            continue
        first = findings.columns[pair.first].name
        second = findings.columns[pair.second].name
        rows.append(
            (
                f"{shorten(first)} and {shorten(second)}",
                f"{format_share(shares[pair.first])} and {format_share(shares[pair.second])}",
                format_share(pair.both),
                format_number(pair.correlation, 2),
            )
        )
    if not rows:
        return ()
    caption = (
        "Gaps that come together or keep apart: the share of rows that lack either and both, and "
        "the correlation of the gaps, the strongest first."
    )
    return (Table(("columns", "gaps", "both", "correlation"), tuple(rows), caption),)


def imputations(run: Run, findings: TableFindings) -> Section | None:
    """Shows what the model fills cells with that were hidden from it, beside the truth.

    Returns:
        The section, or None for a single column, or for an autoencoder.
    """
    if not findings.has_bound or len(findings.columns) < 2:
        return None
    hidden = findings.hidden
    if not hidden.count:
        return None
    effective = float(np.nanmedian(hidden.effective))
    rows = "these rows"
    if findings.is_own:
        rows = "the training rows"
    sentence = (
        f"{format_share(HIDDEN_SHARE)} of the observed cells of {len(hidden.truth):,} "
        f"{findings.split} examples were hidden at random ({hidden.count:,} cells), and filled by "
        f"the model from the others: with means of numbers and the most probable levels, by "
        f"{HIDDEN_DRAWS} weighted draws of z for each row (effective: median {effective:.1f}). "
        "Beside them stands one value for all gaps of a column: the mean, or the most frequent "
        f"level, of {rows}."
    )
    pictures = [_scatter_picture(findings)]
    pictures += [_error_picture(hidden, errors) for errors in (OF_NUMBERS, OF_ORDERED, OF_LEVELS)]
    return Section(
        "Imputation",
        (sentence, _compare_errors(hidden)),
        pictures=tuple(picture for picture in pictures if picture is not None),
        commands=(
            "# with more draws, and beside other methods",
            f"lowerbound evaluate {shlex.quote(run.folder.resolve().name)} --hide {HIDDEN_SHARE}",
        ),
    )


def _compare_errors(hidden: HiddenCells) -> str:
    """Says how large the error is in the mean over the columns."""
    model = hidden.model.mean()
    constant = hidden.constant.mean()
    difference = hidden.model.difference(hidden.constant)
    return (
        f"The mean error of the columns is {format_estimate(model, 3)}; with one value it is "
        f"{format_estimate(constant, 3)} (difference {format_estimate(difference, 3, sign=True)})."
    )


def _columns_of_kinds(hidden: HiddenCells, kinds: Sequence[str]) -> list[int]:
    """Returns the positions of the columns of some kinds of which a cell was hidden."""
    known = ~np.isnan(hidden.truth).all(0)
    positions = []
    for position, column in enumerate(hidden.columns):
        if known[position] and column.kind in kinds:
            positions.append(position)
    return positions


def _scatter_picture(findings: TableFindings) -> Picture | None:
    """Draws filled numbers against the truth."""
    hidden = findings.hidden
    positions = _columns_of_kinds(hidden, NUMBERS)
    if not positions:
        return None
    shown = positions[:SCATTERED_COLUMNS]
    columns = [hidden.columns[position] for position in shown]
    which = "columns"
    if len(shown) < len(positions):
        which = f"first {len(shown)} columns of {len(positions)}"

    def draw(ax: Axes | None) -> Figure:
        some = shown
        if ax is not None:
            some = shown[:SCATTERS_IN_A_ROW]
        imputed = hidden.model.imputed[:, some]
        return scatters(columns[: len(some)], hidden.truth[:, some], imputed, ax)

    return Picture(
        "imputed_numbers",
        "Filled numbers",
        f"The {which} of numbers: the hidden value (to the right) and what it was filled with "
        "(up); on the line both are equal. What is beyond the range of the truth is drawn at its "
        "edge.",
        draw,
        wide=True,
    )


def _error_picture(hidden: HiddenCells, errors: Errors) -> Picture | None:
    """Draws the errors of the columns of some kinds, beside those of one value for each."""
    positions = _columns_of_kinds(hidden, errors.kinds)
    if not positions:
        return None
    of_model = hidden.model.by_column()
    of_constant = hidden.constant.by_column()
    names = [hidden.columns[position].name for position in positions]
    names.sort(key=lambda name: -of_model[name].value)
    shown = names[:DRAWN_ERRORS]
    series = {
        "model": [of_model[name].value for name in shown],
        errors.constant: [of_constant[name].value for name in shown],
    }
    caption = "Of the hidden cells of each column, the largest errors first."
    if len(shown) < len(names):
        caption = f"The {len(shown)} columns of {len(names)} with the largest errors."
    return Picture(
        errors.name, errors.title, caption, partial(dumbbells, shown, series, errors.measure)
    )
