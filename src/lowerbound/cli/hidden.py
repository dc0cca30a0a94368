"""The text that `evaluate --hide` prints for people."""

from typing import Any

from ..errors import one_line
from ..report.text import plain_number

NAME_WIDTH = 30
"""The width of what the rows of the table are called."""


def hidden_lines(measures: dict[str, Any]) -> list[str]:
    """Lays out the errors of a run on hidden cells beside those of the baselines."""
    # The command line answers before PyTorch would be there.
    from ..imputation import MEASURES

    methods = measures["methods"]
    examples = f"{measures['examples']:,} {measures['split']} examples"
    hidden = f"{measures['hidden']:,} known cells hidden"
    median = plain_number(measures["effective_samples_median"], 0)
    least = plain_number(measures["effective_samples_least"], 1)
    effective = f"effective: median {median}, least {least}"
    lines = [
        f"{examples}; {hidden} ({measures['hide']:.0%}, seed {measures['seed']})",
        f"{measures['samples']:,} draws for each row; {effective}",
        f"{'':<{NAME_WIDTH}}" + "".join(f"{name:>20}" for name in methods),
    ]
    ours = next(iter(methods.values()))
    for kind in ours["by_kind"]:
        errors = [method["by_kind"][kind] for method in methods.values()]
        lines.append(_row(f"{kind}, {MEASURES[kind]}", errors))
    lines.append(_row("mean over columns", [method["error"] for method in methods.values()]))
    lines.append(_row("this run minus it", [None, *measures["differences"].values()]))
    if ours["standardised_mse"] is not None:
        errors = [method["standardised_mse"] for method in methods.values()]
        lines.append(_row("MSE of standardised numbers", errors))
    seconds = "".join(f"{plain_number(method['seconds'], 1):>20}" for method in methods.values())
    lines.append(f"{'seconds':<{NAME_WIDTH}}{seconds}")
    lines += _columns(measures)
    if measures["coverage"] is not None:
        lines.append(_coverage(measures["coverage"], measures["interval"]))
    lines += [f"note: {note}" for note in measures["notes"]]
    return lines


def _columns(measures: dict[str, Any]) -> list[str]:
    """Lays out the errors of each column."""
    methods = measures["methods"]
    lines = ["by column"]
    for name in next(iter(methods.values()))["by_column"]:
        errors = [method["by_column"][name] for method in methods.values()]
        lines.append(_row(f"  {one_line(name, NAME_WIDTH - 2)}", errors))
    return lines


def _coverage(coverage: dict[str, float], interval: float) -> str:
    """Says how often intervals hold the truth."""
    share = plain_number(100 * coverage["value"], 1)
    standard_error = plain_number(100 * coverage["standard_error"], 1)
    return f"{interval:.0%} intervals of numbers cover {share} +- {standard_error} %"


def _row(name: str, estimates: list[dict[str, float] | None]) -> str:
    """Lays out a figure of each method with its standard error."""
    cells = []
    for estimate in estimates:
        cell = ""
        if estimate is not None:
            standard_error = plain_number(estimate["standard_error"], 4)
            cell = f"{plain_number(estimate['value'], 4)} +- {standard_error}"
        cells.append(f"{cell:>20}")
    return f"{name:<{NAME_WIDTH}}{''.join(cells)}".rstrip()
