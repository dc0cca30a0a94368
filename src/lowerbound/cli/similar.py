"""The command that finds neighbours."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import one_line
from ..report.text import plain_number
from .app import AllowCode, Json, RunFolder, Source, command, show

COLUMNS_SHOWN = 6
"""So many columns of a neighbour are printed, at most."""


@command()
def similar(
    run: RunFolder,
    to: Annotated[
        str,
        typer.Option(
            metavar="FILE|ROW|ITEM",
            help="One image or a CSV of one row, the number of a row, an item or with --users a "
            "user.",
        ),
    ],
    data: Source = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="cosine|euclidean|mahalanobis",
            help="How codes are compared [default: mahalanobis; of items cosine].",
        ),
    ] = None,
    level: Annotated[
        int | None,
        typer.Option(help="Of a hierarchy one level alone, 1 next to the data [default: all]."),
    ] = None,
    users: Annotated[
        bool, typer.Option("--users", help="Of a run on interactions users, in place of items.")
    ] = False,
    split: Annotated[
        str, typer.Option(help="What is searched: train, validation, test or all.")
    ] = "all",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help=".csv, .parquet, or of images a .png sheet."),
    ] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Find the images, rows, items or users most like one, by their codes."""
    from ..doors.sharding.levels import written_levels
    from ..neighbours import similar as find
    from ..run import load
    from .outputs import TABLE_ENDINGS, suffix

    fitted = load(run, allow_code=allow_code)
    if out is not None:
        endings: tuple[str, ...] = TABLE_ENDINGS
        if fitted.schema.kind == "image":
            endings = (*endings, ".png")
        suffix(out, endings)
    position = None
    if level is not None:
        (position,) = written_levels(fitted, level)
    found = find(
        fitted,
        to,
        data,
        k=k,
        metric=metric,
        level=position,
        users=users,
        split=split,
        progress=True,
    )
    result = found.describe()
    lines = neighbour_lines(found)
    if out is not None:
        _write(found, out)
        result["out"] = str(out)
        lines.append(f"in {out}")
    show(result, lines, json)


def _write(found: Any, out: Path) -> None:
    """Writes neighbours as a table, or images as a sheet."""
    from .outputs import write_bytes, write_table

    if out.suffix.lower() == ".png":
        write_bytes(out, found.sheet())
    else:
        write_table(out, found.to_frame())


def neighbour_lines(found: Any) -> list[str]:
    """Lays out neighbours for people, one a line."""
    frame = found.to_frame()
    shown = frame.select(frame.columns[:COLUMNS_SHOWN])
    lines = [found.headline]
    texts = [[_cell(value) for value in row] for row in shown.rows()]
    widths = [
        max(len(text) for text in column) for column in zip(shown.columns, *texts, strict=True)
    ]
    for row in (shown.columns, *texts):
        cells = [f"{text:<{width}}" for text, width in zip(row, widths, strict=True)]
        lines.append(("  " + "  ".join(cells)).rstrip())
    if frame.width > COLUMNS_SHOWN:
        lines.append(f"and {frame.width - COLUMNS_SHOWN} more columns (--out FILE has all)")
    if found.caveat:
        lines.append(f"note: {found.caveat}")
    return lines


def _cell(value: Any) -> str:
    """Writes a cell: numbers with few digits, long texts cut."""
    if isinstance(value, float):
        return plain_number(value, 4)
    if value is None:
        return ""
    return one_line(value, 60)
