"""Checks of the histories that a user of `Recommender` gives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Histories:
    """The histories of n users.

    Attributes:
        users: (n,) the users' own ids.
        matrix: (n, I) float32, the weights of their items.
    """

    users: np.ndarray
    matrix: "csr_matrix"


def check_matrix(matrix: Any, width: int, binary: bool) -> "csr_matrix":
    """Checks a SciPy matrix of weights, (n, width), and makes it float32.

    Args:
        matrix: the weights, of any SciPy format and type.
        width: the number of items of the catalogue.
        binary: whether every interaction must count 1.

    Returns:
        A CSR matrix whose columns ascend within a row, none twice.

    Raises:
        DataError: it has another width than the catalogue, or a weight that no interaction has.
    """
    from scipy.sparse import csr_matrix

    if matrix.dtype.kind not in "buif":
        raise DataError(f"weights of a history must be real numbers, got {matrix.dtype}")
    if matrix.shape[1] != width:
        raise DataError(
            f"histories must have one column for each of the {width} items, got {matrix.shape[1]}"
        )
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        matrix = csr_matrix(matrix, dtype=np.float32)
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
    weights = matrix.data
    is_valid = np.isfinite(weights) & (weights > 0)
    if not is_valid.all():
        got = weights[~is_valid][0]
        raise DataError(f"weights of a history must be numbers above 0, got {got:g}")
    if binary and (weights != 1).any():
        got = weights[weights != 1][0]
        raise DataError(
            f"this run was fitted to interactions that count 1 each, got a weight of {got:g}; "
            "leave weights out"
        )
    return matrix


def items_and_weights(history: Any) -> tuple[list[Any], list[float]]:
    """Returns the items and the weights of one history; without weights every item counts 1.

    Raises:
        DataError: it is neither a list of items nor a mapping of items to weights.
    """
    if isinstance(history, str):
        raise DataError(
            f"a history is a list of items, got the text {history!r}; write [{history!r}]"
        )
    if not isinstance(history, Iterable):
        raise DataError(f"a history is a list of items, got {type(history).__name__}")
    items = list(history)
    if isinstance(history, Mapping):
        return items, list(history.values())
    return items, [1.0] * len(items)
