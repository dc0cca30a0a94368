"""What users did, as a split of a data set: sparse rows of users over a catalogue of items."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from ...batch import Batch
from ...errors import DataError, one_line
from ...sparse import SparseRows
from ...system.files import write_frame
from ..files.limits import refuse_bomb
from ..files.sources import reason
from ..files.tables import scan_parquet, text_bytes
from ..schema import Schema
from ..split import Index, Split
from .ids import series

if TYPE_CHECKING:
    from polars import DataFrame
    from scipy.sparse import csr_matrix

OWN_COLUMNS = ("item", "title", "genres", "popularity")
"""A catalogue has these columns of its own; a further column of a table of items is not called so.
"""


NUMBERS_AT_ONCE = 2**20
"""So many numbers of a matrix are hashed at a time, so that no second one is made of it."""


def add_ids(digest: Any, ids: Iterable[object]) -> None:
    """Adds ids to a hash, so that `1` and `"1"` differ, and no two lists run into each other."""
    plain = []
    for name in ids:
        if isinstance(name, np.generic):
            name = name.item()
        plain.append(name)
    digest.update(repr(plain).encode())


def _add_matrix(digest: Any, matrix: "csr_matrix") -> None:
    digest.update(f"csr {matrix.shape}".encode())
    for values, dtype in ((matrix.indptr, "<i8"), (matrix.indices, "<i8"), (matrix.data, "<f4")):
        for start in range(0, len(values), NUMBERS_AT_ONCE):
            piece = values[start : start + NUMBERS_AT_ONCE]
            digest.update(np.ascontiguousarray(piece, dtype=dtype).data)


@dataclass(frozen=True, eq=False)
class History(Split):
    """A split of users, whose batches are `SparseRows`.

    Attributes:
        schema: of kind "interactions", shape (I,).
        matrix: (n, I) float32, what the model sees of each user; columns ascending within a row,
            none twice, no zeros.
        targets: (n, I) float32, what was held out of each user, to be found; None for the training
            split.
        users: (n,) the users' own ids.
        rows: (n,) position of each user in the whole source.
        levels: 2 where every kept interaction counts 1, else None.
        labels: users have none.
        draw: nothing is drawn.
        conditions: (n, G) what a conditional model is given of each user, in the values of
            `schema.given`; NaN where it is not known. None where there is nothing.
    """

    schema: Schema
    matrix: "csr_matrix"
    targets: "csr_matrix | None"
    users: np.ndarray
    rows: np.ndarray
    levels: int | None = None
    labels: None = None
    draw: Literal["none"] = "none"
    conditions: np.ndarray | None = None

    def batch(self, index: Index, key: int = 0) -> SparseRows | Batch:
        """Returns the users at `index` as float32 (B, I); with their conditions, if they have any,
        as a `Batch`. Nothing is drawn by the `key`.
        """
        rows = SparseRows.of(self.matrix[self._positions(index)])
        given = self.schema.codes_of_conditions(self.conditions, self._positions(index))
        if given is None:
            return rows
        return Batch(rows, given)

    def conditioned(self, schema: Schema, conditions: np.ndarray) -> "History":
        """Returns the same users with these conditions (n, G), by the schema of a run."""
        return replace(self, schema=schema, conditions=conditions)

    def without_conditions(self) -> "History":
        """Returns the same users for scorers that see their histories alone."""
        return replace(self, schema=replace(self.schema, given=()), conditions=None)

    def counts(self, index: Index) -> Tensor:
        """Counts the items that the model sees of each of the users at `index`, (B,) int64."""
        at = self._positions(index)
        offsets = self.matrix.indptr
        return torch.from_numpy((offsets[at + 1] - offsets[at]).astype(np.int64))

    def seen(self, index: Index) -> Tensor:
        """Returns the columns that the users at `index` have, each once, ascending, int64."""
        columns = np.unique(self.matrix[self._positions(index)].indices)
        return torch.from_numpy(columns.astype(np.int64))

    def take(self, index: Index) -> "History":
        """Returns the subset of users at `index`, in that order."""
        at = self._positions(index)
        targets = self.targets
        if targets is not None:
            targets = targets[at]
        conditions = self.conditions
        if conditions is not None:
            conditions = conditions[at]
        return replace(
            self,
            matrix=self.matrix[at],
            targets=targets,
            users=self.users[at],
            rows=self.rows[at],
            conditions=conditions,
        )

    def _positions(self, index: Index) -> np.ndarray:
        """Returns the index as an array: rows are gathered, so that a batch never shares memory
        with the matrix.
        """
        if isinstance(index, slice):
            return np.arange(len(self))[index]
        return np.atleast_1d(np.asarray(index))

    def span(self) -> tuple[float, float]:
        """Returns 0, for what was not observed, and the greatest value of this split."""
        return 0.0, float(self.matrix.data.max(initial=0.0))

    def mean(self) -> np.ndarray:
        """Returns the mean of what the model sees, (I,) float32."""
        return np.asarray(self.matrix.mean(axis=0), np.float32).ravel()

    def digest(self) -> str:
        """Returns the sha256 of the interactions, seen and held out, and of the users' ids and
        conditions.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        _add_matrix(digest, self.matrix)
        if self.targets is not None:
            _add_matrix(digest, self.targets)
        add_ids(digest, self.users)
        self.schema.add_conditions(digest, self.conditions)
        return digest.hexdigest()

    def holds_same_rows(self, other: Split) -> bool:
        """Says whether `other` holds the same interactions of the same users, whatever else is
        known of these.
        """
        if not isinstance(other, History):
            return False
        ours = self.without_conditions()
        theirs = other.without_conditions()
        return ours.digest() == theirs.digest()

    def names_of_rows(self) -> dict[str, Any]:
        """Returns the column `user`: the users' own ids."""
        return {"user": self.users.tolist()}

    def lacks_targets(self) -> bool:
        """Says whether nothing was held out of these users."""
        return self.targets is None or not self.targets.nnz


