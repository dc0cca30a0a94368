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

from ...errors import DataError, one_line
from ...sparse import SparseRows
from ...system.files import write_frame
from ..files.limits import refuse_bomb
from ..files.sources import reason
from ..files.tables import scan_parquet, text_bytes
from ..schema import Schema

if TYPE_CHECKING:
    from polars import DataFrame, Series
    from scipy.sparse import csr_matrix


def add_ids(digest: Any, ids: Iterable[object]) -> None:
    """Add ids to a hash, so that `1` and `"1"` differ, and no two lists run into each other."""
    digest.update(repr([i.item() if isinstance(i, np.generic) else i for i in ids]).encode())


def _add_matrix(digest: Any, matrix: "csr_matrix") -> None:
    digest.update(f"csr {matrix.shape}".encode())
    for part, dtype in ((matrix.indptr, "<i8"), (matrix.indices, "<i8"), (matrix.data, "<f4")):
        digest.update(np.ascontiguousarray(part, dtype=dtype).tobytes())


@dataclass(frozen=True, eq=False)
class History:
    """One split of users. It is used as `Examples` are, but its batches are `SparseRows`.

    Attributes:
        schema: of kind "interactions", shape (I,).
        matrix: (n, I) float32, what the model sees of each user; columns ascending within a row,
        none twice, no zeros.
        targets: (n, I) float32, what was held out of each user, to be found; None for the training
        split.
        users: (n,) the users' own ids.
        rows: (n,) position of each user in the whole source.
        levels: 2 where every kept interaction counts 1, else None.
        labels: none.
        draw: nothing is drawn.
    """

    schema: Schema
    matrix: "csr_matrix"
    targets: "csr_matrix | None"
    users: np.ndarray
    rows: np.ndarray
    levels: int | None = None
    labels: None = None
    draw: Literal["none"] = "none"

    def __len__(self) -> int:
        """Number of users in this split."""
        return len(self.rows)

    def batch(self, index: Tensor | np.ndarray | slice, key: int = 0) -> SparseRows:
        """The users at `index` as float32 (B, I). `key` is for splits that draw; here it changes
        nothing.
        """
        return SparseRows.of(self.matrix[self._at(index)])

    def counts(self, index: Tensor | np.ndarray | slice) -> Tensor:
        """How many items the model sees of each of the users at `index`, (B,) int64."""
        at, offsets = self._at(index), self.matrix.indptr
        return torch.from_numpy((offsets[at + 1] - offsets[at]).astype(np.int64))

    def seen(self, index: Tensor | np.ndarray | slice) -> Tensor:
        """The columns that the users at `index` have, each once, ascending, int64."""
        return torch.from_numpy(np.unique(self.matrix[self._at(index)].indices).astype(np.int64))

    def take(self, index: Tensor | np.ndarray | slice) -> "History":
        """The subset of users at `index`, in that order."""
        at = self._at(index)
        targets = None if self.targets is None else self.targets[at]
        return replace(
            self, matrix=self.matrix[at], targets=targets, users=self.users[at], rows=self.rows[at]
        )

    def _at(self, index: Tensor | np.ndarray | slice) -> np.ndarray:
        """The index as an array: rows are gathered, so that a batch never shares memory with the
        matrix.
        """
        return (
            np.arange(len(self))[index]
            if isinstance(index, slice)
            else np.atleast_1d(np.asarray(index))
        )

    def span(self) -> tuple[float, float]:
        """0, for what was not observed, and the greatest value of this split."""
        return 0.0, float(self.matrix.data.max(initial=0.0))

    def mean(self) -> np.ndarray:
        """The mean of what the model sees, (I,) float32."""
        return np.asarray(self.matrix.mean(axis=0), np.float32).ravel()

    def digest(self) -> str:
        """The sha256 of the interactions, seen and held out, and of the users' ids."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        _add_matrix(digest, self.matrix)
        if self.targets is not None:
            _add_matrix(digest, self.targets)
        add_ids(digest, self.users)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Items:
    """The catalogue that the columns of a `History` stand for, ascending by id.

    Attributes:
        ids: (I,) the items' own ids.
        titles: one for each, or None where the source has none.
        genres: one text for each ("" where unknown), or None.
        popularity: (I,) int64, the number of training users of each.
    """

    ids: np.ndarray
    titles: list[str] | None = None
    genres: list[str] | None = None
    popularity: np.ndarray | None = None

    def __len__(self) -> int:
        """I."""
        return len(self.ids)

    def digest(self) -> str:
        """The sha256 of the ids."""
        digest = hashlib.sha256()
        add_ids(digest, self.ids)
        return digest.hexdigest()

    def to_frame(self) -> "DataFrame":
        """A Polars frame with the column item and, where they are known, title, genres and
        popularity.
        """
        import polars

        columns = {
            "item": series(self.ids),
            "title": self.titles,
            "genres": self.genres,
            "popularity": self.popularity,
        }
        return polars.DataFrame(
            {name: values for name, values in columns.items() if values is not None}
        )

    @classmethod
    def from_frame(cls, frame: "DataFrame") -> "Items":
        """The catalogue that `to_frame` wrote. DataError if there is no column item."""
        if "item" not in frame.columns:
            raise DataError(
                "a catalogue of items needs the column item; got: "
                f"{one_line(', '.join(frame.columns) or 'none', 200)}"
            )
        titles, genres = (
            frame[name].to_list() if name in frame.columns else None for name in ("title", "genres")
        )
        popularity = frame["popularity"].to_numpy() if "popularity" in frame.columns else None
        return cls(frame["item"].to_numpy(), titles, genres, popularity)

    def write(self, path: Path) -> None:
        """Write the catalogue as a Parquet file, whole or not at all. RunError if it cannot be
        written.
        """
        write_frame(path, self.to_frame())

    @classmethod
    def read(cls, path: Path, size: int | None = None) -> "Items":
        """The catalogue of a Parquet file, of so many items where that is known. DataError if it
        cannot be read.
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
        except (
            Exception,
            PanicException,
        ) as error:  # Polars raises many kinds for a file that is damaged
            raise DataError(
                f"{path} cannot be read as a catalogue of items: {reason(error)}"
            ) from None


def _columns(path: Path) -> list[str]:
    """The columns of a catalogue that are in this file. DataError for one of a type that
    `Items.write` never wrote.
    """
    import polars

    schema = scan_parquet(path).collect_schema()
    texts = (polars.String, polars.Null)
    fits: dict[str, Callable[[Any], bool]] = {
        "item": lambda kind: not (kind.is_nested() or kind.is_object() or kind == polars.Binary),
        "title": lambda kind: kind in texts,
        "genres": lambda kind: kind in texts,
        "popularity": lambda kind: kind.is_integer(),
    }
    known = [name for name in schema if name in fits]
    for name in known:
        if not fits[name](schema[name]):
            raise DataError(
                f"{path} has the column {name} of type {one_line(schema[name], 80)}, which no "
                "catalogue has"
            )
    return known


def series(ids: np.ndarray) -> "Series":
    """Ids as a Polars series: texts, which NumPy holds as objects, become strings."""
    import polars

    return polars.Series("item", ids.tolist() if ids.dtype == object else ids)
