"""What the page of a run on images or tables shows; each number is measured when first read."""

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...batch import Batch
from ...data import Dataset, Examples
from ...data.frames import to_texts
from ...errors import DataError
from ...evaluation import Bound, LatentStatistics, Likelihood
from ...evaluation.batches import chunk_size, chunks, evaluating
from ...evaluation.latent import ACTIVE
from ...evaluation.likelihood import LIKELIHOOD_SAMPLES
from ...evaluation.measure import (
    LEAST_DRAWS,
    LIKELIHOOD_EXAMPLES,
    DenseMeasures,
    MeasureSettings,
    draws_for,
)
from ...evaluation.probe import Probes, probe_model
from ...latents import Inference
from ...priors import StandardNormal
from ...run import Run
from ...system.image_grid import to_unit_interval
from ..text import shorten

DRAWN_EXAMPLES = 2_000
"""Examples of which errors and histograms are drawn."""

MAPPED_EXAMPLES = 500
"""Examples that a split must have for it alone to be mapped."""

DISPERSION_EXAMPLES = 500
"""Examples that the dispersion is measured on."""

RECONSTRUCTED_AT_ONCE = 128
"""Examples that are reconstructed in one go."""

SHOWN_LEVELS = 3
"""The codes of at most this many levels are drawn."""

LEAST_SAMPLES = 1_000
"""Samples that are drawn to be laid beside the data, at least."""

LEAST_SCALE = 1e-6
"""The scale of a code that does not vary."""

DRAWN_NUMBERS = 2**25
"""Numbers of drawn examples, or of the widest features of a ladder where these are more, that an
estimate beside the bound takes: for large images fewer examples, or draws of each. Of small ones
(28x28) it bounds the importance samples alone, to 428 examples, and of tables nothing.
"""

LEAST_EXAMPLES = 100
"""Examples that an estimate is taken from, at least, as far as there are so many."""

MOST_TERMS = 2**28
"""Numbers, of all examples by all columns, that a table of likelihood terms may hold: 1 GB."""


