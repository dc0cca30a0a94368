"""Anomalies: how likely each example of a source is under a run, and which are unlike what the run
was fitted to.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .data import Schema, Split
from .errors import ConfigError, ShapeError
from .evaluation import Estimate, auroc, complexity, percentile, typicality
from .evaluation.batches import positive, refuse_seed
from .evaluation.detection import Numbers
from .evaluation.measure import LIKELIHOOD_SAMPLES, Measured, MeasureSettings, measure_split
from .run import Run, check, load

if TYPE_CHECKING:
    import polars

PIECE = 1024
"""Images that are compressed in one go."""

REFERENCE = 5000
"""Training examples, and examples of the run's own test split, that a source is compared with."""

ANOMALOUS = {
    "elbo": "low",
    "log_likelihood": "low",
    "typicality": "high",
    "log_ratio": "low",
    "log_ratio_against": "low",
}
"""Which end of a score is the anomalous one."""


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of each example of a split, and of the run's own test split beside them where that
    is another one.

    Attributes:
        columns: each score by name, (N,); `score` says what they are.
        own: the same scores of examples of the run's own test split, or None.
        source: what was scored.
        split: of the source.
        samples: importance samples for each example.
        reference: training examples that the percentiles and the typicality are taken from.
        caveat: what must be said of the likelihood on these data, or None.
    """

    columns: dict[str, np.ndarray]
    own: dict[str, np.ndarray] | None
    source: str
    split: str
    samples: int
    reference: int
    caveat: str | None = None

    def __len__(self) -> int:
        """Returns the number of examples."""
        return len(self.columns["row"])

    def to_frame(self) -> "polars.DataFrame":
        """Returns a frame with one row for each example, in the order of the split."""
        import polars

        return polars.DataFrame(self.columns)

    def least_likely(self, n: int = 5) -> "polars.DataFrame":
        """Returns the `n` rows of the lowest log-likelihood, the least likely first."""
        return self.to_frame().sort("log_likelihood", maintain_order=True).head(n)

    def means(self) -> dict[str, Estimate]:
        """Returns the mean of each score over the examples, with its standard error."""
        return _means(self.columns)

    def auroc(self) -> dict[str, Estimate]:
        """Measures how well each score tells these examples from the run's own test split.

        It is the probability that one of these looks more anomalous than one of the test split,
        anomalous end up, see `evaluation.auroc`. The dict is empty without such a split.
        """
        if self.own is None:
            return {}
        areas = {}
        for name, end in ANOMALOUS.items():
            if name in self.columns:
                sign = 1 if end == "high" else -1
                areas[name] = auroc(sign * self.own[name], sign * self.columns[name])
        return areas

    def summary(self) -> dict[str, Any]:
        """Returns what the command line prints: counts, the mean scores of source and own test
        split, and the AUROC of each score.
        """
        own_examples = 0
        own_means = {}
        if self.own is not None:
            own_examples = len(self.own["elbo"])
            own_means = _plain(_means(self.own))
        return {
            "source": self.source,
            "split": self.split,
            "examples": len(self),
            "samples": self.samples,
            "reference": self.reference,
            "means": _plain(self.means()),
            "own_test_examples": own_examples,
            "own_test_means": own_means,
            "auroc": _plain(self.auroc()),
            "caveat": self.caveat,
        }


def _means(columns: dict[str, np.ndarray]) -> dict[str, Estimate]:
    scores = [name for name in columns if name not in ("row", "label")]
    return {name: Estimate.of(torch.from_numpy(columns[name])) for name in scores}


def _plain(estimates: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    return {name: estimate._asdict() for name, estimate in estimates.items()}


def score(
    run: Run,
    source: str | Path | None = None,
    *,
    split: str | None = None,
    samples: int = LIKELIHOOD_SAMPLES,
    against: Run | str | Path | None = None,
    reference: int = REFERENCE,
    seed: int = 0,
) -> Scores:
    """Scores each example of a split of images or a table; where `source` is not the run's own
    data, examples of the run's own test split too.

    The columns, in nats unless said otherwise, and which end of them is anomalous:

    - `row`: the example's place in the source; `label`, where the source has them.
    - `elbo`, `log_likelihood`: the bound, and log p(x) by importance sampling. Low is anomalous, in
      theory; a simple image of another kind can be more likely than the data themselves (Nalisnick
      et al. 2018, "Do deep generative models know what they don't know?").
    - `percentile`: of the log-likelihood among those of training examples, in [0, 100]. Low is less
      likely than they are.
    - `typicality`: distance of the log-likelihood from its mean over training examples; high is
      anomalous. `typicality_percentile`: its percentile among theirs, in [0, 100].
    - `complexity`: what lossless compression needs for the image, no sign of an anomaly by itself.
      Only of images on levels.
    - `log_ratio` = log_likelihood + complexity, the log of the likelihood ratio to the compressor
      (Serra et al. 2020, with the sign turned); low is anomalous. Only where the likelihood is a
      probability of the levels, as a code length is: neither a density nor the cross entropy of
      grey values can be compared with it.
    - `log_ratio_against` = log_likelihood - that of the run `against`, such as a background model
      (Ren et al. 2019, "Likelihood ratios for out-of-distribution detection"); low is anomalous.
      Both must be densities, or both probabilities, of the data.

    Args:
        run: what the examples are measured by.
        source: other data; None takes those of the run.
        split: "train", "validation", "test" or "all"; None is "test", or "all" for a source that
            brings no test part.
        samples: importance samples for each example.
        against: another fitted run on data of the same kind, or its folder.
        reference: the most training examples, and the most examples of the run's own test split,
            that are taken; they are drawn by the seed.
        seed: of the draws.

    Raises:
        ConfigError: the run has no likelihood (interactions, an autoencoder), or `samples` or
        `reference` is too small.
        DataError: the source does not fit the run, or the data of the run have changed since it was
            fitted.
    """
    other = load(against) if isinstance(against, str | Path) else against
    _refuse_unfit(run, other)
    positive(samples)
    positive(reference, what="reference")
    refuse_seed(seed)
    name, examples = run.examples(source, split)
    caveat = check(run.recipe, examples)
    data = run.data()
    scorer = _Scorer(run, other, MeasureSettings(split=name, seed=seed, samples=samples))
    train_split = _draw_examples(data.split("train"), reference, seed)
    train = scorer.measured(train_split).per_row("log_likelihood").numpy()
    own = None
    if data.test is not None and examples.digest() != data.test.digest():
        own = scorer.scores(_draw_examples(data.split("test"), reference, seed), train)
    columns = examples.names_of_rows() | scorer.scores(examples, train)
    return Scores(columns, own, str(source or data.source), name, samples, len(train), caveat)


def _refuse_unfit(run: Run, against: Run | None) -> None:
    """Refuses runs that cannot score.

    Raises:
        ConfigError: a run gives no likelihood.
        ShapeError: the run to compare with reads other data.
    """
    _refuse_without_likelihood(run)
    if against is None:
        return
    _refuse_without_likelihood(against)
    if _as_read(run.schema) != _as_read(against.schema):
        raise ShapeError(
            f"{against.folder} reads {_describe_data(against.schema)}, {run.folder} reads "
            f"{_describe_data(run.schema)}; the two must be alike"
        )


def _refuse_without_likelihood(run: Run) -> None:
    """Raises ConfigError for a run that gives no likelihood."""
    run.schema.refuse_interactions(
        f"score is for images and tables; {run.folder} is a run on interactions"
    )
    if not run.recipe.objective.has_bound:
        raise ConfigError(
            f"score needs a likelihood; {run.folder} is an autoencoder, which has none"
        )


def _as_read(schema: Schema) -> Schema:
    """Returns the schema without the span of the training split, which two runs need not share."""
    return replace(schema, low=0.0, high=0.0)


def _describe_data(schema: Schema) -> str:
    article = "a"
    if schema.kind[0] in "aeiou":
        article = "an"
    values = "of real numbers"
    if schema.levels:
        values = f"on {schema.levels} levels"
    elif schema.mean:
        values = "standardised by itself"
    return f"{article} {schema.kind} of shape {schema.shape} {values}"


def _draw_examples(examples: Split, most: int, seed: int) -> Split:
    """Draws at most `most` of the examples without replacement, and keeps their order."""
    if len(examples) <= most:
        return examples
    rows = np.random.default_rng(seed).choice(len(examples), most, replace=False)
    return examples.take(np.sort(rows))


@dataclass(frozen=True)
class _Scorer:
    """A run that scores examples, beside another run if there is one."""

    run: Run
    against: Run | None
    settings: MeasureSettings

    def measured(self, examples: Split) -> Measured:
        """Returns the bound and the log-likelihood of examples under the run."""
        return measure_split(examples, self.run.model, self.settings)

    def scores(self, examples: Split, train: Numbers) -> dict[str, Numbers]:
        """Scores examples.

        Args:
            examples: N of them.
            train: the log-likelihoods of training examples.

        Returns:
            All scores by name, (N,) each.
        """
        measured = self.measured(examples)
        log_likelihood = measured.per_row("log_likelihood").numpy()
        atypical = typicality(log_likelihood, train)
        usual = typicality(train, train)
        scores = {
            "elbo": measured.per_row("elbo").numpy(),
            "log_likelihood": log_likelihood,
            "percentile": percentile(log_likelihood, train),
            "typicality": atypical,
            "typicality_percentile": percentile(atypical, usual),
        }
        return scores | self._ratios(examples, log_likelihood)

    def _ratios(self, examples: Split, log_likelihood: Numbers) -> dict[str, Numbers]:
        """Returns the likelihood ratios that these examples and runs have."""
        ratios = {}
        schema = self.run.schema
        if schema.kind == "image" and schema.levels is not None:
            lengths = _code_lengths(examples, schema)
            ratios["complexity"] = lengths
            likelihood = self.run.recipe.model.likelihood
            if likelihood.caveat(schema.low, schema.high, schema.levels) is None:
                ratios["log_ratio"] = log_likelihood + lengths
        if self.against is not None:
            other = measure_split(examples, self.against.model, self.settings)
            ratios["log_ratio_against"] = log_likelihood - other.per_row("log_likelihood").numpy()
        return ratios


def _code_lengths(examples: Split, schema: Schema) -> Numbers:
    """Measures what lossless compression needs for each image, (N,) nats."""
    lengths = []
    for start in range(0, len(examples), PIECE):
        images = examples.batch(slice(start, start + PIECE))
        lengths.append(complexity(schema.restore(images.numpy())))
    return np.concatenate(lengths)
