"""Keeps what a network gives where its exponential is finite."""

import torch
from torch import Tensor


def bounded(numbers: Tensor, limit: float = 20.0) -> Tensor:
    """Keeps numbers, such as log-scales, where their exponential is finite.

    It is the identity on [-limit, limit]. Beyond, it grows like a logarithm: `exp` of it stays
    finite for any |x| < 1e15. Unlike that of a clamp, its gradient never becomes 0: it falls like
    1 / (distance to the limit).
    """
    inner = numbers.clamp(-limit, limit)
    return inner + torch.asinh(numbers - inner)


def bounded_above(numbers: Tensor, limit: float) -> Tensor:
    """Keeps numbers from growing far above a limit; below it they stay as they are.

    Beyond, it grows like a logarithm, as `bounded` does: its exponential grows in proportion.
    """
    inner = numbers.clamp(max=limit)
    return inner + torch.asinh(numbers - inner)


def in_full_precision(values: Tensor) -> Tensor:
    """Returns values as float32, or as they are where they are float64.

    What comes of products in bfloat16 has three digits, which are too few for the parameters of a
    distribution whose log-densities are sums over many dimensions.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
