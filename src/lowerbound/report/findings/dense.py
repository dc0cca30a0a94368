"""What the page of a run on images or tables shows, measured once, each when it is first asked for."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from torch import Tensor

from ...data import Dataset, Examples
from ...evaluation import (
    Bound,
    LatentStatistics,
    Likelihood,
    bound,
    importance_log_likelihood,
    latent_statistics,
)
from ...evaluation.batches import chunk_size, chunks, evaluating
from ...evaluation.latent import ACTIVE
from ...latents import Inference
from ...priors import StandardNormal
from ...run import Run
from ...system.image_grid import to_unit_interval

MEASURED_EXAMPLES = 10_000
"""Examples that are measured."""


DRAWN_EXAMPLES = 2_000
"""Examples of which rates, errors and histograms are drawn."""


MAPPED_EXAMPLES = 500
"""Examples that a split must have for it alone to be mapped."""


LIKELIHOOD_EXAMPLES, LIKELIHOOD_SAMPLES = 1_000, 20
"""Examples whose log-likelihood is estimated, and importance samples for each."""


class DenseFindings:
    """All that was measured of a run on images or tables.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.has_bound = run.recipe.objective.has_bound

    @cached_property
    def data(self) -> Dataset:
        """The data in the splits of the run."""
        return self.run.data()

    @cached_property
    def split(self) -> str:
        """The split that is looked at: the test split before the validation split before the
        training split.
        """
        return next(
            name for name in ("test", "validation", "train") if getattr(self.data, name) is not None
        )

    @cached_property
    def examples(self) -> Examples:
        """The first examples of that split."""
        return self.data.split(self.split).take(slice(0, MEASURED_EXAMPLES))

    @cached_property
    def bound(self) -> Bound:
        """The bound of the examples."""
        return self._bound(self.examples)

    def _bound(self, examples: Examples) -> Bound:
        return bound(self.run.model, examples, samples=self.draws_each(examples))

    @staticmethod
    def draws_each(examples: Examples) -> int:
        """Draws of z for each example: the more, the fewer examples there are, so that their noise
        is no part of the result.
        """
        return int(np.clip(MEASURED_EXAMPLES // max(len(examples), 1), 1, 50))

    @cached_property
    def train_bound(self) -> Bound:
        """The bound of the first training examples."""
        return self._bound(self.data.split("train").take(slice(0, DRAWN_EXAMPLES)))

    @cached_property
    def likelihood(self) -> Likelihood | None:
        """The importance-sampled log-likelihood of the first examples; an autoencoder has none."""
        first = self.examples.take(slice(0, LIKELIHOOD_EXAMPLES))
        return (
            importance_log_likelihood(self.run.model, first, samples=LIKELIHOOD_SAMPLES)
            if self.has_bound
            else None
        )

    @cached_property
    def latent(self) -> LatentStatistics | None:
        """What the latents carry; the codes of an autoencoder have no rate."""
        return (
            latent_statistics(self.run.model, self.examples.take(slice(0, DRAWN_EXAMPLES)))
            if self.has_bound
            else None
        )

    @property
    def scores(self) -> np.ndarray:
        """What orders the examples, (N,): the bound of each, or of an autoencoder its
        log-likelihood term.
        """
        return self.scored(self.bound)

    def scored(self, found: Bound) -> np.ndarray:
        """The scores of other examples."""
        return np.nan_to_num(
            (found.per_example if self.has_bound else found.terms).numpy(),
            nan=-np.inf,
            posinf=np.inf,
            neginf=-np.inf,
        )

    @property
    def score_name(self) -> str:
        """What the scores are."""
        return "ELBO" if self.has_bound else "log-likelihood term"

    @cached_property
    def order(self) -> np.ndarray:
        """The examples from the least likely to the most."""
        return np.argsort(self.scores, kind="stable")

    @cached_property
    def crowd(self) -> Examples:
        """The examples of maps and of the data beside samples: of that split, or of all where it
        has few.
        """
        everyone = (
            self.examples if len(self.examples) >= MAPPED_EXAMPLES else self.data.split("all")
        )
        points = self.run.recipe.report.points * 2 // max(2, len(self.run.model.latents.sizes))
        return everyone.take(np.sort(np.random.default_rng(0).permutation(len(everyone))[:points]))

    @property
    def crowd_name(self) -> str:
        """What the crowd is called: "5,000 of 10,000 test examples"."""
        split = self.split if len(self.examples) >= MAPPED_EXAMPLES else "all"
        whole = len(self.data.split(split))
        many = f"{len(self.crowd):,}" + ("" if len(self.crowd) == whole else f" of {whole:,}")
        return f"{many} {split} examples" if split != "all" else f"{many} examples of all splits"

    @cached_property
    def means(self) -> list[np.ndarray]:
        """The posterior means of the crowd, (N, d) of each level."""
        return [level.double().numpy() for level in self.run.encode(self.crowd)]

    @cached_property
    def labels(self) -> list[str] | None:
        """The labels of the crowd."""
        return None if self.crowd.labels is None else [str(label) for label in self.crowd.labels]

    @cached_property
    def crowd_scores(self) -> np.ndarray:
        """The scores of the crowd, (N,)."""
        return self.scored(self._bound(self.crowd))

    @cached_property
    def draws(self) -> list[np.ndarray]:
        """One draw of the posterior of each level for some of the crowd, (N, d)."""
        parts = [
            [level.z[0].cpu().double().numpy() for level in inference.levels]
            for _, inference in self._inferred(self.crowd.take(slice(0, DRAWN_EXAMPLES)))
        ]
        return [np.concatenate(level) for level in zip(*parts, strict=True)]

    def _inferred(self, examples: Examples) -> Iterator[tuple[Tensor, Inference]]:
        """Batches that fit memory, each with one draw of its latents."""
        with evaluating(self.run.model, 0):
            for batch in chunks(self.run.model, examples, max(1, chunk_size(self.run.model) // 2)):
                if isinstance(batch.x, Tensor):
                    yield batch.x, self.run.model.infer(batch)

    @cached_property
    def prior_draws(self) -> list[np.ndarray]:
        """As many ancestral samples of each level."""
        with evaluating(self.run.model, 0):
            return [
                z.cpu().double().numpy()
                for z in self.run.model.latents.generate(len(self.draws[0])).zs
            ]

    def frame(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """Middle and scale of each dimension of a level, (d,): those of the prior where it is N(0,
        I), else of the means.
        """
        top = level == len(self.means) - 1
        size = self.means[level].shape[1]
        if top and self.has_bound and isinstance(self.run.recipe.model.prior, StandardNormal):
            return np.zeros(size), np.ones(size)
        return self.means[level].mean(0), np.maximum(self.means[level].std(0), 1e-6)

    def by_rate(self, level: int) -> np.ndarray:
        """The dimensions of a level, that which carries most first: by rate, or by the variance of
        the means.
        """
        rate = None if self.latent is None else self.latent.rate_per_dimension[level]
        return np.argsort(
            -(self.means[level].var(0) if rate is None else rate.numpy()), kind="stable"
        )

    def in_use(self, level: int) -> np.ndarray:
        """Which dimensions of a level are active, (d,) bool; of an autoencoder all."""
        size = self.means[level].shape[1]
        return (
            np.ones(size, bool)
            if self.latent is None
            else self.latent.variance_of_means[level].numpy() > ACTIVE
        )

    def shown(self, values: Tensor) -> np.ndarray:
        """Examples or means (N, C, H, W) as they are drawn: in [0, 1], one channel or three."""
        images = to_unit_interval(values.numpy(), self.run.schema.low, self.run.schema.high)
        return images if images.shape[1] in (1, 3) else images[:, :1]

    def level(self, index: int) -> str:
        """What a level is called: " of level 2", or nothing where there is one."""
        return f" of level {index + 1}" if len(self.run.model.latents.sizes) > 1 else ""

    @cached_property
    def square_error(self) -> np.ndarray:
        """The mean squared difference of some examples to the mean of p(x | z) at their posterior
        mean, (*shape).
        """
        some, size = self.examples.take(slice(0, DRAWN_EXAMPLES)), 128
        parts = (some.batch(slice(start, start + size)) for start in range(0, len(some), size))
        return np.asarray(
            sum(((x - self.run.reconstruct(x)) ** 2).sum(0) for x in parts) / len(some)
        )

    @cached_property
    def dispersion(self) -> float:
        """Squared residuals of the data over those of draws from p(x | z), z from the posterior; 1
        where the likelihood fits.
        """
        data = stated = 0.0
        for x, inference in self._inferred(self.examples.take(slice(0, 500))):
            p = self.run.model.decode(inference.context[0])
            mean = p.mean
            data, stated = (
                data + float(((x - mean) ** 2).sum()),
                stated + float(((p.sample() - mean) ** 2).sum()),
            )
        return data / max(stated, 1e-12)

    @cached_property
    def samples(self) -> np.ndarray:
        """Draws from the model in the units of the source, (N, D): as many as the crowd, 1,000 at
        least.
        """
        return np.asarray(
            self.run.schema.restore(
                self.run.sample(max(1000, len(self.crowd)), mean=False).double().numpy()
            )
        )

    @cached_property
    def values(self) -> np.ndarray:
        """The crowd in the units of the source, (N, D)."""
        return np.asarray(self.run.schema.restore(self.crowd.batch(slice(None)).double().numpy()))

    @cached_property
    def by_column(self) -> np.ndarray | None:
        """log p(x_j | z) of each column of each example, one draw of z, (N, D); None where the
        likelihood does not factorise.
        """
        parts = [
            _factors(self.run, x, inference.context[0])
            for x, inference in self._inferred(self.examples)
        ]
        return (
            None
            if any(part is None for part in parts)
            else np.concatenate([part for part in parts if part is not None])
        )


def _factors(run: Run, x: Tensor, z: Tensor) -> np.ndarray | None:
    base = getattr(run.model.decode(z), "base_dist", None)
    return None if base is None else np.asarray(base.log_prob(x).cpu())
