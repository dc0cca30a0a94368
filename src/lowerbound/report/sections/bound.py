"""The section on the bound of a run on images or tables."""

import numpy as np

from ...evaluation import bits_per_dimension
from ...run import Run
from ..figures import histogram
from ..findings.dense import DRAWN_EXAMPLES, LIKELIHOOD_SAMPLES, DenseFindings
from ..records import Picture, Section, Table
from ..text import figure, spread

FEW = 2.0
"""Effective samples below which an importance-sampled log-likelihood says little."""


def measured(run: Run, look: DenseFindings) -> Section:
    """The bound of the split that is looked at, and what it is made of."""
    found = look.bound
    rows = [("log-likelihood term, E[log p(x | z)]", figure(found.log_likelihood_term, 2))]
    if look.has_bound:
        rows = [("ELBO", spread(found.elbo, 2)), *rows]
        many = len(found.rate) > 1
        rows += [
            (f"rate{f' of level {i + 1}' if many else ''}", figure(rate, 2))
            for i, rate in enumerate(found.rate)
        ]
    rows += _likelihood(look)
    title = "The bound" if look.has_bound else "The likelihood term"
    table = Table(
        ("", look.split),
        tuple(rows),
        f"{_which(look)}; nats per example, ± standard error over examples.",
    )
    return Section(
        title, _poor(look), _infinite(look), tables=(table,), pictures=(_spread_out(look),)
    )


def _which(look: DenseFindings) -> str:
    """The examples that were measured, and the draws of z for each."""
    count, whole = len(look.examples), len(look.data.split(look.split))
    which = (
        f"{count:,} {look.split} examples"
        if count == whole
        else f"The first {count:,} of {whole:,} {look.split} examples"
    )
    each = look.draws_each(look.examples)
    draws = "one draw of z for each" if each == 1 else f"{each} draws of z for each"
    return f"{which}, {draws}"


def _spread_out(look: DenseFindings) -> Picture:
    """How the bounds of the examples are spread, beside those of training examples."""
    told, series = f"The {look.score_name} of each {look.split} example", {look.split: look.scores}
    if look.split != "train":
        told += f", and of {min(DRAWN_EXAMPLES, len(look.data.train)):,} training examples"
        series["train"] = look.scored(look.train_bound)
    xlabel = f"{look.score_name} (nats)"
    return Picture(
        "bounds",
        f"{look.score_name} of the examples",
        told + ".",
        lambda ax: histogram(series, xlabel, ax),
    )


def _infinite(look: DenseFindings) -> tuple[str, ...]:
    """What must be known where a bound is no number."""
    bad = int((~np.isfinite(look.scores)).sum())
    return (
        (
            f"The {look.score_name} of {bad:,} examples is not a finite number; they are left out "
            "of the pictures.",
        )
        if bad
        else ()
    )


def _poor(look: DenseFindings) -> tuple[str, ...]:
    """What must be known of an importance-sampled figure that hangs on few draws."""
    if look.likelihood is None or look.likelihood.effective_samples >= FEW:
        return ()
    few = f"{look.likelihood.effective_samples:.1f} of {LIKELIHOOD_SAMPLES} samples"
    return (f"log p(x) hangs on {few}: it is a lower bound, and the truth may be well above it.",)


def _likelihood(look: DenseFindings) -> list[tuple[str, str]]:
    found = look.likelihood
    if found is None:
        return []
    drawn = f"{LIKELIHOOD_SAMPLES} importance samples, {found.effective_samples:.1f} effective, first {len(found.per_example):,} examples"
    bits = bits_per_dimension(look.bound.elbo.value, look.run.schema.shape)
    return [
        (f"log p(x) ({drawn})", spread(found.log_likelihood, 2)),
        ("bits per dimension, of the ELBO", figure(bits, 4)),
    ]
