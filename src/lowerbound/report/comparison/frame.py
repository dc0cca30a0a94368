"""A comparison as a table for other programs and for papers: a frame, CSV and LaTeX."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..text import bound_sign, name_measure, plain_number

if TYPE_CHECKING:
    import polars

Described = Mapping[str, Any]
"""A run as `Entry.describe` gives it."""

FACTS = ("parameters", "epochs", "seconds")
"""What a frame tells of each run beside its measures."""

LATEX_MARKS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
"""Characters that LaTeX would take for commands, and what stands for them."""


def to_frame(runs: Sequence[Described], measures: Sequence[str]) -> "polars.DataFrame":
    """Returns a frame with one row for each run.

    Of each measure it has the mean, its standard error (`_se`), the paired difference to the first
    run (`_difference`), and the standard error of the pairs (`_difference_se`); null where a run
    has none.

    Args:
        runs: in the order of the comparison.
        measures: the names of those that the frame has.
    """
    import polars

    rows = [_row(run, measures) for run in runs]
    return polars.DataFrame(rows, infer_schema_length=None)


def _row(run: Described, measures: Sequence[str]) -> dict[str, Any]:
    row = {"run": run["name"], "folder": run["run"]}
    for name in measures:
        value, error = _estimate(run["measures"], name)
        difference, difference_error = _estimate(run["differences"], name)
        row[name] = value
        row[f"{name}_se"] = error
        row[f"{name}_difference"] = difference
        row[f"{name}_difference_se"] = difference_error
    return row | {name: run[name] for name in FACTS}


def _estimate(
    estimates: Mapping[str, Mapping[str, float]], name: str
) -> tuple[float | None, float | None]:
    """Returns a mean and its standard error; None for each where there is none of this name."""
    if name not in estimates:
        return None, None
    return estimates[name]["value"], estimates[name]["standard_error"]


def to_latex(runs: Sequence[Described], measures: Sequence[str], digits: int) -> str:
    """Writes a table in LaTeX, with the rules of the package booktabs, one row for each run.

    Args:
        runs: in the order of the comparison; differences are to the first.
        measures: the names of those that the table has.
        digits: decimals of all numbers.
    """
    heads = ["run"]
    for name in measures:
        heads += [name_measure(name), "difference"]
    lines = [
        rf"\begin{{tabular}}{{l{'rr' * len(measures)}}}",
        r"\toprule",
        _latex_row(map(escape, heads)),
        r"\midrule",
    ]
    for run in runs:
        cells = [escape(run["name"])]
        for name in measures:
            sign = bound_sign(name).replace("≥", r"\geq")
            cells.append(_latex_number(*_estimate(run["measures"], name), digits, sign))
            cells.append(_latex_number(*_estimate(run["differences"], name), digits))
        lines.append(_latex_row(cells))
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Any) -> str:
    return " & ".join(cells) + r" \\"


def _latex_number(value: float | None, error: float | None, digits: int, sign: str = "") -> str:
    """Writes an estimate in mathematical mode, behind a sign; a dash where there is none."""
    if value is None:
        return "--"
    number = sign + plain_number(value, digits).replace(",", "{,}")
    if error is None:
        return f"${number}$"
    return rf"${number} \pm {plain_number(error, digits)}$"


def escape(text: str) -> str:
    """Writes a text so that LaTeX sets it as it is."""
    return "".join(LATEX_MARKS.get(character, character) for character in text)
