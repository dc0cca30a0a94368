"""Priors of the top level, one file each: frozen specs that build a module which gives p(z)."""

from typing import Annotated

from ..specs.registry import part
from .base import Prior, Snapshot, StartsFromData, sees_examples
from .composite import Composite
from .flow import FlowPrior
from .mixture import Mixture
from .standard import StandardNormal
from .vamp import VampPrior

LISTED_FIRST = ("standard", "mixture", "vamp", "flow", "composite")
"""The order in which priors are listed; files that are not named here follow by their names."""

AnyPrior = Annotated[Prior, part(__name__, Prior)]

__all__ = [
    "AnyPrior",
    "Composite",
    "FlowPrior",
    "Mixture",
    "Prior",
    "Snapshot",
    "StandardNormal",
    "StartsFromData",
    "VampPrior",
    "sees_examples",
]
