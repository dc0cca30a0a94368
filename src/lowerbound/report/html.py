"""The page of a run: sections, and one HTML file that holds them with all that it needs.

A section is a title, sentences, pictures and tables. Who has something to say of a run makes
sections and calls `write`.
"""

import base64
import io
import warnings
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from matplotlib import rc_context
from matplotlib.figure import Figure

from .. import __version__
from ..system.files import replacing, write_bytes, write_text
from .records import Picture, Section

DPI = 200


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
