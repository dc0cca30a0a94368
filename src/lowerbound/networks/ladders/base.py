"""The contract of ladders: the networks of `latents.TopDown`.

To add one, write a file in this package with a frozen dataclass below `Ladder`. The registry, the
recipes and the laws find it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

Merge = Literal["residual", "free", "precision"]
"""How a posterior is made of what the data say and of the prior at the same level.

- `residual`: the network gives the distance from the prior's mean, in its scales, and from its log
  variance (Vahdat & Kautz 2020, NVAE). A new ladder has the posterior of its prior, and no rate.
- `free`: the network sees the data and the state, and gives mean and log variance (Child 2021).
- `precision`: the network sees the data alone, and both normal distributions are multiplied
  (Sonderby et al. 2016, Ladder VAE).
"""


@dataclass(frozen=True)
class LadderParts:
    """The networks of a ladder, which `latents.TopDown` connects.

    Attributes:
        bottom_up: examples (B, *shape) -> one tensor of features (B, *grid) for each level, the one
            next to the data first.
        top_shape: of the features of the top level of one example, (*grid).
        top: the features of the top level -> what the family of the top posterior wants, (B, n).
        start: values of the top level, and the numbers of conditions beside them, (N, d + given)
            -> the first state (N, *state).
        rungs: one `Rung` for each level below the top, the one next to the data first.
        sizes: number of dimensions of each level, the one next to the data first.
        state_shape: of the last state, which the decoder sees.
        widest: how many numbers the widest features of one example have.
    """

    bottom_up: nn.Module
    top_shape: tuple[int, ...]
    top: nn.Module
    start: nn.Module
    rungs: tuple[nn.Module, ...]
    sizes: tuple[int, ...]
    state_shape: tuple[int, ...]
    widest: int


class Ladder(ABC):
    """A frozen spec of the networks of a top-down hierarchy.

    Attributes:
        merge: how each posterior below the top is made, see `Merge`.
        flattens: whether the ladder makes a vector of each example first.
    """

    flattens: ClassVar[bool] = False
    merge: Merge

    @abstractmethod
    def build(
        self, shape: tuple[int, ...], latent: tuple[int, ...], top_features: int, given: int = 0
    ) -> LadderParts:
        """Makes all networks but the decoder.

        Args:
            shape: of what the encoder sees of one example.
            latent: the numbers of `Architecture.latent`, the level next to the data first.
            top_features: how many numbers the family of the top posterior wants.
            given: how many numbers of conditions stand beside the values of the top level.

        Raises:
            ConfigError: the shape or the levels do not fit the ladder.
        """

    @abstractmethod
    def decoder(self, shape: tuple[int, ...], features: tuple[int, ...]) -> nn.Module:
        """Makes a module (N, *state_shape) -> (N, *features), the last layers before the data.

        Args:
            shape: of what the encoder sees of one example, which decides `state_shape`.
            features: shape of what the likelihood wants for one example.
        """
