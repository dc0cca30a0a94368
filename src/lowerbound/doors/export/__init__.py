"""Runs as ONNX files: raw rows in, the units of the data out, computed without PyTorch."""

from .exporting import WHATS, Exported, export, possible
from .parity import BATCHES, TOLERANCE

__all__ = ["BATCHES", "TOLERANCE", "WHATS", "Exported", "export", "possible"]
