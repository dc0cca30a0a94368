"""A comparison for people, as text."""

import math
from dataclasses import replace

from ...evaluation import Estimate
from ..records import Table
from ..text import (
    bound_sign,
    format_estimate,
    format_number,
    format_setting,
    name_measure,
    to_ascii,
)
from .measure import Comparison, Entry


def sizes(found: Comparison) -> str:
    """Says what was measured: "360 test examples of digits"."""
    rows = f"{found.examples:,} {found.split} {found.unit}"
    return f"{rows} of {found.source}"


def caption(found: Comparison) -> str:
    """Says what the figures of the table are."""
    means = "Means over users"
    if found.in_nats:
        means = "Nats per example"
    text = (
        f"{means}, ± standard error. Differences are to {found.first.name}, with the standard "
        "error of the pairs."
    )
    if found.weighed:
        which = "of all"
        if found.weighed < found.examples:
            which = f"of the first {found.weighed:,}"
        text += (
            f" log p(x) is {which}, with {found.samples} importance samples each: a lower bound, "
            "and the ± of its differences holds how loose it may be."
        )
    left_out = found.first.measured.left_out
    if left_out:
        text += f" {left_out:,} users without a held-out item are left out."
    return text


def figures_table(found: Comparison) -> Table:
    """Makes a row for each run: its measures, and their paired differences to the first run."""
    head = ["run"]
    for name in found.shown:
        head += [name_measure(name), "difference"]
    rows = []
    for entry in found.entries:
        rows.append(_figures_row(found, entry))
    return Table(tuple(head), tuple(rows), caption(found))


def _figures_row(found: Comparison, entry: Entry) -> tuple[str, ...]:
    measures = entry.measures
    differences = entry.differences or {}
    cells = [entry.name]
    for name in found.shown:
        cells.append("–")
        if name in measures:
            cells[-1] = bound_sign(name) + format_estimate(measures[name], found.digits)
        cells.append("–")
        if name in differences:
            cells[-1] = format_estimate(differences[name], found.digits, sign=True)
    return tuple(cells)


def models_table(found: Comparison) -> Table:
    """Makes a row for each run: what its latents carry, how large the model is, and what the fit
    cost.
    """
    caption = "Rate in nats; seconds of the fit, each on its own machine."
    head = ("run", "rate by level", "parameters", "epochs", "seconds")
    rows = map(_models_row, found.entries)
    return Table(head, tuple(rows), caption)


def _models_row(entry: Entry) -> tuple[str, ...]:
    summary = entry.run.summary
    rates = []
    for rate in entry.rate:
        if rate is None:
            rate = math.nan
        rates.append(format_number(rate, 2))
    epochs = "–"
    if "epochs" in summary:
        epochs = f"{summary['epochs']:,}"
    seconds = format_number(summary.get("seconds", math.nan), 1)
    return (entry.name, " + ".join(rates) or "–", f"{entry.parameters:,}", epochs, seconds)


def _side_by_side(left: Table, right: Table) -> Table:
    """Joins two tables of the same rows."""
    head = left.head + right.head[1:]
    rows = []
    for ours, theirs in zip(left.rows, right.rows, strict=True):
        rows.append(ours + theirs[1:])
    return replace(left, head=head, rows=tuple(rows))


def settings_table(found: Comparison) -> Table:
    """Makes a row for each setting that differs, with a column for each run."""
    head = ["setting"]
    for entry in found.entries:
        head.append(entry.name)
    rows = []
    for key, values in found.settings.items():
        rows.append((key, *map(format_setting, values)))
    return Table(tuple(head), tuple(rows), numbers=False)


def verdicts(found: Comparison) -> list[str]:
    """Says of each run whether it is better or worse than the first, in a sentence; nothing where
    the figures cannot be compared.
    """
    if not found.comparable:
        return []
    return [_verdict(found, entry) for entry in found.entries[1:]]


def _verdict(found: Comparison, entry: Entry) -> str:
    difference = Estimate(*(entry.differences or {})[found.headline])
    subject = f"The {name_measure(found.headline)} of {entry.name}"
    first = found.first.name
    if not difference.value:
        return f"{subject} is equal to that of {first}."
    unit = ""
    if found.in_nats:
        unit = " nats"
    side = "below"
    if difference.value > 0:
        side = "above"
    doubt = ""
    if not difference.is_clear:
        doubt = ", which is within twice the standard error"
    size = f"{format_number(abs(difference.value), found.digits)}{unit}"
    error = format_number(difference.standard_error, found.digits)
    return f"{subject} is {size} {side} that of {first} (±\u00a0{error}){doubt}."


def _align(table: Table) -> list[str]:
    """Writes a table as lines: names on the left, all else on the right where it is numbers."""
    rows = [table.head, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    side = "<"
    if table.numbers:
        side = ">"
    lines = []
    for name, *values in rows:
        cells = [f"{name:<{widths[0]}}"]
        for value, width in zip(values, widths[1:], strict=True):
            cells.append(f"{value:{side}{width}}")
        lines.append("  ".join(cells).rstrip())
    return lines


def as_text(found: Comparison) -> list[str]:
    """Writes the comparison as lines for a terminal."""
    lines = [sizes(found)]
    for warning in found.warnings:
        lines.append(f"note: {warning}")
    table = _side_by_side(figures_table(found), models_table(found))
    for line in (caption(found), *_align(table), *verdicts(found)):
        lines.append(to_ascii(line))
    if found.settings:
        lines += ["", *_align(settings_table(found))]
    else:
        lines.append("all settings are equal")
    if found.page is not None:
        lines += ["", f"page     {found.page}"]
    return lines
