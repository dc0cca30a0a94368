"""Objectives: `Terms -> scalar`, to be minimised, in nats per example. They never see a network.

`step` chooses the value of a schedule; without it (`math.inf`) the schedule has come to its end,
which is how validation compares epochs. No bound is reported from an objective: warm-up, free bits
and beta stay here.
"""

import math
from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .distributed.processes import mean_of_all
from .errors import ConfigError
from .latents import KL
from .model import Terms
from .schedules import AnySchedule, Schedule, at
from .specs.checked import checked
from .specs.registry import part


class Objective(ABC):
    """A loss of `Terms`, to be minimised.

    Attributes:
        kl: the estimate of the rates that it needs.
        has_bound: whether it needs a posterior with a density, so that there is a bound.
    """

    kl: KL = "valid"
    has_bound: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, terms: Terms, step: float = math.inf, total: float = 1) -> Tensor:
        """Computes the loss of a batch, a scalar: a mean over examples and samples.

        Args:
            terms: of the batch.
            step: optimiser steps taken so far, for schedules; infinity is the end of them.
            total: optimiser steps planned.
        """

    def weight(self, step: float = math.inf, total: float = 1) -> float:
        """Returns the weight of the KL term at this step."""
        return 1.0

    def scheduled(self, step: float = math.inf, total: float = 1) -> dict[str, float]:
        """Returns what else follows a schedule, at this step, by its column of metrics.csv."""
        return {}

    def is_mean(self, step: float = math.inf, total: float = 1) -> bool:
        """Says whether the loss of a batch is at this step the mean of the losses of its examples.

        The parts of a batch that is computed in parts (`training.accumulate`) then need nothing of
        each other. Where it is not, a step in parts has one more forward pass, and is right too.
        """
        return False


def _refuse_negative(name: str, value: float | Schedule) -> None:
    """Refuses a weight, or a number of nats, that is negative or begins or ends so.

    All schedules are between their value at the first step and that at the last, or above them.

    Raises:
        ValueError: it is one.
    """
    least = min(at(value, 0, 1), at(value, math.inf, 1))
    if least < 0:
        got = f"{least:g}"
        if isinstance(value, Schedule):
            got += f" at one end of {type(value).__name__}"
        raise ValueError(f"{name} must be 0 or more, got {got}")


def with_extra(loss: Tensor, terms: Terms) -> Tensor:
    """Adds the mean of the extra term of the latents, where there is one; see `Terms.extra`."""
    if terms.extra is None:
        return loss
    return loss + terms.extra.mean()


@checked
class Elbo(Objective):
    """-E[log p(x|z)] + beta * sum of rates: minus the evidence lower bound for beta = 1 (Kingma &
    Welling 2013, eq. 7).

    Args:
        beta: weight of the rates, a number or a schedule (Higgins et al. 2017).
        free_bits: nats per level below which its rate, averaged over the batch, is not reduced
            further, a number or a schedule (Kingma et al. 2016).
        kl: how the rates are estimated: "valid" in closed form where that is exact, "sampled" from
            the draws, "everywhere" in closed form at every level, which below the top is no bound.
        per_entry: beta is multiplied by the number of interactions of the example (Shenbin et al.
            2020, RecVAE).
    """

    beta: float | AnySchedule = 1.0
    free_bits: Annotated[float, Field(ge=0)] | AnySchedule = 0.0
    kl: KL = "valid"
    per_entry: bool = False

    def __post_init__(self) -> None:
        _refuse_negative("beta", self.beta)
        _refuse_negative("free_bits", self.free_bits)

    def __call__(self, terms: Terms, step: float = math.inf, total: float = 1) -> Tensor:
        rate = self._weighted_rate(terms).mean((0, 1))
        free_bits = at(self.free_bits, step, total)
        if free_bits > 0:
            # The clamp is not linear: the mean of what several processes make of their shares would
            # be another number.
            rate = mean_of_all(rate).clamp(min=free_bits)
        loss = -terms.log_likelihood.mean() + self.weight(step, total) * rate.sum()
        return with_extra(loss, terms)

    def _weighted_rate(self, terms: Terms) -> Tensor:
        """Returns the rates, (K, B, levels), by the number of entries where the settings say so."""
        if not self.per_entry:
            return terms.rate
        if terms.entries is None:
            raise ConfigError("objective.per_entry is for interactions; these examples are dense")
        return terms.rate * terms.entries.unsqueeze(-1)

    def weight(self, step: float = math.inf, total: float = 1) -> float:
        return at(self.beta, step, total)

    def scheduled(self, step: float = math.inf, total: float = 1) -> dict[str, float]:
        if not isinstance(self.free_bits, Schedule):
            return {}
        return {"free_bits": self.free_bits(step, total)}

    def is_mean(self, step: float = math.inf, total: float = 1) -> bool:
        return at(self.free_bits, step, total) <= 0


@checked
class Iwae(Objective):
    """-log mean_k exp(log_weight_k): the importance-weighted bound (Burda et al. 2015, eq. 8) with
    K samples.
    """

    def __call__(self, terms: Terms, step: float = math.inf, total: float = 1) -> Tensor:
        samples = len(terms.log_weight)
        loss = math.log(samples) - torch.logsumexp(terms.log_weight, 0).mean()
        return with_extra(loss, terms)

    def is_mean(self, step: float = math.inf, total: float = 1) -> bool:
        return True


@checked
class Reconstruction(Objective):
    """-log p(x|z) alone: what an autoencoder minimises. It is no bound."""

    has_bound: ClassVar[bool] = False

    def __call__(self, terms: Terms, step: float = math.inf, total: float = 1) -> Tensor:
        return with_extra(-terms.log_likelihood.mean(), terms)

    def weight(self, step: float = math.inf, total: float = 1) -> float:
        return 0.0

    def is_mean(self, step: float = math.inf, total: float = 1) -> bool:
        return True


@checked
class PublishedHierarchical(Objective):
    """The published loss of the hierarchical VAE (system R3), to reproduce its numbers. It is not
    the bound.

    Its KL terms lack the factor 1/2 (so beta = 2), and it uses the closed form below the top of the
    chain, where the posterior and the prior do not share parents.
    """

    kl: ClassVar[KL] = "everywhere"  # type: ignore[misc]

    def __call__(self, terms: Terms, step: float = math.inf, total: float = 1) -> Tensor:
        return Elbo(beta=2.0)(terms)

    def weight(self, step: float = math.inf, total: float = 1) -> float:
        return 2.0

    def is_mean(self, step: float = math.inf, total: float = 1) -> bool:
        return True


AnyObjective = Annotated[Objective, part(__name__, Objective)]
