"""What a source would be read as: a record for people, made without reading more than is needed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

MOST_LABELS = 10
"""A description counts this many labels, the most frequent ones."""

LABELS_LEFT = "others"
"""The labels beyond these are counted together under this name."""


@dataclass(frozen=True)
class Column:
    """A column of a table or a log, as its first rows show it.

    Attributes:
        name: of the column.
        kind: "number", "whole number", "yes or no", "text", "empty" or the type of a file.
        use: "value", "id", "label", "index", "left out"; of a log "user", "item", "rating" or
            "time".
        missing: how many of the rows looked at have no value.
        examples: a few of its values, as texts.
    """

    name: str
    kind: str
    use: str
    missing: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """What a source would be read as.

    Attributes:
        name: the source as it appears in messages.
        kind: "image", "table", "vector" or "interactions".
        count: how many examples, rows or lines there are; None if only reading all would tell.
        facts: phrases on its form, such as "64x64 in colour".
        columns: those of a table or a log.
        looked_at: the number of rows that `columns` were made from.
        labels: how many examples have each label; the rarest are counted together.
        train: the size of the source's own training part; None where it brings no test part.
        validation: the size of the source's own validation part; None where it brings none.
        notes: sentences on how it is read and what is left out.
        problem: why it could not be read as it is; None if nothing is wrong as far as was read.
    """

    name: str
    kind: str
    count: int | None
    facts: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    looked_at: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    train: int | None = None
    validation: int | None = None
    notes: tuple[str, ...] = ()
    problem: str | None = None


def count_labels(labels: np.ndarray | Sequence[object] | None) -> dict[str, int]:
    """Counts the labels, the most frequent first; those beyond `MOST_LABELS` together."""
    if labels is None:
        return {}
    counts = Counter(map(str, labels)).most_common()
    shown = dict(counts[:MOST_LABELS])
    rest = sum(count for _, count in counts[MOST_LABELS:])
    if rest:
        shown[LABELS_LEFT] = rest
    return shown


def describe_shape(shape: Sequence[int], levels: int | None) -> tuple[str, ...]:
    """Describes the shape of an image (C, H, W) or a vector (D,), and what its values are."""
    if len(shape) == 3:
        channels, height, width = shape
        colour = "in colour"
        if channels == 1:
            colour = "grey"
        form = f"{height}x{width} (height x width), {colour}"
    else:
        form = f"{shape[0]:,} numbers each"
    values = "real numbers"
    if levels is not None:
        values = f"{levels:,} levels"
    return (form, values)
