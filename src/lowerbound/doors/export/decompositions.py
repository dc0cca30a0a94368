"""Operators of PyTorch that ONNX has not, or that its exporter writes down so that digits are lost,
by operators that it has.

The exporter of PyTorch writes log(1 + x) for `log1p`, exp(x) - 1 for `expm1`, log(sigmoid(x)) for
`logsigmoid` and log(exp(a) + exp(b)) for `logaddexp`. The first two cancel near 0; the others are
minus infinity from about -104 down, where a log-likelihood often is.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

SHIFT = 8
"""log Gamma of numbers below this is computed from that of numbers so much larger."""

STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)
"""The series behind Stirling's formula for log Gamma; from 8 on it is right to 1e-11."""


def decompositions() -> dict[Any, Callable[..., Tensor]]:
    """Returns what is computed in the place of each of these operators, by the operator."""
    aten: Any = torch.ops.aten
    return {
        aten.log1p.default: log1p,
        aten.expm1.default: expm1,
        aten.log_sigmoid.default: log_sigmoid,
        aten.logaddexp.default: logaddexp,
        aten.lgamma.default: lgamma,
        aten.searchsorted.Tensor: search_sorted,
    }


def functions() -> dict[Any, Callable[..., Tensor]]:
    """Returns the same by the functions and methods that call these operators."""
    return {
        torch.log1p: log1p,
        torch.Tensor.log1p: log1p,
        torch.expm1: expm1,
        torch.Tensor.expm1: expm1,
        torch.nn.functional.logsigmoid: log_sigmoid,
        torch.logaddexp: logaddexp,
        torch.Tensor.logaddexp: logaddexp,
        torch.lgamma: lgamma,
        torch.Tensor.lgamma: lgamma,
        torch.searchsorted: search_sorted,
    }


class Decomposed(TorchFunctionMode):
    """A block in which these functions compute by other operators.

    To decompose a graph after it was traced would be to trace it once more.
    """

    def __init__(self) -> None:
        super().__init__()
        self._functions = functions()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self._functions.get(func, func)(*args, **(kwargs or {}))


def log1p(x: Tensor) -> Tensor:
    """Computes log(1 + x), to the last digits for small x too.

    Where 1 + x is rounded to u, log u is wrong by about the factor (u - 1) / x (Higham 2002,
    "Accuracy and stability of numerical algorithms", section 1.14.1).
    """
    u = 1 + x
    precise = u.log() * (x / (u - 1))
    return torch.where((u == 1) | (u == torch.inf), x, precise)


def expm1(x: Tensor) -> Tensor:
    """Computes exp(x) - 1, to the last digits for small x too (Higham 2002, section 1.14.1)."""
    u = x.exp()
    plain = u - 1
    precise = plain * (x / u.log())
    near = torch.where(u == 1, x, precise)
    return torch.where(x.abs() > 1, plain, near)


def log_sigmoid(x: Tensor) -> Tensor:
    """Computes log sigmoid(x), which for very negative x is x."""
    return x.clamp(max=0) - log1p((-x.abs()).exp())


def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """Computes log(exp(a) + exp(b)) of any numbers, infinite ones too."""
    distance = torch.where(a == b, 0, (a - b).abs())
    return torch.maximum(a, b) + log1p((-distance).exp())


def lgamma(x: Tensor) -> Tensor:
    """Computes log Gamma(x) for x > 0, in float64.

    It is Stirling's formula, for small x by log Gamma(x) = log Gamma(x + n) - log(x ... (x + n -
    1)).
    """
    number = x.double()
    is_small = number < SHIFT
    large = torch.where(is_small, number + SHIFT, number)
    small = torch.where(is_small, number, 1.0)
    product = small
    for step in range(1, SHIFT):
        product = product * (small + step)
    total = (large - 0.5) * large.log() - large + 0.5 * math.log(2 * math.pi)
    inverse = 1 / large
    power = inverse
    for factor in STIRLING:
        total = total + factor * power
        power = power * inverse * inverse
    return torch.where(is_small, total - product.log(), total).to(x.dtype)


def search_sorted(
    edges: Tensor,
    values: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Counts the edges (..., E) that are below each of the values (..., V), or at most the value
    where `right` is true.

    The other arguments are those of `torch.searchsorted` that nothing here uses.
    """
    pairs = (edges.unsqueeze(-2), values.unsqueeze(-1))
    if right or side == "right":
        is_below = pairs[0] <= pairs[1]
    else:
        is_below = pairs[0] < pairs[1]
    return is_below.sum(-1)
