"""How a network sees conditions beside its input: vectors grow longer, images get planes, and the
first layer for sparse rows adds a linear map of them.
"""

import math

import torch
from torch import Tensor, nn

from ..sparse import RowsBeside, SparseRows


def joined_shape(shape: tuple[int, ...], width: int, flat: bool = False) -> tuple[int, ...]:
    """Returns the shape of an input of this shape with conditions of `width` numbers beside it.

    Args:
        shape: of the input.
        width: how many numbers stand for the conditions.
        flat: whether the input is made a vector first.
    """
    if flat:
        return (math.prod(shape) + width,)
    first, *others = shape
    return (first + width, *others)


def join(context: Tensor, given: Tensor, dims: int = 1) -> Tensor:
    """Joins inputs and the conditions of their examples.

    Vectors are concatenated. Images (C, H, W) get a constant plane for each number of the
    conditions, as further channels.

    Args:
        context: (..., *shape), such as (B, *shape), or (K, B, *shape) for K draws of B examples.
        given: the numbers that stand for the conditions, (B, E); the same for all draws.
        dims: how many dimensions the shape of one example has.

    Returns:
        (..., *joined_shape(shape, E)).
    """
    axis = context.dim() - dims
    batch_shape = context.shape[:axis]
    others = context.shape[axis + 1 :]
    planes = given.reshape(*given.shape, *[1] * len(others))
    planes = planes.expand(*batch_shape, given.shape[-1], *others)
    return torch.cat([context, planes.to(context.dtype)], axis)


class Joined(nn.Module):
    """A network that sees conditions beside its input.

    Args:
        network: takes inputs (N, *joined_shape(shape, width, flat)).
        width: how many numbers stand for the conditions of an example, E.
        flat: whether an input is made a vector first. A network that flattens images would have
            each number of the conditions as often as there are pixels.
    """

    def __init__(self, network: nn.Module, width: int, flat: bool = False) -> None:
        super().__init__()
        self.network = network
        self.width = width
        self.flat = flat

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Applies the network to inputs (N, *shape) and the conditions (N, E) of each.

        Without conditions nothing is known of any example, for which zeros stand.
        """
        if given is None:
            given = x.new_zeros(x.shape[0], self.width)
        if self.flat:
            x = x.flatten(1)
        return self.network(join(x, given, x.dim() - 1))


class JoinedRows(nn.Module):
    """A network for sparse rows that sees conditions beside them.

    Args:
        network: takes `RowsBeside`.
        width: how many numbers stand for the conditions of an example, E.
    """

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network = network
        self.width = width

    def forward(self, x: SparseRows | Tensor, given: Tensor | None = None) -> Tensor:
        """Applies the network to rows (N, I) and the conditions (N, E) of each.

        Without conditions nothing is known of any example, for which zeros stand.
        """
        if given is None:
            values = x.values if isinstance(x, SparseRows) else x
            given = values.new_zeros(len(x), self.width)
        return self.network(RowsBeside(x, given))
