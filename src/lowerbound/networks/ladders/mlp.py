"""The ladder of vectors, for tables and images alike."""

import math
from typing import ClassVar

from pydantic import Field, PositiveInt
from torch import nn

from ...specs.checked import checked
from ..base import ACTIVATIONS, Activation
from .base import Ladder, LadderParts, Merge
from .rungs import Bottleneck, BottomUp, Cell, InFullPrecision, Rung, Space


class Vectors(Space):
    """Vectors of a fixed width."""

    def __init__(self, width: int) -> None:
        self.shape: tuple[int, ...] = (width,)
        self.places: int = 1

    def mix(self, inputs: int, outputs: int) -> nn.Module:
        return nn.Linear(inputs, outputs)

    def point(self, inputs: int, outputs: int) -> nn.Module:
        return nn.Linear(inputs, outputs)


@checked
class MLPLadder(Ladder):
    """A top-down hierarchy of vectors, with residual blocks of linear layers.

    Args:
        width: of all features and states.
        cells: residual blocks at each level, on the way up and on the way down.
        merge: how the posteriors below the top are made: "residual", as distances from the prior;
            "free", of the data and the state; "precision", a product of the prior and of what the
            data say.
        activation: its name.
    """

    flattens: ClassVar[bool] = True

    width: PositiveInt = 256
    cells: int = Field(default=1, ge=0)
    merge: Merge = "residual"
    activation: Activation = "silu"

    def build(
        self, shape: tuple[int, ...], latent: tuple[int, ...], top_features: int, given: int = 0
    ) -> LadderParts:
        space = Vectors(self.width)
        stem = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), self.width))
        stages = [nn.Sequential(*self._cells(space)) for _ in latent]
        top = nn.Sequential(
            self._activation(), nn.Linear(self.width, top_features), InFullPrecision()
        )
        start = nn.Sequential(nn.Linear(latent[-1] + given, self.width), *self._cells(space))
        rungs = []
        for size in latent[:-1]:
            rung = Rung(
                space,
                size,
                len(latent),
                self.cells,
                self.activation,
                "basic",
                sees_state=self.merge != "precision",
                starts_at_prior=self.merge == "residual",
            )
            rungs.append(rung)
        return LadderParts(
            BottomUp(stem, stages),
            space.shape,
            top,
            start,
            tuple(rungs),
            sizes=tuple(latent),
            state_shape=space.shape,
            widest=self.width,
        )

    def decoder(self, shape: tuple[int, ...], features: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(
            self._activation(),
            nn.Linear(self.width, self.width),
            self._activation(),
            nn.Linear(self.width, math.prod(features)),
            nn.Unflatten(1, features),
        )

    def _activation(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()

    def _cells(self, space: Space) -> list[nn.Module]:
        kind: Bottleneck = "basic"
        return [Cell(space, self.activation, kind) for _ in range(self.cells)]
