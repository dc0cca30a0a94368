"""Writes the part of docs/gallery.md that shows hierarchies beside plain models.

    python benchmarks/gallery.py "MNIST" runs/ladder-mnist runs/conv-mnist \\
        --and "Fashion-MNIST" runs/ladder-fashion runs/conv-fashion \\
        --and "Colour" runs/ladder-cifar-part runs/conv-cifar

Each title stands before the folders of runs on the same data, the hierarchies before the others.
Of every run there is a row of the table (what `summary.json` has of its test split), samples, and
the same test images reconstructed; of every hierarchy also what each level adds, and each level
varied. The pictures go to docs/gallery/ladders-*.png, and the text between
`<!-- begin ladders -->` and `<!-- end ladders -->` of the page; it is added at the end of a page
without these marks. Nothing is trained: a run that is missing is an error.
"""

import argparse
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lowerbound.errors import LowerboundError
from lowerbound.report.figures import grid, strips
from lowerbound.report.findings.dense import SHOWN_LEVELS, DenseFindings
from lowerbound.report.html import save_png
from lowerbound.report.sections.levels import levels_varied, reconstructions_by_level
from lowerbound.report.text import format_number
from lowerbound.run import Run, load
from lowerbound.run.display import describe_model

ROOT = Path(__file__).parents[1]

BEGIN = "<!-- begin ladders -->"
END = "<!-- end ladders -->"

SAMPLES = 64
ORIGINALS = 10
DPI = 80


class Group(NamedTuple):
    """Runs on the same data, and what stands above them."""

    title: str
    folders: list[Path]


def parsed(arguments: Sequence[str]) -> tuple[list[Group], argparse.Namespace]:
    """Reads the titles, the folders behind each, and the options.

    Raises:
        SystemExit: a title has no folder.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("first", nargs="+", metavar="TITLE RUN...")
    parser.add_argument(
        "--and", nargs="+", action="append", default=[], dest="others", metavar="TITLE RUN..."
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "gallery.md")
    parser.add_argument("--temperature", type=float, default=1.0, help="of the samples")
    options = parser.parse_args(arguments)
    groups = []
    for title, *folders in [options.first, *options.others]:
        if not folders:
            parser.error(f"{title!r} has no run behind it")
        groups.append(Group(title, [Path(folder) for folder in folders]))
    return groups, options


def slug(text: str) -> str:
    """Makes a file name of a title."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def figures_of(run: Run) -> tuple[str, str]:
    """Returns the ELBO and the rates of the test split, as the fit measured them."""
    test: dict[str, Any] = run.summary.get("test") or {}
    elbo = format_number(test.get("elbo", math.nan), 2)
    rates = test.get("rate", [])
    if not rates:
        return elbo, "–"
    if len(rates) > SHOWN_LEVELS:
        return elbo, f"{format_number(sum(rates), 1)} in {len(rates)} levels"
    return elbo, " + ".join(format_number(rate, 1) for rate in reversed(rates))


def table(runs: Sequence[Run]) -> list[str]:
    """Lays out what the runs are, and their figures."""
    lines = [
        "| run | model | parameters | seconds of the fit | test ELBO | rates, the top first |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        elbo, rates = figures_of(run)
        parameters = sum(parameter.numel() for parameter in run.model.parameters())
        seconds = format_number(run.summary.get("seconds", math.nan), 0)
        cells = [
            f"`{run.folder.resolve().name}`",
            describe_model(run.recipe),
            f"{parameters:,}",
            seconds,
            elbo,
            rates,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


class Pictures:
    """Writes pictures into a folder, and gives the markdown that shows them."""

    def __init__(self, folder: Path, group: str) -> None:
        self.folder = folder
        self.group = group

    def save(self, figure: Any, name: str, alt: str) -> str:
        path = self.folder / f"ladders-{slug(self.group)}-{slug(name)}.png"
        save_png(figure, path, dpi=DPI, tight=True)
        return f"![{alt}]({self.folder.name}/{path.name})"


def section(group: Group, folder: Path, temperature: float) -> list[str]:
    """Draws all runs of a group, and lays out its text."""
    runs = [load(each) for each in group.folders]
    pictures = Pictures(folder, group.title)
    lines = [f"### {group.title}", "", *table(runs), ""]
    warmth = ""
    if temperature != 1:
        warmth = f" at the temperature {temperature:g}"
    names = ", ".join(f"`{run.folder.resolve().name}`" for run in runs)
    lines += [f"Samples{warmth}: {names}.", ""]
    for run in runs:
        findings = DenseFindings(run)
        images = findings.shown(run.sample(SAMPLES, temperature=temperature))
        name = run.folder.resolve().name
        lines.append(
            pictures.save(grid(images, columns=8), f"{name} samples", f"Samples of {name}")
        )
    lines += ["", "The same test images, and below them the reconstructions of each run.", ""]
    lines += [pictures.save(reconstructed(runs), "reconstructions", "Reconstructions"), ""]
    for run in runs:
        if len(run.model.latents.sizes) > 1:
            lines += hierarchy(run, pictures)
    return lines


def reconstructed(runs: Sequence[Run]) -> Any:
    """Draws the same test images as each run reconstructs them."""
    first = DenseFindings(runs[0])
    chosen = np.random.default_rng(0).permutation(len(first.examples))[:ORIGINALS]
    rows = []
    names = ["original"]
    for run in runs:
        findings = DenseFindings(run)
        examples = findings.examples.take(np.sort(chosen))
        if not rows:
            rows.append(findings.shown(examples.tensor(slice(None))))
        rows.append(findings.shown(run.reconstruct(examples)))
        names.append(run.folder.resolve().name)
    return strips(np.stack(rows), rows=names)


def hierarchy(run: Run, pictures: Pictures) -> list[str]:
    """Draws what each level of a run adds, and each level varied."""
    findings = DenseFindings(run)
    name = run.folder.resolve().name
    lines = []
    for picture in (reconstructions_by_level(findings), levels_varied(findings)):
        lines += [f"`{name}`. {picture.title}: {picture.caption}", ""]
        shown = pictures.save(picture.draw(None), f"{name} {picture.name}", picture.title)
        lines += [shown, ""]
    return lines


def put_into(page: str, text: str) -> str:
    """Puts the text between its marks, or at the end of a page without them."""
    whole = f"{BEGIN}\n{text.strip()}\n{END}"
    if BEGIN not in page:
        return f"{page.rstrip()}\n\n{whole}\n"
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{whole}{tail}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the pictures and the page; returns the exit status."""
    groups, options = parsed(arguments or sys.argv[1:])
    folder = options.page.parent / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["## Hierarchies beside plain models", ""]
    try:
        for group in groups:
            lines += section(group, folder, options.temperature)
    except LowerboundError as error:
        print(f"gallery: {error}", file=sys.stderr)
        return 2
    page = ""
    if options.page.exists():
        page = options.page.read_text(encoding="utf-8")
    options.page.write_text(put_into(page, "\n".join(lines)), encoding="utf-8")
    print(f"gallery: {options.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
