"""Sections on tables and vectors: each column of the data beside samples from the model."""

import numpy as np

from ...data import Dataset, Examples
from ...evaluation.statistics import column_distances
from ...run import Run
from ..figures import levels, marginals, matrix, pixels
from ..findings.dense import DenseFindings
from ..records import Kind, Picture, Section, Table
from ..text import column_names, format_number, format_significant, shorten
from .bound import measured
from .given import conditions
from .latent import health, space
from .levels import hierarchy, label

HISTOGRAM_COLUMNS = 12
"""At most this many columns have a histogram."""


LISTED_COLUMNS = 50
"""The table has at most this many columns of the data."""


MATRIX_COLUMNS = 200
"""The matrices of correlations have at most this many columns of the data."""


LIKELIHOOD_COLUMNS = 24
"""At most this many columns have a bar of their log-likelihood."""


UNLIKELY_EXAMPLES = 10
"""The table of the least likely examples has at most this many rows."""


BLAMED_COLUMNS = 3
"""This many columns are named that make an example unlikely."""


GLANCE_EXAMPLES = 1000
"""A glance at a model in training draws at most this many examples, and this many samples."""


def _column_names(run: Run) -> list[str]:
    return column_names(run.schema.columns, run.schema.shape[0])


def columns(run: Run, findings: DenseFindings) -> Section | None:
    """Shows marginals and correlations of the data beside those of samples.

    Returns:
        The section, or None for an autoencoder, which has no prior to sample from.
    """
    if not findings.has_bound:
        return None
    names = _column_names(run)
    data = findings.values
    samples = findings.samples
    differences = column_distances(data, samples)
    order = np.argsort(-differences, kind="stable")
    sentence = (
        f"The columns of the samples differ from the data by {differences.mean():.2f} in the mean "
        f"and {differences.max():.2f} at most ({shorten(names[order[0]])}), in the greatest "
        "difference of the distribution functions."
    )
    rows = []
    for i in order[:LISTED_COLUMNS]:
        rows.append(_column_row(names[i], data[:, i], samples[:, i], differences[i]))
    in_matrix = np.sort(order[:MATRIX_COLUMNS])
    matrix_names = [names[i] for i in in_matrix]
    return Section(
        "Columns",
        (sentence,),
        tables=(_column_table(rows, len(names)),),
        pictures=(
            _histograms(findings, names, np.sort(order[:HISTOGRAM_COLUMNS])),
            *_matrices(matrix_names, data[:, in_matrix], samples[:, in_matrix], len(names)),
        ),
    )


def _column_row(
    name: str, data: np.ndarray, samples: np.ndarray, difference: float
) -> tuple[str, ...]:
    return (
        name,
        format_significant(data.mean()),
        format_significant(samples.mean()),
        format_significant(data.std()),
        format_significant(samples.std()),
        format_number(difference, 2),
    )


def _column_table(rows: list[tuple[str, ...]], count: int) -> Table:
    """Makes the table of the columns of the data; `count` says how many there are in all."""
    caption = (
        "Mean and standard deviation in the data and in samples, and the greatest difference of "
        "their distribution functions (Kolmogorov and Smirnov), the greatest first"
    )
    if len(rows) < count:
        caption += f"; {len(rows)} of {count} columns"
    head = ("column", "mean, data", "mean, samples", "s.d., data", "s.d., samples", "difference")
    return Table(head, tuple(rows), f"{caption}.")


def _histograms(findings: DenseFindings, names: list[str], shown: np.ndarray) -> Picture:
    """Draws the marginals of some columns, given by their numbers."""
    data = findings.values[:, shown]
    samples = findings.samples[:, shown]
    shown_names = [names[i] for i in shown]
    which = "All columns"
    if len(shown) < len(names):
        which = f"The {len(shown)} columns of {len(names)} that differ most"
    return Picture(
        "marginals",
        "Columns",
        f"{which}: {findings.mapped_name} (filled) and {len(samples):,} samples from the model "
        "(line).",
        lambda ax: marginals(data, samples, shown_names, ax),
        wide=True,
    )


def _matrices(names: list[str], data: np.ndarray, samples: np.ndarray, count: int) -> list[Picture]:
    """Draws the correlations of columns in the data and in samples, and their difference.

    Args:
        names: the names of the D columns that are shown.
        data: these columns of the data, (N, D).
        samples: these columns of samples, (M, D).
        count: how many columns there are in all.
    """
    if len(names) < 2:
        return []
    caption = "Of the columns."
    if len(names) < count:
        caption = f"Of the {len(names)} columns of {count} that differ most."
    of_data = _correlations(data)
    of_samples = _correlations(samples)
    gap = of_data - of_samples
    distances = np.abs(gap[np.triu_indices(len(names), 1)])
    gap_caption = (
        f"Correlations of the data minus those of samples; {distances.mean():.2f} apart in the "
        f"mean, {distances.max():.2f} at most."
    )
    return [
        Picture(
            "correlations_data",
            "Correlations, data",
            caption,
            lambda ax: matrix(of_data, names, ax),
        ),
        Picture(
            "correlations_samples",
            "Correlations, samples",
            caption,
            lambda ax: matrix(of_samples, names, ax),
        ),
        Picture(
            "correlations_gap",
            "Difference",
            gap_caption,
            lambda ax: matrix(gap, names, ax, label="data − samples", scale=0.5),
        ),
    ]


