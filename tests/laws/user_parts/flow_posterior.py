"""A user's own family: a posterior that is a flow which depends on x, by zuko.

The network gives features; the head is an inverse autoregressive flow with them as its context,
around a normal distribution of its own.
"""

from typing import ClassVar

import torch
import zuko
from torch import nn

from lowerbound.distributed.processes import draw_shared
from lowerbound.families import FamilyWithHead, Place
from lowerbound.specs.checked import checked


class SharedNoise(zuko.distributions.DiagNormal):
    """A normal base whose noise several processes share."""

    def rsample(self, shape=()):
        empty = self.mean.new_empty(torch.Size(shape) + self.mean.shape)
        return self.mean + self.stddev * draw_shared(torch.randn_like, empty, -2)


class FlowHead(nn.Module):
    """Features (..., features) -> the distribution of a flow with them as its context."""

    def __init__(self, size: int, features: int) -> None:
        super().__init__()
        self.base = nn.Linear(features, 2 * size)
        maf = zuko.flows.MAF(size, features, transforms=1, hidden_features=(8,))
        self.transform = maf.transform

    def forward(self, features):
        mean, log_scale = self.base(features).chunk(2, dim=-1)
        base = SharedNoise(mean, log_scale.clamp(-5, 2).exp())
        # Inverted, so that a draw is one pass and its density comes with it.
        return zuko.distributions.NormalizingFlow(self.transform(features).inv, base)


@checked
class FlowPosterior(FamilyWithHead):
    """An inverse autoregressive flow that depends on the context."""

    reparameterised: ClassVar[bool] = True

    width: int = 6

    def features(self, event):
        return (self.width,)

    def head(self, place: Place) -> nn.Module:
        return FlowHead(place.size, self.width)
