"""The machine that a run was made on."""

import os
import platform
from pathlib import Path

import torch


def processor() -> str:
    """The name of the processor, as far as the system tells it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8", errors="replace").splitlines() if known.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def hardware(device: str = "cpu") -> str:
    """One line: the device that the weights are on, the processor, its cores and the threads in use."""
    cpu = f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{torch.cuda.get_device_name(device)}; {cpu}" if device.startswith("cuda") else cpu
