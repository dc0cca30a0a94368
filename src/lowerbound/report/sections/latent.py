"""Sections on latent variables, for every kind of run: maps of the codes, and whether the codes are
in use.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ...evaluation import LatentStatistics
from ...evaluation.statistics import kolmogorov_smirnov
from ...run import Run
from ..figures import classes, histogram, marginals, rates, shades
from ..findings.dense import DRAWN_EXAMPLES, DenseFindings
from ..projection import Plane, plane, principal
from ..records import Picture, Section

LEAST_RATE = 0.1
"""Nats below which a code tells nothing."""


LEAST_ACTIVE = 0.1
"""Fraction of the units below which few of them are in use."""


MISFIT = 4.0
"""Factor between the spread that a likelihood states and that of the data, from which on it is
told.
"""


ENOUGH = 100
"""Examples below which distributions are not compared in words."""


PANELS = 8
"""Dimensions whose aggregate posterior is shown."""


def _collapsed(active: int, size: int, rate: float, level: str, what: str) -> list[str]:
    if rate < LEAST_RATE:
        name, much = (
            ("have collapsed", "nothing")
            if active == 0
            else ("carry next to nothing", "almost nothing")
        )
        return [
            f"The latents{level} {name}: their rate is {rate:.3f} nats, so that codes tell {much} "
            f"of the {what}."
        ]
    if active < LEAST_ACTIVE * size:
        return [
            f"Few of the latents{level} are in use: {active} of {size} units are active; the rate "
            f"is {rate:.2f} nats in all."
        ]
    return []


def _rates(values: Sequence[float], active: int) -> Callable:
    return lambda ax: rates(values, ax, active=active)


def usage(found: LatentStatistics, what: str, of: str) -> Section:
    """Whether latents are in use: `what` an example is called, and `of` how many they were, in
    words.
    """
    sentences, warned, pictures = [], [], []
    many = len(found.active_units) > 1
    for i, (rate, variance, active) in enumerate(zip(*found, strict=True)):
        level, size = f" of level {i + 1}" if many else "", len(variance)
        total = float("nan") if rate is None else float(rate.sum())
        nats = "" if rate is None else f", and the rate is {total:.2f} nats in all"
        told = f"{active} of {size} units{level} are active (variance of the posterior mean above 0.01){nats}"
        sentences.append(f"{told}, over {of}.")
        warned += _collapsed(active, size, total, level, what)
        if rate is not None:
            told = f"The rate of each dimension{level}, over {of}."
            pictures.append(
                Picture(
                    f"rates_{i + 1}",
                    f"Rate by dimension{level}",
                    told,
                    _rates(rate.tolist(), active),
                )
            )
    return Section(
        "Health of the latents", tuple(sentences), tuple(warned), pictures=tuple(pictures)
    )


def _aggregate(look: DenseFindings, level: int) -> tuple[str, Picture]:
    """How the posteriors of all examples together lie to the prior."""
    order = look.by_rate(level)[:PANELS]
    posterior, prior = look.draws[level], look.prior_draws[level]
    distances = [kolmogorov_smirnov(posterior[:, i], prior[:, i]) for i in order]
    worst = int(order[int(np.argmax(distances))])
    where = look.level(level)
    sentence = (
        f"The aggregate posterior{where} departs most from the prior in z{worst + 1} "
        f"(greatest difference of the distribution functions {max(distances):.2f})."
    )
    drawn = f"Draws of q(z | x) over {len(posterior):,} examples (filled) and of the prior (line)"
    told = f"{drawn}, {len(order)} dimensions{where} by rate."
    names = [f"z{i + 1}" for i in order]
    return sentence, Picture(
        f"aggregate_{level + 1}",
        f"Aggregate posterior{where}",
        told,
        lambda ax: marginals(
            posterior[:, order], prior[:, order], names, ax, labels=("posterior", "prior")
        ),
        wide=True,
    )


def _advice(look: DenseFindings) -> str:
    """What helps where the likelihood states another spread than the data have."""
    variance = getattr(look.run.recipe.model.likelihood, "variance", None)
    if isinstance(variance, float | int):
        return 'learn the variance (model.likelihood.variance = "learned")'
    return "take another family" if variance is None else "train longer, or take another family"


def _misfit(look: DenseFindings) -> list[str]:
    ratio = look.dispersion
    if not np.isfinite(ratio) or ratio <= 0 or 1 / MISFIT < ratio < MISFIT:
        return []
    side, factor = "smaller" if ratio < 1 else "larger", f"{max(ratio, 1 / ratio):,.0f}"
    than = f"the squared errors are {factor} times {side} than those of draws from p(x | z)"
    return [f"The likelihood does not fit the data: {than}; {_advice(look)}."]


def _overfits(look: DenseFindings) -> list[str]:
    gap = look.train_bound.elbo.value - look.bound.elbo.value
    error = float(np.hypot(look.train_bound.elbo.standard_error, look.bound.elbo.standard_error))
    if look.split == "train" or not gap > max(4 * error, 0.05 * abs(look.bound.elbo.value)):
        return []
    return [
        f"The model overfits: its ELBO is {gap:,.1f} nats higher on the training examples than on "
        f"the {look.split} split."
    ]


def health(run: Run, look: DenseFindings) -> Section | None:
    """Whether the latents are in use, and the likelihood fits."""
    if look.latent is None:
        return None
    used = usage(
        look.latent, "example", f"{min(len(look.examples), DRAWN_EXAMPLES):,} {look.split} examples"
    )
    parts = [_aggregate(look, level) for level in range(len(look.draws))]
    return Section(
        "Health",
        (*used.sentences, *(sentence for sentence, _ in parts if len(look.crowd) >= ENOUGH)),
        (*used.warnings, *_misfit(look), *_overfits(look)),
        pictures=(*used.pictures, *(picture for _, picture in parts)),
    )


def _coloured(look: DenseFindings, map_: Plane) -> tuple[str, Callable]:
    """What colours the points of a map, and what draws them."""
    labels = look.labels
    if labels is not None:
        kept = [labels[i] for i in range(len(map_.points))]
        return "coloured by label", lambda ax: classes(map_.points, kept, ax, axes=map_.axes)
    scores = look.crowd_scores
    return f"coloured by {look.score_name}", lambda ax: shades(
        map_.points, scores, f"{look.score_name} (nats)", ax, axes=map_.axes
    )


def _maps(look: DenseFindings, level: int) -> list[Picture]:
    means, where = look.means[level], look.level(level)
    rows, method = np.arange(len(means)), look.run.recipe.report.projection
    projected = plane(means, rows, "z", method=method)
    if projected is None:
        told = f"The posterior means of {look.crowd_name}."
        return [
            Picture(
                f"codes_{level + 1}",
                f"Codes{where}",
                told,
                lambda ax: histogram({"codes": means[:, 0]}, "z1", ax),
            )
        ]
    found: dict[str, Plane] = {"codes" if projected.axes else method: projected}
    if means.shape[1] > 2 and (flat := principal(means, rows)) is not None:
        found = {"pca": flat} | found
    pictures = []
    for name, map_ in found.items():
        colour, draw = _coloured(look, map_)
        many = f"The posterior means of {look.crowd_name}, {colour}."
        title = {"codes": "Codes", "pca": "Principal components of the codes"}.get(
            name, f"{map_.method} of the codes"
        )
        pictures.append(Picture(f"{name}_{level + 1}", f"{title}{where}", many + map_.told, draw))
    return pictures


def space(run: Run, look: DenseFindings) -> Section:
    """Where the codes of the examples lie."""
    pictures = [picture for level in range(len(look.means)) for picture in _maps(look, level)]
    return Section("Latent space", pictures=tuple(pictures))
