"""Random numbers that are the same whether a model computes in float32 or in float64."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

DRAWS: frozenset[Callable[..., Any]] = frozenset(
    {
        torch.bernoulli,
        torch.multinomial,
        torch.normal,
        torch.rand,
        torch.rand_like,
        torch.randn,
        torch.randn_like,
    }
)
"""The functions that draw random numbers from the stream of PyTorch, and return them."""


class Float32Draws(TorchFunctionMode):
    """Draws random numbers in float32 within a block, and returns them in the type asked for.

    A random stream gives other numbers in float64. What is computed from its draws in both types is
    to differ by rounding alone.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        given = (*args, *kwargs.values())
        if func not in DRAWS or not any(map(_is_float64, given)):
            return func(*args, **kwargs)
        narrow = {name: _narrowed(value) for name, value in kwargs.items()}
        drawn = func(*map(_narrowed, args), **narrow)
        if drawn.dtype == torch.float32:
            return drawn.double()
        return drawn


def _is_float64(value: Any) -> bool:
    """Says whether this is float64, or a tensor of it."""
    return getattr(value, "dtype", value) is torch.float64


def _narrowed(value: Any) -> Any:
    """Returns float32 in place of float64, and everything else as it is."""
    if value is torch.float64:
        return torch.float32
    if isinstance(value, Tensor) and value.dtype == torch.float64:
        return value.float()
    return value
