"""Sections on images: reconstructions, samples, and what the decoder makes of its latent space."""

import numpy as np
import torch
from scipy.special import ndtri

from ...data import Dataset, Examples
from ...run import Run
from ...run.given import as_given
from ...system.image_grid import tiles
from ..figures import grid, heat, interleaved, pairs, strips, sweep
from ..findings.dense import DRAWN_EXAMPLES, DenseFindings
from ..records import Kind, Picture, Section
from ..text import format_number, format_tick
from .bound import measured
from .given import conditions
from .latent import health, space
from .levels import SEPARATE_LEVELS, hierarchy, label

RANDOM_RECONSTRUCTIONS = 24
"""At most this many random examples are reconstructed."""


EXTREME_RECONSTRUCTIONS = 16
"""This many of the best examples and of the worst are reconstructed."""


UNLIKELY_EXAMPLES = 32
"""At most this many of the least likely examples are shown."""


SWEEP_PIXELS = 1200
"""A sweep of the decoder is at most this many pixels wide, unless it is of the smallest side."""


LARGEST_SIDE = 20
"""A sweep has at most this many images on a side."""


SMALLEST_SIDE = 6
"""A sweep has at least this many images on a side."""


LINE_IMAGES = 16
"""This many images show the decoder along the one dimension of a level."""


TRAVERSED = 16
"""At most this many dimensions of each level are traversed."""


STEPS = np.linspace(-3, 3, 9)
"""The values that a traversal gives to a dimension, in units of its scale."""


INTERPOLATED_PAIRS = 6
"""This many pairs of examples are interpolated."""


INTERPOLATION_STEPS = 8
"""The decoder shows this many codes between the two of a pair, both ends among them."""


def reconstructions(run: Run, findings: DenseFindings) -> Section:
    """Shows originals beside the means of p(x | z) at their posterior means."""
    pictures = [_random_reconstructions(findings)]
    if len(findings.order) >= 3 * EXTREME_RECONSTRUCTIONS:
        pictures += _extreme_reconstructions(findings)
    pixel_error = np.sqrt(findings.square_error.mean(0))
    count = min(len(findings.examples), DRAWN_EXAMPLES)
    pictures.append(
        Picture(
            "pixel_error",
            "Error by pixel",
            "Root mean squared error of the reconstruction at each pixel, over "
            f"{count:,} {findings.split} examples.",
            lambda ax: heat(pixel_error, "root mean squared error", ax),
        )
    )
    error = float(np.sqrt(findings.square_error.mean()))
    sentence = (
        "Shown is the mean of p(x | z) at the mean of q(z | x); its root mean squared error "
        f"is {error:.4f} per value."
    )
    return Section("Reconstructions", (sentence,), pictures=tuple(pictures))


def _random_reconstructions(findings: DenseFindings) -> Picture:
    """Draws random examples, in full rows of eight if they are more than eight."""
    count = min(RANDOM_RECONSTRUCTIONS, len(findings.examples))
    if count > 8:
        count -= count % 8
    rows = np.random.default_rng(0).permutation(len(findings.examples))[:count]
    caption = f"{count} random {findings.split} examples."
    return _reconstruction_picture(findings, "reconstructions", "At random", caption, rows)


def _extreme_reconstructions(findings: DenseFindings) -> list[Picture]:
    """Draws the examples of the highest and of the lowest scores."""
    count = EXTREME_RECONSTRUCTIONS
    best = findings.order[::-1][:count]
    worst = findings.order[:count]
    lowest_of_best = format_number(findings.scores[best[-1]], 1)
    highest_of_worst = format_number(findings.scores[worst[-1]], 1)
    score = findings.score_name
    return [
        _reconstruction_picture(
            findings,
            "reconstructions_best",
            "The likeliest",
            f"The {count} best by their {score}: {lowest_of_best} nats or more.",
            best,
        ),
        _reconstruction_picture(
            findings,
            "reconstructions_worst",
            "The least likely",
            f"The {count} worst by their {score}: {highest_of_worst} nats or less.",
            worst,
        ),
    ]


