"""Recommenders whose scores are linear in the history: EASE, the graph filter, ELSA.

A `LinearBaseline` fits a `LinearScorer`: s(x) = x B + x R'R + x L Q', of which a method has the
terms that it needs. So whatever keeps, exports or ranks by linear scores knows this one class.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from scipy.sparse import csr_matrix, diags_array
from torch import Tensor

from ..errors import ConfigError, DataError
from ..sparse import SparseRows, sparse_matmul
from ..specs.checked import checked
from ..specs.registry import part
from ..system.machine import refuse_beyond_available
from .base import Baseline

BLOCK_ROWS = 1024
"""This many rows of an (items, items) matrix are worked on at a time."""


@dataclass(frozen=True, eq=False)
class LinearScorer:
    """A scorer s(x) = x B + x R'R + x L Q'; a term that is None is left out.

    Each row of the scores depends on its own history alone, to the last bit, but for the term of L
    and Q.

    Attributes:
        table: B (I, I); entry (i, j) is what an item i in the history adds to the score of item j.
        shared: R (U, I), sparse: what the training users have, in weights.
        left: L (I, f).
        right: Q (I, f).
    """

    table: Tensor | None = field(default=None, repr=False)
    shared: csr_matrix | None = field(default=None, repr=False)
    left: Tensor | None = field(default=None, repr=False)
    right: Tensor | None = field(default=None, repr=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "LinearScorer":
        """Returns the scorer itself: nothing of it is ever written to."""
        return self

    def __call__(self, history: SparseRows) -> Tensor:
        """Returns the scores (B, I), on the CPU."""
        history = history.to("cpu")
        scores = self.full(history)
        if self.right is not None:
            scores.addmm_(self.reduced(history), self.right.T)
        return scores

    def full(self, history: SparseRows) -> Tensor:
        """Returns the scores without the term of L and Q, (B, I) float32."""
        if self.shared is not None:
            scores = self._through_users(history)
            if self.table is not None:
                scores.add_(history.times(self.table))
            return scores
        if self.table is not None:
            return history.times(self.table)
        return torch.zeros(history.shape)

    def reduced(self, history: SparseRows) -> Tensor:
        """Returns x L, (B, f) float32."""
        assert self.left is not None
        return history.times(self.left)

    def _through_users(self, history: SparseRows) -> Tensor:
        """Returns x R'R, (B, I): SciPy adds up each row alone, and goes over what is there only."""
        rows = csr_matrix(
            (history.values.numpy(), history.columns.numpy(), history.offsets.numpy()),
            shape=(len(history), history.width),
        )
        users = rows @ self._by_item
        product = users @ self.shared
        return torch.from_numpy(product.toarray())

    @cached_property
    def _by_item(self) -> csr_matrix:
        """R' (I, U), by rows."""
        assert self.shared is not None
        return self.shared.T.tocsr()

    def folded(self) -> "LinearScorer":
        """Returns the same scorer with R'R as a part of B, which takes 4 I^2 bytes."""
        if self.shared is None:
            return self
        table = (self._by_item @ self.shared).toarray()
        if self.table is not None:
            table += self.table.numpy()
        return LinearScorer(torch.from_numpy(table), left=self.left, right=self.right)

    def tensors(self) -> dict[str, Tensor]:
        """Returns all that the scorer holds, by name, see `of_tensors`."""
        tensors: dict[str, Tensor] = {}
        for name in ("table", "left", "right"):
            tensor = getattr(self, name)
            if tensor is not None:
                tensors[name] = tensor
        if self.shared is not None:
            tensors["shared.offsets"] = torch.from_numpy(self.shared.indptr.astype(np.int64))
            tensors["shared.columns"] = torch.from_numpy(self.shared.indices.astype(np.int32))
            tensors["shared.values"] = torch.from_numpy(self.shared.data)
        return tensors

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], items: int) -> "LinearScorer":
        """Makes a scorer of what `tensors` returned.

        Args:
            tensors: by name.
            items: I.

        Raises:
            DataError: they are none of a scorer of so many items.
        """
        given = dict(tensors)
        table = _taken(given, "table", (items, items))
        left = _taken(given, "left", (items, None))
        right = _taken(given, "right", (items, None))
        shared = _shared_of(given, items)
        if given:
            raise DataError(f"no part of a linear scorer is called {next(iter(given))!r}")
        if (left is None) != (right is None) or (
            left is not None and right is not None and left.shape != right.shape
        ):
            raise DataError("left and right of a linear scorer must have one shape")
        return cls(table, shared, left, right)


