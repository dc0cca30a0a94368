"""Fully sharded training (Rajbhandari et al. 2020, ZeRO; PyTorch's FSDP2).

Each process keeps a part of every weight, and the optimiser's moments of that part. A step gathers
the weights of each large layer while the layer computes, and gives each process its part of the
mean gradient.
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

UNIT_WEIGHTS = 2**18
"""A layer with at least this many weights is gathered on its own.

The smaller ones are gathered together, once in each step.
"""

EAGER = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, Up, SparseLinear)
"""Layers that need their weights only during a call, and whose output is no view of a weight."""


def sharded_strategy(processes: int) -> ModelParallelStrategy:
    """Makes Fabric's strategy for this number of processes."""
    return ModelParallelStrategy(_shard, data_parallel_size=processes, tensor_parallel_size=1)


def keeps_parts(fabric: Fabric) -> bool:
    """Says whether each process of the fabric keeps only a part of the weights."""
    return isinstance(fabric.strategy, ModelParallelStrategy)


def _shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    # FSDP takes contiguous weights only, no other layout such as channels last.
    for parameter in module.parameters():
        parameter.data = parameter.data.contiguous()
    for unit in (*_units(module), module):
        fully_shard(unit, mesh=mesh["data_parallel"])
    return module


def _units(module: nn.Module) -> list[nn.Module]:
    """Returns the layers that are gathered on their own.

    They are large, and their weights are used by nothing but their calls.
    """
    read_by_others: set[int] = set()
    for layer in module.modules():
        if isinstance(layer, Reader):
            read_by_others.update(id(read_layer) for read_layer in layer.reads)
    units = []
    for layer in module.modules():
        if type(layer) not in EAGER or id(layer) in read_by_others or layer is module:
            continue
        weights = sum(parameter.numel() for parameter in layer.parameters())
        if weights >= UNIT_WEIGHTS:
            units.append(layer)
    return units


def is_part(tensor: Tensor) -> bool:
    """Says whether this process has only a part of the tensor."""
    return isinstance(tensor, DTensor)


def gathered(tensor: Tensor) -> Tensor:
    """Returns the whole of a sharded tensor, and any other tensor unchanged.

    All processes call this together.
    """
    if isinstance(tensor, DTensor):
        return tensor.full_tensor()
    return tensor


def all_gathered(tensors: Mapping[str, Tensor], wanted: bool = True) -> dict[str, Tensor]:
    """Gathers the tensors, the sharded ones onto the CPU. All processes call this together.

    Args:
        tensors: by name.
        wanted: whether this process keeps the result; otherwise it takes part in the exchange and
            returns nothing.
    """
    whole_tensors = {}
    for name, tensor in tensors.items():
        whole = gathered(tensor)
        if not wanted:
            continue
        if is_part(tensor):
            whole = whole.cpu()
        whole_tensors[name] = whole
    return whole_tensors


@torch.no_grad()
def copy_gathered(model: nn.Module, source: nn.Module) -> None:
    """Copies all tensors of a sharded module into a whole one, one after the other.

    All processes call this together.
    """
    parts = source.state_dict()
    for name, tensor in model.state_dict().items():
        tensor.copy_(gathered(parts[name]))


def local_part(tensor: Tensor) -> Tensor:
    """Returns this process's part of a sharded tensor, and any other tensor unchanged."""
    if isinstance(tensor, DTensor):
        return tensor.to_local()
    return tensor


def laid_out(values: Tensor, pattern: Tensor) -> Tensor:
    """Lays whole values out as a pattern of the same shape: sharded like it, with its strides.

    Values of another shape than the pattern are returned unchanged. Kernels of images lie channels
    last, and fused optimisers go through weights and moments in the order of memory.
    """
    if values.shape != pattern.shape:
        return values
    if isinstance(pattern, DTensor):
        return distribute_tensor(values.to(pattern.device), pattern.device_mesh, pattern.placements)
    return torch.empty_like(pattern, dtype=values.dtype).copy_(values)
