"""The ladder of feature maps, for images of any height, width and number of channels."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ...errors import ConfigError
from ...specs.checked import checked
from ..base import ACTIVATIONS, Activation
from ..kernels import Up
from ..layers import channels_last, image_shape
from .base import Ladder, LadderParts, Merge
from .rungs import Bottleneck, BottomUp, Cell, InFullPrecision, Rung, Space

LEAST_STEM_CHANNELS = 16
"""The stages of a stem have at least this many channels."""


class Maps(Space):
    """Feature maps of a fixed number of channels, height and width."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        self.shape: tuple[int, ...] = (channels, height, width)
        self.places: int = height * width

    def mix(self, inputs: int, outputs: int) -> nn.Module:
        return nn.Conv2d(inputs, outputs, 3, padding=1)

    def point(self, inputs: int, outputs: int) -> nn.Module:
        return nn.Conv2d(inputs, outputs, 1)


class _Cut(nn.Module):
    """Keeps the first rows and columns of images, as many as there are to be."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height = height
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : self.height, : self.width]


class _Fill(nn.Module):
    """Adds rows and columns of zeros below and at the right, so that a stride divides the size."""

    def __init__(self, height: int, width: int, stride: int) -> None:
        super().__init__()
        self.right = -width % stride
        self.below = -height % stride

    def forward(self, x: Tensor) -> Tensor:
        if not self.right and not self.below:
            return x
        return F.pad(x, (0, self.right, 0, self.below))


@checked
class ConvLadder(Ladder):
    """A top-down hierarchy of feature maps; the top level is a vector, the others are maps.

    The stem divides the height and width of the image; the levels stand on grids, each half as high
    and wide as the one before. `latent` has the number of channels of each level at every place of
    its grid, from the data up, and at last the size of the vector. So `grids=[2]` with
    `latent=[2, 2, 24]` has two levels of two channels on the grid of the stem, below 24 numbers.

    Args:
        width: channels of the features on each grid; one number for all of them.
        grids: number of levels on each grid, from the data's side.
        stem: by which the height and width of the image are divided for the first grid.
        stem_blocks: residual blocks in each halving of the stem and of its mirror in the decoder. 0
            makes the stem one convolution of this stride.
        cells: residual blocks at each level, on the way up and on the way down.
        kind: of these blocks: "basic", two 3x3 convolutions, or "bottleneck", two 3x3 convolutions
            of half the width between two 1x1 convolutions.
        merge: how the posteriors below the top are made: "residual", as distances from the prior;
            "free", of the data and the state; "precision", a product of the prior and of what the
            data say.
        activation: its name.
    """

    width: PositiveInt | tuple[PositiveInt, ...] = 32
    grids: tuple[PositiveInt, ...] = Field(default=(2,), min_length=1)
    stem: PositiveInt = 4
    stem_blocks: int = Field(default=0, ge=0)
    cells: int = Field(default=1, ge=0)
    kind: Bottleneck = "basic"
    merge: Merge = "residual"
    activation: Activation = "silu"

    def __post_init__(self) -> None:
        if isinstance(self.width, tuple) and len(self.width) != len(self.grids):
            raise ValueError(
                f"width must be one number, or one for each of the {len(self.grids)} grids, got "
                f"{list(self.width)}"
            )
        if self.stem_blocks and self.stem & (self.stem - 1):
            raise ValueError(
                f"stem must be a power of two where it has stem_blocks, got {self.stem}"
            )

    def build(
        self, shape: tuple[int, ...], latent: tuple[int, ...], top_features: int, given: int = 0
    ) -> LadderParts:
        self._refuse_levels(latent)
        spaces = self._spaces(shape)
        level_spaces = self._level_spaces(spaces)
        coarsest = spaces[-1]
        bottom_up = BottomUp(self._stem(shape, spaces[0]), self._stages(spaces))
        top = nn.Sequential(
            self._activation(),
            nn.Flatten(),
            nn.Linear(coarsest.numbers, top_features),
            InFullPrecision(),
        )
        start = nn.Sequential(
            nn.Linear(latent[-1] + given, coarsest.numbers),
            nn.Unflatten(1, coarsest.shape),
            *self._cells(coarsest),
        )
        rungs = self._rungs(spaces, latent)
        sizes = [latent[-1]]
        for channels, space in zip(latent[:-1], level_spaces, strict=True):
            sizes.insert(len(sizes) - 1, channels * space.places)
        return LadderParts(
            channels_last(bottom_up),
            coarsest.shape,
            channels_last(top),
            channels_last(start),
            tuple(channels_last(rung) for rung in rungs),
            sizes=tuple(sizes),
            state_shape=spaces[0].shape,
            widest=self._widest(shape, spaces),
        )

    def decoder(self, shape: tuple[int, ...], features: tuple[int, ...]) -> nn.Module:
        space = self._spaces(shape)[0]
        layers: list[nn.Module] = [self._activation()]
        if self.stem_blocks:
            layers = []
            channels = self._stem_channels(space.channels)
            for inputs, outputs in zip(
                reversed(channels[1:]), reversed(channels[:-1]), strict=True
            ):
                layers.append(Up(inputs, outputs, 4, 2, 1))
                # The size of the maps does not matter to the layers of a cell.
                layers += self._cells(Maps(outputs, 1, 1), self.stem_blocks)
            layers.append(self._activation())
            layers.append(nn.Conv2d(channels[0], features[0], 3, padding=1))
        else:
            layers.append(nn.Conv2d(space.channels, space.channels, 1))
            layers.append(self._activation())
            padding = self._stem_padding()
            kernel = self.stem + 2 * padding
            layers.append(Up(space.channels, features[0], kernel, self.stem, padding))
        layers.append(_Cut(*features[1:]))
        return channels_last(nn.Sequential(*layers))

    def _activation(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()

    def _cells(self, space: Space, number: int | None = None) -> list[nn.Module]:
        if number is None:
            number = self.cells
        return [Cell(space, self.activation, self.kind) for _ in range(number)]

    def _refuse_levels(self, latent: tuple[int, ...]) -> None:
        """Refuses levels that are not those of the grids and one vector."""
        wanted = sum(self.grids) + 1
        if len(latent) != wanted:
            raise ConfigError(
                f"model.latent must have {wanted} numbers for ConvLadder with "
                f"grids={list(self.grids)}: the channels of {wanted - 1} levels of maps, and the "
                f"size of the vector on top; got {list(latent)}"
            )

    def _spaces(self, shape: tuple[int, ...]) -> list[Maps]:
        """Returns the maps of each grid for such images, from the data's side."""
        _, height, width = image_shape(shape, "ConvLadder", "MLPLadder")
        widths = self.width
        if isinstance(widths, int):
            widths = (widths,) * len(self.grids)
        divisor = self.stem
        spaces = []
        for channels in widths:
            # Each size is divided and rounded up.
            spaces.append(Maps(channels, -(-height // divisor), -(-width // divisor)))
            divisor *= 2
        return spaces

    def _level_spaces(self, spaces: Sequence[Maps]) -> list[Maps]:
        """Returns the maps of each level below the top, from the data up."""
        level_spaces = []
        for space, number in zip(spaces, self.grids, strict=True):
            level_spaces += [space] * number
        return level_spaces

    def _stem_padding(self) -> int:
        """Returns by how much the windows of the stem overlap at each side."""
        return max(1, self.stem // 2)

    def _stem_channels(self, channels: int) -> list[int]:
        """Returns the channels before and after each halving of a stem with blocks."""
        halvings = self.stem.bit_length() - 1
        widths = [channels]
        for _ in range(halvings):
            widths.insert(0, max(widths[0] // 2, min(channels, LEAST_STEM_CHANNELS)))
        return widths

    def _stem(self, shape: tuple[int, ...], space: Maps) -> nn.Module:
        """Makes the way from the image to the first grid."""
        inputs, height, width = image_shape(shape, "ConvLadder", "MLPLadder")
        fill = _Fill(height, width, self.stem)
        if not self.stem_blocks:
            padding = self._stem_padding()
            kernel = self.stem + 2 * padding
            return nn.Sequential(
                fill, nn.Conv2d(inputs, space.channels, kernel, self.stem, padding)
            )
        channels = self._stem_channels(space.channels)
        layers: list[nn.Module] = [fill, nn.Conv2d(inputs, channels[0], 3, padding=1)]
        for below, above in pairwise(channels):
            layers += self._cells(Maps(below, 1, 1), self.stem_blocks)
            layers.append(nn.Conv2d(below, above, 3, 2, 1))
        return nn.Sequential(*layers)

    def _stages(self, spaces: Sequence[Maps]) -> list[nn.Module]:
        """Makes the way up from level to level, and at last to the top."""
        stages: list[nn.Module] = []
        below: Maps | None = None
        for space, number in zip(spaces, self.grids, strict=True):
            for _ in range(number):
                layers: list[nn.Module] = []
                if below is not None and below is not space:
                    layers.append(nn.Conv2d(below.channels, space.channels, 3, 2, 1))
                stages.append(nn.Sequential(*layers, *self._cells(space)))
                below = space
        stages.append(nn.Sequential(*self._cells(spaces[-1])))
        return stages

    def _rungs(self, spaces: Sequence[Maps], latent: tuple[int, ...]) -> list[Rung]:
        """Makes the rungs, from the data up."""
        level_spaces = self._level_spaces(spaces)
        above = [*level_spaces[1:], spaces[-1]]
        rungs = []
        for i, space in enumerate(level_spaces):
            arrival: nn.Module | None = None
            if above[i] is not space:
                _, height, width = space.shape
                arrival = nn.Sequential(
                    Up(above[i].channels, space.channels, 4, 2, 1), _Cut(height, width)
                )
            rung = Rung(
                space,
                latent[i],
                len(latent),
                self.cells,
                self.activation,
                self.kind,
                sees_state=self.merge != "precision",
                starts_at_prior=self.merge == "residual",
                arrival=arrival,
            )
            rungs.append(rung)
        return rungs

    def _widest(self, shape: tuple[int, ...], spaces: Sequence[Maps]) -> int:
        """Counts the numbers of the widest feature maps of one image."""
        widest = max(space.numbers for space in spaces)
        if self.stem_blocks:
            _, height, width = shape
            channels = self._stem_channels(spaces[0].channels)
            widest = max(widest, channels[0] * height * width)
        return max(widest, math.prod(shape))
