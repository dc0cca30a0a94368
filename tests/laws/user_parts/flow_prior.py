"""A user's own prior: a masked autoregressive flow of zuko."""

import zuko
from torch import nn

from lowerbound.families import Place
from lowerbound.priors import Prior
from lowerbound.specs.checked import checked


class FlowModule(nn.Module):
    """A flow without a context."""

    def __init__(self, size: int, transforms: int) -> None:
        super().__init__()
        self.flow = zuko.flows.MAF(size, transforms=transforms, hidden_features=(8,))

    def forward(self, context=None):
        return self.flow()


@checked
class Flow(Prior):
    """A flow from a normal base to the latents."""

    transforms: int = 2

    def build(self, place: Place) -> nn.Module:
        return FlowModule(place.size, self.transforms)
