"""What a run is in a few lines: in Python, in a notebook, and at the head of its report."""

import html
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ..data import described
from ..data.memory import MEMORY
from ..recipe import Recipe
from ..system.files import is_file

COUNTED_LEVELS = 3
"""So many levels of equal size in a row, or more, are told by their number."""

Fact = tuple[str, str]
"""A name and a value."""

SPLITS = ("train", "validation", "test")
"""The splits in the order in which their figures are shown."""

METRICS = ("ndcg@10", "ndcg@100", "recall@20", "recall@50")
"""The ranking metrics of a split that are shown."""


def source_name(recipe: Recipe) -> str:
    """Returns the name of the data of a run, without the folder that they are in."""
    source = recipe.data.source
    if source == MEMORY:
        return "data in memory"
    return source.rsplit("/", 1)[-1]


def latent_sizes(recipe: Recipe) -> str:
    """Says how many dimensions each level of latents has, such as "8" or "20 + 2".

    Equal levels in a row are counted from `COUNTED_LEVELS` on: "5 × 2 + 16".
    """
    parts = []
    for size, equal in groupby(recipe.model.latent):
        count = len(list(equal))
        if count < COUNTED_LEVELS:
            parts += [str(size)] * count
        else:
            parts.append(f"{count} × {size}")
    return " + ".join(parts)


def describe_networks(recipe: Recipe) -> str:
    """Names the networks of a model: "MLP 500", or "ConvLadder of 3 levels"."""
    model = recipe.model
    if model.ladder is not None:
        return f"{type(model.ladder).__name__} of {len(model.latent)} levels"
    network = type(model.network).__name__
    hidden = getattr(model.network, "hidden", ())
    if not hidden:
        return network
    widths = " × ".join(str(width) for width in hidden)
    return f"{network} {widths}"


def describe_model(recipe: Recipe) -> str:
    """Describes a model in one line."""
    model = recipe.model
    network = describe_networks(recipe)
    posterior = type(model.posterior).__name__
    likelihood = type(model.likelihood).__name__
    latent = latent_sizes(recipe)
    return f"{network}, {latent} latent, {posterior} posterior, {likelihood} likelihood"


def facts_of_run(
    folder: Path, recipe: Recipe, summary: Mapping[str, Any], unfinished: str | None
) -> list[Fact]:
    """Lists what a run is and what it has come to.

    Args:
        folder: of the run.
        recipe: how it was made.
        summary: what `fit` found.
        unfinished: what is to be said of a run that was stopped, or None.
    """
    facts = []
    if recipe.about.title:
        facts.append(("recipe", recipe.about.title))
    data = source_name(recipe)
    if summary.get("facts"):
        data = f"{data}: {described(summary['facts'])}"
    facts += [("data", data), ("model", describe_model(recipe))]
    if "epochs" in summary:
        facts.append(("fit", _duration(summary)))
    if unfinished:
        facts.append(("note", unfinished))
    for split in SPLITS:
        if summary.get(split):
            facts.append((split, _figures(summary[split])))
    page = folder / "report" / "index.html"
    if is_file(page):
        facts.append(("report", str(page)))
    return facts


def _duration(summary: Mapping[str, Any]) -> str:
    """Says how long a fit was, in epochs and in seconds."""
    epochs = summary["epochs"]
    unit = "epochs"
    if epochs == 1:
        unit = "epoch"
    parts = [f"{epochs:,} {unit}"]
    if summary.get("validation"):
        parts.append(f"the best was {summary['best_epoch']:,}")
    parts.append(f"{summary['seconds']:,.1f} s")
    return ", ".join(parts)


def _figures(measures: Mapping[str, Any]) -> str:
    """Lays out the figures of one split: the bound and its terms, then ranking metrics."""
    parts = []
    for name, title in (("elbo", "ELBO"), ("log_likelihood_term", "log-likelihood term")):
        if measures.get(name) is not None:
            parts.append(f"{title} {measures[name]:,.2f}")
    rates = [rate for rate in measures.get("rate") or () if rate is not None]
    if rates:
        parts.append("rate " + " + ".join(f"{rate:,.2f}" for rate in rates))
    metrics = [name for name in METRICS if measures.get(name) is not None]
    parts += [f"{name} {measures[name]:.4f}" for name in metrics]
    return ", ".join(parts)


def as_text(head: str, facts: Sequence[Fact]) -> str:
    """Lays out facts below a head, one a line."""
    width = max(len(name) for name, _ in facts)
    lines = [f"  {name:<{width}}  {value}" for name, value in facts]
    return "\n".join([head, *lines])


def as_html(head: str, facts: Sequence[Fact]) -> str:
    """Lays out facts below a head as a table for a notebook."""
    rows = []
    for name, value in facts:
        cells = f"<th>{html.escape(name)}</th><td>{html.escape(value)}</td>"
        rows.append(f'<tr style="text-align: left">{cells}</tr>')
    return f"<b>{html.escape(head)}</b><table>{''.join(rows)}</table>"
