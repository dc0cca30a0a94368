"""The contract of every kind of file: a source claims a path and reads it."""

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from ...columns import ColumnSchema
from ...errors import DataError, one_line
from ...specs.registry import members
from ..schema import Schema
from .description import Description, count_labels, describe_shape
from .dialect import AS_FOUND, TextFormat
from .sizes import Size

MAX_PIXELS = 2**29
"""An image may have this many pixels unless the user allows more: 23,170 by 23,170.

Decoding as many takes some seconds.
"""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked of a reader. `Data` explains each option.

    Attributes:
        size: the (height, width) of images; "auto": chosen from what is there; None: as they are.
        grey: images become grey.
        columns: the columns of a table, in this order; None: all.
        exclude: the columns of a table that are left out, by names or patterns.
        ids: the columns of a table that name its rows, and are no values.
        labels: the column of labels of a table, or the file of labels of a folder; None: what the
            source brings.
        skip_broken: files of a folder that cannot be used are passed over.
        max_pixels: an image may have this many.
        like: what a model reads, so that pictures of another size, colour or depth become as its
            own, and columns have its kinds and levels; None: no model does. It has no levels where
            any will do.
        text: how a text file is written, where the user has said so.
        kinds: the kinds that the user has named, by column, of a table with columns of several
            kinds; None for a table of numbers alone.
        unseen: what a level is that the run does not know: "missing" or "error".
        is_run: the columns are those of a run, which needs them all. Others are passed over, and
            so are ids and labels that are not there.
        given: what a model is conditioned on: columns of a table, or "label".
        conditions: what a run knows of each of these; empty where none asks.
    """

    size: Size | Literal["auto"] | None = None
    grey: bool = False
    columns: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    labels: str | None = None
    skip_broken: bool = False
    max_pixels: int = MAX_PIXELS
    like: Schema | None = None
    text: TextFormat = AS_FOUND
    kinds: Mapping[str, str] | None = None
    unseen: str = "missing"
    is_run: bool = False
    given: tuple[str, ...] = ()
    conditions: tuple[ColumnSchema, ...] = ()

    @property
    def is_mixed(self) -> bool:
        """Whether the columns of a table may be of several kinds, and may have gaps."""
        return self.kinds is not None or (self.like is not None and bool(self.like.table))


AS_IT_IS = Wanted()
"""Everything is read as it is."""


@dataclasses.dataclass(frozen=True, eq=False)
class Raw:
    """The examples of a source, before they are split or scaled.

    Attributes:
        name: the source as it appears in messages.
        kind: "image", "table" or "vector".
        values: (N, *shape), in memory or memory-mapped, in the source's units. The source's own
            parts stand in this order: train, validation, test.
        levels: the values are the whole numbers 0 .. levels - 1; None for real numbers.
        labels: (N,), where the source has them.
        train: the size of the source's own training part; None where it brings no test part.
        validation: the size of the source's own validation part; None where it brings none.
        columns: the names of the columns of a table.
        table: what the source tells of each column of a table with columns of several kinds.
        names: what names each row beside its position, by the names of columns, (N,) each: the
            files of a folder, the ids of a table.
        given: what the source tells of each of the G conditions of its examples.
        conditions: their values, (N, G) float64, as those of columns of several kinds; None where
            there are none.
        notes: sentences on how the source was read and what was left out.

    Raises:
        DataError: there are no examples, or another number of labels than of examples.
    """

    name: str
    kind: str
    values: np.ndarray
    levels: int | None
    labels: np.ndarray | None = None
    train: int | None = None
    validation: int | None = None
    columns: tuple[str, ...] = ()
    table: tuple[ColumnSchema, ...] = ()
    names: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    given: tuple[ColumnSchema, ...] = ()
    conditions: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses a source without examples, or with another number of labels than examples."""
        if not self.values.size:
            raise DataError(
                f"{self.name} holds no examples: its array has the shape {self.values.shape}"
            )
        if self.labels is not None and self.labels.shape != (len(self.values),):
            raise DataError(
                f"{self.name} has labels of shape {self.labels.shape}; allowed: "
                f"({len(self.values)},), one an example"
            )


class Source(abc.ABC):
    """A kind of data source, such as a folder of images.

    Attributes:
        summary: the kind as it appears in messages.
        fallback: the kind reads only what no other kind claims.
    """

    summary: ClassVar[str]
    fallback: ClassVar[bool] = False

    @abc.abstractmethod
    def claims(self, path: Path) -> bool:
        """Says whether an existing file or folder is of this kind.

        Its name (or the names in it) decides; nothing is opened.
        """

    @abc.abstractmethod
    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Reads what is at a path.

        What a file claims is weighed (`limits`) before as much is allocated. DataError is a
        ValueError: let one that was raised here pass before the errors of a library are caught.

        Raises:
            DataError: it is not as it should be: one line that names the file.
        """

    def describe(self, path: Path, wanted: Wanted) -> Description:
        """Says what would be read, for people; a kind that can tell without reading all does so.

        Raises:
            DataError: not even this can be said of it.
        """
        return describe_raw(self.read(path, wanted))


def describe_raw(raw: Raw) -> Description:
    """Describes what was read."""
    return Description(
        raw.name,
        raw.kind,
        len(raw.values),
        describe_shape(raw.values.shape[1:], raw.levels),
        labels=count_labels(raw.labels),
        train=raw.train,
        validation=raw.validation,
        notes=tuple(raw.notes),
        levels=raw.levels,
    )


def all_readers() -> list[Source]:
    """Makes one reader of each kind."""
    return [kind() for kind in members(__package__, Source).values()]


def find_reader(path: Path) -> Source:
    """Finds the reader that claims an existing path.

    Raises:
        DataError: no kind claims it; the message names all kinds.
    """
    readers = all_readers()
    claimants = [reader for reader in readers if reader.claims(path)]
    if not claimants:
        summaries = "; ".join(reader.summary for reader in readers)
        raise DataError(f"{path} is of no known kind; allowed: {summaries}")
    return min(claimants, key=lambda reader: reader.fallback)


def reason(error: BaseException) -> str:
    """Shortens the message of a library's exception to one line."""
    return one_line(error, 160) or type(error).__name__
