"""What goes into a graph and what comes out of it, by name."""

from dataclasses import dataclass
from typing import Any

import torch

TYPES = {torch.float32: "float32", torch.float64: "float64", torch.int64: "int64"}
"""The names of the types of numbers that graphs take and give."""


@dataclass(frozen=True)
class Port:
    """One input or output of a graph, an array.

    Attributes:
        name: of the array.
        shape: of it; a text is the name of a dimension of any length.
        dtype: of its numbers.
        meaning: what the numbers are, and in which units.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: torch.dtype
    meaning: str

    def __str__(self) -> str:
        """Returns the port in a line."""
        shape = ", ".join(map(str, self.shape))
        return f"{self.name} ({shape}) {TYPES[self.dtype]}: {self.meaning}"

    def describe(self) -> dict[str, Any]:
        """Returns the port as JSON has it."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "type": TYPES[self.dtype],
            "meaning": self.meaning,
        }

    def dynamic(self, dims: dict[str, Any]) -> dict[int, Any]:
        """Returns the dimensions of any length, by their positions.

        Args:
            dims: a symbol of `torch.export` for each name of such a dimension.
        """
        return {i: dims[name] for i, name in enumerate(self.shape) if isinstance(name, str)}
