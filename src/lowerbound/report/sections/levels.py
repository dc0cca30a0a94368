"""The section on the levels of a hierarchy: what each carries, what each adds to images, and which
of them holds the label.
"""

import math

import numpy as np

from ...data import Examples
from ...evaluation import LatentStatistics
from ...evaluation.probe import SPLITS, Probe, Probes
from ...run import Run
from ..figures import level_rates, strips
from ..findings.dense import DenseFindings
from ..records import Picture, Section, Table
from ..text import format_estimate, format_number, format_share, join_names, name_level

SEPARATE_LEVELS = 3
"""A hierarchy of at most this many levels has a picture of samples for each."""

ROWS_OF_LEVELS = 12
"""A picture with a row for each level has at most this many of them."""

VARIED_COLUMNS = 10
"""So many draws of a level stand in its row."""

RECONSTRUCTION_ROWS = 7
"""At most so many steps from the top level alone to all levels are shown."""

RECONSTRUCTED_COLUMNS = 10
"""So many examples are shown."""

ERROR_EXAMPLES = 500
"""The error of reconstructions from a level up is measured on so many examples."""


def hierarchy(run: Run, findings: DenseFindings) -> Section | None:
    """Shows what each level carries and adds; None where there is one level."""
    count = len(run.model.latents.sizes)
    if count == 1 or findings.latent is None:
        return None
    is_image = run.schema.kind == "image"
    pictures = [_rates(findings)]
    if is_image:
        if count > SEPARATE_LEVELS:
            pictures.append(levels_varied(findings))
        pictures.append(reconstructions_by_level(findings))
    return Section("Levels", tables=(_table(findings, findings.latent),), pictures=tuple(pictures))


def _top_first(findings: DenseFindings) -> list[int]:
    return list(reversed(range(len(findings.run.model.latents.sizes))))


def _table(findings: DenseFindings, latent: LatentStatistics) -> Table:
    """Makes a row for each level, the top first."""
    sizes = findings.run.model.latents.sizes
    bound = findings.bound
    rows = []
    for level in _top_first(findings):
        size = sizes[level]
        rate = bound.rate[level]
        error = format_number(_error_from(findings, level))
        rows.append(
            (
                name_level(level, len(sizes)),
                f"{size:,}",
                format_number(rate, 2),
                format_number(rate / size, 3),
                f"{latent.active_units[level]:,}",
                error,
            )
        )
    head = ("", "dimensions", "rate", "rate per dimension", "active", "error from here up")
    caption = (
        "Rates in nats per example. A dimension is active where the variance over examples of its "
        f"posterior mean{distance(findings.run)} is above 0.01. The error is the root mean "
        "squared error of reconstructions in which this level and all above it are inferred, and "
        "those below it are at their prior means."
    )
    return Table(head, tuple(rows), caption)


def distance(run: Run) -> str:
    """Says what of the posterior mean tells of an example, where it is not the mean itself.

    It is the distance from the prior where that has the parents of the posterior, see
    `evaluation.latent.own_means`: below the top of a ladder, and at the top where the conditions of
    the example decide the prior.
    """
    of_distance = "of its distance from the prior's, in scales of the prior"
    is_chain = run.model.latents.markov
    if run.recipe.model.conditional_prior:
        if is_chain and len(run.model.latents.sizes) > 1:
            return f" (at the top: {of_distance})"
        return f" ({of_distance})"
    if is_chain:
        return ""
    return f" (below the top: {of_distance})"


def _error_from(findings: DenseFindings, level: int) -> float:
    """Measures the error of reconstructions of the first examples from a level and all above."""
    first = findings.examples.take(slice(0, ERROR_EXAMPLES))
    total = 0.0
    count = 0
    for start in range(0, len(first), findings.reconstructed_at_once):
        part = first.take(slice(start, start + findings.reconstructed_at_once))
        error = _values(part) - findings.run.reconstruct(part, lowest=level, units="model").numpy()
        total += float(np.nansum(error**2))
        count += int(np.isfinite(error).sum())
    return math.sqrt(total / max(count, 1))


def _values(examples: Examples) -> np.ndarray:
    """Returns examples as the model sees them, (N, *shape)."""
    return examples.tensor(slice(None)).numpy()


def _rates(findings: DenseFindings) -> Picture:
    order = _top_first(findings)
    names = [name_level(level, len(order)) for level in order]
    rates = [findings.bound.rate[level] for level in order]
    sizes = [findings.run.model.latents.sizes[level] for level in order]
    return Picture(
        "level_rates",
        "Rate by level",
        "KL(q ‖ p) of each level, the top first, and how much that is per dimension.",
        lambda ax: level_rates(names, rates, sizes, ax),
    )


def _some(levels: list[int], most: int) -> list[int]:
    """Chooses at most so many of the levels, evenly, the first and the last among them."""
    if len(levels) <= most:
        return levels
    places = np.linspace(0, len(levels) - 1, most).round().astype(int)
    return [levels[place] for place in places]


