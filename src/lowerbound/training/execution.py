"""Whether a model is compiled while it is trained, and whether its blocks are computed twice.

This does not change the function that is computed. What is chosen depends on the model, its
settings and the machine alone, so that a run that is resumed goes on as it began.
"""

import os
import shutil
from typing import Any, Literal

import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from ..errors import ConfigError, one_line
from ..networks.layers import Recomputed
from ..system.console import print_line

COMPILED_STEPS = 20_000
"""Steps of a fit from which on compilation pays.

It takes about twenty seconds, and saves about a millisecond a step of a small model (measured:
benchmarks/training.py --compile false).
"""


class Compiled(nn.Module):
    """A model that is compiled for batches of one size.

    Batches of another size, such as the last of an epoch, go through the model as it is. For one
    more size it would be compiled anew, and which of both graphs a batch takes would depend on
    which of them came first.

    Args:
        model: the model. Its parameters are those of the compiled one.
        size: the number of examples in a batch.
        needed: whether a model that cannot be compiled is an error.
    """

    def __init__(self, model: nn.Module, size: int, *, needed: bool = True) -> None:
        super().__init__()
        self.model = model
        self.size = size
        self.needed = needed
        # The random numbers stay those of the model as it is, so that compilation changes no
        # figure beyond rounding.
        self.fast: Any = torch.compile(model, dynamic=False, options={"fallback_random": True})

    def forward(self, x: Any, *arguments: Any) -> Any:
        """Returns what the model returns.

        Raises:
            ConfigError: it cannot be compiled here. Where that is not `needed`, it goes on as it
                is, and one line says so.
        """
        try:
            if len(x) == self.size:
                return self.fast(x, *arguments)
            return self.model(x, *arguments)
        except TorchDynamoException as error:
            self.tell(error)
            self.run_plainly()
            return self.model(x, *arguments)

    @property
    def runs_plainly(self) -> bool:
        """Whether the model runs as it is, because it could not be compiled."""
        return self.fast is self.model

    def run_plainly(self) -> None:
        """Lets the model run as it is from now on."""
        self.fast = self.model

    def tell(self, error: Exception) -> None:
        """Prints one line on an error of the compiler's.

        Raises:
            ConfigError: compilation is `needed`.
        """
        # Imported where it is used: it belongs to the compiler, which is there by now.
        from torch._inductor.runtime.cache_dir_utils import cache_dir

        reason = " ".join(str(error).split())
        message = one_line(f"the model cannot be compiled here: {reason}", 240)
        # A process that was ended while it compiled leaves files that are not whole.
        advice = f"if a file of the compiler's cache is damaged, remove {cache_dir()}"
        if self.needed:
            raise ConfigError(f"training.compile: {message}; {advice}") from None
        print_line(f"{message}; it is trained as it is; {advice}")


def compiled(model: nn.Module, choice: bool | Literal["auto"], steps: int, size: int) -> nn.Module:
    """Returns the model, compiled if the choice says so.

    Args:
        model: its parameters are those of the compiled one.
        choice: of the settings; "auto" compiles where it was measured to pay.
        steps: optimiser steps that are planned.
        size: examples in a batch.

    Raises:
        ConfigError: it is to be compiled, and there is no C++ compiler.
    """
    if choice is True and not compiler():
        raise ConfigError(
            "training.compile needs a C++ compiler (g++ or clang++, or its name in CXX), found none"
        )
    if choice is True or (choice == "auto" and _compilation_pays(model, steps)):
        return Compiled(model, size, needed=choice is True)
    return model


def compiler() -> str | None:
    """Returns the name of the first C++ compiler that is installed, or None."""
    for name in (os.environ.get("CXX"), "g++", "clang++", "c++", "cl"):
        if name and shutil.which(name):
            return name
    return None


def _compilation_pays(model: nn.Module, steps: int) -> bool:
    """Says whether compilation makes so many steps of the model faster, and is possible.

    It makes convolutions and layers for sparse rows slower: their time is in kernels that stay as
    they are. Parts with `compiles = False`, such as flows, were not measured.
    """
    if steps < COMPILED_STEPS or compiler() is None or has_convolutions(model):
        return False
    for module in model.modules():
        if getattr(module, "sparse", False) or not getattr(module, "compiles", True):
            return False
    return True


def has_convolutions(model: nn.Module) -> bool:
    """Says whether a model has convolutions."""
    return any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in model.modules())


def recompute_blocks(model: nn.Module) -> None:
    """Lets the blocks of a model that can be be computed a second time in the backward pass.

    Raises:
        ConfigError: it has none.
    """
    blocks = [module for module in model.modules() if isinstance(module, Recomputed)]
    if not blocks:
        raise ConfigError(
            "training.recompute is for networks of blocks, such as ResNet, and this model has "
            "none; set it to false"
        )
    for block in blocks:
        block.recompute = True
