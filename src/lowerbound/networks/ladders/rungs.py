"""What ladders of vectors and of feature maps have in common: cells, rungs and the way up.

`Space` says which layers there are: those of vectors are linear, those of maps are convolutions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ..base import ACTIVATIONS
from ..layers import Recomputed
from ..limits import in_full_precision

Bottleneck = Literal["basic", "bottleneck"]
"""The kinds of cells: two layers of full width, or two of half the width between two thin ones."""


class Space(ABC):
    """Where features live, vectors or maps, and the layers between such features.

    Attributes:
        shape: of the features of one example; the first number is that of channels.
        places: number of places that the channels have, 1 for a vector.
    """

    shape: tuple[int, ...]
    places: int

    @property
    def channels(self) -> int:
        """The number of channels, or of elements of a vector."""
        return self.shape[0]

    @property
    def numbers(self) -> int:
        """How many numbers the features of one example have."""
        return math.prod(self.shape)

    @abstractmethod
    def mix(self, inputs: int, outputs: int) -> nn.Module:
        """Makes a layer that looks at the neighbourhood of each place."""

    @abstractmethod
    def point(self, inputs: int, outputs: int) -> nn.Module:
        """Makes a layer that looks at each place alone."""

    def as_features(self, values: Tensor, channels: int) -> Tensor:
        """Gives vectors (N, channels * places) the shape of features with so many channels."""
        return values.reshape(-1, channels, *self.shape[1:])


class Cell(Recomputed):
    """A residual block with the activation before each layer, and no batch statistics.

    Its last layer starts at zero, so that a new cell is the identity.

    Args:
        space: of what goes in and comes out.
        activation: name of the activation.
        kind: "basic" or "bottleneck".
    """

    def __init__(self, space: Space, activation: str, kind: Bottleneck) -> None:
        super().__init__()
        width = space.channels
        if kind == "basic":
            layers = [space.mix(width, width), space.mix(width, width)]
        else:
            narrow = max(width // 2, 1)
            layers = [
                space.point(width, narrow),
                space.mix(narrow, narrow),
                space.mix(narrow, narrow),
                space.point(narrow, width),
            ]
        start_at_zero(layers[-1])
        with_activations: list[nn.Module] = []
        for layer in layers:
            with_activations.append(ACTIVATIONS[activation]())
            with_activations.append(layer)
        self.body: nn.Sequential = nn.Sequential(*with_activations)

    def compute(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@torch.no_grad()
def start_at_zero(layer: nn.Module) -> nn.Module:
    """Sets the weights and the bias of a layer to zero, and returns it."""
    for parameter in layer.parameters():
        parameter.zero_()
    return layer


class Rung(nn.Module):
    """What a ladder computes at one level below the top, for N examples at a time.

    Args:
        space: where the state lives at this level.
        latent: number of channels of z at each place.
        levels: number of levels of the ladder; what z adds to the state is divided by its root
            (Child 2021).
        cells: residual blocks after z.
        activation: name of the activation.
        kind: of the blocks.
        sees_state: whether the posterior sees the state, or the data alone.
        starts_at_prior: whether the posterior's last layer starts at zero.
        arrival: makes the state of this space from that of the level above, where they differ.
    """

    def __init__(
        self,
        space: Space,
        latent: int,
        levels: int,
        cells: int,
        activation: str,
        kind: Bottleneck,
        *,
        sees_state: bool,
        starts_at_prior: bool,
        arrival: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width = space.channels
        make_activation = ACTIVATIONS[activation]
        self.space = space
        self.latent = latent
        self.arrival = arrival
        self.prior_body: nn.Module = nn.Sequential(
            make_activation(),
            space.mix(width, width),
            make_activation(),
            start_at_zero(space.point(width, 2 * latent)),
        )
        self.evidence_body: nn.Module = nn.Sequential(make_activation(), space.mix(width, width))
        self.state_body: nn.Module | None = None
        if sees_state:
            self.state_body = nn.Sequential(make_activation(), space.mix(width, width))
        head = space.point(width, 2 * latent)
        if starts_at_prior:
            start_at_zero(head)
        self.posterior_head: nn.Module = nn.Sequential(make_activation(), head)
        self.entry: nn.Module = space.point(latent, width)
        with torch.no_grad():
            self.entry.weight.div_(math.sqrt(levels))  # type: ignore[operator]
        blocks = [Cell(space, activation, kind) for _ in range(cells)]
        self.cells: nn.Sequential = nn.Sequential(*blocks)

    def arrive(self, state: Tensor) -> Tensor:
        """Returns the state (N, *state) at this level, before its z."""
        if self.arrival is None:
            return state
        return self.arrival(state)

    def prior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean and the log variance of p(z | state), (N, d) each."""
        return _in_halves(self.prior_body(state))

    def evidence(self, features: Tensor) -> Tensor:
        """Returns what the features (B, *grid) of the data add to the posterior, (B, *grid).

        It does not depend on the state, so that it is computed once for all draws of an example.
        """
        return self.evidence_body(features)

    def posterior(self, evidence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what the merge takes for mean and log variance, (N, d) each.

        Args:
            evidence: of the examples, (N, *grid).
            state: of the draws, (N, *state).
        """
        seen = evidence
        if self.state_body is not None:
            seen = seen + self.state_body(state)
        return _in_halves(self.posterior_head(seen))

    def step(self, state: Tensor, z: Tensor) -> Tensor:
        """Returns the state (N, *state) after z (N, d)."""
        return self.cells(state + self.entry(self.space.as_features(z, self.latent)))


def _in_halves(values: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the two halves of the channels of features, as vectors (N, d) in full precision."""
    first, second = in_full_precision(values).chunk(2, dim=1)
    return first.flatten(1), second.flatten(1)


class InFullPrecision(nn.Module):
    """Gives what comes of products in lower precision in float32."""

    def forward(self, values: Tensor) -> Tensor:
        return in_full_precision(values)


class BottomUp(nn.Module):
    """The way up: features of the data for each level, computed once for all draws.

    Args:
        stem: from examples (B, *shape) to the features of the lowest level.
        stages: one for each level, from the features of the level below to its own.
    """

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.stages: nn.ModuleList = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        h = self.stem(x)
        for stage in self.stages:
            h = stage(h)
            features.append(h)
        return features