def levels_varied(findings: DenseFindings) -> Picture:
    """Draws a row for each level, in which it varies and all levels above it stay."""
    every = _top_first(findings)
    shown = _some(every, ROWS_OF_LEVELS)
    rows = []
    for level in shown:
        group = findings.run.vary(level, 1, VARIED_COLUMNS)[0]
        rows.append(findings.shown(group))
    images = np.stack(rows)
    some = ""
    if len(shown) < len(every):
        some = f"{len(shown)} of {len(every)} levels. "
    return Picture(
        "levels_varied",
        "Each level varied, those above it fixed",
        f"{some}In each row a level is drawn {VARIED_COLUMNS} times. Those above it are the same "
        "in all rows, and those below it are at their prior means.",
        lambda ax: strips(images, ax, rows=[f"level {level + 1}" for level in shown]),
        photo=True,
    )


def reconstructions_by_level(findings: DenseFindings) -> Picture:
    """Draws examples from the top level alone, from the two uppermost, and so on."""
    count = min(RECONSTRUCTED_COLUMNS, len(findings.examples))
    chosen = np.random.default_rng(0).permutation(len(findings.examples))[:count]
    examples = findings.examples.take(np.sort(chosen))
    every = _top_first(findings)
    shown = _some(every, RECONSTRUCTION_ROWS)
    names = ["original"]
    rows = [findings.shown(examples.tensor(slice(None)))]
    for level in shown:
        rows.append(findings.shown(findings.run.reconstruct(examples, lowest=level)))
        names.append(_name_from(level, len(every)))
    images = np.stack(rows)
    steps = "one level more at a time"
    if len(shown) < len(every):
        steps = "more and more levels"
    return Picture(
        "reconstructions_by_level",
        "What each level adds",
        f"Below each original its reconstruction from the top level alone, and then from {steps}; "
        "the levels that are left out are at their prior means.",
        lambda ax: strips(images, ax, rows=names),
        photo=True,
    )


def _name_from(level: int, count: int) -> str:
    """Names a level and all above it: "level 3", "2 and up", "all levels"."""
    if level == count - 1:
        return f"level {count}"
    if level == 0:
        return "all levels"
    return f"{level + 1} and up"


def label(run: Run, findings: DenseFindings) -> Section | None:
    """Shows which level tells the label; None without labels that a probe can find."""
    probes = findings.probes
    if probes is None:
        return None
    left_out = ""
    if probes.left_out:
        left_out = f"; {probes.left_out:,} examples without a label, or of a rare one, are left out"
    caption = (
        "Logistic regressions on the standardised posterior means of active dimensions"
        f"{distance(run)}, of {probes.examples:,} of {findings.mapped_name}, trained on half of "
        f"them and tested on the other half, the mean of {SPLITS} random halvings, ± standard "
        f"error over examples{left_out}. PCA is of the examples themselves, with as many "
        "components."
    )
    head = ("", "dimensions", "accuracy", "PCA of as many")
    return Section(
        "The label",
        (tell_label(probes),),
        tables=(Table(head, label_rows(probes), caption),),
    )


def label_rows(probes: Probes) -> tuple[tuple[str, ...], ...]:
    """Makes a row for each level, the top first, for all together, and for no features."""
    count = len(probes.levels)
    rows = []
    for level in reversed(range(count)):
        name = "posterior mean"
        if count > 1:
            name = name_level(level, count)
        rows.append(_label_row(name, probes.levels[level], probes))
    if count > 1:
        rows.append(_label_row("all levels", probes.together, probes))
    rows.append(("the most frequent label", "0", format_number(probes.most_frequent, 3), ""))
    return tuple(rows)


def _label_row(name: str, probe: Probe, probes: Probes) -> tuple[str, ...]:
    components = probes.components_of(probe)
    pca = format_estimate(components.accuracy, 3)
    if components.size != probe.size:
        pca = f"{pca} ({components.size:,})"
    return (name, f"{probe.size:,}", format_estimate(probe.accuracy, 3), pca)


def tell_label(probes: Probes) -> str:
    """Says in a sentence which level tells the label."""
    best = probes.levels[probes.best]
    accuracy = format_estimate(best.accuracy, 3)
    chance = format_share(probes.most_frequent)
    count = len(probes.levels)
    if not probes.holders:
        return (
            f"No level tells the label: the accuracy of a linear probe is {accuracy} at most, and "
            f"{chance} of the examples have the most frequent one."
        )
    if count == 1:
        return f"A linear probe of the codes finds the label with an accuracy of {accuracy}."
    together = format_estimate(probes.together.accuracy, 3)
    tail = f"accuracy {accuracy}, and {together} from all levels together."
    if len(probes.holders) == 1:
        return f"The label is in {name_level(probes.best, count)} of {count}: {tail}"
    names = join_names([str(level + 1) for level in probes.holders])
    return f"The levels {names} of {count} tell the label equally well: {tail}"
