"""The area under the ROC curve of the scores of each user."""

import numpy as np
import torch
from torch import Tensor

from ...sparse import SparseRows


def areas(scores: Tensor, seen: SparseRows | None, targets: SparseRows) -> Tensor:
    """Measures for each user the probability that a target is scored above another item that may be
    recommended and is no target; equal scores count a half.

    A target that the user has seen can be recommended to nobody: it counts as one below all others.

    Args:
        scores: of all items, (B, I), minus infinity for those seen.
        seen: what may not be recommended, (B, I); None where everything may.
        targets: what was to be found, (B, I).

    Returns:
        (B,) float64, nan of a user without a target, and where all that may be recommended are
        targets.
    """
    table = scores.float().cpu().numpy()
    offsets = targets.offsets.tolist()
    columns = targets.columns.numpy()
    available = np.full(len(table), table.shape[1])
    if seen is not None:
        available -= seen.counts.cpu().numpy()
    is_above = np.empty(table.shape[1], bool)
    found = np.full(len(table), np.nan)
    for row, items in enumerate(table):
        wanted = columns[offsets[row] : offsets[row + 1]]
        if len(wanted):
            found[row] = _area(items, items[wanted], int(available[row]), is_above)
    return torch.from_numpy(found)


def _area(items: np.ndarray, wanted: np.ndarray, available: int, is_above: np.ndarray) -> float:
    """Measures the area for one user.

    Each target is compared with all items at once, which takes less time than sorting them while
    there are a dozen targets.

    Args:
        items: the scores of all items, (I,).
        wanted: those of the targets, (n,).
        available: the number of items that may be recommended.
        is_above: memory that is written to, (I,).
    """
    targets = wanted[wanted > -np.inf]
    others = available - len(targets)
    if others == 0:
        return np.nan
    worse = 0.0
    for value in targets:
        above = np.count_nonzero(np.greater(items, value, out=is_above))
        equal = np.count_nonzero(np.equal(items, value, out=is_above))
        worse += available - above - equal / 2
    # Pairs of targets are no comparisons with others: of each two, one is worse, or each is half.
    worse -= len(targets) ** 2 / 2
    return worse / (len(wanted) * others)
