"""Linear layers for sparse rows: on the way in, on the way out, and with weights of another layer."""

import torch
from torch import Tensor, nn

from .deferred import DeferredLinear
from .matmul import sparse_matmul
from .rows import SparseRows


class Reader(nn.Module):
    """A module that uses the weights of others without calling them.

    Attributes:
        reads: those modules; in a tuple, so that no weight is registered twice.
    """

    reads: tuple[nn.Module, ...]


class SparseLinear(nn.Module):
    """The linear layer for sparse rows (N, inputs); its weight is stored by inputs, (inputs,
    outputs).

    `sparse_gradient`: the gradient of the weight is a sparse tensor, for optimisers that leave the
    other rows alone.
    """

    sparse_gradient = False

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(linear.weight.detach().T.contiguous()), linear.bias

    def forward(self, x: SparseRows | Tensor) -> Tensor:
        product = (
            sparse_matmul(x, self.weight, self.sparse_gradient)
            if isinstance(x, SparseRows)
            else x @ self.weight
        )
        return product + self.bias


class Uncomputed(Reader):
    """A linear layer that gives its output as an `Affine`, to be computed tile by tile."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.reads = (linear,)

    def forward(self, h: Tensor) -> DeferredLinear:
        return DeferredLinear(h, self.linear.weight, self.linear.bias)  # type: ignore[arg-type]


class Transposed(Reader):
    """The linear layer with the transposed weight of another layer, which owns it, and a bias of
    its own.

    Args:
        of: a linear layer whose outputs become the inputs here, the first `inputs` of them.
        inputs: how many.
    """

    def __init__(self, of: nn.Module, inputs: int) -> None:
        super().__init__()
        self.reads, self._inputs = (of,), inputs
        width = of.weight.shape[0 if isinstance(of, SparseLinear) else 1]  # type: ignore[index]
        self.bias = nn.Parameter(torch.zeros(width))  # type: ignore[arg-type]

    @property
    def weight(self) -> Tensor:
        """(outputs, inputs)."""
        (of,) = self.reads
        weight = of.weight if isinstance(of, SparseLinear) else of.weight.T
        return weight[:, : self._inputs]  # type: ignore[index]

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.linear(h, self.weight, self.bias)
