"""Sections on images: reconstructions, samples, and what the decoder makes of its latent space."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import ndtri

from ...data import Dataset
from ...run import Run
from ...system.image_grid import tiles
from ..figures import figure_of, grid, heat, interleaved, pairs, strips, sweep
from ..findings.dense import DRAWN_EXAMPLES, DenseFindings
from ..records import Kind, Picture, Section
from ..text import figure
from .bound import measured
from .latent import health, space

WIDEST = 1200
"""Pixels of a sweep, at most, across."""


SIDE, FEWEST_SIDE = 20, 6
"""Images on a side of a sweep: of small images, and of large ones."""


TRAVERSED = 16
"""Dimensions that are traversed, at most, of each level."""


STEPS = np.linspace(-3, 3, 9)


PAIRS = 6
"""Interpolations."""


def _pairs(look: DenseFindings, name: str, title: str, told: str, rows: np.ndarray) -> Picture:
    x = look.examples.batch(rows)
    originals, again = look.shown(x), look.shown(look.run.reconstruct(x))
    return Picture(
        name,
        title,
        f"{told} Below each original its reconstruction.",
        lambda ax: pairs(originals, again, ax),
        photo=True,
    )


def reconstructions(run: Run, look: DenseFindings) -> Section:
    """Originals beside the means of p(x | z) at their posterior means."""
    count = min(24, len(look.examples))
    some = np.random.default_rng(0).permutation(len(look.examples))[
        : count - count % 8 if count > 8 else count
    ]
    pictures = [
        _pairs(
            look, "reconstructions", "At random", f"{len(some)} random {look.split} examples.", some
        )
    ]
    if len(look.order) >= 48:
        by = f"by their {look.score_name}"
        low, high = look.scores[look.order[15]], look.scores[look.order[-16]]
        best, worst = (
            f"The 16 best {by}: {figure(high, 1)} nats or more.",
            f"The 16 worst {by}: {figure(low, 1)} nats or less.",
        )
        pictures += [
            _pairs(look, "reconstructions_best", "The likeliest", best, look.order[::-1][:16]),
            _pairs(look, "reconstructions_worst", "The least likely", worst, look.order[:16]),
        ]
    errors, seen = np.sqrt(look.square_error.mean(0)), min(len(look.examples), DRAWN_EXAMPLES)
    told = f"Root mean squared error of the reconstruction at each pixel, over {seen:,} {look.split} examples."
    pictures.append(
        Picture(
            "pixel_error",
            "Error by pixel",
            told,
            lambda ax: heat(errors, "root mean squared error", ax),
        )
    )
    overall = float(np.sqrt(look.square_error.mean()))
    return Section(
        "Reconstructions",
        (
            "Shown is the mean of p(x | z) at the mean of q(z | x); its root mean squared error "
            f"is {overall:.4f} per value.",
        ),
        pictures=tuple(pictures),
    )


def samples(run: Run, look: DenseFindings) -> Section | None:
    """Ancestral samples; of several levels also with the upper ones fixed. An autoencoder has no
    prior to sample from.
    """
    if not look.has_bound:
        return None
    drawn = look.shown(run.sample(64))
    pictures = [
        Picture(
            "samples",
            "Samples",
            "64 means of p(x | z), z from the prior.",
            lambda ax: grid(drawn, ax, columns=8),
            photo=True,
        )
    ]
    levels = len(run.model.latents.sizes)
    pictures += [_varied(look, level) for level in reversed(range(levels - 1))]
    return Section("Samples", pictures=tuple(pictures))


def _varied(look: DenseFindings, level: int) -> Picture:
    groups = look.run.vary(level, 8, 8)
    images = np.stack([look.shown(group) for group in groups])
    above = (
        f"level {level + 2}"
        if level + 2 == len(look.run.model.latents.sizes)
        else f"levels {level + 2} and above"
    )
    told = f"In each row {above} is fixed, and level {level + 1} is drawn eight times."
    title = f"Level {level + 1} varied, those above it fixed"
    return Picture(
        f"samples_level_{level + 1}", title, told, lambda ax: strips(images, ax), photo=True
    )


def _side(look: DenseFindings) -> int:
    return int(np.clip(WIDEST // max(look.run.schema.shape[1:]), FEWEST_SIDE, SIDE))


def _swept(look: DenseFindings, level: int, dims: tuple[int, int], ticks: np.ndarray) -> np.ndarray:
    """The decoder over a square of two dimensions of a level, all others in the middle; the last
    tick of the second on top.
    """
    middle, scale = look.frame(level)
    z = np.tile(middle, (len(ticks) ** 2, 1))
    z[:, dims[0]] += scale[dims[0]] * np.tile(ticks, len(ticks))
    z[:, dims[1]] += scale[dims[1]] * np.repeat(ticks[::-1], len(ticks))
    return look.shown(look.run.decode(torch.from_numpy(z).float(), level))


def _line(look: DenseFindings, level: int) -> Picture:
    """The decoder along the one dimension of a level."""
    middle, scale = look.frame(level)
    z = middle + scale * np.linspace(-3, 3, 16)[:, None]
    images = look.shown(look.run.decode(torch.from_numpy(z).float(), level))[None]
    told = f"The decoder along z1{look.level(level)}, from −3 to 3{_unit(look, level)}."
    columns = [figure_of(-3), *[""] * 14, figure_of(3)]
    title = f"Manifold{look.level(level)}"
    return Picture(
        f"manifold_{level + 1}",
        title,
        told,
        lambda ax: strips(images, ax, columns=columns),
        photo=True,
        wide=True,
    )


def _sweeps(look: DenseFindings, level: int) -> list[Picture]:
    side, where, size = _side(look), look.level(level), look.means[level].shape[1]
    if size < 2:
        return [_line(look, level)]
    first, second = (0, 1) if size == 2 else sorted(int(i) for i in look.by_rate(level)[:2])
    dims = (first, second)
    others = "" if size == 2 else ", those of the highest rate; all others are in the middle"
    names = (f"z{dims[0] + 1}", f"z{dims[1] + 1}")
    unit = _unit(look, level)
    grids = {
        "manifold": (np.linspace(-3, 3, side), "from −3 to 3 in equal steps"),
        "manifold_quantiles": (
            ndtri((np.arange(side) + 0.5) / side),
            "at equal steps of the normal distribution function",
        ),
    }
    pictures = []
    for name, (ticks, how) in list(grids.items())[
        : 2 if look.has_bound else 1
    ]:  # codes without a prior have no quantiles
        told = f"The decoder over {names[0]} and {names[1]}{where}, {how}{unit}{others}."
        images = _swept(look, level, dims, ticks)
        pictures.append(
            Picture(
                f"{name}_{level + 1}",
                f"Manifold{where}",
                told,
                _sweep(images, ticks.tolist(), names),
                photo=True,
            )
        )
    return pictures


def _unit(look: DenseFindings, level: int) -> str:
    """What the numbers of a sweep are, where they are not the latent itself."""
    return (
        ", in standard deviations of the codes around their mean"
        if look.frame(level)[0].any()
        else ""
    )


def _sweep(images: np.ndarray, ticks: list[float], names: tuple[str, str]) -> Callable:
    return lambda ax: sweep(images, ticks, ax, names=names)


def _traversal(look: DenseFindings, level: int) -> Picture | None:
    """One example's code with one dimension at a time moved."""
    if look.means[level].shape[1] <= 2:
        return None
    middle, scale = look.frame(level)
    used = [int(i) for i in look.by_rate(level) if look.in_use(level)[i]]
    dims, count = used[:TRAVERSED], min(TRAVERSED, len(used))
    if not dims:
        return None
    z = np.tile(look.means[level][0], (count, len(STEPS), 1))
    for row, i in enumerate(dims):
        z[row, :, i] = middle[i] + scale[i] * STEPS
    images = look.shown(
        look.run.decode(torch.from_numpy(z.reshape(-1, z.shape[-1])).float(), level)
    )
    strip = images.reshape(count, len(STEPS), *images.shape[1:])
    where, active, unit = look.level(level), len(used), _unit(look, level)
    which = (
        "each active dimension"
        if active == count
        else f"each of the {count} that carry most, of {active} active dimensions"
    )
    told = f"From the code of one example, {which}{where}, one at a time, is moved through its range{unit}; the others stay."
    return Picture(
        f"traversals_{level + 1}",
        f"Traversals{where}",
        told,
        lambda ax: strips(
            strip, ax, rows=[f"z{i + 1}" for i in dims], columns=[figure_of(s) for s in STEPS]
        ),
        photo=True,
    )


