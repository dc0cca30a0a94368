"""Ladders, one file each: frozen specs of the networks of a top-down hierarchy of latents."""

from typing import Annotated

from ...specs.registry import part
from .base import Ladder, LadderParts, Merge
from .conv import ConvLadder
from .mlp import MLPLadder
from .rungs import Rung

AnyLadder = Annotated[Ladder, part(__name__, Ladder)]

__all__ = ["AnyLadder", "ConvLadder", "Ladder", "LadderParts", "MLPLadder", "Merge", "Rung"]
