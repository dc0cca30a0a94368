"""The parts of a page: sections, pictures and tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..data import Dataset
from ..run import Run

Draw = Callable[[Axes | None], Figure]
"""A function that draws a picture on the axes it gets, or on a figure of its own for None."""


@dataclass(frozen=True)
class Picture:
    """A picture of a page, which is drawn when the page is written.

    Attributes:
        name: the name of its file, without an ending.
        title: what it is, in a few words.
        caption: what is seen on it.
        draw: the function that draws it.
        photo: whether it holds images, whose colours a dark page must not invert.
        wide: whether it takes the width of two pictures.
    """

    name: str
    title: str
    caption: str
    draw: Draw
    photo: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        head: the heads of the columns; empty for a table without a head.
        rows: the cells; the first of a row names it.
        caption: what the cells are.
        numbers: whether all columns but the first hold numbers, which stand on the right.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    numbers: bool = True


@dataclass(frozen=True)
class Section:
    """One section of a page.

    Attributes:
        title: its heading.
        sentences: plain text, one paragraph each.
        warnings: what a reader must not miss; the top of the page repeats them.
        tables: the tables, in order.
        pictures: the pictures, in order.
        commands: lines for a shell.
        folded: a heading and a text each; the reader unfolds the text by a click.
    """

    title: str
    sentences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    commands: tuple[str, ...] = ()
    folded: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Kind:
    """What a report says of one kind of run, beside what it says of every run.

    Attributes:
        measure: measures a run once, for all parts.
        parts: functions of the run and of its measurements, in the order of the page; each returns
            a section, or None where it does not apply.
        panels: the names of the pictures of the overview, as far as a run has them.
        glance: draws pictures of a model in training, (H, W, C) uint8 by name.
    """

    measure: Callable[[Run], Any]
    parts: tuple[Callable[[Run, Any], Section | None], ...]
    panels: tuple[str, ...]
    glance: Callable[[Run, Dataset], dict[str, np.ndarray]]
