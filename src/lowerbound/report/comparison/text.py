"""A comparison for people, as text."""

import math
from dataclasses import replace

from ..records import Table
from ..text import figure, metric, setting, spread
from .measure import Comparison, Entry

NAMED = {"elbo": "ELBO", "log_likelihood": "log p(x)", "log_likelihood_term": "log-likelihood term"}
"""Measures in nats, for people."""


def name_runs(measure: str) -> str:
    return NAMED.get(measure) or metric(measure)


def sizes(found: Comparison) -> str:
    return f"{found.examples:,} {found.split} {'users' if found.ranked else 'examples'} of {found.source}"


def caption(found: Comparison) -> str:
    """What the figures of the table are."""
    unit = "Means over users" if found.ranked else "Nats per example"
    told = f"{unit}, ± standard error. Differences are to {found.first.name}, with the standard error of the pairs."
    if found.weighed:
        whose = f"of the first {found.weighed:,}" if found.weighed < found.examples else "of all"
        told += f" log p(x) is {whose}, with {found.samples} importance samples each."
    if found.ranked and (out := found.first.ranking.left_out if found.first.ranking else 0):
        told += f" {out:,} users without a held-out item are left out."
    return told


def _measures(found: Comparison, entry: Entry) -> tuple[str, ...]:
    digits, cells = 4 if found.ranked else 2, [entry.name]
    for name in found.shown:
        for estimates, sign in ((entry.measures, False), (entry.differences or {}, True)):
            cells.append(spread(estimates[name], digits, sign) if name in estimates else "–")
    return tuple(cells)


def figures_table(found: Comparison) -> Table:
    """A row for each run: its measures, and their paired differences to the first run."""
    measured = (part for name in found.shown for part in (name_runs(name), "difference"))
    return Table(
        ("run", *measured),
        tuple(_measures(found, entry) for entry in found.entries),
        caption(found),
    )


def _cost(entry: Entry) -> tuple[str, ...]:
    summary = entry.run.summary
    rate = " + ".join(figure(math.nan if r is None else r, 2) for r in entry.rate) or "–"
    epochs = f"{summary['epochs']:,}" if "epochs" in summary else "–"
    return (
        entry.name,
        rate,
        f"{entry.parameters:,}",
        epochs,
        figure(summary.get("seconds", math.nan), 1),
    )


def models_table(found: Comparison) -> Table:
    """A row for each run: what its latents carry, how large the model is, and what the fit cost."""
    caption = "Rate in nats; seconds of the fit, each on its own machine."
    head = ("run", "rate by level", "parameters", "epochs", "seconds")
    return Table(head, tuple(map(_cost, found.entries)), caption)


def _joined(left: Table, right: Table) -> Table:
    """Two tables of the same rows as one."""
    rows = zip((left.head, *left.rows), (right.head, *right.rows), strict=True)
    head, *rest = ((*ours, *theirs[1:]) for ours, theirs in rows)
    return replace(left, head=head, rows=tuple(rest))


def settings_table(found: Comparison) -> Table:
    """A row for each setting that differs, a column for each run."""
    rows = ((key, *map(setting, values)) for key, values in found.settings.items())
    return Table(("setting", *(entry.name for entry in found.entries)), tuple(rows), numbers=False)


def verdicts(found: Comparison) -> list[str]:
    """For each run whether it is better or worse than the first, in a sentence; nothing where the
    figures cannot be compared.
    """
    return [_verdict(found, entry) for entry in found.entries[1:]] if found.comparable else []


def _verdict(found: Comparison, entry: Entry) -> str:
    value, error = (entry.differences or {})[found.headline]
    digits, unit = (4, "") if found.ranked else (2, " nats")
    told = f"The {name_runs(found.headline)} of {entry.name}"
    if not value:
        return f"{told} is equal to that of {found.first.name}."
    size = f"{figure(abs(value), digits)}{unit} {'above' if value > 0 else 'below'} that of {found.first.name}"
    clear = "" if abs(value) > 2 * error else ", which is within twice the standard error"
    return f"{told} is {size} (±\u00a0{figure(error, digits)}){clear}."


def _aligned(table: Table) -> list[str]:
    """A table as text: names on the left, all else on the right where it is numbers."""
    rows = [table.head, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    side = ">" if table.numbers else "<"
    return [
        "  ".join(f"{cell:{side if i else '<'}{widths[i]}}" for i, cell in enumerate(row)).rstrip()
        for row in rows
    ]


def _typed(text: str) -> str:
    """As the other commands write figures."""
    return text.replace("±\u00a0", "+- ").replace("±", "+-").replace("−", "-").replace("–", "-")


def as_text(found: Comparison) -> list[str]:
    """The comparison as lines for a terminal."""
    notes = [f"note: {warning}" for warning in found.warnings]
    figures = [
        _typed(line)
        for line in (
            caption(found),
            *_aligned(_joined(figures_table(found), models_table(found))),
            *verdicts(found),
        )
    ]
    differ = (
        ["", *_aligned(settings_table(found))] if found.settings else ["all settings are equal"]
    )
    page = [] if found.page is None else ["", f"page     {found.page}"]
    return [sizes(found), *notes, *figures, *differ, *page]
