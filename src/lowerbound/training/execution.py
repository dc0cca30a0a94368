"""How a model is run while it is trained: on how many threads, and compiled or not.

None of it changes the function that is computed; what is chosen depends on the model, its settings
and the machine alone, so that a run that is resumed goes on as it began.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from ..errors import ConfigError, one_line
from ..system.console import print_line

PER_THREAD = 3e8
"""Operations of a step for which one more thread pays; the small models are faster on one
(benchmarks/training.py).
"""


COMPILED_STEPS = 20_000
"""Steps from which on it pays to compile: it takes some twenty seconds, and saves about a
millisecond a step of a small model (benchmarks/training.py --compile false)."""


def operations(step: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products and convolutions in a call."""
    from torch.utils.flop_counter import (
        FlopCounterMode,
    )  # imported where used: it takes a third of a second

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def _busy(most: int, operations: Callable[[], int]) -> int:
    """How many of these threads so many operations keep busy; they are counted only where there is
    a choice.
    """
    return most if most == 1 else min(most, max(1, round(operations() / PER_THREAD)))


@contextmanager
def threads(count: int | Literal["auto"], operations: Callable[[], int]) -> Iterator[int]:
    """So many threads for matrix products within the block, or as many of those there are as so
    many operations keep busy.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(_busy(before, operations) if count == "auto" else count)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


class Compiled(nn.Module):
    """A model that is compiled for batches of one size. Others, such as the last of an epoch, go
    through it as it is.

    One more size would be compiled anew, and which of both graphs a batch takes would depend on
    which of them came first.
    """

    def __init__(self, model: nn.Module, size: int, *, needed: bool = True) -> None:
        super().__init__()
        self.model, self.size, self.needed = model, size, needed
        # With the random numbers of the model as it is, so that compiling changes no figure beyond
        # rounding.
        self.fast = torch.compile(model, dynamic=False, options={"fallback_random": True})

    def forward(self, x: Any, *arguments: Any) -> Any:
        """What the model gives.

        Raises:
            ConfigError: it cannot be compiled here; where that is not `needed`, it goes on as it
                is, and one line says so.
        """
        try:
            return (self.fast if len(x) == self.size else self.model)(x, *arguments)
        except TorchDynamoException as error:
            told = one_line(
                f"the model cannot be compiled here: {' '.join(str(error).split())}", 240
            )
            if self.needed:
                raise ConfigError(f"training.compile: {told}") from None
            print_line(f"{told}; it is trained as it is")
            self.fast = self.model
            return self.model(x, *arguments)


def compiler() -> str | None:
    """The C++ compiler that there is."""
    names = (os.environ.get("CXX"), "g++", "clang++", "c++", "cl")
    return next((name for name in names if name and shutil.which(name)), None)


def compiled(model: nn.Module, choice: bool | Literal["auto"], steps: int, size: int) -> nn.Module:
    """The model as it is, or compiled, as the choice says; "auto": where it was measured to pay.

    Args:
        model: its parameters are those of the compiled one.
        choice: of the settings.
        steps: that are planned.
        size: of the batches.

    Raises:
        ConfigError: it is to be compiled, and there is no C++ compiler.
    """
    if choice is True and not compiler():
        raise ConfigError(
            "training.compile needs a C++ compiler (g++ or clang++, or its name in CXX), found none"
        )
    needed = choice is True
    if choice == "auto":
        choice = (
            steps >= COMPILED_STEPS
            and compiler() is not None
            and not any(map(_slower, model.modules()))
        )
    return Compiled(model, size, needed=needed) if choice else model


def _slower(module: nn.Module) -> bool:
    """Whether a layer makes compiling a loss: of convolutions and of sparse rows the time is in
    kernels that stay as they are.
    """
    return isinstance(module, nn.Conv2d | nn.ConvTranspose2d) or getattr(module, "sparse", False)
