"""What is measured of each example, and the scores that are made of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..data import Examples, Schema, Split
from ..evaluation import complexity, percentile, typicality
from ..evaluation.detection import Numbers
from ..evaluation.likelihood import LIKELIHOOD_SAMPLES
from ..evaluation.measure import MeasureSettings, measure_split
from ..run import Run
from .cells import OddCells, find_odd_cells, usual_of, usual_of_gaps

Columns = dict[str, Numbers]
"""Numbers of each example by name, (N,) each."""

PIECE = 1024
"""Images that are compressed in one go."""

MEASURED_AT_ONCE = 2**16
"""So many examples are measured in one go: more need no more memory."""

BOUND_DRAWS = 20
"""Draws of z for the bound of each example, however many examples there are."""

ANOMALOUS = {
    "elbo": "low",
    "log_likelihood": "low",
    "adjusted": "low",
    "typicality": "high",
    "log_ratio": "low",
    "log_ratio_against": "low",
}
"""Which end of a score is the anomalous one."""


def settings_of_scores(
    samples: int = LIKELIHOOD_SAMPLES, seed: int = 0, split: str = "test"
) -> MeasureSettings:
    """Returns how scores are measured: by the same noise for all examples, so that the score of an
    example is a function of the example alone, whatever else is scored with it.
    """
    return MeasureSettings(
        split=split, seed=seed, samples=samples, draws=BOUND_DRAWS, shares_noise=True
    )


@dataclass(frozen=True)
class Scorer:
    """A run that measures examples, beside another run if there is one.

    Attributes:
        run: the run.
        against: a run on data of the same kind, or None.
        settings: the seed and the importance samples, see `settings_of_scores`.
        usual: what is usual for each column of a table with columns of several kinds, (D,) nats;
            None where that is not known, and for all other data.
        begin: is told of each piece of the work when it begins.
    """

    run: Run
    against: Run | None
    settings: MeasureSettings
    usual: Numbers | None = None
    begin: Callable[[str], None] = lambda name: None

    def stages(self, examples: Split) -> int:
        """Counts the pieces of the work of `measure` and `odd_cells`."""
        pieces = -(-len(examples) // MEASURED_AT_ONCE)
        runs = 1
        if self.against is not None:
            runs = 2
        return runs * pieces + 1

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

    @property
    def has_cells(self) -> bool:
        """Whether the examples are rows of a table with columns of several kinds."""
        return bool(self.run.schema.table)

    def measure_usual(self, examples: Split) -> Numbers | None:
        """Measures what is usual for each column of a table with columns of several kinds, (D,)
        nats; None for all other data.
        """
        if not self.has_cells or not isinstance(examples, Examples):
            return None
        return usual_of(self.run.model, examples, self.settings.seed)

    def odd_cells(self, examples: Split) -> OddCells | None:
        """Finds the cells that make rows odd; None where nothing is known of cells."""
        if self.usual is None or not isinstance(examples, Examples):
            return None
        self.begin("odd cells")
        return find_odd_cells(self.run.model, examples, self.usual, self.settings.seed)

    def measure(self, examples: Split) -> Columns:
        """Measures examples: the bound, the log-likelihood, the code length of an image on levels,
        the log-likelihood of rows with gaps as if they had none, and that under the other run,
        `against`, where there is one.
        """
        examples = examples.drawn_alike()
        columns = self._measure_by(self.run, examples, ("elbo", "log_likelihood"))
        if self.has_code_lengths:
            columns["complexity"] = _code_lengths(examples, self.run.schema)
        if self.usual is not None and isinstance(examples, Examples):
            filled = usual_of_gaps(examples, self.usual)
            columns["adjusted"] = columns["log_likelihood"] + filled
        if self.against is not None:
            columns["against"] = self.measure_against(self.against, examples)
        return columns

    def measure_against(self, other: Run, examples: Split) -> Numbers:
        """Measures the log-likelihood of examples under another run.

        The rows of a table with columns of several kinds are coded as that run codes them.
        """
        examples = examples.drawn_alike()
        if isinstance(examples, Examples) and other.schema.table:
            examples = replace(examples, schema=other.schema)
        return self._measure_by(other, examples, ("log_likelihood",))["log_likelihood"]

    def _measure_by(self, run: Run, examples: Split, names: tuple[str, ...]) -> Columns:
        """Measures examples piece by piece under a run, by the names of the measures."""
        parts: dict[str, list[Numbers]] = {name: [] for name in names}
        for number, piece in enumerate(_pieces(examples)):
            self.begin(f"row {number * MEASURED_AT_ONCE:,} of {len(examples):,}")
            measured = measure_split(piece, run.model, self.settings)
            for name, found in parts.items():
                found.append(measured.per_row(name).numpy())
        return {name: np.concatenate(found) for name, found in parts.items()}

    def scores(self, measured: Columns, reference: Numbers) -> Columns:
        """Makes all scores of what was measured.

        Args:
            measured: of N examples, as `measure` gives it.
            reference: what `judged` gives of held-out examples, (M,).
        """
        log_likelihood = measured["log_likelihood"]
        likely = judged(measured)
        atypical = typicality(likely, reference)
        usual = typicality(reference, reference)
        scores = {"elbo": measured["elbo"], "log_likelihood": log_likelihood}
        if "adjusted" in measured:
            scores["adjusted"] = measured["adjusted"]
        scores |= {
            "percentile": percentile(likely, reference),
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


def judged(columns: Columns) -> Numbers:
    """Returns what says how likely examples are beside each other, (N,): the log-likelihood, of
    rows with gaps the adjusted one.
    """
    if "adjusted" in columns:
        return columns["adjusted"]
    return columns["log_likelihood"]


def _pieces(examples: Split) -> Iterator[Split]:
    """Yields examples in pieces, in their order."""
    for start in range(0, len(examples), MEASURED_AT_ONCE):
        if len(examples) > MEASURED_AT_ONCE:
            yield examples.take(slice(start, start + MEASURED_AT_ONCE))
        else:
            yield examples


def _code_lengths(examples: Split, schema: Schema) -> Numbers:
    """Measures what lossless compression needs for each image, (N,) nats."""
    assert isinstance(examples, Examples)
    lengths = []
    for start in range(0, len(examples), PIECE):
        images = examples.tensor(slice(start, start + PIECE))
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
