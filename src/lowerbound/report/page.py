"""The page of a run: sections, and one HTML file that holds them with all that it needs.

A section is a title, sentences, pictures and tables. Who has something to say of a run makes sections and calls `write`.
"""

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import __version__
from ..files import replacing, write_text

DPI = 200


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        name: of its file, without an ending.
        title: what it is, in a few words.
        caption: what is seen on it.
        draw: draws it on some axes, or on a figure of its own for None.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Axes | None], Figure]


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


@cache
def _template() -> Template:
    text = resources.files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(text)


def save(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """A figure as a PNG, whole or not at all."""
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a title in a script that no font here has
        figure.savefig(temporary, dpi=dpi)


def _embedded(figure: Figure) -> str:
    """A figure as a data: address that holds it, as SVG: the same bytes for the same figure."""
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "lowerbound"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(file, format="svg", dpi=DPI, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()


def write(folder: Path, name: str, subtitle: str, sections: Sequence[Section]) -> Path:
    """Writes `index.html` and each picture as a PNG into a folder, and gives the page's path."""
    images = {}
    for picture in (picture for section in sections for picture in section.pictures):
        figure = picture.draw(None)
        save(figure, folder / f"{picture.name}.png")
        images[picture.name] = _embedded(figure)
    path = folder / "index.html"
    told = [warning for section in sections for warning in section.warnings]
    text = _template().render(name=name, subtitle=subtitle, sections=sections, images=images, warnings=told, version=__version__)
    write_text(path, text)
    return path
