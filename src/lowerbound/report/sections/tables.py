"""Sections on tables and vectors: each column of the data beside samples from the model."""

import numpy as np

from ...data import Dataset
from ...evaluation.statistics import kolmogorov_smirnov
from ...run import Run
from ..figures import levels, marginals, matrix, pixels, short
from ..findings.dense import DenseFindings
from ..records import Kind, Picture, Section, Table
from ..text import figure
from .bound import measured
from .latent import health, space

PANELS = 12
"""Columns whose histograms are shown."""


LISTED, MATRIX = 50, 200
"""Columns in the table, and in the matrices."""


ROWS, BLAMED = 10, 3
"""Examples in the table of the least likely, and columns named for each."""


def _names(look: DenseFindings) -> list[str]:
    return list(look.run.schema.columns) or [
        f"value {i + 1}" for i in range(look.run.schema.shape[0])
    ]


def _correlations(values: np.ndarray) -> np.ndarray:
    """Correlations of the columns (D, D); 0 where a column is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.atleast_2d(np.corrcoef(values, rowvar=False)))


def columns(run: Run, look: DenseFindings) -> Section | None:
    """Marginals and correlations of the data beside those of samples. An autoencoder has no prior
    to sample from.
    """
    if not look.has_bound:
        return None
    names, data, drawn = _names(look), look.values, look.samples
    apart = np.array([kolmogorov_smirnov(data[:, i], drawn[:, i]) for i in range(len(names))])
    order = np.argsort(-apart, kind="stable")
    worst = f"The columns of the samples differ from the data by {apart.mean():.2f} in the mean and {apart.max():.2f} at most"
    sentence = f"{worst} ({short(names[order[0]])}), in the greatest difference of the distribution functions."
    table = _table(
        [_row(names[i], data[:, i], drawn[:, i], apart[i]) for i in order[:LISTED]], len(names)
    )
    pictures = (
        _panels(look, names, np.sort(order[:PANELS])),
        *_matrices(names, data, drawn, np.sort(order[:MATRIX])),
    )
    return Section("Columns", (sentence,), tables=(table,), pictures=pictures)


def _panels(look: DenseFindings, names: list[str], some: np.ndarray) -> Picture:
    """Histograms of some columns."""
    data, drawn = look.values[:, some], look.samples[:, some]
    which = (
        "All columns"
        if len(names) == len(some)
        else f"The {len(some)} columns of {len(names)} that differ most"
    )
    told = f"{which}: {look.crowd_name} (filled) and {len(drawn):,} samples from the model (line)."
    return Picture(
        "marginals",
        "Columns",
        told,
        lambda ax: marginals(data, drawn, [names[i] for i in some], ax),
        wide=True,
    )


def _table(rows: list[tuple[str, ...]], count: int) -> Table:
    caption = (
        "Mean and standard deviation in the data and in samples, and the greatest difference of "
        "their distribution functions "
        "(Kolmogorov and Smirnov), the greatest first"
    )
    rest = f"; {len(rows)} of {count} columns." if len(rows) < count else "."
    return Table(
        ("column", "mean, data", "mean, samples", "s.d., data", "s.d., samples", "difference"),
        tuple(rows),
        caption + rest,
    )


def _row(name: str, data: np.ndarray, drawn: np.ndarray, distance: float) -> tuple[str, ...]:
    numbers = (data.mean(), drawn.mean(), data.std(), drawn.std())
    return (name, *(f"{v:,.4g}".replace("-", "−") for v in numbers), figure(distance, 2))


def _matrices(
    names: list[str], data: np.ndarray, drawn: np.ndarray, kept: np.ndarray
) -> list[Picture]:
    if len(names) < 2:
        return []
    which = (
        "Of the columns."
        if len(kept) == len(names)
        else f"Of the {len(kept)} columns of {len(names)} that differ most."
    )
    names, first, second = (
        [names[i] for i in kept],
        _correlations(data[:, kept]),
        _correlations(drawn[:, kept]),
    )
    gap = first - second
    off = np.abs(gap[np.triu_indices(len(names), 1)])
    told = f"Correlations of the data minus those of samples; {off.mean():.2f} apart in the mean, {off.max():.2f} at most."
    return [
        Picture(
            "correlations_data", "Correlations, data", which, lambda ax: matrix(first, names, ax)
        ),
        Picture(
            "correlations_samples",
            "Correlations, samples",
            which,
            lambda ax: matrix(second, names, ax),
        ),
        Picture(
            "correlations_gap",
            "Difference",
            told,
            lambda ax: matrix(gap, names, ax, label="data − samples", scale=0.5),
        ),
    ]


def likelihoods(run: Run, look: DenseFindings) -> Section | None:
    """What each column has to the likelihood."""
    if look.by_column is None:
        return None
    names, means = _names(look), look.by_column.mean(0)
    order = np.argsort(means, kind="stable")[:24]
    which = "Each column" if len(names) <= 24 else f"The 24 columns of {len(names)} with the lowest"
    told = f"{which}: the mean of log p(x | z) over {len(look.by_column):,} {look.split} examples, as the model sees the column."
    values = {names[i]: float(means[i]) for i in order}
    draw = lambda ax: levels(values, "nats", ax, digits=2)  # noqa: E731
    return Section(
        "Likelihood by column",
        pictures=(Picture("column_likelihood", "Log-likelihood term", told, draw),),
    )


def _blamed(names: list[str], example: np.ndarray, terms: np.ndarray, usual: np.ndarray) -> str:
    """The columns of an example whose log-likelihood terms fall furthest below what is usual."""
    worst = np.argsort(terms - usual, kind="stable")[:BLAMED]
    return "; ".join(f"{names[i]} = {example[i]:.4g} ({figure(float(terms[i]), 1)})" for i in worst)


def unlikely(run: Run, look: DenseFindings) -> Section:
    """The examples that the model finds least likely, and the columns that make them so."""
    rows = look.order[:ROWS]
    names, each, values = (
        _names(look),
        look.by_column,
        np.asarray(run.schema.restore(look.examples.batch(rows).numpy())),
    )
    entries = []
    for row, example in zip(rows, values, strict=True):
        told = "" if each is None else _blamed(names, example, each[row], each.mean(0))
        entries.append(
            (str(int(look.examples.rows[row])), figure(float(look.scores[row]), 1), told)
        )
    caption = (
        f"The {look.split} examples of the lowest {look.score_name} (nats), by their row in the "
        "source, with the columns that "
        "fall furthest below their mean and, in brackets, what each has to the log-likelihood term."
    )
    table = Table(
        ("row", look.score_name, "columns that stand out"), tuple(entries), caption, numbers=False
    )
    return Section("Least likely", tables=(table,))


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Columns of validation or training examples beside samples, (H, W, 3) uint8."""
    look = DenseFindings(run)
    if not look.has_bound:
        return {}
    names = _names(look)[:PANELS]
    values = np.asarray(
        run.schema.restore((data.validation or data.train).batch(slice(0, 1000)).numpy())
    )
    drawn = np.asarray(run.schema.restore(run.sample(1000, mean=False).numpy()))
    return {"columns": pixels(marginals(values[:, : len(names)], drawn[:, : len(names)], names))}


KIND = Kind(
    DenseFindings,
    (measured, columns, likelihoods, space, health, unlikely),
    (
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
    glance,
)
