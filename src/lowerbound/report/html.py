"""Writes a page: one HTML file of sections, with all that it needs inside."""

import base64
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
"""The dots per inch of a picture that is written as PNG."""


def write(folder: Path, name: str, subtitle: str, sections: Sequence[Section]) -> Path:
    """Writes `index.html`, and each picture as PNG and SVG, into a folder.

    Args:
        folder: where the files go.
        name: the title of the page.
        subtitle: the line below it.
        sections: what the page says, in order.

    Returns:
        The path of the page.
    """
    images: dict[str, str] = {}
    section_warnings: list[str] = []
    for section in sections:
        section_warnings += section.warnings
        for picture in section.pictures:
            images[picture.name] = _write_picture(picture, folder)
    text = _template().render(
        name=name,
        subtitle=subtitle,
        sections=sections,
        images=images,
        warnings=section_warnings,
        version=__version__,
    )
    path = folder / "index.html"
    write_text(path, text)
    return path


@cache
def _template() -> Template:
    file = resources.files(__package__).joinpath("page.html.j2")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(file.read_text(encoding="utf-8"))


def _write_picture(picture: Picture, folder: Path) -> str:
    """Writes a picture as PNG and as SVG.

    Returns:
        A data: address that holds it: images as PNG, all else as SVG.
    """
    png_path = folder / f"{picture.name}.png"
    figure = picture.draw(None)
    save_png(figure, png_path, tight=picture.photo)
    figure.set_layout_engine("none")  # everything has its place by now
    svg = svg_bytes(figure, tight=picture.photo)
    write_bytes(folder / f"{picture.name}.svg", svg)
    if picture.photo:
        return _data_address("image/png", png_path.read_bytes())
    return _data_address("image/svg+xml", svg)


def _data_address(media_type: str, content: bytes) -> str:
    encoded = base64.b64encode(content).decode()
    return f"data:{media_type};base64,{encoded}"


def save_png(figure: Figure, path: Path, dpi: int = DPI, tight: bool = False) -> None:
    """Saves a figure as a PNG, whole or not at all; `tight` cuts off the white around it."""
    with replacing(path) as temporary, _missing_glyphs_ignored():
        figure.savefig(temporary, dpi=dpi, bbox_inches=_bounding_box(tight), pad_inches=0.02)


def svg_bytes(figure: Figure, tight: bool = False) -> bytes:
    """Draws a figure as SVG; the same figure gives the same bytes."""
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "lowerbound"}), _missing_glyphs_ignored():
        figure.savefig(
            file,
            format="svg",
            dpi=DPI,
            metadata={"Date": None},
            bbox_inches=_bounding_box(tight),
            pad_inches=0.02,
        )
    return file.getvalue()


def _bounding_box(tight: bool) -> str | None:
    return "tight" if tight else None


@contextmanager
def _missing_glyphs_ignored() -> Iterator[None]:
    """Silences the warning of a title in a script that no font here has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