def _interpolations(look: DenseFindings) -> Picture | None:
    """Straight lines between the codes of pairs of examples, at the level next to the data."""
    codes = look.means[0]
    if len(codes) < 2 * PAIRS:
        return None
    ends = np.random.default_rng(1).permutation(len(codes))[: 2 * PAIRS].reshape(2, PAIRS)
    steps = np.linspace(0, 1, 8)[:, None]
    z = np.stack([codes[a] * (1 - steps) + codes[b] * steps for a, b in ends.T])
    between = look.shown(look.run.decode(torch.from_numpy(z.reshape(-1, z.shape[-1])).float()))
    strip = between.reshape(PAIRS, len(steps), *between.shape[1:])
    first, last = (look.shown(look.crowd.batch(rows))[:, None] for rows in ends)
    images = np.concatenate([first, strip, last], axis=1)
    told = "In each row two originals at the ends, and between them the decoder along the straight line between their codes."
    columns = ["original", *["" for _ in steps], "original"]
    return Picture(
        "interpolations",
        "Interpolations",
        told,
        lambda ax: strips(images, ax, columns=columns),
        photo=True,
    )


def manifold(run: Run, look: DenseFindings) -> Section | None:
    """What the decoder makes of its latent space."""
    levels = range(len(look.means))
    sweeps = [picture for level in levels for picture in _sweeps(look, level)]
    rest = [*(_traversal(look, level) for level in levels), _interpolations(look)]
    pictures = (*sweeps, *(picture for picture in rest if picture is not None))
    return Section("Manifold", pictures=pictures) if pictures else None