def _taken(tensors: dict[str, Tensor], name: str, shape: tuple[int | None, ...]) -> Tensor | None:
    """Takes a tensor out of others; None where it is not there.

    Raises:
        DataError: it is not of finite float32 numbers, or of another shape; None is any size.
    """
    tensor = tensors.pop(name, None)
    if tensor is None:
        return None
    fits = tensor.dim() == len(shape)
    for size, wanted in zip(tensor.shape, shape, strict=False):
        if wanted is not None and size != wanted:
            fits = False
    if not fits or tensor.dtype != torch.float32 or not bool(torch.isfinite(tensor).all()):
        raise DataError(
            f"{name} of a linear scorer must be finite float32 numbers of the shape {shape}, got "
            f"{tensor.dtype} {tuple(tensor.shape)}"
        )
    return tensor


def _shared_of(tensors: dict[str, Tensor], items: int) -> csr_matrix | None:
    """Takes the sparse matrix R (U, I) out of tensors; None where it is not there.

    Raises:
        DataError: they are no sparse matrix of so many columns.
    """
    names = ("shared.offsets", "shared.columns", "shared.values")
    if not any(name in tensors for name in names):
        return None
    try:
        offsets, columns, values = (tensors.pop(name) for name in names)
    except KeyError as error:
        raise DataError(f"a linear scorer lacks {error.args[0]}") from None
    kinds = (offsets.dtype, columns.dtype, values.dtype)
    users = len(offsets) - 1
    try:
        if kinds != (torch.int64, torch.int32, torch.float32) or users < 0:
            raise ValueError(f"types {kinds}")
        shared = csr_matrix(
            (values.numpy(), columns.numpy(), offsets.numpy()), shape=(users, items), copy=False
        )
        shared.check_format(full_check=True)
        if not np.isfinite(shared.data).all():
            raise ValueError("a value that is not finite")
    except (ValueError, IndexError) as error:
        raise DataError(f"shared of a linear scorer is no sparse matrix: {error}") from None
    return shared


class LinearBaseline(Baseline):
    """A method that fits a scorer which is linear in the history."""

    @abstractmethod
    def fit(self, matrix: csr_matrix) -> LinearScorer:
        """Fits the scorer to the training matrix (n, I)."""

    @abstractmethod
    def memory(self, users: int, items: int) -> int:
        """Returns the peak memory of a fit in bytes, without the training matrix."""


@checked
class Ease(LinearBaseline):
    """A linear autoencoder with no self-loop, in closed form (Steck 2019, "Embarrassingly Shallow
    Autoencoders", eq. 8).

    B = -P / diag(P) with a zero diagonal, where P = (X'X + l2 I)^-1. It is computed in float32, in
    one array of 4 I^2 bytes, with about 2 I^3 operations.

    Attributes:
        l2: weight of the penalty on B, above 0; choose it on validation data (200 to 1000 for large
            sets).
        most_items: refuses larger catalogues, over which it would take long; None takes any that
            there is memory for.
    """

    l2: Annotated[float, Field(gt=0)] = 500.0
    most_items: Annotated[int, Field(ge=1)] | None = None

    def memory(self, users: int, items: int) -> int:
        """Returns the peak memory of a fit in bytes, without the training matrix."""
        table = 4 * items**2
        blocks = 3 * 8 * items * min(items, BLOCK_ROWS)
        return table + blocks

    def fit(self, matrix: csr_matrix) -> LinearScorer:
        """Computes B from the training matrix.

        Raises:
            ConfigError: there are more than `most_items`, the memory is not available, or `l2` is
                too small for float32.
        """
        x = csr_matrix(matrix, dtype=np.float32)
        items = x.shape[1]
        if self.most_items is not None and items > self.most_items:
            raise ConfigError(f"EASE over {items:,} items, more than most_items={self.most_items}")
        refuse_beyond_available(self.memory(*x.shape), f"EASE over {items:,} items")
        table = _gram(x, self.l2)
        _invert(table)
        diagonal = table.diagonal().copy()
        for start in range(0, items, BLOCK_ROWS):
            table[start : start + BLOCK_ROWS] /= -diagonal
        np.fill_diagonal(table, 0)
        return LinearScorer(torch.from_numpy(table))


