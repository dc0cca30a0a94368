"""What every kind of file is to the house: a source that claims a path and reads it."""

import abc
import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...errors import DataError, one_line
from ...specs.registry import members


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What was asked of the source: (height, width) of images, and the columns of a table (None:
    all).
    """

    size: tuple[int, int] | None = None
    columns: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Raw:
    """What a source holds, before it is split or scaled.

    Attributes:
        name: the source as it appears in messages.
        kind: "image", "table" or "vector".
        values: (N, *shape), in memory or memory-mapped, in the source's units; the given test part
        comes last.
        levels: the values are the whole numbers 0 .. levels - 1; None for real numbers.
        labels: (N,), where the source has them.
        train: how many of the N are the source's own training part; None where it brings no test
        part.
        columns: names of the columns of a table.
    """

    name: str
    kind: str
    values: np.ndarray
    levels: int | None
    labels: np.ndarray | None = None
    train: int | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a source without examples, or with another number of labels than examples."""
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
    """A kind of data source. `summary` names it in messages; a `fallback` reads only what no other
    kind claims.
    """

    summary: ClassVar[str]
    fallback: ClassVar[bool] = False

    @abc.abstractmethod
    def claims(self, path: Path) -> bool:
        """Whether an existing file or folder is of this kind, judged by its name (or the names in
        it).
        """

    @abc.abstractmethod
    def read(self, path: Path, wanted: Wanted) -> Raw:
        """What is there. DataError, one line that names the file, where it is not as it should be."""


def kinds() -> list[Source]:
    """One reader of each kind."""
    return [kind() for kind in members(__package__, Source).values()]


def reader(path: Path) -> Source:
    """The reader that claims this existing path. DataError, naming all kinds, if none does."""
    claimants = [kind for kind in kinds() if kind.claims(path)]
    if not claimants:
        raise DataError(
            f"{path} is of no known kind; allowed: {'; '.join(kind.summary for kind in kinds())}"
        )
    return min(claimants, key=lambda kind: kind.fallback)


def reason(error: BaseException) -> str:
    """The message of a library's exception as one short line."""
    return one_line(error, 160) or type(error).__name__