def unlikely(run: Run, look: DenseFindings) -> Section:
    """The examples that the model finds least likely."""
    rows = look.order[:32]
    images = look.shown(look.examples.batch(rows))
    low, high = look.scores[rows[0]], look.scores[rows[-1]]
    span = f"from {figure(low, 1)} to {figure(high, 1)} nats, the lowest first"
    told = f"The {len(rows)} {look.split} examples of the lowest {look.score_name}, {span}."
    picture = Picture(
        "unlikely",
        "Least likely examples",
        told,
        lambda ax: grid(images, ax, columns=8),
        photo=True,
    )
    return Section("Least likely", pictures=(picture,))


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Reconstructions of validation or training examples, and samples, (H, W, C) uint8."""
    look = DenseFindings(run)
    x = (data.validation or data.train).batch(slice(0, 32))
    originals, again = look.shown(x), look.shown(run.reconstruct(x))
    found = {"reconstructions": tiles(*interleaved(originals, again))}
    return found | ({"samples": tiles(look.shown(run.sample(64)), 8)} if look.has_bound else {})


KIND = Kind(
    DenseFindings,
    (measured, reconstructions, samples, manifold, space, health, unlikely),
    (
        "elbo",
        "objective",
        "reconstructions",
        "samples",
        "manifold_1",
        "codes_1",
        "tsne_1",
        "opentsne_1",
        "umap_1",
        "bounds",
    ),
    glance,
)