def _reconstruction_picture(
    findings: DenseFindings, name: str, title: str, caption: str, rows: np.ndarray
) -> Picture:
    chosen = findings.examples.take(rows)
    originals = findings.shown(chosen.tensor(slice(None)))
    reconstructed = findings.shown(findings.run.reconstruct(chosen))
    return Picture(
        name,
        title,
        f"{caption} Below each original its reconstruction.",
        lambda ax: pairs(originals, reconstructed, ax),
        photo=True,
    )


def samples(run: Run, findings: DenseFindings) -> Section | None:
    """Shows ancestral samples and, of several levels, samples that share their upper levels.

    Returns:
        The section, or None for an autoencoder, which has no prior to sample from.
    """
    if not findings.has_bound:
        return None
    images = findings.shown(run.sample(64))
    pictures = [
        Picture(
            "samples",
            "Samples",
            f"64 means of p(x | z), z from the prior{_tell_drawn(run)}.",
            lambda ax: grid(images, ax, columns=8),
            photo=True,
        )
    ]
    level_count = len(run.model.latents.sizes)
    if level_count <= SEPARATE_LEVELS:
        for level in reversed(range(level_count - 1)):
            pictures.append(_level_samples(findings, level, level_count))
    return Section("Samples", pictures=tuple(pictures))


def _tell_drawn(run: Run) -> str:
    """Says of a conditional run where the conditions of its samples are from."""
    if not run.schema.given:
        return ""
    return ", and the conditions from the training examples"


def _level_samples(findings: DenseFindings, level: int, level_count: int) -> Picture:
    """Draws rows of samples; those of a row share all levels above one."""
    groups = findings.run.vary(level, 8, 8)
    images = np.stack([findings.shown(group) for group in groups])
    upper = f"level {level + 2} is"
    if level + 2 < level_count:
        upper = f"level {level + 2} and all above it are"
    return Picture(
        f"samples_level_{level + 1}",
        f"Level {level + 1} varied, those above it fixed",
        f"In each row {upper} fixed, and level {level + 1} is drawn eight times.",
        lambda ax: strips(images, ax),
        photo=True,
    )


def manifold(run: Run, findings: DenseFindings) -> Section | None:
    """Shows what the decoder makes of its latent space; None where there is nothing to show."""
    levels = findings.shown_levels
    if not run.model.latents.markov:
        # Values of a lower level mean something only beside those of the levels above it.
        levels = levels[-1:]
    pictures: list[Picture | None] = []
    for level in levels:
        if findings.means[level].shape[1] < 2:
            pictures.append(_line(findings, level))
        else:
            pictures += _sweeps(findings, level)
    for level in levels:
        pictures.append(_traversal(findings, level))
    pictures.append(_interpolations(findings))
    drawn = tuple(picture for picture in pictures if picture is not None)
    if not drawn:
        return None
    return Section("Manifold", pictures=drawn)


def _decode(
    findings: DenseFindings,
    z: np.ndarray,
    level: int = 0,
    conditions: np.ndarray | None = None,
) -> np.ndarray:
    """Decodes codes (..., d) of a level into images (..., C, H, W) to draw.

    Args:
        findings: the measurements.
        z: the codes.
        level: of them.
        conditions: of a conditional run, (..., G); None takes those of the first example.
    """
    *grid_shape, size = z.shape
    codes = torch.from_numpy(z.reshape(-1, size)).float()
    given = None
    columns = findings.run.schema.given
    if columns:
        if conditions is None:
            conditions = findings.first_conditions
        shown = np.broadcast_to(conditions, (*grid_shape, len(columns)))
        given = as_given(columns, shown.reshape(-1, len(columns)))
    means = findings.run.decode(codes, level, given=given)
    images = findings.shown(means)
    return images.reshape(*grid_shape, *images.shape[1:])


def _unit_of_codes(findings: DenseFindings, level: int) -> str:
    """Says what the numbers of a sweep are; "" where they are the latent itself."""
    middle, _ = findings.frame(level)
    if middle.any():
        return ", in standard deviations of the codes around their mean"
    return ""


