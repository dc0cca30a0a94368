"""Linear layers that read sparse rows, that defer their output, or that share a weight."""

import torch
from torch import Tensor, nn

from .deferred import DeferredLinear
from .matmul import sparse_matmul
from .rows import SparseRows


class Reader(nn.Module):
    """A module that uses the weights of other modules without calling them.

    Attributes:
        reads: these other modules; in a tuple, so that no weight is registered twice.
    """

    reads: tuple[nn.Module, ...]


class SparseLinear(nn.Module):
    """A linear layer for sparse rows (N, inputs).

    Its weight is stored by inputs, (inputs, outputs).

    Attributes:
        sparse_gradient: whether the gradient of the weight is a sparse tensor, for optimisers that
            leave the rows alone that it does not hold.
    """

    sparse_gradient = False

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight: nn.Parameter = nn.Parameter(linear.weight.detach().T.contiguous())
        self.bias: nn.Parameter = linear.bias

    def forward(self, x: SparseRows | Tensor) -> Tensor:
        if isinstance(x, SparseRows):
            product = sparse_matmul(x, self.weight, self.sparse_gradient)
        else:
            product = x @ self.weight
        return product + self.bias


class Uncomputed(Reader):
    """A linear layer that returns its output as a `DeferredLinear`, to be computed by tiles."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.reads: tuple[nn.Module, ...] = (linear,)

    def forward(self, h: Tensor) -> DeferredLinear:
        return DeferredLinear(h, self.linear.weight, self.linear.bias)  # type: ignore[arg-type]


class Transposed(Reader):
    """A linear layer with the transposed weight of another layer, and a bias of its own.

    Args:
        of: the linear layer that owns the weight. Its outputs become the inputs of this layer.
        inputs: number of inputs here, which are the first outputs of the other layer.
    """

    def __init__(self, of: nn.Module, inputs: int) -> None:
        super().__init__()
        self.reads: tuple[nn.Module, ...] = (of,)
        self._inputs = inputs
        input_dim = 0 if isinstance(of, SparseLinear) else 1
        outputs = of.weight.shape[input_dim]  # type: ignore[index]
        self.bias: nn.Parameter = nn.Parameter(torch.zeros(outputs))  # type: ignore[arg-type]

    @property
    def weight(self) -> Tensor:
        """The transposed weight, (outputs, inputs)."""
        (layer,) = self.reads
        weight = layer.weight if isinstance(layer, SparseLinear) else layer.weight.T
        return weight[:, : self._inputs]  # type: ignore[index]

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.linear(h, self.weight, self.bias)
