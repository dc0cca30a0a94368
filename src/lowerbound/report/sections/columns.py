"""Sections on tables with columns of several kinds and with gaps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...columns import ColumnSchema
from ...data import Dataset, Examples
from ...data.frames import to_texts
from ...run import Run
from ..figures import (
    association_gaps,
    associations_matrix,
    column_marginals,
    levels,
    pixels,
)
from ..findings.table import TableFindings
from ..records import Kind, Picture, Section, Table
from ..text import format_number, format_share, shorten
from .bound import measured
from .gaps import gaps, imputations
from .given import conditions
from .latent import health, space
from .levels import hierarchy
from .summaries import summarise
from .tables import GLANCE_EXAMPLES, means_of_finite, unlikely

DRAWN_COLUMNS = 24
"""At most this many columns are drawn beside samples."""

GLANCED_COLUMNS = 6
"""The overview, and a glance at a model in training, draw at most this many columns."""

LISTED_COLUMNS = 50
"""The table has at most this many columns of the data."""

ASSOCIATED_COLUMNS = 40
"""The associations of at most this many columns are measured and drawn."""

LIKELIHOOD_COLUMNS = 24
"""At most this many columns have a bar of their log-likelihood."""


@dataclass(frozen=True)
class Bars:
    """A picture of the log-likelihood of some columns.

    Attributes:
        name: of the picture.
        title: of the picture.
        of_densities: whether it is of the columns that have densities.
        note: what must be known of it.
    """

    name: str
    title: str
    of_densities: bool
    note: str


PROBABILITIES = Bars(
    "column_probabilities",
    "Probabilities",
    False,
    "The log-probability of counts and levels; 0 is the best that there is.",
)

DENSITIES = Bars(
    "column_densities",
    "Densities",
    True,
    "The log-density of numbers and dates: it depends on the unit of the column, so that columns "
    "are not compared by it. An atom has a probability instead.",
)


# Columns beside samples --------------------------------------------------------------------------


def columns(run: Run, findings: TableFindings) -> Section | None:
    """Shows the columns of the data beside those of samples, by their kinds.

    Returns:
        The section, or None for an autoencoder, which has no prior to sample from.
    """
    if not findings.has_bound:
        return None
    distances = findings.distances
    order = _worst_first(distances)
    known = distances[np.isfinite(distances)]
    sentences = []
    if len(known):
        worst = findings.columns[order[0]].name
        sentences.append(
            f"The columns of the samples differ from the data by {known.mean():.2f} in the mean "
            f"and {known.max():.2f} at most ({shorten(worst)}): of numbers the greatest difference "
            "of the distribution functions (Kolmogorov and Smirnov), of levels half the sum of the "
            "differences of their shares (total variation)."
        )
    return Section(
        "Columns",
        tuple(sentences),
        tables=(_column_table(findings, order[:LISTED_COLUMNS]),),
        pictures=(_marginals(findings, order),),
    )


def _worst_first(distances: np.ndarray) -> np.ndarray:
    """Orders columns by their distances, the greatest first; those without one are the last."""
    return np.argsort(-np.nan_to_num(distances, nan=-1.0), kind="stable")


def _column_table(findings: TableFindings, order: np.ndarray) -> Table:
    """Makes the table of the columns, in this order."""
    gaps = np.isnan(findings.values).mean(0)
    rows = []
    for position in order:
        column = findings.columns[position]
        data = findings.values[:, position]
        rows.append(
            (
                column.name,
                column.kind,
                _tell_values(column),
                format_share(gaps[position]),
                summarise(column, data, data),
                summarise(column, findings.samples[:, position], data),
                format_number(findings.distances[position], 3),
            )
        )
    caption = (
        f"Of {findings.mapped_name}, and {len(findings.samples):,} samples from the model: of "
        "numbers mean ± standard deviation, of levels the share of the level that most of these "
        "rows have; the greatest difference first"
    )
    if len(order) < len(findings.columns):
        caption += f"; {len(order)} of {len(findings.columns)} columns"
    head = ("column", "kind", "values", "gaps", "data", "samples", "difference")
    return Table(head, tuple(rows), f"{caption}.")


def _tell_values(column: ColumnSchema) -> str:
    """Says which values a column has in the training rows."""
    if column.levels:
        count = len(column.levels)
        if count == 1:
            return f"1 level: {shorten(column.levels[0], 20)}"
        if count <= 3:
            return ", ".join(shorten(level, 14) for level in column.levels)
        return f"{count} levels"
    low, high = to_texts(column, np.array([column.low, column.high]))
    told = f"{shorten(low, 20)} to {shorten(high, 20)}"
    if not column.atoms:
        return told
    if len(column.atoms) == 1:
        (atom,) = to_texts(column, np.array(column.atoms))
        return f"{told}; {format_share(sum(column.shares))} are {atom}"
    return f"{told}; {format_share(sum(column.shares))} on {len(column.atoms)} numbers"


def _marginals(findings: TableFindings, order: np.ndarray) -> Picture:
    """Draws the columns that differ most, in the order of the table; on the overview fewer."""
    count = len(findings.columns)
    which = "All columns"
    if count > DRAWN_COLUMNS:
        which = f"The {DRAWN_COLUMNS} columns of {count} that differ most"

    def draw(ax: Axes | None) -> Figure:
        most = DRAWN_COLUMNS
        if ax is not None:
            most = GLANCED_COLUMNS
        return draw_columns(
            findings.columns, findings.values, findings.samples, np.sort(order[:most]), ax
        )

    return Picture(
        "marginals",
        "Columns",
        f"{which}: observed cells of {findings.mapped_name} (filled) and of "
        f"{len(findings.samples):,} samples from the model (line). Numbers that many rows share "
        "stand at the left, with their share of the data; what lies far beyond the data piles up "
        "at the ends.",
        draw,
        wide=True,
    )


def draw_columns(
    columns: Sequence[ColumnSchema],
    data: np.ndarray,
    samples: np.ndarray,
    shown: np.ndarray,
    ax: Axes | None = None,
) -> Figure:
    """Draws some columns of two tables (N, D) and (M, D), given by their positions."""
    some = [columns[position] for position in shown]
    return column_marginals(some, data[:, shown], samples[:, shown], ax)


# Associations ------------------------------------------------------------------------------------


def together(run: Run, findings: TableFindings) -> Section | None:
    """Shows how pairs of columns hang together in the data and in samples.

    Returns:
        The section, or None for a single column, or for an autoencoder.
    """
    count = len(findings.columns)
    if not findings.has_bound or count < 2:
        return None
    shown = np.sort(_worst_first(findings.distances)[:ASSOCIATED_COLUMNS])
    of_data, of_samples = findings.associations(shown)
    names = [findings.columns[position].name for position in shown]
    which = "of all columns"
    if len(shown) < count:
        which = f"of the {len(shown)} columns of {count} that differ most"
    sentence = (
        f"How pairs {which} hang together, over the rows that have both: the correlation of "
        "numbers (from −1 to 1), Cramer's V of levels (with the correction of Bergsma) and the "
        "correlation ratio of numbers and levels (with that of Kelley; both from 0 to 1)."
    )
    sentences = [sentence]
    above = np.triu_indices(len(shown), 1)
    if np.isfinite((of_data - of_samples)[above]).any():
        sentences.append(_how_far_apart(of_data, of_samples, names))

    def draw(ax: Axes | None) -> Figure:
        if ax is not None:
            return association_gaps(of_data - of_samples, names, ax)
        return associations_matrix(of_data, of_samples, names)

    picture = Picture(
        "associations",
        "Associations",
        f"Of {findings.mapped_name} and {len(findings.samples):,} samples. Grey: the diagonal, and "
        "pairs that no row has.",
        draw,
        wide=True,
    )
    return Section("Associations", tuple(sentences), pictures=(picture,))


def _how_far_apart(of_data: np.ndarray, of_samples: np.ndarray, names: Sequence[str]) -> str:
    """Says how far the associations (D, D) of data and samples are apart, one at least finite."""
    above = np.triu_indices(len(names), 1)
    apart = np.abs(of_data - of_samples)[above]
    furthest = np.nanargmax(apart)
    first, second = (int(places[furthest]) for places in above)
    return (
        f"Data and samples are {np.nanmean(apart):.2f} apart in the mean, and "
        f"{np.nanmax(apart):.2f} at most ({shorten(names[first])} and "
        f"{shorten(names[second])}: {of_data[first, second]:.2f} in the data, "
        f"{of_samples[first, second]:.2f} in samples)."
    )


# Likelihood --------------------------------------------------------------------------------------


def likelihoods(run: Run, findings: TableFindings) -> Section | None:
    """Shows what the observed cells of each column have to the likelihood, in the units of the
    data: densities and probabilities apart.

    Returns:
        The section, or None where the table would be too large.
    """
    terms = findings.by_column
    if terms is None:
        return None
    means = means_of_finite(terms)
    pictures = []
    for bars in (PROBABILITIES, DENSITIES):
        picture = _likelihood_picture(findings, means, bars)
        if picture is not None:
            pictures.append(picture)
    if not pictures:
        return None
    sentence = (
        f"The mean of log p(x | z) over the observed cells of {len(terms):,} {findings.split} "
        "examples, in nats per cell and in the units of the data; one draw of z for each."
    )
    return Section(
        "Likelihood by column",
        (sentence,),
        _impossible_cells(findings, terms),
        pictures=tuple(pictures),
    )


def _impossible_cells(findings: TableFindings, terms: np.ndarray) -> tuple[str, ...]:
    """Warns of cells that the model finds impossible."""
    counts = np.isneginf(terms).sum(0)
    if not counts.any():
        return ()
    worst = findings.columns[int(counts.argmax())].name
    warning = (
        f"The model finds {counts.sum():,} cells impossible (log p(x | z) is minus infinity), most "
        f"of them of {shorten(worst)}; they are left out of these means."
    )
    return (warning,)


def _likelihood_picture(findings: TableFindings, means: np.ndarray, bars: Bars) -> Picture | None:
    """Draws the mean log-likelihood of a cell of the columns that have it as densities, or as
    probabilities; None where there are none.
    """
    positions = []
    for position, column in enumerate(findings.columns):
        if column.has_density == bars.of_densities and np.isfinite(means[position]):
            positions.append(position)
    if not positions:
        return None
    lowest = sorted(positions, key=lambda position: means[position])[:LIKELIHOOD_COLUMNS]
    values = {findings.columns[i].name: float(means[i]) for i in lowest}
    caption = bars.note
    if len(lowest) < len(positions):
        caption = f"The {len(lowest)} lowest of {len(positions)} columns. {bars.note}"
    return Picture(
        bars.name,
        bars.title,
        caption,
        lambda ax: levels(values, "nats per cell", ax, digits=2),
    )


# A glance ----------------------------------------------------------------------------------------


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Draws columns of validation or training rows beside samples, (H, W, 3) uint8."""
    if not TableFindings(run).has_bound:
        return {}
    split = data.validation or data.train
    assert isinstance(split, Examples)
    values = np.asarray(split.values_at(slice(0, GLANCE_EXAMPLES)), np.float64)
    draws = run.sample(GLANCE_EXAMPLES, mean=False, units="model").double().numpy()
    samples = np.asarray(run.schema.restore(draws))
    shown = np.arange(min(len(run.schema.table), DRAWN_COLUMNS))
    return {"columns": pixels(draw_columns(run.schema.table, values, samples, shown))}


KIND = Kind(
    measure=TableFindings,
    parts=(
        measured,
        columns,
        together,
        conditions,
        gaps,
        imputations,
        likelihoods,
        hierarchy,
        space,
        health,
        unlikely,
    ),
    panels=(
        "elbo",
        "objective",
        "marginals",
        "associations",
        "gaps",
        "codes_1",
        "tsne_1",
        "opentsne_1",
        "umap_1",
        "bounds",
    ),
    glance=glance,
)
