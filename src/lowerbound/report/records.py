"""The parts of a page: sections, pictures and tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..data import Dataset
from ..run import Run


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        name: of its file, without an ending.
        title: what it is, in a few words.
        caption: what is seen on it.
        draw: draws it on some axes, or on a figure of its own for None.
        photo: it holds images, whose colours a dark page must not turn round.
        wide: it needs the width of two.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Axes | None], Figure]
    photo: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts; the first column names the row. `numbers`: all other columns are figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    numbers: bool = True


@dataclass(frozen=True)
class Section:
    """One section of a page.

    Attributes:
        title: its heading.
        sentences: plain text, a paragraph each.
        warnings: what a reader must not miss; they stand at the top of the page too.
        tables: in order.
        pictures: in order.
        commands: lines for a shell.
        folded: heading and text of what is seen only when asked for.
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
        measure: gives what is measured once for all parts, of a run.
        parts: functions of the run and of what was measured, in order; None is a section that does
        not apply.
        panels: names of the pictures that the overview has, as far as there are some.
        glance: pictures of a model in training, (H, W, C) uint8 by name.
    """

    measure: Callable[[Run], Any]
    parts: tuple[Callable[[Run, Any], Section | None], ...]
    panels: tuple[str, ...]
    glance: Callable[[Run, Dataset], dict[str, np.ndarray]]
