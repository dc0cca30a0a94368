"""What is measured of each example, and the scores that are made of it."""

from dataclasses import dataclass

import numpy as np

from ..data import Schema, Split
from ..evaluation import complexity, percentile, typicality
from ..evaluation.detection import Numbers
from ..evaluation.measure import MeasureSettings, measure_split
from ..run import Run

Columns = dict[str, Numbers]
"""Numbers of each example by name, (N,) each."""

PIECE = 1024
"""Images that are compressed in one go."""

ANOMALOUS = {
    "elbo": "low",
    "log_likelihood": "low",
    "typicality": "high",
    "log_ratio": "low",
    "log_ratio_against": "low",
}
"""Which end of a score is the anomalous one."""


@dataclass(frozen=True)
class Scorer:
    """A run that measures examples, beside another run if there is one.

    Attributes:
        run: the run.
        against: a run on data of the same kind, or None.
        settings: the seed and the importance samples.
    """

    run: Run
    against: Run | None
    settings: MeasureSettings

    @property
    def has_code_lengths(self) -> bool:
        """Whether the examples are images on levels, which can be compressed."""
        schema = self.run.schema
        return schema.kind == "image" and schema.levels is not None

    @property
    def compares_with_codes(self) -> bool:
        """Whether the likelihood is a probability of the levels, as a code length is."""
        schema = self.run.schema
        likelihood = self.run.recipe.model.likelihood
        if not self.has_code_lengths:
            return False
        return likelihood.caveat(schema.low, schema.high, schema.levels) is None

    def measure(self, examples: Split) -> Columns:
        """Measures examples: the bound, the log-likelihood, the code length of an image on levels,
        and the log-likelihood under the other run, `against`, where there is one.
        """
        measured = measure_split(examples, self.run.model, self.settings)
        columns = {
            "elbo": measured.per_row("elbo").numpy(),
            "log_likelihood": measured.per_row("log_likelihood").numpy(),
        }
        if self.has_code_lengths:
            columns["complexity"] = _code_lengths(examples, self.run.schema)
        if self.against is not None:
            columns["against"] = self.measure_against(self.against, examples)
        return columns

    def measure_against(self, other: Run, examples: Split) -> Numbers:
        """Measures the log-likelihood of examples under another run."""
        measured = measure_split(examples, other.model, self.settings)
        return measured.per_row("log_likelihood").numpy()

    def scores(self, measured: Columns, reference: Numbers) -> Columns:
        """Makes all scores of what was measured.

        Args:
            measured: of N examples, as `measure` gives it.
            reference: the log-likelihoods of held-out examples, (M,).
        """
        log_likelihood = measured["log_likelihood"]
        atypical = typicality(log_likelihood, reference)
        usual = typicality(reference, reference)
        scores = {
            "elbo": measured["elbo"],
            "log_likelihood": log_likelihood,
            "percentile": percentile(log_likelihood, reference),
            "typicality": atypical,
            "typicality_percentile": percentile(atypical, usual),
        }
        if "complexity" in measured:
            scores["complexity"] = measured["complexity"]
        if self.compares_with_codes:
            scores["log_ratio"] = log_likelihood + measured["complexity"]
        if "against" in measured:
            scores["log_ratio_against"] = log_likelihood - measured["against"]
        return scores


def _code_lengths(examples: Split, schema: Schema) -> Numbers:
    """Measures what lossless compression needs for each image, (N,) nats."""
    lengths = []
    for start in range(0, len(examples), PIECE):
        images = examples.batch(slice(start, start + PIECE))
        lengths.append(complexity(schema.restore(images.numpy())))
    return np.concatenate(lengths)


def draw_examples(examples: Split, most: int, seed: int) -> Split:
    """Draws at most `most` of the examples without replacement, and keeps their order."""
    return examples.take(draw_rows(len(examples), most, seed))


def draw_rows(count: int, most: int, seed: int) -> np.ndarray:
    """Draws at most `most` of `count` rows without replacement, ascending."""
    if count <= most:
        return np.arange(count)
    rows = np.random.default_rng(seed).choice(count, most, replace=False)
    return np.sort(rows)
