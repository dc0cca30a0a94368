"""What a source would be read as: a record for people, made without reading more than is needed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...errors import counted

MOST_LABELS = 10
"""A description counts this many labels, the most frequent ones."""

MOST_COLUMNS = 40
"""So many columns are shown."""

WIDEST_NAME = 40
"""The name of a column is shown with so many characters."""

WHY_WIDTH = 34
"""The reason for a kind is shown in so many characters, where it is not longer."""

KINDS = {
    "image": "images",
    "table": "a table",
    "vector": "vectors",
    "interactions": "a log of users and items",
}
"""What each kind is called."""

UNITS = {"image": "image", "table": "row", "vector": "vector", "interactions": "line"}
"""What an example of each kind is called."""

LABELS_LEFT = "others"
"""The labels beyond these are counted together under this name."""


@dataclass(frozen=True)
class Column:
    """A column of a table or a log, as its first rows show it.

    Attributes:
        name: of the column.
        kind: of a table one of the kinds of columns (`columns.KINDS`), "text" or "id"; of a log
            "number", "whole number", "yes or no", "text", "empty" or the type of a file.
        use: "value", "id", "label", "index", "left out"; of a log "user", "item", "rating" or
            "time".
        missing: how many of the rows looked at have no value.
        examples: a few of its values, as texts.
        why: why it is of this kind or left out; of a log empty.
        levels: how many levels a column of levels has; None for others.
    """

    name: str
    kind: str
    use: str
    missing: int
    examples: tuple[str, ...]
    why: str = ""
    levels: int | None = None

    def line(self, width: int, rows: int) -> str:
        """Lays the column out as one line.

        Args:
            width: the name has so many characters.
            rows: so many were looked at.
        """
        name = self.name
        if len(name) > width:
            name = f"{name[: width - 3]}..."
        values = ", ".join(self.examples)
        if self.why:
            levels = ""
            if self.levels is not None:
                levels = f"{self.levels:,}"
            share = f"{self.missing / max(rows, 1):.1%}"
            if not self.missing:
                share = "0"
            why = f"{self.why:<{WHY_WIDTH}}"
            kind = f"{self.kind:<12}{self.use:<9}"
            return f"  {name:<{width}}  {kind}{levels:>6}{share:>9}  {why}  {values}"
        return f"  {name:<{width}}  {self.kind:<13}{self.use:<10}{self.missing:>8}  {values}"


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
        levels: of images as in `Schema`; None for real numbers, and where only reading tells.
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
    levels: int | None = None

    def __str__(self) -> str:
        """Returns the description as lines for people."""
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        """Returns what a notebook shows: the same lines."""
        return str(self)

    def lines(self) -> list[str]:
        """Lays the description out for people."""
        lines = [f"{self.name}: {KINDS.get(self.kind, self.kind)}"]
        content = (self._count_text(), *self.facts)
        lines.append(show_row("content", "; ".join(content)))
        if self.train is not None or self.validation is not None:
            lines.append(show_row("parts", self._parts_text()))
        if self.labels:
            lines.append(show_row("labels", self._labels_text()))
        for note in self.notes:
            lines.append(show_row("note", note))
        lines += self._column_lines()
        if self.problem is not None:
            lines.append(show_row("problem", self.problem))
        return lines

    def _count_text(self) -> str:
        if self.count is None:
            return "how many is known when it is read"
        return counted(self.count, UNITS.get(self.kind, "example"))

    def _parts_text(self) -> str:
        """Says which parts the source brings, and how many examples each has."""
        own = {"train": self.train, "validation": self.validation}
        if self.train is not None and self.count is not None:
            own["test"] = self.count - self.train - (self.validation or 0)
        sizes = [f"{name} {size:,}" for name, size in own.items() if size is not None]
        return f"its own: {', '.join(sizes)}"

    def _labels_text(self) -> str:
        return ", ".join(f"{label or '(none)'} {n:,}" for label, n in self.labels.items())

    def _column_lines(self) -> list[str]:
        """Lays out the columns, one a line."""
        if not self.columns:
            return []
        shown = self.columns[:MOST_COLUMNS]
        widest = max(len(column.name) for column in shown)
        width = min(max(widest, len("column")), WIDEST_NAME)
        lines = [self._looked_at_text(), _head_of_columns(width, bool(shown[0].why))]
        for column in shown:
            lines.append(column.line(width, self.looked_at).rstrip())
        rest = len(self.columns) - len(shown)
        if rest:
            lines.append(f"  and {rest:,} more")
        return lines

    def _looked_at_text(self) -> str:
        """Says how many rows tell of the columns."""
        if self.count == self.looked_at == 1:
            return "the only row:"
        if self.count == self.looked_at:
            return f"all {self.looked_at:,} rows:"
        return f"the first {counted(self.looked_at, 'row')}:"


def _head_of_columns(width: int, has_reasons: bool) -> str:
    """Lays out the names of what is told of each column."""
    if has_reasons:
        return (
            f"  {'column':<{width}}  {'kind':<12}{'use':<9}{'levels':>6}{'missing':>9}  "
            f"{'why':<{WHY_WIDTH}}  examples"
        )
    return f"  {'column':<{width}}  {'kind':<13}{'use':<10}{'missing':>8}  examples"


def show_row(label: str, text: str) -> str:
    """Lays out one row of a description."""
    return f"{label:<9}{text}"


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