def _correlations(values: np.ndarray) -> np.ndarray:
    """Returns the correlations of the columns (D, D); 0 where a column is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.corrcoef(values, rowvar=False)
        return np.nan_to_num(np.atleast_2d(correlations))


def likelihoods(run: Run, findings: DenseFindings) -> Section | None:
    """Shows what each column has to the likelihood; None where that does not factorise."""
    terms = findings.by_column
    if terms is None:
        return None
    names = _column_names(run)
    means = terms.mean(0)
    lowest = np.argsort(means, kind="stable")[:LIKELIHOOD_COLUMNS]
    values = {names[i]: float(means[i]) for i in lowest}
    which = "Each column"
    if len(names) > LIKELIHOOD_COLUMNS:
        which = f"The {LIKELIHOOD_COLUMNS} columns of {len(names)} with the lowest"
    picture = Picture(
        "column_likelihood",
        "Log-likelihood term",
        f"{which}: the mean of log p(x | z) over {len(terms):,} {findings.split} examples, as the "
        "model sees the column.",
        lambda ax: levels(values, "nats", ax, digits=2),
    )
    return Section("Likelihood by column", pictures=(picture,))


def unlikely(run: Run, findings: DenseFindings) -> Section:
    """Lists the examples that the model finds least likely, and the columns that make them so."""
    names = _column_names(run)
    terms = findings.by_column
    numbers = findings.order[:UNLIKELY_EXAMPLES]
    rows = []
    for number, cells in zip(numbers, findings.cells_of(numbers), strict=True):
        source_row = int(findings.examples.rows[number])
        score = float(findings.scores[number])
        blamed = ""
        if terms is not None:
            blamed = _blamed_columns(names, cells, terms[number], means_of_finite(terms))
        rows.append((str(source_row), format_number(score, 1), blamed))
    caption = (
        f"The {findings.split} examples of the lowest {findings.score_name} (nats), by their row "
        "in the source, with the columns that fall furthest below their mean and, in brackets, "
        "what each has to the log-likelihood term."
    )
    if terms is not None and np.isnan(terms).any():
        caption += " A row with gaps has fewer cells to be unlikely in."
    head = ("row", findings.score_name, "columns that stand out")
    return Section("Least likely", tables=(Table(head, tuple(rows), caption, numbers=False),))


def means_of_finite(terms: np.ndarray) -> np.ndarray:
    """Returns the mean of the finite numbers of each column, (D,); NaN where there are none."""
    known = np.isfinite(terms)
    counts = known.sum(0)
    sums = np.where(known, terms, 0).sum(0, dtype=np.float64)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _blamed_columns(
    names: list[str], cells: list[str], terms: np.ndarray, means: np.ndarray
) -> str:
    """Names the columns of an example that make it unlikely.

    Args:
        names: the names of the columns.
        cells: its values, as the source has them.
        terms: the log-likelihood term of each of its columns, (D,); NaN of a gap.
        means: the means of these terms over all examples, (D,), those that are finite.
    """
    worst = np.argsort(terms - means, kind="stable")[:BLAMED_COLUMNS]  # NaN is the last
    entries = []
    for i in worst:
        if np.isnan(terms[i]):
            continue
        term = format_number(float(terms[i]), 1)
        entries.append(f"{names[i]} = {shorten(cells[i])} ({term})")
    return "; ".join(entries)


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Draws columns of validation or training examples beside samples, (H, W, 3) uint8."""
    if not DenseFindings(run).has_bound:
        return {}
    names = _column_names(run)[:HISTOGRAM_COLUMNS]
    split = data.validation or data.train
    assert isinstance(split, Examples)
    examples = split.tensor(slice(0, GLANCE_EXAMPLES)).numpy()
    draws = run.sample(GLANCE_EXAMPLES, mean=False, units="model").numpy()
    values = np.asarray(run.schema.restore(examples))
    samples = np.asarray(run.schema.restore(draws))
    shown = slice(0, len(names))
    figure = marginals(values[:, shown], samples[:, shown], names)
    return {"columns": pixels(figure)}


KIND = Kind(
    measure=DenseFindings,
    parts=(
        measured,
        columns,
        conditions,
        likelihoods,
        hierarchy,
        space,
        label,
        health,
        unlikely,
    ),
    panels=(
        "elbo",
        "objective",
        "marginals",
        "correlations_gap",
        "codes_1",
        "tsne_1",
        "opentsne_1",
        "umap_1",
        "bounds",
    ),
    glance=glance,
)
