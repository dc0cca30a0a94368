"""The graph of log p(x): what `Run.log_likelihood` computes, with its noise as numbers."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...batch import Batch
from ...distributed.processes import HeldNoise, common_noise
from ...evaluation.batches import chunk_size, evaluating, restart
from ...evaluation.proposal import DEFENSIVE, POSTERIOR_ALONE, Sampler, fitting
from ...model import VAE
from ...model.given import PriorGiven
from ...run import Run
from .graphs import BATCH, Graph, Rows, example_of
from .ports import Port
from .units import log_stretch


@dataclass
class Held:
    """All that is drawn for the estimate of log p(x) of a batch, the same for all examples.

    Attributes:
        noise: of the posteriors, and of priors that hang on conditions.
        priors: what was drawn from the prior, for each call that asked for it: values (1, d) of the
            top level for each draw of a conditional model, and values (count, 1, d) of each level
            of another.
        is_first: whether it is being drawn, and not repeated.
    """

    noise: HeldNoise = field(default_factory=HeldNoise)
    priors: list[list[Tensor]] = field(default_factory=list)
    is_first: bool = True


@dataclass(frozen=True)
class HeldSampler(Sampler):
    """A sampler that draws for one example, and repeats the same draws for any others.

    Attributes:
        held: what was drawn.
    """

    held: Held = field(default_factory=Held)

    def _new_seed(self) -> int:
        # The noise that it would seed is held.
        if self.held.is_first:
            return super()._new_seed()
        return 0

    def _draw_prior(self, batch: Batch, count: int) -> list[Tensor]:
        given = self.model.embed(batch.given)
        if given is None:
            zs = self._drawn_once(batch, count)
            return [z.expand(-1, batch.x.shape[0], -1) for z in zs]
        has_held_top = not any(isinstance(part, PriorGiven) for part in self.model.modules())
        tops: list[Tensor] | None = None
        if has_held_top and not self.held.is_first:
            (tops,) = self.held.priors
        draws = []
        for number in range(count):
            top = None
            if tops is not None:
                top = tops[number].expand(batch.x.shape[0], -1)
            values = self.model.latents.generate(batch.x.shape[0], top=top, given=given)
            draws.append(values.zs)
        if self.held.is_first:
            self.held.priors.append([zs[-1] for zs in draws])
        return [torch.stack(level) for level in zip(*draws, strict=True)]

    def _drawn_once(self, batch: Batch, count: int) -> list[Tensor]:
        """Returns what was drawn from the prior of a model without conditions, (count, 1, d) of
        each level.
        """
        if self.held.is_first:
            others = len(self.held.noise.draws)
            self.held.priors.append(super()._draw_prior(batch, count))
            # The values are held, so that their noise is not asked for again.
            del self.held.noise.draws[others:]
        (values,) = self.held.priors
        return values


class Score(Graph):
    """The importance-sampled log p(x) of each example.

    Args:
        run: the run.
        model: its model on the CPU.
        samples: K, importance samples for each example.
        seed: of the noise.

    Attributes:
        estimate: says what the number is.
    """

    def __init__(self, run: Run, model: VAE, samples: int, seed: int) -> None:
        super().__init__()
        self.model = model
        self.rows: Rows = Rows(run.schema)
        self.seed: int = seed
        self.takes: tuple[Port, ...] = self.rows.takes
        self.sampler: HeldSampler = self._draw(samples)
        self.estimate: str = _estimate(self.sampler)
        meaning = f"nats: {self.estimate}"
        if run.schema.scale:
            meaning += (
                "; of the standardised values: add "
                f"{log_stretch(run.schema):.9g} for the density in the units of the data"
            )
        self.gives: tuple[Port, ...] = (Port("log_likelihood", (BATCH,), torch.float64, meaning),)

    def _draw(self, samples: int) -> HeldSampler:
        """Draws all noise, by an example of zeros, in the order of `evaluation.log_likelihoods`."""
        with torch.no_grad():
            batch = self.rows(*example_of(self.takes, 1, 1))
        with evaluating(self.model, self.seed, shares_noise=True):
            proposal = fitting(DEFENSIVE, self.model, batch)
            sampler = HeldSampler(self.model, proposal, samples)
            restart(self.seed, torch.device("cpu"))
            with sampler.held.noise.recorded():
                self._log_weights(sampler, batch)
        sampler.held.is_first = False
        return sampler

    def _log_weights(self, sampler: Sampler, batch: Batch) -> Tensor:
        """Computes the log weights of all draws, (K, B), as many at a time as fit memory."""
        most = min(sampler.samples, chunk_size(self.model))
        portions = []
        for start in range(0, sampler.samples, most):
            draws = range(start, min(start + most, sampler.samples))
            portions.append(sampler.log_weights(batch, draws))
        return torch.cat(portions)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        batch = self.rows(*inputs)
        with common_noise(self.seed), self.sampler.held.noise.repeated():
            log_weights = self._log_weights(self.sampler, batch)
        total = torch.logsumexp(log_weights, 0)
        return (total - math.log(self.sampler.samples),)


def _estimate(sampler: Sampler) -> str:
    """Says what the number is that stands for log p(x)."""
    drawn = "the posterior and of wider and narrower ones and the prior"
    if sampler.proposal == POSTERIOR_ALONE:
        drawn = "the posterior"
    return (
        f"an estimate of log p(x) by {sampler.samples} importance samples of {drawn}, a lower "
        "bound in expectation; the noise is held in the graph, the same for all rows"
    )