class DenseFindings:
    """All that was measured of a run on images or tables.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.has_bound: bool = run.recipe.objective.has_bound

    choice = "The first"
    """What is said before the number of the examples where they are some of a split."""

    @cached_property
    def data(self) -> Dataset:
        """The data in the splits of the run."""
        return self.run.data()

    @cached_property
    def is_own(self) -> bool:
        """Whether the data are those that the run was fitted to."""
        return self.run.looked_at is None or self.run.is_own(self.data)

    @cached_property
    def split(self) -> str:
        """The split that is looked at: the test split before the validation split before the
        training split; of data that the run was not fitted to all examples, or their test split.
        """
        for name in ("test", "validation"):
            if getattr(self.data, name) is not None:
                return name
        if self.is_own:
            return "train"
        return "all"

    @property
    def has_train(self) -> bool:
        """Whether there are training examples to compare those of the split with."""
        return self.is_own and self.split != "train"

    @property
    def most(self) -> int | None:
        """The most examples that are looked at, or None for as many as each estimate takes."""
        return self.run.recipe.report.examples

    @cached_property
    def examples(self) -> Examples:
        """The examples of that split, or the first of them."""
        return self.data.examples(self.split).take(slice(0, self.most))

    @cached_property
    def measured(self) -> DenseMeasures:
        """The bound of that split, what its latents carry, and the log-likelihood of its first
        examples.
        """
        return self._measures(self.examples)

    def _measures(self, examples: Examples, draws: int | None = None) -> DenseMeasures:
        settings = MeasureSettings(
            likelihood_examples=self._affordable(LIKELIHOOD_EXAMPLES, LIKELIHOOD_SAMPLES),
            draws=draws,
            has_bound=self.has_bound,
        )
        return DenseMeasures(self.run.model, examples, settings)

    @property
    def bound(self) -> Bound:
        """The bound of the examples."""
        return self.measured.bound

    @staticmethod
    def draws_each(examples: Examples) -> int:
        """Returns the number of draws of z that the bound of each of these examples has."""
        return draws_for(len(examples))

    def _affordable(self, most: int, draws: int) -> int:
        """Returns how many examples an estimate with so many draws of each takes, at most `most`:
        `DRAWN_NUMBERS` bounds them.
        """
        size = self.run.model.widest
        examples = max(DRAWN_NUMBERS // (draws * size), LEAST_EXAMPLES)
        return min(examples, most, self.most or most)

    def _affordable_draws(self, examples: Examples) -> int:
        """Returns how many draws each of these examples gets where the bound is only looked at."""
        size = self.run.model.widest
        draws = max(DRAWN_NUMBERS // (len(examples) * size), 1)
        return min(draws, draws_for(len(examples)))

    @cached_property
    def train_examples(self) -> Examples:
        """The first training examples."""
        count = self._affordable(DRAWN_EXAMPLES, LEAST_DRAWS)
        return self.data.examples("train").take(slice(0, count))

    @cached_property
    def train_bound(self) -> Bound:
        """The bound of the first training examples."""
        return self.looked_at(self.train_examples)

    def looked_at(self, examples: Examples) -> Bound:
        """Measures the bound of examples that are drawn beside others."""
        return self._measures(examples, self._affordable_draws(examples)).bound

    @property
    def likelihood(self) -> Likelihood | None:
        """The importance-sampled log-likelihood of the first examples; an autoencoder has none."""
        if not self.has_bound:
            return None
        return self.measured.likelihood

    @property
    def latent(self) -> LatentStatistics | None:
        """What the latents carry; the codes of an autoencoder have no rate."""
        if not self.has_bound:
            return None
        return self.measured.latent

    @property
    def scores(self) -> np.ndarray:
        """What orders the examples, (N,): the bound of each, or of an autoencoder its
        log-likelihood term.
        """
        return self.scored(self.bound)

    def scored(self, bound: Bound) -> np.ndarray:
        """Returns the scores of the examples of a bound, (N,); what is no number is the lowest."""
        scores = bound.terms
        if self.has_bound:
            scores = bound.per_example
        return np.nan_to_num(scores.numpy(), nan=-np.inf, posinf=np.inf, neginf=-np.inf)

    @property
    def score_name(self) -> str:
        """What the scores are."""
        if self.has_bound:
            return "ELBO"
        return "log-likelihood term"

    @cached_property
    def order(self) -> np.ndarray:
        """The examples from the least likely to the most."""
        return np.argsort(self.scores, kind="stable")

    @property
    def _mapped_split(self) -> str:
        """The split that is mapped: that which is looked at, or all where it has few examples."""
        if len(self.examples) >= MAPPED_EXAMPLES:
            return self.split
        return "all"

    @cached_property
    def mapped(self) -> Examples:
        """The examples of maps and of the data beside samples: of that split, or of all where it
        has few.
        """
        return self._mappable.take(self._mapped_rows)

    @property
    def _mappable(self) -> Examples:
        """The examples of which some are mapped."""
        if self._mapped_split == self.split:
            return self.examples
        return self.data.examples("all")

    @cached_property
    def _mapped_rows(self) -> np.ndarray:
        """Which of these are mapped, ascending."""
        levels = min(len(self.run.model.latents.sizes), SHOWN_LEVELS)
        points = self.run.recipe.report.points * 2 // max(2, levels)
        if self.most is not None:
            points = min(points, self.most)
        chosen = np.random.default_rng(0).permutation(len(self._mappable))[:points]
        return np.sort(chosen)

    @property
    def mapped_name(self) -> str:
        """What the mapped examples are called: "5,000 of 10,000 test examples"."""
        split = self._mapped_split
        whole = len(self.data.split(split))
        count = f"{len(self.mapped):,}"
        if len(self.mapped) != whole:
            count = f"{count} of {whole:,}"
        if split == "all":
            return f"{count} examples of all splits"
        return f"{count} {split} examples"

    @cached_property
    def means(self) -> list[np.ndarray]:
        """The posterior means of the mapped examples, (N, d) of each level."""
        levels = self.run.encode(self.mapped)
        return [level.double().numpy() for level in levels]

    @cached_property
    def shown_levels(self) -> list[int]:
        """The levels whose codes are drawn: all, or of many the top and those of the highest rate,
        at most `SHOWN_LEVELS`.
        """
        count = len(self.run.model.latents.sizes)
        if count <= SHOWN_LEVELS or not self.has_bound:
            return list(range(count))
        rates = np.asarray(self.bound.rate[:-1])
        others = np.argsort(-rates, kind="stable")[: SHOWN_LEVELS - 1]
        return [*sorted(int(level) for level in others), count - 1]

    @cached_property
    def probes(self) -> Probes | None:
        """How well linear probes of the codes find the label; None without labels for it."""
        if self.mapped.labels is None or self.run.schema.table:
            return None
        try:
            return probe_model(self.run.model, self.mapped)
        except DataError:
            return None

    @property
    def reconstructed_at_once(self) -> int:
        """How many examples are reconstructed in one go."""
        return min(RECONSTRUCTED_AT_ONCE, chunk_size(self.run.model))

    @cached_property
    def labels(self) -> list[str] | None:
        """The labels of the mapped examples."""
        if self.mapped.labels is None:
            return None
        return [str(label) for label in self.mapped.labels]

    @cached_property
    def colourings(self) -> list[tuple[str, list[str]]]:
        """What maps are coloured by: names, each with a word for each of the mapped examples."""
        if self.labels is None:
            return []
        return [("label", self.labels)]

    @property
    def first_conditions(self) -> np.ndarray:
        """The conditions of the first mapped example of a conditional run, (G,)."""
        assert self.mapped.conditions is not None
        return self.mapped.conditions[0]

    @property
    def tell_first(self) -> str:
        """Says which conditions codes are decoded with that are no example's; "" without any."""
        columns = self.run.schema.given
        if not columns:
            return ""
        told = []
        for position, column in enumerate(columns):
            (word,) = to_texts(column, self.first_conditions[position : position + 1])
            told.append(f"{shorten(column.name, 30)} {shorten(word, 30) or 'not known'}")
        return f"; {', '.join(told)}"

    @cached_property
    def mapped_scores(self) -> np.ndarray:
        """The scores of the mapped examples, (N,)."""
        if self._mapped_split == self.split:
            return self.scores[self._mapped_rows]
        return self.scored(self.looked_at(self.mapped))

    @cached_property
    def draws(self) -> list[np.ndarray]:
        """One draw of the posterior of each level for the first of the mapped examples, (N, d)."""
        first = self.mapped.take(slice(0, DRAWN_EXAMPLES))
        batches = []
        for _, inference in self._inferred(first):
            batches.append([level.z[0].cpu().double().numpy() for level in inference.levels])
        return [np.concatenate(level) for level in zip(*batches, strict=True)]

    def _inferred(self, examples: Examples) -> Iterator[tuple[Batch, Inference]]:
        """Yields batches that fit memory, each with one draw of its latents."""
        size = max(1, chunk_size(self.run.model) // 2)
        with evaluating(self.run.model, 0):
            for batch in chunks(self.run.model, examples, size):
                yield batch, self.run.model.infer(batch)

    @cached_property
    def prior_draws(self) -> list[np.ndarray]:
        """Ancestral samples of each level, as many as there are draws of the posterior."""
        with evaluating(self.run.model, 0):
            samples = self.run.model.latents.generate(len(self.draws[0]), given=self._embedded)
            return [z.cpu().double().numpy() for z in samples.zs]

    @property
    def _embedded(self) -> Tensor | None:
        """What the latents see of the conditions of the examples that `draws` are of; None without
        conditions.
        """
        first = self.mapped.take(slice(0, DRAWN_EXAMPLES))
        given = first.given(slice(None))
        if given is None:
            return None
        return self.run.model.embed(given.to(next(self.run.model.parameters())))

    def frame(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the middle and the scale of each dimension of a level, (d,) each: those of the
        prior where it is N(0, I), else those of the means.
        """
        means = self.means[level]
        is_top = level == len(self.means) - 1
        prior = self.run.recipe.model.prior
        if is_top and self.has_bound and isinstance(prior, StandardNormal):
            return np.zeros(means.shape[1]), np.ones(means.shape[1])
        return means.mean(0), np.maximum(means.std(0), LEAST_SCALE)

    def by_rate(self, level: int) -> np.ndarray:
        """Orders the dimensions of a level, the one that carries most first: by rate, or by the
        variance of the means.
        """
        carried = self.means[level].var(0)
        if self.latent is not None:
            rate = self.latent.rate_per_dimension[level]
            if rate is not None:
                carried = rate.numpy()
        return np.argsort(-carried, kind="stable")

    def in_use(self, level: int) -> np.ndarray:
        """Says which dimensions of a level are active, (d,) bool; of an autoencoder all are."""
        if self.latent is None:
            return np.ones(self.means[level].shape[1], bool)
        return self.latent.variance_of_means[level].numpy() > ACTIVE

    def shown(self, values: Tensor) -> np.ndarray:
        """Returns examples or means (N, C, H, W) as they are drawn: in [0, 1], one channel or
        three.
        """
        images = to_unit_interval(values.numpy(), self.run.schema.low, self.run.schema.high)
        if images.shape[1] in (1, 3):
            return images
        return images[:, :1]

    def level(self, index: int) -> str:
        """Names a level: " of level 2", or nothing where there is one."""
        if len(self.run.model.latents.sizes) == 1:
            return ""
        return f" of level {index + 1}"

    @cached_property
    def square_error(self) -> np.ndarray:
        """The mean squared difference of the first examples to the mean of p(x | z) at their
        posterior mean, (*shape).
        """
        first = self.examples.take(slice(0, DRAWN_EXAMPLES))
        total = torch.zeros(())
        for start in range(0, len(first), self.reconstructed_at_once):
            part = first.take(slice(start, start + self.reconstructed_at_once))
            x = part.tensor(slice(None))
            errors = x - self.run.reconstruct(part, units="model")
            total = total + (errors**2).sum(0)
        return np.asarray(total / len(first))

    @cached_property
    def dispersion(self) -> float:
        """Squared residuals of the data over those of draws from p(x | z), z from the posterior; 1
        where the likelihood fits.
        """
        data_error = 0.0
        stated_error = 0.0
        for batch, inference in self._inferred(self.examples.take(slice(0, DISPERSION_EXAMPLES))):
            p = self.run.model.decode(inference.context[0], batch.given)
            mean = p.mean
            assert isinstance(batch.x, Tensor)
            residuals = batch.x - mean
            stated_residuals = p.sample() - mean
            data_error += float((residuals**2).sum())
            stated_error += float((stated_residuals**2).sum())
        return data_error / max(stated_error, 1e-12)

    @property
    def dispersions(self) -> dict[str, float]:
        """The dispersion of all values together, or that of columns by their names."""
        return {"": self.dispersion}

    @cached_property
    def samples(self) -> np.ndarray:
        """Draws from the model in the units of the source, (N, D): as many as are mapped, 1,000 at
        least.
        """
        count = max(LEAST_SAMPLES, len(self.mapped))
        drawn = self.run.sample(count, mean=False, units="model").double()
        return np.asarray(self.run.schema.restore(drawn.numpy()))

    @cached_property
    def values(self) -> np.ndarray:
        """The mapped examples in the units of the source, (N, D)."""
        x = self.mapped.tensor(slice(None)).double()
        return np.asarray(self.run.schema.restore(x.numpy()))

    @cached_property
    def by_column(self) -> np.ndarray | None:
        """log p(x_j | z) of each column of each example, one draw of z, (N, D); NaN of a gap.

        It is None where the likelihood does not factorise, or the table would be too large.
        """
        if len(self.examples) * self.examples.schema.shape[0] > MOST_TERMS:
            return None
        parts = []
        for batch, inference in self._inferred(self.examples):
            p = self.run.model.decode(inference.context[0], batch.given)
            factors = getattr(p, "base_dist", None)
            if factors is None:
                return None
            terms = factors.log_prob(batch.x)
            if batch.observed is not None:
                terms = torch.where(batch.observed, terms, math.nan)
            parts.append(np.asarray(terms.cpu()))
        return np.concatenate(parts)

    def cells_of(self, rows: np.ndarray) -> list[list[str]]:
        """Writes the cells of some of the examples, by column; "" for a gap."""
        values = np.asarray(self.run.schema.restore(self.examples.tensor(rows).numpy()))
        return [[f"{value:.4g}" for value in example] for example in values]
