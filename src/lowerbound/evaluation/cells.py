"""The log-likelihood of single cells of a table with columns of several kinds, in nats.

That of a cell is E_q[log p(x_d | z)], a mean over draws of the posterior. Over the observed cells
of a row they sum to its term of the bound: they say where the likelihood of a row comes from.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from ..data import Examples
from ..model import VAE
from ..model.observed import cells_log_prob
from .batches import chunk_size, chunks, evaluating

CELL_DRAWS = 10
"""Draws of z for the log-likelihood of a cell."""


class ColumnLikelihood(NamedTuple):
    """The mean log-likelihood of the observed cells of a column.

    Attributes:
        column: its name.
        log_likelihood_term: the mean over the rows in which it is observed, in nats: in the units
            of the data where the column has a density; nan without such rows.
        standard_error: of the mean over the rows; nan for fewer than two rows.
        observed: the number of these rows.
    """

    column: str
    log_likelihood_term: float
    standard_error: float
    observed: int


def cells_of(
    model: VAE,
    examples: Examples,
    *,
    draws: int = CELL_DRAWS,
    seed: int = 0,
    shares_noise: bool = False,
) -> Iterator[np.ndarray]:
    """Yields the log-likelihoods of the cells of some rows after the others, (B, D) float64.

    A gap has nan. The random stream is one of its own until the last rows are read.

    Args:
        model: put in evaluation mode for the while.
        examples: rows of a table with columns of several kinds.
        draws: of z for each row.
        seed: of the draws.
        shares_noise: whether all rows have the same noise, see `evaluating`.
    """
    size = max(1, chunk_size(model) // draws)
    with evaluating(model, seed, shares_noise):
        for batch in chunks(model, examples, size):
            p = model.decode(model.infer(batch, draws).context, batch.given)
            cells = cells_log_prob(p, batch).double().mean(0)
            assert batch.observed is not None
            yield torch.where(batch.observed, cells, torch.nan).cpu().numpy()


def column_likelihoods(
    model: VAE, examples: Examples, *, draws: int = CELL_DRAWS, seed: int = 0
) -> tuple[ColumnLikelihood, ...]:
    """Measures the mean log-likelihood of each column of a table; the arguments are those of
    `cells_of`.
    """
    width = len(examples.schema.table)
    observed = np.zeros(width, np.int64)
    mean = np.zeros(width)
    squares = np.zeros(width)
    for cells in cells_of(model, examples, draws=draws, seed=seed):
        is_observed = ~np.isnan(cells)
        count = is_observed.sum(0)
        total = observed + count
        sums = np.where(is_observed, cells, 0).sum(0)
        found = sums / np.maximum(count, 1)
        deviations = np.where(is_observed, cells - found, 0)
        # The sums of squares of two parts and of their means (Chan et al. 1983).
        between = (found - mean) ** 2 * observed * count / np.maximum(total, 1)
        squares = squares + (deviations**2).sum(0) + between
        mean = mean + (found - mean) * count / np.maximum(total, 1)
        observed = total
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(observed > 0, mean, np.nan)
        variance = np.where(observed > 1, squares / (observed - 1), np.nan)
        errors = np.sqrt(variance / observed)
    found_columns = []
    for position, column in enumerate(examples.schema.table):
        found_columns.append(
            ColumnLikelihood(
                column.name,
                float(mean[position]),
                float(errors[position]),
                int(observed[position]),
            )
        )
    return tuple(found_columns)