def _gram(x: csr_matrix, l2: float) -> np.ndarray:
    """Computes X'X + l2 I, dense (I, I) float32, from sparse products of blocks of rows."""
    items = x.shape[1]
    transposed = x.T.tocsr()
    gram = np.empty((items, items), dtype=np.float32)
    for start in range(0, items, BLOCK_ROWS):
        stop = start + BLOCK_ROWS
        product = transposed[start:stop] @ x
        product.toarray(out=gram[start:stop])
    gram.flat[:: items + 1] += l2
    return gram


def _invert(gram: np.ndarray) -> None:
    """Inverts a symmetric positive definite (I, I) float32 matrix in place, by its Cholesky factor.

    LAPACK reads the transpose, which is the same matrix in LAPACK's order of columns. So no copy is
    made.

    Raises:
        ConfigError: the matrix is not positive definite in float32.
    """
    from scipy.linalg import lapack  # imported where used: it takes a third of a second

    factor, failed = lapack.spotrf(gram.T, lower=1, overwrite_a=1, clean=0)
    if not failed:
        inverse, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ConfigError("X'X + l2 I cannot be inverted in float32; take a larger l2")
    if not np.shares_memory(inverse, gram):
        gram.T[...] = inverse
    _mirror(gram)


def _mirror(matrix: np.ndarray) -> None:
    """Copies the upper triangle onto the lower one, in place, a block at a time."""
    size = len(matrix)
    for start in range(0, size, BLOCK_ROWS):
        stop = start + BLOCK_ROWS
        block = matrix[start:stop, start:stop]
        upper = np.triu(block)
        strictly_upper = np.triu(block, 1)
        block[...] = upper + strictly_upper.T
        for next_start in range(stop, size, BLOCK_ROWS):
            next_stop = next_start + BLOCK_ROWS
            right_block = matrix[start:stop, next_start:next_stop]
            matrix[next_start:next_stop, start:stop] = right_block.T


@checked
class GraphFilter(LinearBaseline):
    """A filter on the graph of users and items, in closed form: GF-CF (Shen et al. 2021, "How
    Powerful is Graph Convolution for Recommendation?", eq. 12 and 13).

    s(x) = x (R'R + scale D^-1/2 V V' D^1/2), where R = U^-e X D^-1/2 divided by its largest
    singular value, U and D are the sums of the training matrix X over items and over users, and V
    has the right singular vectors of R with the largest singular values. The first term is the
    neighbourhood, the second the global low-pass filter. Nothing of the size (items, items) is
    made.

    The paper has e = 1/2, where the largest singular value is 1. A smaller e gives users with long
    histories more to say; measured on validation data of Gowalla, e = 0.3 is far better.

    Attributes:
        rank: number of singular vectors; as many as there are where there are fewer.
        scale: weight of the low-pass filter; choose it on validation data.
        user_exponent: e; choose it on validation data.
        iterations: power iterations of the randomised decomposition (Halko et al. 2011).
        seed: seed of the decomposition.
    """

    rank: Annotated[int, Field(ge=1)] = 256
    scale: Annotated[float, Field(ge=0)] = 0.3
    user_exponent: Annotated[float, Field(ge=0, le=1)] = 0.5
    iterations: Annotated[int, Field(ge=1)] = 8
    seed: Annotated[int, Field(ge=0)] = 0

    def memory(self, users: int, items: int) -> int:
        """Returns the peak memory of a fit in bytes, without the training matrix."""
        return 4 * 5 * self.rank * (users + items)

    def fit(self, matrix: csr_matrix) -> LinearScorer:
        """Normalises the training matrix, and finds its singular vectors.

        Raises:
            ConfigError: a weight of the matrix is negative, or the memory is not available.
        """
        x = csr_matrix(matrix, dtype=np.float32)
        if x.nnz and x.data.min() < 0:
            raise ConfigError(
                "GraphFilter needs interactions whose weights are not negative, got "
                f"{float(x.data.min()):g}; data.interactions.threshold or binary=true"
            )
        refuse_beyond_available(self.memory(*x.shape), f"GraphFilter of rank {self.rank}")
        of_users = np.asarray(x.sum(1), dtype=np.float64).ravel()
        of_items = np.asarray(x.sum(0), dtype=np.float64).ravel()
        by_users = diags_array(_inverse_power(of_users, self.user_exponent))
        by_items = diags_array(_inverse_power(of_items, 0.5))
        shared = csr_matrix(by_users @ x @ by_items, dtype=np.float32)
        largest, vectors = self._decompose(shared)
        shared.data /= np.float32(largest or 1)
        left = vectors * (self.scale * _inverse_power(of_items, 0.5))[:, None]
        right = vectors * np.sqrt(of_items)[:, None]
        return LinearScorer(
            shared=shared,
            left=torch.from_numpy(left.astype(np.float32)),
            right=torch.from_numpy(right.astype(np.float32)),
        )

    def _decompose(self, shared: csr_matrix) -> tuple[float, np.ndarray]:
        """Returns the largest singular value, and the right singular vectors of the largest ones,
        (I, rank).
        """
        from sklearn.utils.extmath import randomized_svd  # imported where used: it takes a while

        rank = min(self.rank, *shared.shape)
        _, values, vectors = randomized_svd(
            shared, rank, n_oversamples=20, n_iter=self.iterations, random_state=self.seed
        )
        return float(values[0]), np.asarray(vectors.T)


