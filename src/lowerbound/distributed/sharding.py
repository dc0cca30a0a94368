"""Fully sharded training (Rajbhandari et al. 2020, ZeRO; PyTorch's FSDP2): each process keeps a
part of every weight, and of all that the optimiser remembers of it.

A step gathers the weights of each large layer for the time that it computes, and gives each process
its part of the mean gradient.
"""

from collections.abc import Mapping

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from ..networks.kernels import Up
from ..sparse import Reader, SparseLinear


def sharded_strategy(processes: int) -> ModelParallelStrategy:
    """Fabric's strategy for so many processes."""
    return ModelParallelStrategy(_shard, data_parallel_size=processes, tensor_parallel_size=1)


def keeps_parts(fabric: Fabric) -> bool:
    """Whether its processes keep the weights in parts."""
    return isinstance(fabric.strategy, ModelParallelStrategy)


UNIT_WEIGHTS = 2**18
"""Weights from which on a layer is gathered by itself; what is smaller is gathered together, once
for each step.
"""


EAGER = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, Up, SparseLinear)
"""Layers that have used their weights when a call of them ends, and give no view of something."""


def _units(module: nn.Module) -> list[nn.Module]:
    """The layers that are gathered by themselves: they are large, and nothing uses their weights
    but a call of them.
    """
    read = {
        id(each) for layer in module.modules() if isinstance(layer, Reader) for each in layer.reads
    }
    eager = [
        layer
        for layer in module.modules()
        if type(layer) in EAGER and id(layer) not in read and layer is not module
    ]
    return [layer for layer in eager if sum(p.numel() for p in layer.parameters()) >= UNIT_WEIGHTS]


def _shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    for parameter in module.parameters():  # it takes no other layout, such as channels last
        parameter.data = parameter.data.contiguous()
    for unit in (*_units(module), module):
        fully_shard(unit, mesh=mesh["data_parallel"])
    return module


def is_part(tensor: Tensor) -> bool:
    """Whether this process has a part of a tensor only."""
    return isinstance(tensor, DTensor)


def gathered(tensor: Tensor) -> Tensor:
    """All of a tensor that is kept in parts; others as they are. All processes call it together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def all_gathered(tensors: Mapping[str, Tensor], wanted: bool = True) -> dict[str, Tensor]:
    """`whole` of each, of those in parts on the CPU; nothing where it is not `wanted`. All
    processes call it together.
    """
    found = {}
    for name, tensor in tensors.items():
        whole = gathered(tensor)
        if wanted:
            found[name] = whole.cpu() if is_part(tensor) else whole
    return found


@torch.no_grad()
def copy_gathered(model: nn.Module, source: nn.Module) -> None:
    """Gives a whole model all that one in parts has, tensor by tensor. All processes call it
    together.
    """
    parts = source.state_dict()
    for name, tensor in model.state_dict().items():
        tensor.copy_(gathered(parts[name]))


def local_part(tensor: Tensor) -> Tensor:
    """What this process has of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def laid_out(values: Tensor, pattern: Tensor) -> Tensor:
    """Whole values, in parts and strides as those of a pattern of their shape lie; values of
    another shape as they are.

    Kernels of images lie channels last, and fused optimisers go through weights and moments as they
    lie in memory.
    """
    if values.shape != pattern.shape:
        return values
    if isinstance(pattern, DTensor):
        return distribute_tensor(values.to(pattern.device), pattern.device_mesh, pattern.placements)
    return torch.empty_like(pattern, dtype=values.dtype).copy_(values)
