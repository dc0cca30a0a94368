"""The laws of baselines: recommenders without a neural network."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from ..baselines import Baseline, Scorer
from ..sparse import SparseRows
from .spec import require, require_close

TOLERANCE = 1e-4
"""The most by which a score may depend on the other users of its batch: float32 sums differ."""


def make_interactions(users: int = 40, items: int = 12, seed: int = 0) -> csr_matrix:
    """Draws a matrix of interactions (users, items) float32; its last user has none."""
    likes = np.random.default_rng(seed).random((users, items)) < 0.3
    likes[-1] = False
    return csr_matrix(likes.astype(np.float32))


def check_baseline(baseline: Baseline, *, seed: int = 0) -> None:
    """Checks a baseline on a small matrix of interactions (users, items).

    The laws: scores are finite float32 numbers (B, I), also of a user without a history; each call
    gives a new tensor; two fits to the same matrix give the same scores; neither the matrix nor the
    histories are changed; the scores of a user depend on no other user of the batch, nor on the
    order of users. The order of the users of the training matrix may matter: factors may start at
    random numbers, one after the other.

    Raises:
        AssertionError: says which law was broken.
    """
    name = type(baseline).__name__
    matrix = make_interactions(seed=seed)
    before = matrix.copy()
    scorer = baseline.fit(matrix)
    require(_is_same(matrix, before), f"{name}: fit changed its matrix")
    _check_scores(name, scorer, matrix[-9:])
    _check_order(name, scorer, matrix[-9:])
    scores = scorer(SparseRows.of(matrix))
    fitted_again = baseline.fit(matrix)(SparseRows.of(matrix))
    require(torch.equal(scores, fitted_again), f"{name}: two fits to the same matrix differ")


def _is_same(matrix: csr_matrix, before: csr_matrix) -> bool:
    """Says whether a matrix stores the same entries in the same places, in the same type."""
    for array in ("data", "indices", "indptr"):
        if not np.array_equal(getattr(matrix, array), getattr(before, array)):
            return False
    return matrix.dtype == before.dtype and matrix.shape == before.shape


def _check_scores(name: str, scorer: Scorer, histories: csr_matrix) -> None:
    """Checks shape, type and values of scores, and that no two calls share them."""
    rows = SparseRows.of(histories)
    before = rows.dense()
    scores = scorer(rows)
    require(
        scores.shape == histories.shape and scores.dtype == torch.float32,
        f"{name}: gave scores {tuple(scores.shape)} of {scores.dtype}, wanted {histories.shape} "
        "of torch.float32",
    )
    require(scores.isfinite().all(), f"{name}: gave scores that are not finite")
    require(torch.equal(rows.dense(), before), f"{name}: scoring changed the histories")
    kept = scores.clone()
    scores.fill_(torch.nan)
    again = scorer(rows)
    require(again.isfinite().all(), f"{name}: two calls give the same tensor, not a new one each")
    require(torch.equal(again, kept), f"{name}: two calls with the same histories differ")


def _check_order(name: str, scorer: Scorer, histories: csr_matrix) -> None:
    """Checks that the scores of a user are the same in any batch."""
    scores = scorer(SparseRows.of(histories))
    turned = scorer(SparseRows.of(histories[::-1]))
    require_close(turned.flip(0), scores, TOLERANCE, f"{name}: the order of users matters")
    alone = scorer(SparseRows.of(histories[:1]))
    require_close(
        alone, scores[:1], TOLERANCE, f"{name}: the scores of a user depend on others in the batch"
    )