def _inverse_power(sums: np.ndarray, exponent: float) -> np.ndarray:
    """Returns sum^-exponent of each sum, and 0 where the sum is 0."""
    positive = np.where(sums > 0, sums, 1.0)
    return np.where(sums > 0, positive**-exponent, 0.0)


@checked
class Elsa(LinearBaseline):
    """A linear autoencoder of low rank for any number of items (Vancura et al. 2022, "Scalable
    Linear Shallow Autoencoder for Collaborative Filtering").

    s(x) = x A A' - x, where the rows of A have unit length, so that the diagonal is zero. A is
    trained on the distance between x and s(x), both divided by their lengths. This distance is
    2 - 2 cos(x, s(x)), and with h = x A both <x, s(x)> = |h|^2 - |x|^2 and |s(x)|^2 = h A'A h' -
    2 |h|^2 + |x|^2, so that no array of users x items is made. (The published code cuts s(x) off
    at 0, which would need one.)

    Attributes:
        factors: f, columns of A.
        epochs: passes over the users.
        batch_size: users in a step.
        learning_rate: step size of Adam.
        seed: seed of the first A and of the order of the users.
    """

    factors: Annotated[int, Field(ge=1)] = 256
    epochs: Annotated[int, Field(ge=1)] = 20
    batch_size: Annotated[int, Field(ge=1)] = 1024
    learning_rate: Annotated[float, Field(gt=0)] = 0.01
    seed: Annotated[int, Field(ge=0)] = 0

    def memory(self, users: int, items: int) -> int:
        """Returns the peak memory of a fit in bytes, without the training matrix."""
        return 4 * 6 * self.factors * items

    def fit(self, matrix: csr_matrix) -> LinearScorer:
        """Trains A by gradient steps.

        Raises:
            ConfigError: the memory is not available.
        """
        x = csr_matrix(matrix, dtype=np.float32)
        x = x[np.diff(x.indptr) > 0]
        refuse_beyond_available(self.memory(*x.shape), f"ELSA with {self.factors} factors")
        generator = torch.Generator().manual_seed(self.seed)
        start = torch.randn(x.shape[1], self.factors, generator=generator)
        weight = F.normalize(start).requires_grad_()
        optimizer = torch.optim.Adam([weight], lr=self.learning_rate)
        with torch.enable_grad():
            for _ in range(self.epochs):
                order = torch.randperm(x.shape[0], generator=generator).numpy()
                for first in range(0, len(order), self.batch_size):
                    batch = SparseRows.of(x[order[first : first + self.batch_size]])
                    optimizer.zero_grad(set_to_none=True)
                    _distance(batch, F.normalize(weight)).backward()
                    optimizer.step()
        factors = F.normalize(weight.detach())
        return LinearScorer(left=factors, right=factors)


def _distance(x: SparseRows, factors: Tensor) -> Tensor:
    """Computes the mean over users of |x/|x| - s(x)/|s(x)||^2 with s(x) = x A A' - x, see `Elsa`.

    Args:
        x: (B, I).
        factors: A (I, f), rows of unit length.
    """
    h = sparse_matmul(x, factors)
    of_history = x.with_values(x.values.square()).sums()
    of_codes = h.square().sum(1)
    product = of_codes - of_history
    of_scores = ((h @ (factors.T @ factors)) * h).sum(1) - 2 * of_codes + of_history
    tiny = torch.finfo(torch.float32).tiny
    lengths = (of_history * of_scores.clamp(min=0)).clamp(min=tiny).sqrt()
    return (2 - 2 * product / lengths).mean()


AnyLinear = Annotated[LinearBaseline, part(__name__, LinearBaseline)]
"""The type of a field of a recipe that holds a linear method."""
