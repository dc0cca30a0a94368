"""Fully sharded training (Rajbhandari et al. 2020, ZeRO; PyTorch's FSDP2): each process keeps a part of every weight, and of all
that the optimiser remembers of it.

A step gathers the weights, and gives each process its part of the mean gradient. The model is one unit, as likelihoods over large
catalogues use the weights of the last layer after it has been called, and tied decoders those of another layer.
"""

from collections.abc import Mapping

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def sharded(processes: int) -> ModelParallelStrategy:
    """Fabric's strategy for so many processes."""
    return ModelParallelStrategy(_shard, data_parallel_size=processes, tensor_parallel_size=1)


def in_parts(fabric: Fabric) -> bool:
    """Whether its processes keep the weights in parts."""
    return isinstance(fabric.strategy, ModelParallelStrategy)


def _shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    for parameter in module.parameters():  # it takes no other layout, such as channels last
        parameter.data = parameter.data.contiguous()
    fully_shard(module, mesh=mesh["data_parallel"])
    return module


def kept_in_parts(tensor: Tensor) -> bool:
    """Whether this process has a part of a tensor only."""
    return isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that is kept in parts; others as they are. All processes call it together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def all_whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`whole` of each."""
    return {name: whole(tensor) for name, tensor in tensors.items()}


def own(tensor: Tensor) -> Tensor:
    """What this process has of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def laid_out(values: Tensor, pattern: Tensor) -> Tensor:
    """Whole values, in parts and strides as those of a pattern of their shape lie; values of another shape as they are.

    Kernels of images lie channels last, and fused optimisers go through weights and moments as they lie in memory.
    """
    if values.shape != pattern.shape:
        return values
    if isinstance(pattern, DTensor):
        return distribute_tensor(values.to(pattern.device), pattern.device_mesh, pattern.placements)
    return torch.empty_like(pattern, dtype=values.dtype).copy_(values)
