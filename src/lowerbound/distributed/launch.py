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
    """Makes the Fabric with the device, the precision and the processes of the settings.

    Args:
        settings: of the fit.
        all_used: whether the loss uses all parameters of the model.

    Raises:
        ConfigError: this machine cannot do what the settings ask for.
    """
    devices, nodes = _processes_and_machines(settings)
    if nodes == 1:  # with several machines, the log says which of them Fabric waits for
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    processes = devices * nodes
    if processes > 1 and settings.phases:
        raise ConfigError(f"training.phases are for one process, got {processes}")
    cores = os.cpu_count() or 1
    if devices > max(cores, torch.cuda.device_count()):  # each would be a process of its own
        raise ConfigError(
            f"training.devices: {devices} processes, but this machine has {cores} cores"
        )
    try:
        return Fabric(
            accelerator=settings.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=_strategy(settings, processes, all_used),
            precision=settings.precision,  # type: ignore[arg-type]
        )
    except Exception as error:  # Fabric raises many kinds, all about these settings
        refused = (
            f"accelerator {settings.accelerator!r} with {devices} device(s) and precision "
            f"{settings.precision!r}"
        )
        raise ConfigError(f"training: {refused} cannot be used here: {error}") from error


def _strategy(settings: ProcessSettings, processes: int, all_used: bool) -> str | Strategy:
    """Chooses Fabric's strategy for this number of processes."""
    if processes == 1:
        return "auto"
    if settings.strategy == "fsdp":
        return sharded_strategy(processes)
    if all_used:
        return "ddp"
    return "ddp_find_unused_parameters_true"


def _processes_and_machines(settings: ProcessSettings) -> tuple[int, int]:
    """Returns the number of processes on each machine, and the number of machines.

    Where torchrun or `fabric run` started this process, their numbers hold, else the settings.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return settings.devices, settings.nodes
    local_processes = int(os.environ["LOCAL_WORLD_SIZE"])
    all_processes = int(os.environ["WORLD_SIZE"])
    return local_processes, all_processes // local_processes


def processes_of(fabric: Fabric) -> Processes:
    """Returns the processes of a fit, which exchange numbers and share the work of measuring."""
    if fabric.world_size == 1:
        return ONE_PROCESS

    def gather(values: Tensor) -> Tensor:
        # Each process fills its row of a table of zeros; the sum of the tables is exact.
        table = values.new_zeros(fabric.world_size, *values.shape, device=fabric.device)
        table[fabric.global_rank] = values
        return torch.as_tensor(fabric.all_reduce(table, reduce_op="sum")).cpu()

    return Processes(fabric.global_rank, fabric.world_size, gather)
