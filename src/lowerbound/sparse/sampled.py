"""A sum over items of which only some are looked at: sampled softmax.

The sum Z = sum_i exp(l_i) over all items is estimated from a few: those that the user has, and a
set S that holds item i with probability pi_i. A sampled item counts exp(l_i) / pi_i, that is, its
logit is lowered by log pi_i (the log-Q correction: Bengio and Senecal 2008; Yi et al. 2019,
"Sampling-bias-corrected neural modeling for large corpus item recommendations"), so that the
estimate of Z is unbiased. That of log Z is too low, by less the more items there are, and the
gradient of log Z is that of a softmax over the items that were looked at. Where all pi_i are 1 both
are exact.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .rows import SparseRows

Proposal = Literal["popularity", "batch"]
"""How the items of S are chosen, see `ItemSampler`."""

POWER = 0.75
"""Items are proposed by this power of their popularity (Mikolov et al. 2013)."""

UNIFORM_SHARE = 0.1
"""This share of the proposals is the same for all items, so that each may be chosen."""

LOWEST = -1e30
"""The greatest logit of a row counts as at least this, where no item was looked at."""

HALVINGS = 60
"""The scale of the probabilities is found by so many halvings of an interval."""


@dataclass(frozen=True, eq=False)
class ItemSampler:
    """It chooses the items that stand for all in one step.

    By "popularity" each item is chosen or not, independently of others, with a probability that
    grows with its popularity; those of the most popular items are 1. By "batch" the items of the
    batch are taken: item i with the probability that one of the other B - 1 users has it, 1 - (1 -
    p_i)^(B - 1). Items that nobody has are then never chosen, so that Z lacks them.

    Attributes:
        inclusion: (I,) the probability of each item by popularity; of "batch" p_i, the part of the
            training users who have item i.
        proposal: which of the two it is.
    """

    inclusion: Tensor
    proposal: Proposal = "popularity"

    @classmethod
    def of(cls, popularity: Tensor, count: int | Literal["batch"]) -> "ItemSampler":
        """Makes a sampler.

        Args:
            popularity: (I,) the part of the training users who have each item.
            count: how many items are chosen on average, by popularity (all where there are fewer);
                or "batch".
        """
        if count == "batch":
            return cls(popularity.float(), "batch")
        return cls(inclusion_probabilities(popularity, count))

    @property
    def takes_all(self) -> bool:
        """Whether all items are chosen in each step."""
        return self.proposal == "popularity" and bool((self.inclusion >= 1).all())

    def draw(self, x: SparseRows) -> tuple[Tensor, Tensor]:
        """Chooses items for a batch.

        Returns:
            The items (s,) int64, ascending, and the logs of their probabilities (s,).
        """
        inclusion = self.inclusion.to(x.values.device)
        if self.proposal == "batch":
            columns = x.columns.unique()
            absent = torch.log1p(-inclusion[columns].clamp(max=1 - 1e-6)) * max(len(x) - 1, 1)
            return columns, torch.log(-torch.expm1(absent).clamp(max=-1e-12))
        if self.takes_all:
            columns = torch.arange(len(inclusion), device=inclusion.device)
            return columns, inclusion.log()
        chosen = torch.rand(len(inclusion), device=inclusion.device) < inclusion
        columns = chosen.nonzero()[:, 0]
        return columns, inclusion[columns].log()


def inclusion_probabilities(popularity: Tensor, count: int) -> Tensor:
    """Returns probabilities (I,) float32, at most 1 each, whose sum is `count`.

    They are min(1, c q_i), where q_i grows with the popularity; 1 for all where there are no more
    than `count` items.
    """
    items = len(popularity)
    if count >= items:
        return torch.ones(items)
    weights = popularity.double().pow(POWER)
    total = weights.sum().clamp(min=1e-300)
    q = (1 - UNIFORM_SHARE) * weights / total + UNIFORM_SHARE / items
    low = 0.0
    high = count / float(q.min())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if float((middle * q).clamp(max=1).sum()) < count:
            low = middle
        else:
            high = middle
    return (high * q).clamp(max=1).float()


def sampled_terms(
    h: Tensor, weight: Tensor, bias: Tensor, x: SparseRows, sampler: ItemSampler
) -> tuple[Tensor, Tensor]:
    """Computes <x, l> exactly and log sum_i exp(l_i) from some of the items, (N,) each.

    Args:
        h: (N, d) with K draws for each of the B rows of x, N = K B.
        weight: W, (I, d).
        bias: b, (I,).
        x: B rows.
        sampler: chooses the items.
    """
    columns, log_inclusion = sampler.draw(x)
    logits = torch.addmm(bias[columns] - log_inclusion, h, weight[columns].T)
    draws = len(h) // len(x)
    rows = x.rows
    # One more that counts nothing, since by chance no item may be chosen.
    logits = F.pad(logits.view(draws, len(x), len(columns)), (0, 1), value=-torch.inf)
    # What the user has counts once and as it is: it is certain to be looked at.
    is_chosen = torch.isin(x.columns, columns)
    place = torch.searchsorted(columns, x.columns[is_chosen])
    logits[:, rows[is_chosen], place] = -torch.inf
    own = (h.view(draws, len(x), -1)[:, rows] * weight[x.columns]).sum(-1) + bias[x.columns]
    inner = own.new_zeros(draws, len(x)).index_add(1, rows, own * x.values)
    highest = logits.detach().amax(2)
    highest = highest.scatter_reduce(1, rows.expand(draws, -1), own.detach(), "amax")
    highest = highest.clamp(min=LOWEST)
    sums = (logits - highest.unsqueeze(2)).exp().sum(2)
    sums = sums.index_add(1, rows, (own - highest[:, rows]).exp())
    return inner.flatten(), (highest + sums.log()).flatten()
