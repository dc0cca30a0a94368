"""The protocol of splits: what rows of a source offer to those who train on, measure or write them.

`Examples` (dense) and `History` (users) implement it. Where the two differ, the split itself
answers, so that nobody has to ask which of the two one is.
"""

from abc import ABC, abstractmethod
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from .schema import Schema

Draw = Literal["none", "keyed", "fixed", "alike"]
"""How values are drawn from the probabilities of a source, see `Split`."""

Index = Tensor | np.ndarray | slice
"""Positions of rows within a split."""


class Split(ABC):
    """A part of a source: rows that come in float batches.

    Attributes:
        schema: what the batches look like.
        rows: (n,) position of each row in the whole source.
        labels: (n,) the label of each row, or None.
        levels: number of grey levels of the source's values, or None for real numbers.
        draw: how values are drawn from the source's probabilities: "none"; anew by the key of each
            batch ("keyed"); once ("fixed"); once, and every row by the same noise ("alike").
    """

    schema: Schema
    rows: np.ndarray
    labels: np.ndarray | None
    levels: int | None
    draw: Draw

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.rows)

    @abstractmethod
    def batch(self, index: Index, key: int = 0) -> Any:
        """Returns the rows at `index` as float32 (B, *shape); `key` seeds what is drawn.

        They come as a `Tensor`, or as `SparseRows` where the rows are users.
        """

    @abstractmethod
    def take(self, index: Index) -> Self:
        """Returns the subset at `index`, in that order."""

    @abstractmethod
    def span(self) -> tuple[float, float]:
        """Returns the least and the greatest value of this split, as the model sees them."""

    @abstractmethod
    def mean(self) -> np.ndarray:
        """Returns the mean of the rows as the model sees them, (*shape) float32."""

    @abstractmethod
    def digest(self) -> str:
        """Returns the sha256 that tells whether two splits are of the same data."""

    @abstractmethod
    def holds_same_rows(self, other: "Split") -> bool:
        """Says whether another split holds the same rows of its source, in the same order."""

    @abstractmethod
    def names_of_rows(self) -> dict[str, Any]:
        """Returns the columns that name the rows in a table, by column name."""

    def drawn_once(self) -> "Split":
        """Returns the split as it is measured: with one draw, whatever the size of the batches."""
        return self

    def drawn_alike(self) -> "Split":
        """Returns the split with the same noise for every row, so that what is drawn of a row is a
        function of this row alone.
        """
        return self

    def seen_by(self, other: "Split") -> "Split":
        """Returns these rows as the run of `other` sees them, if `other` holds the same rows."""
        return other

    def hashes(self, schema: Schema) -> list[int]:
        """Hashes each row as a model of `schema` sees it, before any draw.

        Returns:
            One number for each row. The list is empty where rows are not told apart by their
            values, as users are not.
        """
        return []

    def counts(self, index: Index) -> Tensor | None:
        """Returns the number of entries of each sparse row at `index`, (B,); None if dense."""
        return None

    def seen(self, index: Index) -> Tensor | None:
        """Returns the columns that the sparse rows at `index` have, each once; None if dense."""
        return None

    @abstractmethod
    def lacks_targets(self) -> bool:
        """Says whether these are users of whom nothing was held out, to be found."""


def positions(index: Index) -> np.ndarray | slice:
    """Returns the index as NumPy takes it, so that one row keeps its axis."""
    if isinstance(index, slice):
        return index
    return np.atleast_1d(np.asarray(index))


def float_tensor(values: np.ndarray) -> Tensor:
    """Returns the values as a float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
