"""Sparse rows, which hold batches of interactions, and the layers that read and produce them."""

from .deferred import DeferredLinear, Reduction, compute_type
from .layers import Reader, RowsBeside, SparseLinear, Transposed, Uncomputed
from .matmul import sparse_matmul, sparse_update_pays
from .rows import SparseRows
from .sampled import ItemSampler

__all__ = [
    "DeferredLinear",
    "ItemSampler",
    "Reader",
    "Reduction",
    "RowsBeside",
    "SparseLinear",
    "SparseRows",
    "Transposed",
    "Uncomputed",
    "compute_type",
    "sparse_matmul",
    "sparse_update_pays",
]
