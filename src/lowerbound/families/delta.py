"""A single point."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

from ..specs.checked import checked
from .base import Family


class _Delta(Distribution):
    """All mass at one point.

    Its KL divergence from any density is infinite: an autoencoder has no bound.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, point: Tensor, event_dims: int) -> None:
        self.point = point
        split = point.dim() - event_dims
        super().__init__(point.shape[:split], point.shape[split:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.point

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.point)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        return self.point.expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        at_point = (value == self.point).flatten(value.dim() - len(self.event_shape)).all(-1)
        return torch.where(at_point, math.inf, -math.inf).to(value.dtype)


@register_kl(_Delta, Distribution)
def _kl_delta(q: _Delta, p: Distribution) -> Tensor:
    """Returns infinity, for each pair of a point and a density."""
    shape = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    return q.point.new_full(shape, math.inf)


@checked
class Delta(Family):
    """A single point: the posterior of a plain autoencoder. It goes with the objective
    `Reconstruction`.
    """

    reparameterised: ClassVar[bool] = True
    has_density: ClassVar[bool] = False

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        return _Delta(values[0], event_dims)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return (
            "Delta has no density: it can be a posterior, not a likelihood; use "
            "Normal(variance=0.5) for squared error"
        )
