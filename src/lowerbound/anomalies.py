"""Anomalies: how likely each example of a source is under a run, and which are unlike what the run
was fitted to.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .data import Examples, History
from .errors import ConfigError, ShapeError
from .evaluation import (
    Estimate,
    auroc,
    bound,
    complexity,
    importance_log_likelihood,
    percentile,
    typicality,
)
from .evaluation.batches import positive, refuse_seed
from .evaluation.detection import Numbers
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
        """Number of examples."""
        return len(self.columns["row"])

    def to_frame(self) -> "polars.DataFrame":
        """One row for each example, in the order of the split."""
        import polars

        return polars.DataFrame(self.columns)

    def least_likely(self, n: int = 5) -> "polars.DataFrame":
        """The `n` rows of the lowest log-likelihood, the least likely first."""
        return self.to_frame().sort("log_likelihood", maintain_order=True).head(n)

    def means(self) -> dict[str, Estimate]:
        """The mean of each score over the examples, with its standard error."""
        return _means(self.columns)

    def auroc(self) -> dict[str, Estimate]:
        """How well each score tells these examples from the run's own test split, anomalous end up;
        {} without such a split.

        The probability that one of these looks more anomalous than one of the test split, see
        `evaluation.auroc`.
        """
        if self.own is None:
            return {}
        signs = {
            name: 1 if end == "high" else -1
            for name, end in ANOMALOUS.items()
            if name in self.columns
        }
        return {
            name: auroc(sign * self.own[name], sign * self.columns[name])
            for name, sign in signs.items()
        }

    def summary(self) -> dict[str, Any]:
        """What the command line prints: counts, the mean scores of source and own test split, and
        the AUROC of each score.
        """
        return {
            "source": self.source,
            "split": self.split,
            "examples": len(self),
            "samples": self.samples,
            "reference": self.reference,
            "means": _plain(self.means()),
            "own_test_examples": 0 if self.own is None else len(self.own["elbo"]),
            "own_test_means": {} if self.own is None else _plain(_means(self.own)),
            "auroc": _plain(self.auroc()),
            "caveat": self.caveat,
        }


def _means(columns: dict[str, np.ndarray]) -> dict[str, Estimate]:
    names = [name for name in columns if name not in ("row", "label")]
    return {name: Estimate.of(torch.from_numpy(columns[name])) for name in names}


def _plain(found: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    return {name: estimate._asdict() for name, estimate in found.items()}


def score(
    run: Run,
    source: str | Path | None = None,
    *,
    split: str | None = None,
    samples: int = 20,
    against: Run | str | Path | None = None,
    reference: int = REFERENCE,
    seed: int = 0,
) -> Scores:
    """Scores each example of a split of images or a table; where `source` is not the run's own
    data, its test split too.

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
        reference: at most so many training examples, and examples of the run's own test split,
        drawn by the seed.
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
    caveat, data, scorer = (
        check(run.recipe, examples),
        run.data(),
        _Scorer(run, other, samples, seed),
    )
    train = scorer.log_likelihood(_some(data.split("train"), reference, seed))
    foreign = data.test is not None and examples.digest() != data.test.digest()
    own = scorer(_some(data.split("test"), reference, seed), train) if foreign else None
    columns = (
        {"row": examples.rows}
        | ({} if examples.labels is None else {"label": examples.labels})
        | scorer(examples, train)
    )
    return Scores(columns, own, str(source or data.source), name, samples, len(train), caveat)


def _refuse_unfit(run: Run, against: Run | None) -> None:
    """ConfigError for a run that gives no likelihood, ShapeError for one to compare with that reads
    other data.
    """
    for each in (run, against):
        if each is not None and each.model.sparse:
            raise ConfigError(
                f"score is for images and tables; {each.folder} is a run on interactions"
            )
        if each is not None and not each.recipe.objective.has_bound:
            raise ConfigError(
                f"score needs a likelihood; {each.folder} is an autoencoder, which has none"
            )
    if against is None:
        return
    ours, theirs = (
        (s.kind, s.shape, s.levels, s.columns, s.mean, s.scale)
        for s in (run.schema, against.schema)
    )
    if ours != theirs:
        raise ShapeError(
            f"{against.folder} reads {_reads(against)}, {run.folder} reads {_reads(run)}; the two "
            "must be alike"
        )


def _reads(run: Run) -> str:
    schema = run.schema
    on = (
        f"on {schema.levels} levels"
        if schema.levels
        else "standardised by itself"
        if schema.mean
        else "of real numbers"
    )
    return (
        f"{'an' if schema.kind[0] in 'aeiou' else 'a'} {schema.kind} of shape {schema.shape} {on}"
    )


def _some(examples: Examples | History, most: int, seed: int) -> Examples | History:
    """At most so many of the examples, drawn without replacement, in their order."""
    if len(examples) <= most:
        return examples
    return examples.take(
        np.sort(np.random.default_rng(seed).choice(len(examples), most, replace=False))
    )


@dataclass(frozen=True)
class _Scorer:
    """The scores of examples (N of them), each (N,), by name."""

    run: Run
    against: Run | None
    samples: int
    seed: int

    def __call__(self, examples: Examples | History, train: Numbers) -> dict[str, Numbers]:
        """All scores; `train` are the log-likelihoods of training examples."""
        elbo = bound(self.run.model, examples, seed=self.seed).per_example.numpy()
        log_likelihood = self.log_likelihood(examples)
        atypical, usual = typicality(log_likelihood, train), typicality(train, train)
        found = {
            "elbo": elbo,
            "log_likelihood": log_likelihood,
            "percentile": percentile(log_likelihood, train),
            "typicality": atypical,
            "typicality_percentile": percentile(atypical, usual),
        }
        return found | self._ratios(examples, log_likelihood)

    def log_likelihood(self, examples: Examples | History, run: Run | None = None) -> Numbers:
        """By importance sampling, under this run or another one."""
        model = (run or self.run).model
        return importance_log_likelihood(
            model, examples, samples=self.samples, seed=self.seed
        ).per_example.numpy()

    def _ratios(self, examples: Examples | History, log_likelihood: Numbers) -> dict[str, Numbers]:
        """Those of the likelihood ratios that these examples and runs have."""
        found, schema = {}, self.run.schema
        if isinstance(examples, Examples) and schema.kind == "image" and schema.levels is not None:
            pieces = (
                examples.batch(slice(start, start + PIECE))
                for start in range(0, len(examples), PIECE)
            )
            length = np.concatenate([complexity(schema.restore(piece.numpy())) for piece in pieces])
            proper = (
                self.run.recipe.model.likelihood.caveat(schema.low, schema.high, schema.levels)
                is None
            )
            found = {"complexity": length} | (
                {"log_ratio": log_likelihood + length} if proper else {}
            )
        if self.against is not None:
            found["log_ratio_against"] = log_likelihood - self.log_likelihood(
                examples, self.against
            )
        return found
