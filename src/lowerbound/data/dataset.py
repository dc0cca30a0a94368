"""Splits of examples, held whole as the source gave them, and cut into float batches."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError, DataError, unknown
from .interactions.history import Items
from .prepare import chunks, span
from .schema import Schema

BINARISED_ROWS = 256
"""Source rows that share one random stream in a fixed binarisation."""


SPLITS = ("train", "validation", "test", "all")


@dataclass(frozen=True, eq=False)
class Examples:
    """One split. All splits of a set share one array; a split is the rows of it.

    Attributes:
        schema: what the batches look like.
        values: (N, *shape), the whole source, in its own type: uint8 stays uint8, a memory map
        stays one.
        rows: (n,) position of each example in the source.
        labels: (n,) or None.
        levels: of the source's values (before any binarisation); None for real numbers.
        draw: binarisation: "none", anew by the key of each batch ("keyed"), or once by `seed`
        ("fixed").
        seed: of the draws.
    """

    schema: Schema
    values: np.ndarray
    rows: np.ndarray
    labels: np.ndarray | None = None
    levels: int | None = None
    draw: Literal["none", "keyed", "fixed"] = "none"
    seed: int = 0

    def __len__(self) -> int:
        """Number of examples in this split."""
        return len(self.rows)

    def batch(self, index: Tensor | np.ndarray | slice, key: int = 0) -> Tensor:
        """The examples at `index` as float32 (B, *shape).

        `key` seeds the draw of a dynamic binarisation: the same key and index give the same batch,
        another key another.
        """
        at = index if isinstance(index, slice) else np.atleast_1d(np.asarray(index))
        return torch.from_numpy(np.ascontiguousarray(self._cut(at, key), dtype=np.float32))

    def _cut(self, index: np.ndarray | slice, key: int) -> np.ndarray:
        if self.draw == "fixed":
            return self._bits[index]
        rows = self.rows[index]
        if self.draw == "none" or not len(rows):
            return self._scaled(rows)
        # The first row is part of the seed, so that two batches of one step never share their
        # noise.
        noise = np.random.default_rng([self.seed, int(key) % 2**64, int(rows[0])])
        return noise.random((len(rows), *self.schema.shape), dtype=np.float32) < self._scaled(rows)

    def _scaled(self, rows: np.ndarray) -> np.ndarray:
        """Source rows as the model sees them, before any binarisation."""
        return self.schema.scaled(self.values[rows], self.levels)

    @cached_property
    def _bits(self) -> np.ndarray:
        """The fixed binarisation (n, *shape) bool: an example's bits depend on the seed and its
        source row alone.
        """
        bits = np.empty((len(self), *self.schema.shape), bool)
        order = np.argsort(self.rows, kind="stable")
        blocks, starts = np.unique(self.rows[order] // BINARISED_ROWS, return_index=True)
        for block, here in zip(blocks, np.split(order, starts[1:]), strict=bool(len(blocks))):
            noise = np.random.default_rng([self.seed, int(block)]).random(
                (BINARISED_ROWS, *self.schema.shape), np.float32
            )
            rows = self.rows[here]
            bits[here] = noise[rows % BINARISED_ROWS] < self._scaled(rows)
        return bits

    def span(self) -> tuple[float, float]:
        """The least and the greatest value of this split, as the model sees them."""
        if self.draw != "none" or not len(self):
            return 0.0, 1.0
        low, high = (self.schema.scaled(edge, self.levels) for edge in span(self.values, self.rows))
        return float(np.min(low)), float(np.max(high))

    def mean(self) -> np.ndarray:
        """The mean of the examples as the model sees them, (*shape) float32; of drawn pixels, of
        their probabilities.
        """
        sums = [
            self._scaled(self.rows[s : s + BINARISED_ROWS]).sum(0, dtype=np.float64)
            for s in range(0, len(self), BINARISED_ROWS)
        ]
        return np.asarray(np.sum(sums, axis=0) / len(self), np.float32)

    def take(self, index: Tensor | np.ndarray | slice) -> "Examples":
        """The subset at `index`, in that order, over the same array."""
        at = index if isinstance(index, slice) else np.atleast_1d(np.asarray(index))
        return replace(
            self, rows=self.rows[at], labels=None if self.labels is None else self.labels[at]
        )

    def digest(self) -> str:
        """The sha256 of the whole source's raw values, whatever the split."""
        digest = hashlib.sha256(f"{self.values.dtype.str} {self.values.shape}".encode())
        for _, piece in chunks(self.values):
            digest.update(np.ascontiguousarray(piece).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Dataset:
    """A source, opened: its schema and its splits (None where a split is empty). `whole` is every
    example in order.

    Of a source of interactions the splits are of class `History`, which is used as `Examples` are;
    `items` is the catalogue that their columns stand for, and `facts` are the counts of what was
    read, dropped and kept.
    """

    name: str
    schema: Schema
    train: Examples
    validation: Examples | None
    test: Examples | None
    whole: Examples
    source: str
    seed: int
    items: Items | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def split(self, name: str) -> Examples:
        """The split "train", "validation", "test", or "all": every example in the source's own
        order, train part first.

        ConfigError for another name, DataError for a split without examples.
        """
        if name not in SPLITS:
            raise ConfigError(unknown("split", name, SPLITS))
        found = self.whole if name == "all" else getattr(self, name)
        if found is not None and found.draw == "keyed":
            return replace(
                found, draw="fixed"
            )  # what is measured has one draw, whatever the size of the batches
        if found is None:
            filled = ", ".join(s for s in SPLITS[:3] if getattr(self, s) is not None)
            raise DataError(
                f"{self.name} has no {name} split (data.{name} gave it no examples); it has: "
                f"{filled}, all"
            )
        return found

    def fingerprint(self) -> dict[str, Any]:
        """What tells whether two runs saw the same data: a digest of the raw values, the split
        sizes and the seed.

        Of interactions, the digest covers the catalogue and what each split holds too.
        """
        sizes = {name: len(getattr(self, name) or ()) for name in SPLITS[:3]}
        size = (
            {"interactions": self.facts["kept"], "items": len(self.items)}
            if self.items is not None
            else {}
        )
        return {"source": self.source, "sha256": self._digest, **sizes, "seed": self.seed, **size}

    @cached_property
    def _digest(self) -> str:
        if self.items is None:
            return self.whole.digest()
        parts = [getattr(self, name) for name in SPLITS[:3]]
        digests = [
            self.items.digest(),
            *("" if part is None else part.digest() for part in (self.whole, *parts)),
        ]
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()
