"""The devices and processes of a fit, as Lightning Fabric starts them."""

import logging
import os
from collections.abc import Sequence
from typing import Protocol

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.strategy import Strategy
from torch import Tensor

from ..errors import ConfigError
from .processes import ONE_PROCESS, Processes
from .sharding import sharded_strategy


class ProcessSettings(Protocol):
    """The settings of a fit that decide its devices and processes; `recipe.Training` has them."""

    @property
    def accelerator(self) -> str: ...

    @property
    def devices(self) -> int: ...

    @property
    def nodes(self) -> int: ...

    @property
    def strategy(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def phases(self) -> Sequence[object]: ...


def make_fabric(settings: ProcessSettings, all_used: bool = True) -> Fabric:
    """The device, precision and processes that the settings ask for; `all_used`: whether the loss
    uses all parameters.

    Raises:
        ConfigError: there is no such device.
    """
    devices, nodes = _processes(settings)
    if nodes == 1:  # of several machines it says which of them it waits for
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if devices * nodes > 1 and settings.phases:
        raise ConfigError(f"training.phases are for one process, got {devices * nodes}")
    cores = os.cpu_count() or 1
    if devices > max(cores, torch.cuda.device_count()):  # each would be a process of its own
        raise ConfigError(
            f"training.devices: {devices} processes, but this machine has {cores} cores"
        )
    try:
        how = {
            "strategy": _strategy(settings, devices * nodes, all_used),
            "precision": settings.precision,
        }
        return Fabric(accelerator=settings.accelerator, devices=devices, num_nodes=nodes, **how)  # type: ignore[arg-type]
    except Exception as error:  # Fabric raises many kinds, all about these three settings
        what = f"accelerator {settings.accelerator!r} with {devices} device(s) and precision {settings.precision!r}"
        raise ConfigError(f"training: {what} cannot be used here: {error}") from error


def _strategy(settings: ProcessSettings, processes: int, all_used: bool) -> str | Strategy:
    """How so many processes share a fit."""
    if processes == 1:
        return "auto"
    if settings.strategy == "fsdp":
        return sharded_strategy(processes)
    return "ddp" if all_used else "ddp_find_unused_parameters_true"


def _processes(settings: ProcessSettings) -> tuple[int, int]:
    """Processes on each machine, and machines: as torchrun or `fabric run` says that started this
    one, else the settings.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return settings.devices, settings.nodes
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return here, int(os.environ["WORLD_SIZE"]) // here


def processes_of(fabric: Fabric) -> Processes:
    """The processes of a fit, to tell each other numbers and to share the work of measures."""
    if fabric.world_size == 1:
        return ONE_PROCESS

    def gather(values: Tensor) -> Tensor:
        whole = values.new_zeros(fabric.world_size, *values.shape, device=fabric.device)
        whole[fabric.global_rank] = values
        return torch.as_tensor(fabric.all_reduce(whole, reduce_op="sum")).cpu()  # with zeros: exact

    return Processes(fabric.global_rank, fabric.world_size, gather)
