"""Sections on latent variables, for every kind of run: maps of the codes, and whether the codes are
in use.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import Tensor

from ...evaluation import LatentStatistics
from ...evaluation.statistics import kolmogorov_smirnov
from ...run import Run
from ..figures import classes, histogram, marginals, rates, shades
from ..findings.dense import DenseFindings
from ..projection import Plane, plane, principal
from ..records import Picture, Section
from ..text import name_level, shorten

LEAST_RATE = 0.1
"""Latents of a lower rate than this, in nats, tell next to nothing."""


LEAST_ACTIVE = 0.1
"""Latents of which a smaller fraction than this is active are called little used."""


MISFIT = 4.0
"""A likelihood fits badly if the spread that it states and that of the data differ by this factor.
"""


FREE_BITS = 2.0
"""The free bits that are advised for a level that has collapsed, in nats."""


FREE_BITS_SHARE = 0.3
"""They are to fall to 0 in this share of the fit."""


COMPARED_EXAMPLES = 100
"""The aggregate posterior of fewer examples than this is not compared with the prior in words."""


NAMED_MISFITS = 4
"""At most this many columns are named whose likelihood does not fit."""


AGGREGATE_PANELS = 8
"""The aggregate posterior is shown in at most this many dimensions."""


def usage(
    statistics: LatentStatistics,
    example: str,
    examples: str,
    *,
    shown: Sequence[int] | None = None,
    advice: str = "",
) -> Section:
    """Shows whether latents are in use.

    Args:
        statistics: what the latents carry, by level.
        example: what an example is called: "user".
        examples: the examples that were measured, in words: "500 test users".
        shown: the levels that are drawn and told of, from 0; None for all. All may be warned of.
        advice: what to do about a level of several that has collapsed.
    """
    sentences = []
    warnings: list[str] = []
    pictures = []
    count = len(statistics.active_units)
    for i, (rate, variance, active) in enumerate(zip(*statistics, strict=True)):
        total = math.nan
        if rate is not None:
            total = float(rate.sum())
        size = len(variance)
        name = ""
        if count > 1:
            name = f" of {name_level(i, count)}"
        warnings += _collapse_warnings(active, size, total, name, example, advice)
        if shown is not None and i not in shown:
            continue
        level = f" of level {i + 1}" if count > 1 else ""
        sentence = f"{active} of {size} units{level} are active"
        if count == 1:
            sentence += " (variance of the posterior mean above 0.01)"
        if rate is not None:
            sentence += f", and the rate is {total:.2f} nats in all"
            caption = f"The rate of each dimension{level}, over {examples}."
            pictures.append(_rate_picture(i, level, rate, active, caption))
        sentences.append(f"{sentence}, over {examples}.")
    return Section(
        "Health of the latents", tuple(sentences), tuple(warnings), pictures=tuple(pictures)
    )


def _rate_picture(index: int, level: str, rate: Tensor, active: int, caption: str) -> Picture:
    values = rate.tolist()
    return Picture(
        f"rates_{index + 1}",
        f"Rate by dimension{level}",
        caption,
        lambda ax: rates(values, ax, active=active),
    )


def _collapse_warnings(
    active: int, size: int, rate: float, level: str, example: str, advice: str
) -> list[str]:
    """Warns of latents that tell nothing, and of those that are little used."""
    if rate < LEAST_RATE:
        verdict = "carry next to nothing"
        amount = "almost nothing"
        if active == 0:
            verdict = "have collapsed"
            amount = "nothing"
        message = (
            f"The latents{level} {verdict}: their rate is {rate:.3f} nats, so that codes tell "
            f"{amount} of the {example}{advice}."
        )
        return [message]
    if active < LEAST_ACTIVE * size:
        message = (
            f"Few of the latents{level} are in use: {active} of {size} units are active; the rate "
            f"is {rate:.2f} nats in all."
        )
        return [message]
    return []


def health(run: Run, findings: DenseFindings) -> Section | None:
    """Shows whether the latents are in use and the likelihood fits; None for an autoencoder."""
    if findings.latent is None:
        return None
    examples = f"{len(findings.examples):,} {findings.split} examples"
    used = usage(
        findings.latent,
        "example",
        examples,
        shown=findings.shown_levels,
        advice=_advise_free_bits(run),
    )
    sentences = [*used.sentences]
    pictures = [*used.pictures]
    for level in findings.shown_levels:
        sentence, picture = _aggregate_posterior(findings, level)
        if len(findings.mapped) >= COMPARED_EXAMPLES:
            sentences.append(sentence)
        pictures.append(picture)
    return Section(
        "Health",
        tuple(sentences),
        (*used.warnings, *_misfit_warnings(findings), *_overfit_warnings(findings)),
        pictures=tuple(pictures),
    )


def _advise_free_bits(run: Run) -> str:
    """Says what holds open the levels of a hierarchy; "" where there is nothing to do it with."""
    count = len(run.model.latents.sizes)
    if count == 1 or not hasattr(run.recipe.objective, "free_bits"):
        return ""
    return (
        "; free bits keep levels in use while the others are learned, such as --set "
        f'objective.free_bits=\'{{type="Linear",start={FREE_BITS:g},stop=0.0,steps='
        f"{_first_steps(run)}}}' (nats per level, falling to 0)"
    )


def _first_steps(run: Run) -> int:
    """Counts the optimiser steps of the part of a fit in which free bits fall."""
    examples = run.split_sizes().get("train", 0)
    batches = -(-examples // run.recipe.training.batch_size)
    steps = max(run.recipe.training.epochs * batches, 1)
    if run.recipe.training.steps is not None:
        steps = min(steps, run.recipe.training.steps)
    return max(round(FREE_BITS_SHARE * steps), 1)


def _aggregate_posterior(findings: DenseFindings, level: int) -> tuple[str, Picture]:
    """Compares the posteriors of all examples together with the prior, in words and a picture."""
    order = findings.by_rate(level)[:AGGREGATE_PANELS]
    posterior = findings.draws[level]
    prior = findings.prior_draws[level]
    distances = [kolmogorov_smirnov(posterior[:, i], prior[:, i]) for i in order]
    worst = int(order[int(np.argmax(distances))])
    of_level = findings.level(level)
    sentence = (
        f"The aggregate posterior{of_level} departs most from the prior in z{worst + 1} "
        f"(greatest difference of the distribution functions {max(distances):.2f})."
    )
    names = [f"z{i + 1}" for i in order]
    labels = ("posterior", "prior")
    picture = Picture(
        f"aggregate_{level + 1}",
        f"Aggregate posterior{of_level}",
        f"Draws of q(z | x) over {len(posterior):,} examples (filled) and of the prior (line), "
        f"{len(order)} dimensions{of_level} by rate.",
        lambda ax: marginals(posterior[:, order], prior[:, order], names, ax, labels=labels),
        wide=True,
    )
    return sentence, picture


def _misfit_warnings(findings: DenseFindings) -> list[str]:
    """Warns of a likelihood that states another spread than the data have."""
    misfits = {name: ratio for name, ratio in findings.dispersions.items() if _is_misfit(ratio)}
    if not misfits:
        return []
    variance = getattr(findings.run.recipe.model.likelihood, "variance", None)
    if isinstance(variance, float | int):
        advice = 'learn the variance (model.likelihood.variance = "learned")'
    elif variance is None:
        advice = "take another family"
    else:
        advice = "train longer, or take another family"
    if "" in misfits:
        message = (
            "The likelihood does not fit the data: the squared errors are "
            f"{_tell_misfit(misfits[''])} than those of draws from p(x | z); {advice}."
        )
        return [message]
    worst = sorted(misfits, key=lambda name: -max(misfits[name], 1 / misfits[name]))
    told = [f"{shorten(name)} {_tell_misfit(misfits[name])}" for name in worst[:NAMED_MISFITS]]
    if len(worst) > NAMED_MISFITS:
        told.append(f"those of {len(worst) - NAMED_MISFITS} more by less")
    message = (
        "The likelihood does not fit columns of numbers: their squared errors are smaller or "
        f"larger than those of draws from p(x | z): {', '.join(told)}; train longer, or take "
        "another kind (data.kinds) or family (model.likelihood) for them."
    )
    return [message]


def _is_misfit(ratio: float) -> bool:
    """Says whether a ratio of variances is far from 1; one that is no number above 0 is not."""
    is_number = np.isfinite(ratio) and ratio > 0
    return bool(is_number and not 1 / MISFIT < ratio < MISFIT)


def _tell_misfit(ratio: float) -> str:
    side = "smaller" if ratio < 1 else "larger"
    factor = max(ratio, 1 / ratio)
    return f"{factor:,.0f} times {side}"


def _overfit_warnings(findings: DenseFindings) -> list[str]:
    """Warns of a bound that is clearly higher on the training examples."""
    if not findings.has_train:
        return []
    train = findings.train_bound.elbo
    other = findings.bound.elbo
    gap = train.value - other.value
    error = float(np.hypot(train.standard_error, other.standard_error))
    is_clear = gap > max(4 * error, 0.05 * abs(other.value))
    if not is_clear:
        return []
    message = (
        f"The model overfits: its ELBO is {gap:,.1f} nats higher on the training examples than on "
        f"the {findings.split} split."
    )
    return [message]


def space(run: Run, findings: DenseFindings) -> Section:
    """Shows where the codes of the examples lie."""
    pictures: list[Picture] = []
    for level in findings.shown_levels:
        pictures += _code_pictures(findings, level)
    return Section("Latent space", pictures=tuple(pictures))


def _code_pictures(findings: DenseFindings, level: int) -> list[Picture]:
    """Draws maps of the codes of a level, or their histogram where a map would show nothing."""
    means = findings.means[level]
    of_level = findings.level(level)
    rows = np.arange(len(means))
    method = findings.run.recipe.report.projection
    projected = plane(means, rows, "z", method=method)
    if projected is None:
        histogram_picture = Picture(
            f"codes_{level + 1}",
            f"Codes{of_level}",
            f"The posterior means of {findings.mapped_name}.",
            lambda ax: histogram({"codes": means[:, 0]}, "z1", ax),
        )
        return [histogram_picture]
    maps = []
    components = principal(means, rows) if means.shape[1] > 2 else None
    if components is not None:
        title = f"Principal components of the codes{of_level}"
        maps.append((components, f"pca_{level + 1}", title))
    if projected.axes is not None:
        maps.append((projected, f"codes_{level + 1}", f"Codes{of_level}"))
    else:
        title = f"{projected.method} of the codes{of_level}"
        maps.append((projected, f"{method}_{level + 1}", title))
    pictures = []
    for codes, name, title in maps:
        pictures += _maps(findings, codes, name, title)
    return pictures


def _maps(findings: DenseFindings, codes: Plane, name: str, title: str) -> list[Picture]:
    """Draws maps of codes, one for each of the colourings, or by score where there are none."""
    start = f"The posterior means of {findings.mapped_name}, coloured by"
    pictures = []
    for number, (coloured_by, words) in enumerate(findings.colourings, 1):
        file = name
        if number > 1:
            file = f"{name}_by_{number}"
        caption = f"{start} {shorten(coloured_by)}.{codes.note}"
        draw = partial(classes, codes.points, words[: len(codes.points)], axes=codes.axes)
        pictures.append(Picture(file, title, caption, draw))
    if pictures:
        return pictures
    score = findings.score_name
    scores = findings.mapped_scores
    picture = Picture(
        name,
        title,
        f"{start} {score}.{codes.note}",
        lambda ax: shades(codes.points, scores, f"{score} (nats)", ax, axes=codes.axes),
    )
    return [picture]