@dataclass(frozen=True, eq=False)
class Items:
    """A catalogue: the items that the columns of a `History` stand for, ascending by id.

    Attributes:
        ids: (I,) the items' own ids.
        titles: one for each, or None where the source has none.
        genres: one text for each ("" where unknown), or None.
        popularity: (I,) int64, the number of training users of each.
        features: the further columns of the table of items, one row for each, or None.
    """

    ids: np.ndarray
    titles: list[str] | None = None
    genres: list[str] | None = None
    popularity: np.ndarray | None = None
    features: "DataFrame | None" = None

    def __len__(self) -> int:
        """Returns the number of items, I."""
        return len(self.ids)

    def digest(self) -> str:
        """Returns the sha256 of the ids."""
        digest = hashlib.sha256()
        add_ids(digest, self.ids)
        return digest.hexdigest()

    def to_frame(self) -> "DataFrame":
        """Returns a Polars frame with the column item and, where they are known, title, genres,
        popularity and the further columns of the table of items.
        """
        import polars

        columns: dict[str, Any] = {"item": series(self.ids)}
        if self.titles is not None:
            columns["title"] = self.titles
        if self.genres is not None:
            columns["genres"] = self.genres
        if self.popularity is not None:
            columns["popularity"] = self.popularity
        frame = polars.DataFrame(columns)
        if self.features is not None:
            frame = frame.hstack(self.features)
        return frame

    @classmethod
    def from_frame(cls, frame: "DataFrame") -> "Items":
        """Returns the catalogue that `to_frame` wrote.

        Raises:
            DataError: there is no column item.
        """
        if "item" not in frame.columns:
            columns = one_line(", ".join(frame.columns) or "none", 200)
            raise DataError(f"a catalogue of items needs the column item; got: {columns}")
        titles = None
        if "title" in frame.columns:
            titles = frame["title"].to_list()
        genres = None
        if "genres" in frame.columns:
            genres = frame["genres"].to_list()
        popularity = None
        if "popularity" in frame.columns:
            popularity = frame["popularity"].to_numpy()
        features = None
        if set(frame.columns) - set(OWN_COLUMNS):
            features = frame.drop(OWN_COLUMNS, strict=False)
        return cls(frame["item"].to_numpy(), titles, genres, popularity, features)

    def write(self, path: Path) -> None:
        """Writes the catalogue as a Parquet file, whole or not at all.

        Raises:
            RunError: the file cannot be written.
        """
        write_frame(path, self.to_frame())

    @classmethod
    def read(cls, path: Path, size: int | None = None) -> "Items":
        """Reads the catalogue of a Parquet file.

        Args:
            path: the file.
            size: the number of items that it must have, if that is known.

        Raises:
            DataError: it cannot be read, or has another number of items.
        """
        from polars.exceptions import PanicException

        try:
            frame = scan_parquet(path).select(_columns(path)).collect()
            if size is not None and len(frame) != size:
                raise DataError(
                    f"{path} has {len(frame)} items, but the data of the run had {size}"
                )
            refuse_bomb(path, text_bytes(frame), path.stat().st_size)
            return cls.from_frame(frame)
        except DataError:
            raise
        # Polars raises many kinds of exceptions for a file that is damaged.
        except (Exception, PanicException) as error:
            message = f"{path} cannot be read as a catalogue of items: {reason(error)}"
            raise DataError(message) from None


def _columns(path: Path) -> list[str]:
    """Returns the columns of a catalogue in a file.

    Raises:
        DataError: one of them has a type that `Items.write` never wrote.
    """
    import polars

    schema = scan_parquet(path).collect_schema()

    def is_plain(kind: Any) -> bool:
        return not (kind.is_nested() or kind.is_object() or kind == polars.Binary)

    def is_text(kind: Any) -> bool:
        return kind in (polars.String, polars.Null)

    fits: dict[str, Callable[[Any], bool]] = {
        "item": is_plain,
        "title": is_text,
        "genres": is_text,
        "popularity": lambda kind: kind.is_integer(),
    }
    for name in schema:
        fit = fits.get(name, is_plain)
        if not fit(schema[name]):
            raise DataError(
                f"{path} has the column {name} of type {one_line(schema[name], 80)}, which no "
                "catalogue has"
            )
    return list(schema)
