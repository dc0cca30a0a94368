"""Dense examples, held whole as the source gave them, and a source opened into its splits."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..batch import Batch
from ..errors import ConfigError, DataError, unknown
from .interactions.history import History, Items
from .interactions.holdout import Assigned
from .prepare import chunks, span
from .schema import Schema
from .split import Draw, Index, Split, float_tensor, positions

BINARISED_ROWS = 256
"""Source rows that share one random stream in a fixed binarisation."""

SPLITS = ("train", "validation", "test", "all")
"""The names of the splits that one can ask for."""

PARTS = SPLITS[:3]
"""The splits that a source is cut into."""


@dataclass(frozen=True, eq=False)
class Examples(Split):
    """A split of images, table rows or vectors.

    All splits of a set share one array; a split is the rows of it.

    Attributes:
        schema: what the batches look like.
        values: (N, *shape), the whole source, in its own type: uint8 stays uint8, a memory map
            stays one.
        rows: (n,) position of each example in the source.
        labels: (n,) or None.
        levels: of the source's values (before any binarisation); None for real numbers.
        draw: binarisation: "none", anew by the key of each batch ("keyed"), or once by `seed`:
            each example by its place in the source ("fixed"), or all by the same noise ("alike").
        seed: of the draws.
        hide: cells of a table are hidden anew in each batch, up to this share of them in a row.
        names: what names each row of the whole source, (N,) each, by the names of columns.
        conditions: (n, G) what a conditional model is given of each example, in the values of
            `schema.given`; NaN where it is not known. None where there is nothing.
    """

    schema: Schema
    values: np.ndarray
    rows: np.ndarray
    labels: np.ndarray | None = None
    levels: int | None = None
    draw: Draw = "none"
    seed: int = 0
    hide: float = 0.0
    names: Mapping[str, np.ndarray] = field(default_factory=dict)
    conditions: np.ndarray | None = None

    def __repr__(self) -> str:
        """Returns how many examples there are and what they are, and none of their values."""
        values = "real numbers"
        if self.levels is not None:
            values = f"{self.levels:,} levels"
        kind = self.schema.kind
        return f"Examples({len(self):,} x {self.schema.shape}, kind={kind!r}, {values})"

    def batch(self, index: Index, key: int = 0) -> Any:
        """Returns the examples at `index` as float32 (B, *shape).

        Rows of a table with columns of several kinds are a `Batch` of codes and of which of them
        are observed; examples with conditions are a `Batch` with these. `key` seeds the draw of a
        dynamic binarisation, and of the cells that are hidden: the same key and index give the same
        batch, another key another.
        """
        if self.schema.table:
            batch = self._rows_of_table(self.rows[positions(index)], key)
            return replace(batch, given=self.given(index))
        values = self.tensor(index, key)
        if self.schema.given:
            return Batch(values, self.given(index))
        return values

    def tensor(self, index: Index, key: int = 0) -> Tensor:
        """Returns the values of the examples at `index` alone, as the model sees them."""
        return float_tensor(self._values_at(positions(index), key))

    def given(self, index: Index) -> Tensor | None:
        """Returns the codes of the conditions of the examples at `index`, (B, G); None without."""
        return self.schema.codes_of_conditions(self.conditions, positions(index))

    def conditioned(self, schema: Schema, conditions: np.ndarray) -> "Examples":
        """Returns the same examples with these conditions (n, G), by the schema of a run."""
        return replace(self, schema=schema, conditions=conditions)

    def values_at(self, index: Index) -> np.ndarray:
        """Returns the examples at `index` in the units of the source, (B, *shape)."""
        return np.asarray(self.values[self.rows[positions(index)]])

    def _rows_of_table(self, rows: np.ndarray, key: int) -> Batch:
        """Returns rows of the source, with cells hidden where that is wanted."""
        codes = self.schema.coding.encode(self.values[rows])
        observed = ~np.isnan(codes)
        if self.hide and self.draw == "keyed" and len(rows):
            observed &= ~self._hidden(rows, key)
        codes = np.where(observed, codes, 0)
        return Batch(float_tensor(codes), observed=torch.from_numpy(observed))

    def _hidden(self, rows: np.ndarray, key: int) -> np.ndarray:
        """Draws the cells that are hidden in these rows, (B, D) bool, of half of the rows."""
        generator = self._generator(rows, key)
        shape = (len(rows), *self.schema.shape)
        share = np.maximum(generator.uniform(-self.hide, self.hide, len(rows)), 0)
        return np.asarray(generator.random(shape) < share[:, None])

    def _values_at(self, index: np.ndarray | slice, key: int) -> np.ndarray:
        """Returns the examples at `index` as the model sees them, drawn where they are."""
        if self.draw == "fixed":
            return self._bits[index]
        rows = self.rows[index]
        if self.draw == "none" or not len(rows):
            return self._scaled(rows)
        if self.draw == "alike":
            generator = np.random.default_rng(self.seed)
            return generator.random(self.schema.shape, dtype=np.float32) < self._scaled(rows)
        generator = self._generator(rows, key)
        shape = (len(rows), *self.schema.shape)
        noise = generator.random(shape, dtype=np.float32)
        return noise < self._scaled(rows)

    def _generator(self, rows: np.ndarray, key: int) -> np.random.Generator:
        """Returns what draws the noise of a batch of source rows.

        The first row is part of the seed, so that two batches of one step never share their noise.
        """
        return np.random.default_rng([self.seed, int(key) % 2**64, int(rows[0])])

    def _scaled(self, rows: np.ndarray) -> np.ndarray:
        """Returns source rows as the model sees them, before any binarisation."""
        return self.schema.scaled(self.values[rows], self.levels)

    @cached_property
    def _bits(self) -> np.ndarray:
        """The fixed binarisation, (n, *shape) bool.

        The bits of an example depend on the seed and its source row alone.
        """
        bits = np.empty((len(self), *self.schema.shape), bool)
        if not len(self):
            return bits
        order = np.argsort(self.rows, kind="stable")
        block_of_each = self.rows[order] // BINARISED_ROWS
        blocks, starts = np.unique(block_of_each, return_index=True)
        members = np.split(order, starts[1:])
        shape = (BINARISED_ROWS, *self.schema.shape)
        for block, at in zip(blocks, members, strict=True):
            generator = np.random.default_rng([self.seed, int(block)])
            noise = generator.random(shape, np.float32)
            rows = self.rows[at]
            probabilities = self._scaled(rows)
            bits[at] = noise[rows % BINARISED_ROWS] < probabilities
        return bits

    def span(self) -> tuple[float, float]:
        """Returns the least and the greatest value of this split, as the model sees them.

        What it sees of a table with columns of several kinds may be any real numbers.
        """
        if self.schema.table:
            return -math.inf, math.inf
        if self.draw != "none" or not len(self):
            return 0.0, 1.0
        lowest, highest = span(self.values, self.rows)
        low = self.schema.scaled(lowest, self.levels)
        high = self.schema.scaled(highest, self.levels)
        return float(low.min()), float(high.max())

    def mean(self) -> np.ndarray:
        """Returns the mean of the examples as the model sees them, (*shape) float32.

        Of drawn pixels it is the mean of their probabilities.
        """
        sums = []
        for start in range(0, len(self), BINARISED_ROWS):
            rows = self.rows[start : start + BINARISED_ROWS]
            block = self._scaled(rows)
            sums.append(block.sum(0, dtype=np.float64))
        mean = np.sum(sums, axis=0) / len(self)
        return np.asarray(mean, np.float32)

    def take(self, index: Index) -> "Examples":
        """Returns the subset at `index`, in that order, over the same array."""
        at = positions(index)
        labels = self.labels
        if labels is not None:
            labels = labels[at]
        conditions = self.conditions
        if conditions is not None:
            conditions = conditions[at]
        return replace(self, rows=self.rows[at], labels=labels, conditions=conditions)

    def digest(self) -> str:
        """Returns the sha256 of the whole source's raw values, whatever the split, and of the
        conditions of these rows.
        """
        header = f"{self.values.dtype.str} {self.values.shape}"
        for column in self.schema.table:
            header += f" {column.name!r} {column.kind} {column.levels}"
        digest = hashlib.sha256(header.encode())
        for _, piece in chunks(self.values):
            contiguous = np.ascontiguousarray(piece)
            digest.update(contiguous.tobytes())
        self.schema.add_conditions(digest, self.conditions)
        return digest.hexdigest()

    def drawn_once(self) -> "Examples":
        """Returns the split with a fixed binarisation where each batch would be drawn anew."""
        if self.draw == "keyed":
            return replace(self, draw="fixed")
        return self

    def drawn_alike(self) -> "Examples":
        """Returns the split with a binarisation by the same noise for every example."""
        if self.draw == "none" or self.schema.table:
            return self
        return replace(self, draw="alike")

    def holds_same_rows(self, other: Split) -> bool:
        """Says whether `other` holds the same values of its source, in the same order."""
        if not isinstance(other, Examples):
            return False
        if len(self) != len(other) or self.levels != other.levels:
            return False
        if self.values.dtype != other.values.dtype:
            return False
        our_pieces = chunks(self.values, self.rows)
        their_pieces = chunks(other.values, other.rows)
        for (_, ours), (_, theirs) in zip(our_pieces, their_pieces, strict=True):
            if not np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
                return False
        return True

    def seen_by(self, other: Split) -> "Examples":
        """Returns these examples standardised, or binarised, as the run of `other` has them.

        Where pixels are drawn, they are drawn by the seed of this split. The conditions are those
        of the other run.
        """
        conditions = None
        if isinstance(other, Examples):
            conditions = other.conditions
        return replace(self, schema=other.schema, draw=other.draw, conditions=conditions)

    def hashes(self, schema: Schema) -> list[int]:
        """Hashes each example as a model of `schema` sees it, before any binarisation."""
        numbers = []
        for _, piece in chunks(self.values, self.rows):
            scaled = schema.scaled(piece, self.levels)
            for x in np.ascontiguousarray(scaled, np.float32):
                numbers.append(hash(x.tobytes()))
        return numbers

    def lacks_targets(self) -> bool:
        """Says no: of examples nothing is to be found."""
        return False

    def names_of_rows(self) -> dict[str, Any]:
        """Returns the columns `row`, the position in the source, what the source names its rows by
        (such as `file`), and `label` where there are labels.
        """
        columns = {"row": self.rows}
        for name, values in self.names.items():
            columns[name] = values[self.rows]
        if self.labels is not None:
            columns["label"] = self.labels
        return columns


@dataclass(frozen=True, eq=False)
class Dataset:
    """A source, opened: its schema and its splits.

    Attributes:
        name: of the source, in messages.
        schema: what a model must know of the data.
        train: the training split.
        validation: the validation split, or None if it is empty.
        test: the test split, or None if it is empty.
        whole: every row in the source's own order.
        source: what was opened.
        seed: of the splits.
        items: the catalogue that the columns of interactions stand for; None for dense examples.
        facts: counts of what was read, dropped and kept of interactions.
        notes: sentences on how the source was read and what was left out.
        assigned: of interactions, what belongs to which split.
    """

    name: str
    schema: Schema
    train: Split
    validation: Split | None
    test: Split | None
    whole: Split
    source: str
    seed: int
    items: Items | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    assigned: Assigned | None = None

    def split(self, name: str) -> Split:
        """Returns a split as it is measured: what is drawn for it is drawn once.

        Args:
            name: "train", "validation", "test", or "all": every example in the source's own order,
                train part first.

        Raises:
            ConfigError: there is no split of this name.
            DataError: the split has no examples.
        """
        if name not in SPLITS:
            raise ConfigError(unknown("split", name, SPLITS))
        if name == "all":
            return self.whole.drawn_once()
        split: Split | None = getattr(self, name)
        if split is None:
            filled = ", ".join(part for part in PARTS if getattr(self, part) is not None)
            raise DataError(
                f"{self.name} has no {name} split (data.{name} gave it no examples); it has: "
                f"{filled}, all"
            )
        return split.drawn_once()

    def examples(self, name: str) -> Examples:
        """Returns a split of dense examples as `split` does.

        Raises:
            DataError: the source is one of interactions.
        """
        split = self.split(name)
        if not isinstance(split, Examples):
            raise DataError(f"{self.name} has users and items, no images and no table")
        return split

    def users(self, name: str) -> History | None:
        """Returns a split of users by its name; None if it is empty or of dense examples."""
        split = getattr(self, name)
        if isinstance(split, History):
            return split
        return None

    def held_out(self, name: str) -> History | None:
        """Returns a split of users of whom something was held out, to be found; None if the split
        of this name is none.
        """
        users = self.users(name)
        if users is None or users.targets is None or not users.targets.nnz:
            return None
        return users

    @property
    def sizes(self) -> dict[str, int]:
        """The number of rows of each split, 0 where it is empty."""
        return {name: len(getattr(self, name) or ()) for name in PARTS}

    def fingerprint(self) -> dict[str, Any]:
        """Returns what tells whether two runs saw the same data.

        These are a digest of the raw values, the sizes of the splits and the seed. Of interactions,
        the digest covers the catalogue and what each split holds too.
        """
        facts: dict[str, Any] = {"source": self.source, "sha256": self._digest}
        facts |= self.sizes
        facts["seed"] = self.seed
        if self.items is not None:
            facts["interactions"] = self.facts["kept"]
            facts["items"] = len(self.items)
        return facts

    @cached_property
    def _digest(self) -> str:
        if self.items is None:
            return self.whole.digest()
        digests = [self.items.digest()]
        for split in (self.whole, self.train, self.validation, self.test):
            if split is None:
                digests.append("")
            else:
                digests.append(split.digest())
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()
