"""A user's own prior: the VampPrior (Tomczak & Welling 2018), whose pseudo-inputs start from data.

p(z) is the mean over learned pseudo-inputs u of q(z | u).
"""

import torch
from torch import nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from lowerbound.families import Place
from lowerbound.priors import Prior, StartsFromData
from lowerbound.specs.checked import checked


class VampModule(StartsFromData):
    """The mixture of the posteriors of the pseudo-inputs, without the noise of the encoder."""

    def __init__(self, components: int, place: Place) -> None:
        super().__init__()
        self.examples_wanted = components
        self.inputs = nn.Parameter(torch.rand(components, *place.context))
        self.posterior = (place.posterior,)  # in a tuple, so that its weights are registered once

    @torch.no_grad()
    def start_from(self, x) -> None:
        self.inputs[: len(x)] = x

    def forward(self, context=None) -> Distribution:
        components = self.posterior[0].clean(self.inputs)
        weights = Categorical(logits=self.inputs.new_zeros(len(self.inputs)))
        return MixtureSameFamily(weights, components, validate_args=False)


@checked
class Vamp(Prior):
    """A mixture of the posteriors of learned pseudo-inputs."""

    components: int = 5

    def build(self, place: Place) -> nn.Module:
        return VampModule(self.components, place)
