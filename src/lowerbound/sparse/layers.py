"""Linear layers that read sparse rows, that defer their output, or that share a weight."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .deferred import DeferredLinear
from .matmul import sparse_matmul
from .rows import SparseRows
from .sampled import ItemSampler


class Reader(nn.Module):
    """A module that uses the weights of other modules without calling them.

    Attributes:
        reads: these other modules; in a tuple, so that no weight is registered twice.
    """

    reads: tuple[nn.Module, ...]


class RowsBeside(NamedTuple):
    """Rows, which are usually sparse, with dense numbers beside them.

    Attributes:
        rows: (N, inputs).
        beside: (N, E).
    """

    rows: SparseRows | Tensor
    beside: Tensor


class SparseLinear(nn.Module):
    """A linear layer for sparse rows (N, inputs).

    Its weight is stored by inputs, (inputs, outputs).

    Args:
        linear: the linear layer whose weights it takes.
        beside: the last so many inputs of this are dense numbers, E. They have a weight of their
            own, (E, outputs), and stand beside the rows (`RowsBeside`).

    Attributes:
        sparse_gradient: whether the gradient of the weight is a sparse tensor, for optimisers that
            leave the rows alone that it does not hold.
        beside: the weight of the dense numbers, or None where there are none.
    """

    sparse_gradient = False

    def __init__(self, linear: nn.Linear, beside: int = 0) -> None:
        super().__init__()
        weight = linear.weight.detach().T
        inputs = len(weight) - beside
        self.weight: nn.Parameter = nn.Parameter(weight[:inputs].contiguous())
        self.bias: nn.Parameter = linear.bias
        self.beside: nn.Parameter | None = None
        if beside:
            self.beside = nn.Parameter(weight[inputs:].contiguous())

    def forward(self, x: RowsBeside | SparseRows | Tensor) -> Tensor:
        if isinstance(x, RowsBeside):
            assert self.beside is not None
            return self._of_rows(x.rows) + x.beside @ self.beside
        return self._of_rows(x)

    def _of_rows(self, x: SparseRows | Tensor) -> Tensor:
        if isinstance(x, SparseRows):
            product = sparse_matmul(x, self.weight, self.sparse_gradient)
        else:
            product = x @ self.weight
        return product + self.bias


class Uncomputed(Reader):
    """A linear layer that returns its output as a `DeferredLinear`, to be computed by tiles.

    Attributes:
        sampler: see `DeferredLinear`; a fit that samples items sets it.
    """

    sampler: ItemSampler | None = None

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.reads: tuple[nn.Module, ...] = (linear,)

    def forward(self, h: Tensor) -> DeferredLinear:
        weight: Tensor = self.linear.weight  # type: ignore[assignment]
        bias: Tensor = self.linear.bias  # type: ignore[assignment]
        return DeferredLinear(h, weight, bias, self.sampler)


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
