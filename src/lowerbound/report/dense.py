"""The sections of a page on images or tables, and the pictures that a tracker is shown while such a model trains."""

import numpy as np

from ..data import Dataset
from ..evaluation import bits_per_dimension
from ..run import Run
from . import images, tables
from .figures import histogram
from .latent import health, space
from .look import DRAWS, SOME, Look
from .page import Picture, Section, Table
from .sections import figure, spread

FEW = 2.0
"""Effective samples below which an importance-sampled log-likelihood says little."""

measure = Look
"""What is measured once for all parts."""


def broken(run: Run, look: Look) -> Section:
    """All there is to say of a model whose weights are no numbers."""
    return Section(
        "The bound", warnings=("The weights of the model hold values that are not finite numbers: nothing can be measured.",)
    )


def measured(run: Run, look: Look) -> Section:
    """The bound of the split that is looked at, and what it is made of."""
    found = look.bound
    rows = [("log-likelihood term, E[log p(x | z)]", figure(found.log_likelihood_term, 2))]
    if look.has_bound:
        rows = [("ELBO", spread(found.elbo, 2)), *rows]
        many = len(found.rate) > 1
        rows += [(f"rate{f' of level {i + 1}' if many else ''}", figure(rate, 2)) for i, rate in enumerate(found.rate)]
    rows += _likelihood(look)
    count, whole = len(look.examples), len(look.data.split(look.split))
    which = f"{count:,} {look.split} examples" if count == whole else f"The first {count:,} of {whole:,} {look.split} examples"
    each = look.draws_each(look.examples)
    draws = "one draw of z for each" if each == 1 else f"{each} draws of z for each"
    caption = f"{which}, {draws}; nats per example, ± standard error over examples."
    told, series = f"The {look.score_name} of each {look.split} example", {look.split: look.scores}
    if look.split != "train":
        told += f", and of {min(SOME, len(look.data.train)):,} training examples"
        series["train"] = look.scored(look.train_bound)
    xlabel = f"{look.score_name} (nats)"
    picture = Picture("bounds", f"{look.score_name} of the examples", told + ".", lambda ax: histogram(series, xlabel, ax))
    title = "The bound" if look.has_bound else "The likelihood term"
    return Section(
        title, _poor(look), _infinite(look), tables=(Table(("", look.split), tuple(rows), caption),), pictures=(picture,)
    )


def _infinite(look: Look) -> tuple[str, ...]:
    """What must be known where a bound is no number."""
    bad = int((~np.isfinite(look.scores)).sum())
    return (
        (f"The {look.score_name} of {bad:,} examples is not a finite number; they are left out of the pictures.",) if bad else ()
    )


def _poor(look: Look) -> tuple[str, ...]:
    """What must be known of an importance-sampled figure that hangs on few draws."""
    if look.likelihood is None or look.likelihood.effective_samples >= FEW:
        return ()
    few = f"{look.likelihood.effective_samples:.1f} of {DRAWS} samples"
    return (f"log p(x) hangs on {few}: it is a lower bound, and the truth may be well above it.",)


def _likelihood(look: Look) -> list[tuple[str, str]]:
    found = look.likelihood
    if found is None:
        return []
    drawn = f"{DRAWS} importance samples, {found.effective_samples:.1f} effective, first {len(found.per_example):,} examples"
    bits = bits_per_dimension(look.bound.elbo.value, look.run.schema.shape)
    return [(f"log p(x) ({drawn})", spread(found.log_likelihood, 2)), ("bits per dimension, of the ELBO", figure(bits, 4))]


PANELS = (
    *("elbo", "objective", "reconstructions", "samples", "marginals", "correlations_gap", "manifold_1", "codes_1", "tsne_1"),
    *("opentsne_1", "umap_1", "bounds"),
)
"""Pictures of the page that the overview has, as far as there are some; six at most."""


def parts(run: Run) -> tuple:
    """What the page has beside what every run has, in order: functions of the run and what was measured."""
    if not all(bool(p.isfinite().all()) for p in run.model.parameters()):
        return (broken,)
    if run.schema.kind == "image":
        own: tuple = (images.reconstructions, images.samples, images.manifold)
        return (measured, *own, space, health, images.unlikely)
    return (measured, tables.columns, tables.likelihoods, space, health, tables.unlikely)


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Pictures of a model in training, (H, W, C) uint8 by name: reconstructions and samples of images, columns of tables."""
    return images.glance(run, data) if run.schema.kind == "image" else tables.glance(run, data)
