"""Interactions as SciPy matrices: rows are users, columns are items, values are weights."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError

if TYPE_CHECKING:
    from polars import DataFrame
    from scipy.sparse import csr_matrix


def matrix_frame(matrix: Any) -> "DataFrame":
    """Makes a frame with the columns user, item and weight of a SciPy matrix of users x items.

    Raises:
        ValueError: its weights are no real numbers, or its offsets lead out of it.
    """
    import polars

    if matrix.dtype.kind == "c":
        raise ValueError("its weights are complex numbers")
    by_rows: Any = matrix.tocsr(copy=True)
    by_rows.check_format(full_check=True)
    by_rows.sum_duplicates()
    by_rows.eliminate_zeros()
    entries = by_rows.tocoo()
    weights = entries.data
    if weights.dtype == np.bool_:
        weights = weights.astype(np.uint8)
    return polars.DataFrame({"user": entries.row, "item": entries.col, "weight": weights})


def check_matrix(matrix: Any, ids: np.ndarray, binary: bool) -> "csr_matrix":
    """Checks a SciPy matrix of the weights of n users, and makes it float32.

    One column for each item of the catalogue stands in its order. Of a matrix of another width, as
    of one that a run was fitted to whose empty columns are no items, the items are the numbers of
    their columns; what others hold is left out.

    Args:
        matrix: the weights, of any SciPy format and type.
        ids: the ids of the items of the catalogue, (I,).
        binary: whether every interaction must count 1.

    Returns:
        A CSR matrix (n, I) whose columns ascend within a row, none twice.

    Raises:
        DataError: it has another width than the catalogue, or a weight that no interaction has.
    """
    from scipy.sparse import csr_matrix

    if matrix.dtype.kind not in "buif":
        raise DataError(f"weights of a history must be real numbers, got {matrix.dtype}")
    if matrix.shape[1] != len(ids):
        matrix = _columns_of_items(matrix, ids)
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


def _columns_of_items(matrix: Any, ids: np.ndarray) -> Any:
    """Takes the columns of a wider matrix whose numbers are the ids of the items.

    Raises:
        DataError: the ids are no numbers of its columns.
    """
    width = matrix.shape[1]
    if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= width:
        raise DataError(
            f"histories must have one column for each of the {len(ids)} items, got {width}"
        )
    return matrix.tocsc()[:, ids]