def _line(findings: DenseFindings, level: int) -> Picture:
    """Draws the decoder along the one dimension of a level."""
    middle, scale = findings.frame(level)
    z = middle + scale * np.linspace(-3, 3, LINE_IMAGES)[:, None]
    images = _decode(findings, z, level)[None]
    of_level = findings.level(level)
    unit = _unit_of_codes(findings, level)
    columns = [format_tick(-3), *[""] * (LINE_IMAGES - 2), format_tick(3)]
    return Picture(
        f"manifold_{level + 1}",
        f"Manifold{of_level}",
        f"The decoder along z1{of_level}, from −3 to 3{unit}{findings.tell_first}.",
        lambda ax: strips(images, ax, columns=columns),
        photo=True,
        wide=True,
    )


def _sweeps(findings: DenseFindings, level: int) -> list[Picture]:
    """Draws the decoder over the plane of two dimensions of a level.

    The steps are equal ones, and also those of equal probability; but codes without a prior have no
    quantiles.
    """
    largest = max(findings.run.schema.shape[1:])
    side = int(np.clip(SWEEP_PIXELS // largest, SMALLEST_SIDE, LARGEST_SIDE))
    pictures = [
        _sweep(
            findings,
            level,
            "manifold",
            np.linspace(-3, 3, side),
            "from −3 to 3 in equal steps",
        )
    ]
    if findings.has_bound:
        quantiles = ndtri((np.arange(side) + 0.5) / side)
        steps = "at equal steps of the normal distribution function"
        pictures.append(_sweep(findings, level, "manifold_quantiles", quantiles, steps))
    return pictures


def _sweep(
    findings: DenseFindings, level: int, name: str, ticks: np.ndarray, steps: str
) -> Picture:
    """Draws one sweep over the two dimensions of a level that carry most.

    Args:
        findings: the measurements.
        level: the level, from 0.
        name: the name of the picture, without the level.
        ticks: the values that both dimensions take, in units of their scale.
        steps: what these values are, in words.
    """
    others = ""
    dims = (0, 1)
    if findings.means[level].shape[1] > 2:
        first, second = sorted(int(i) for i in findings.by_rate(level)[:2])
        dims = (first, second)
        others = ", those of the highest rate; all others are in the middle"
    names = (f"z{dims[0] + 1}", f"z{dims[1] + 1}")
    images = _decode_square(findings, level, dims, ticks)
    of_level = findings.level(level)
    unit = _unit_of_codes(findings, level)
    return Picture(
        f"{name}_{level + 1}",
        f"Manifold{of_level}",
        f"The decoder over {names[0]} and {names[1]}{of_level}, {steps}{unit}{others}"
        f"{findings.tell_first}.",
        lambda ax: sweep(images, ticks.tolist(), ax, names=names),
        photo=True,
    )


def _decode_square(
    findings: DenseFindings, level: int, dims: tuple[int, int], ticks: np.ndarray
) -> np.ndarray:
    """Decodes a square of two dimensions of a level, all others in the middle.

    Returns:
        The images, (S * S, C, H, W), row by row; the last tick of the second dimension is on top.
    """
    side = len(ticks)
    first, second = dims
    middle, scale = findings.frame(level)
    rightwards = np.tile(ticks, side)
    downwards = np.repeat(ticks[::-1], side)
    z = np.tile(middle, (side**2, 1))
    z[:, first] += scale[first] * rightwards
    z[:, second] += scale[second] * downwards
    return _decode(findings, z, level)


def _traversal(findings: DenseFindings, level: int) -> Picture | None:
    """Draws the code of one example with one dimension at a time moved.

    Returns:
        The picture, or None for a level that a sweep shows whole, or without active dimensions.
    """
    means = findings.means[level]
    if means.shape[1] <= 2:
        return None
    is_active = findings.in_use(level)
    active = [int(i) for i in findings.by_rate(level) if is_active[i]]
    if not active:
        return None
    dims = active[:TRAVERSED]
    middle, scale = findings.frame(level)
    z = np.tile(means[0], (len(dims), len(STEPS), 1))
    for row, i in enumerate(dims):
        z[row, :, i] = middle[i] + scale[i] * STEPS
    images = _decode(findings, z, level)
    of_level = findings.level(level)
    moved = "each active dimension"
    if len(dims) < len(active):
        moved = f"each of the {len(dims)} that carry most, of {len(active)} active dimensions"
    unit = _unit_of_codes(findings, level)
    below = ""
    if level:
        below = ", and the levels below are at their prior means"
    rows = [f"z{i + 1}" for i in dims]
    columns = [format_tick(step) for step in STEPS]
    return Picture(
        f"traversals_{level + 1}",
        f"Traversals{of_level}",
        f"From the code of one example, {moved}{of_level}, one at a time, is moved through its "
        f"range{unit}; the others stay{below}{findings.tell_first}.",
        lambda ax: strips(images, ax, rows=rows, columns=columns),
        photo=True,
    )


def _interpolations(findings: DenseFindings) -> Picture | None:
    """Draws straight lines between the codes of pairs of examples, at every level.

    Returns:
        The picture, or None for too few examples.
    """
    count = INTERPOLATED_PAIRS
    examples = len(findings.means[0])
    if examples < 2 * count:
        return None
    order = np.random.default_rng(1).permutation(examples)
    firsts = order[:count]
    lasts = order[count : 2 * count]
    steps = np.linspace(0, 1, INTERPOLATION_STEPS)[:, None]
    zs = []
    for codes in findings.means:
        lines = codes[firsts, None] * (1 - steps) + codes[lasts, None] * steps
        zs.append(lines.reshape(-1, codes.shape[1]))
    given = None
    told = ""
    if findings.mapped.conditions is not None:
        of_both = findings.mapped.conditions[np.stack([firsts, lasts], axis=1)]
        nearer = of_both.repeat(INTERPOLATION_STEPS // 2, axis=1)
        columns = findings.run.schema.given
        given = as_given(columns, nearer.reshape(-1, len(columns)))
        told = ", under the conditions of the nearer one"
    flat = findings.shown(findings.run.decode_levels(zs, given=given))
    between = flat.reshape(count, INTERPOLATION_STEPS, *flat.shape[1:])
    first_originals = findings.shown(findings.mapped.tensor(firsts))[:, None]
    last_originals = findings.shown(findings.mapped.tensor(lasts))[:, None]
    images = np.concatenate([first_originals, between, last_originals], axis=1)
    headings = ["original", *[""] * len(steps), "original"]
    return Picture(
        "interpolations",
        "Interpolations",
        "In each row two originals at the ends, and between them the decoder along the straight "
        f"line between their codes{told}.",
        lambda ax: strips(images, ax, columns=headings),
        photo=True,
    )


def unlikely(run: Run, findings: DenseFindings) -> Section:
    """Shows the examples that the model finds least likely."""
    rows = findings.order[:UNLIKELY_EXAMPLES]
    images = findings.shown(findings.examples.tensor(rows))
    low = format_number(findings.scores[rows[0]], 1)
    high = format_number(findings.scores[rows[-1]], 1)
    picture = Picture(
        "unlikely",
        "Least likely examples",
        f"The {len(rows)} {findings.split} examples of the lowest {findings.score_name}, from "
        f"{low} to {high} nats, the lowest first.",
        lambda ax: grid(images, ax, columns=8),
        photo=True,
    )
    return Section("Least likely", pictures=(picture,))


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Draws reconstructions of validation or training examples, and samples, (H, W, C) uint8."""
    findings = DenseFindings(run)
    split = data.validation or data.train
    assert isinstance(split, Examples)
    chosen = split.take(slice(0, 32))
    originals = findings.shown(chosen.tensor(slice(None)))
    reconstructed = findings.shown(run.reconstruct(chosen))
    images, columns = interleaved(originals, reconstructed)
    pictures = {"reconstructions": tiles(images, columns)}
    if findings.has_bound:
        pictures["samples"] = tiles(findings.shown(run.sample(64)), 8)
    return pictures


KIND = Kind(
    measure=DenseFindings,
    parts=(
        measured,
        reconstructions,
        samples,
        hierarchy,
        conditions,
        manifold,
        space,
        label,
        health,
        unlikely,
    ),
    panels=(
        "elbo",
        "objective",
        "reconstructions",
        "samples",
        "given_1",
        "swap_1",
        "manifold_1",
        "reconstructions_by_level",
        "level_rates",
        "codes_1",
        "tsne_1",
        "opentsne_1",
        "umap_1",
        "bounds",
    ),
    glance=glance,
)
