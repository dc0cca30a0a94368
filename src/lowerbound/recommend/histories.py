"""What users had, as it is given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Histories


@dataclass(frozen=True)
class Histories:
    users: np.ndarray
    matrix: "csr_matrix"


def check_matrix(matrix: Any, width: int, binary: bool) -> "csr_matrix":
    """Float32 CSR, columns ascending and none twice.

    Raises:
        DataError: another width than the catalogue's, or a weight that no interaction has.
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
    wrong = ~(np.isfinite(matrix.data) & (matrix.data > 0))
    if wrong.any():
        raise DataError(
            f"weights of a history must be numbers above 0, got {matrix.data[wrong][0]:g}"
        )
    if binary and (matrix.data != 1).any():
        got = matrix.data[matrix.data != 1][0]
        raise DataError(
            f"this run was fitted to interactions that count 1 each, got a weight of {got:g}; "
            "leave weights out"
        )
    return matrix


def items_and_weights(history: Any) -> tuple[list[Any], list[float]]:
    """Items and weights of one history."""
    if isinstance(history, str):
        raise DataError(
            f"a history is a list of items, got the text {history!r}; write [{history!r}]"
        )
    if not isinstance(history, Iterable):
        raise DataError(f"a history is a list of items, got {type(history).__name__}")
    return (
        (list(history), list(history.values()))
        if isinstance(history, Mapping)
        else (list(history), [])
    )
