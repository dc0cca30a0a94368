"""The section on the bound of a run on images or tables."""

from collections.abc import Sequence

import numpy as np

from ...evaluation import Likelihood, bits_per_dimension
from ...evaluation.measure import dimension_of
from ...run import Run
from ..figures import histogram
from ..findings.dense import SHOWN_LEVELS, DenseFindings
from ..records import Picture, Section, Table
from ..text import format_estimate, format_number, name_level


def measured(run: Run, findings: DenseFindings) -> Section:
    """Shows the bound of the measured split, and what it is made of."""
    title = "The bound" if findings.has_bound else "The likelihood term"
    caption = f"{_measured_examples(findings)}; nats per example, ± standard error over examples."
    return Section(
        title,
        warnings=_warnings(findings),
        tables=(Table(("", findings.split), _rows(findings), caption),),
        pictures=(_distribution(findings),),
    )


def _rows(findings: DenseFindings) -> tuple[tuple[str, str], ...]:
    bound = findings.bound
    rows = []
    if findings.has_bound:
        rows.append(("ELBO", format_estimate(bound.elbo, 2)))
    term = format_number(bound.log_likelihood_term, 2)
    rows.append(("log-likelihood term, E[log p(x | z)]", term))
    if findings.has_bound:
        rows += _rate_rows(bound.rate)
    if findings.likelihood is not None:
        rows.append(_likelihood_row(findings.likelihood))
        schema = findings.run.schema
        # Densities in several units, probabilities and gaps have no common dimension.
        if not schema.table:
            bits = bits_per_dimension(bound.elbo.value, schema.shape)
            name = f"bits for each {dimension_of(schema)}, of the ELBO"
            rows.append((name, f"≤ {format_number(bits, 4)}"))
    return tuple(rows)


def _rate_rows(rates: Sequence[float]) -> list[tuple[str, str]]:
    """Makes a row for each level, or one for all of many, which have a section of their own."""
    if len(rates) == 1:
        return [("rate", format_number(rates[0], 2))]
    if len(rates) > SHOWN_LEVELS:
        return [(f"rate of all {len(rates)} levels", format_number(sum(rates), 2))]
    rows = []
    for level, rate in enumerate(rates):
        rows.append((f"rate of {name_level(level, len(rates))}", format_number(rate, 2)))
    return rows


def _likelihood_row(likelihood: Likelihood) -> tuple[str, str]:
    effective = (
        f"effective: median {likelihood.median_effective_samples:.1f}, "
        f"least {likelihood.least_effective_samples:.1f}"
    )
    name = (
        f"log p(x) ({likelihood.samples} importance samples; {effective}; about "
        f"{format_number(likelihood.looseness, 2)} nats below the truth; first "
        f"{len(likelihood.per_example):,} examples)"
    )
    return name, f"≥ {format_estimate(likelihood.log_likelihood, 2)}"


def _measured_examples(findings: DenseFindings) -> str:
    """Says which examples were measured, and how many draws of z each had."""
    split = findings.split
    count = len(findings.examples)
    total = len(findings.data.split(split))
    if count == total:
        examples = f"{count:,} {split} examples"
    else:
        examples = f"{findings.choice} {count:,} of {total:,} {split} examples"
    draws = findings.draws_each(findings.examples)
    if draws == 1:
        return f"{examples}, one draw of z for each"
    return f"{examples}, {draws} draws of z for each"


def _distribution(findings: DenseFindings) -> Picture:
    """Draws how the bounds of the examples are spread, beside those of training examples."""
    score = findings.score_name
    caption = f"The {score} of each {findings.split} example"
    series = {findings.split: findings.scores}
    if findings.has_train:
        caption += f", and of {len(findings.train_examples):,} training examples"
        series["train"] = findings.scored(findings.train_bound)
    return Picture(
        "bounds",
        f"{score} of the examples",
        f"{caption}.",
        lambda ax: histogram(series, f"{score} (nats)", ax),
    )


def _warnings(findings: DenseFindings) -> tuple[str, ...]:
    """Warns of data that the run was not fitted to, of bounds that are not finite numbers, and of a
    log p(x) that hangs on few draws.
    """
    warnings = []
    if not findings.is_own:
        warnings.append(
            f"What is measured here is measured on {findings.data.source}, which the run was not "
            "fitted to."
        )
    count = int((~np.isfinite(findings.scores)).sum())
    if count > 0:
        warnings.append(
            f"The {findings.score_name} of {count:,} examples is not a finite number; they are "
            "left out of the pictures."
        )
    likelihood = findings.likelihood
    if likelihood is not None and likelihood.doubt is not None:
        warnings.append(f"Of log p(x): {likelihood.doubt}.")
    return tuple(warnings)
