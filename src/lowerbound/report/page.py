"""The page of a run: sections, and one HTML file that holds them with all that it needs.

A section is a title, sentences, pictures and tables. Who has something to say of a run makes
sections and calls `write`.
"""

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import __version__
from ..data import Dataset
from ..run import Run
from ..system.files import replacing, write_bytes, write_text

DPI = 200


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


@cache
def _template() -> Template:
    text = resources.files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    return Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(text)


def save(figure: Figure, path: Path, dpi: int = DPI, tight: bool = False) -> None:
    """A figure as a PNG, whole or not at all; `tight`: without the white around it."""
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from"
        )  # a title in a script that no font here has
        figure.savefig(temporary, dpi=dpi, bbox_inches="tight" if tight else None, pad_inches=0.02)


def vector(figure: Figure, tight: bool = False) -> bytes:
    """A figure as SVG: the same bytes for the same figure."""
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "lowerbound"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(
            file,
            format="svg",
            dpi=DPI,
            metadata={"Date": None},
            bbox_inches="tight" if tight else None,
            pad_inches=0.02,
        )
    return file.getvalue()


def _embedded(picture: Picture, folder: Path) -> str:
    """Writes a picture as PNG and as SVG, and gives a data: address that holds it: plots as SVG,
    images as they are.
    """
    figure = picture.draw(None)
    save(figure, folder / f"{picture.name}.png", tight=picture.photo)
    figure.set_layout_engine("none")  # everything has its place by now
    drawn = vector(figure, tight=picture.photo)
    write_bytes(folder / f"{picture.name}.svg", drawn)
    if not picture.photo:
        return "data:image/svg+xml;base64," + base64.b64encode(drawn).decode()
    return (
        "data:image/png;base64,"
        + base64.b64encode((folder / f"{picture.name}.png").read_bytes()).decode()
    )


def write(folder: Path, name: str, subtitle: str, sections: Sequence[Section]) -> Path:
    """Writes `index.html` and each picture as PNG and SVG into a folder, and gives the page's path."""
    pictures = [picture for section in sections for picture in section.pictures]
    images = {picture.name: _embedded(picture, folder) for picture in pictures}
    path = folder / "index.html"
    told = [warning for section in sections for warning in section.warnings]
    text = _template().render(
        name=name,
        subtitle=subtitle,
        sections=sections,
        images=images,
        warnings=told,
        version=__version__,
    )
    write_text(path, text)
    return path
