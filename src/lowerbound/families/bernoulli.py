"""Independent Bernoulli variables."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Bernoulli as _Bernoulli
from torch.distributions import Distribution, Independent

from ..sparse import DeferredLinear
from ..specs.checked import checked
from .base import Family, RowsDistribution, outside_unit

DEFAULT_LEVELS = 256
"""`DiscretizedLogistic` is for pictures of this number of levels where nothing else is said."""


class _CrossEntropy(torch.autograd.Function):
    """The log-likelihood of Bernoulli variables with logits l: the sum of x l - log(1 + exp(l)).

    The sum goes over the last dimension. The function is written by hand because it is the largest
    elementwise work of a model of images: it takes half the time of the general function, which
    computes each term by itself. log(1 + exp(l)) = max(l, 0) - log sigmoid(|l|) is exact to the
    precision of l in absolute terms.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        size = logits.abs()
        linear = size.sum(-1) / 2 + ((0.5 - x) * logits).sum(-1)  # max(l, 0) - x l
        return size.sigmoid_().log_().sum(-1) - linear

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, x = ctx.saved_tensors
        gradient = gradient.unsqueeze(-1)
        x_gradient = None
        if ctx.needs_input_grad[1]:
            x_gradient = (gradient * logits).sum_to_size(x.shape)
        logits_gradient = ((x - logits.sigmoid()) * gradient).sum_to_size(logits.shape)
        return logits_gradient, x_gradient


class _Bernoullis(Independent):
    """Independent Bernoulli variables as one event."""

    def log_prob(self, value: Tensor) -> Tensor:
        if not self.reinterpreted_batch_ndims:
            return super().log_prob(value)
        logits = self.base_dist.logits.flatten(-self.reinterpreted_batch_ndims)
        if logits.dtype != torch.float64:
            logits = logits.float()
        x = value.flatten(-self.reinterpreted_batch_ndims).to(logits.dtype)
        return _CrossEntropy.apply(logits, x)


@checked
class Bernoulli(Family):
    """Independent Bernoulli variables, from logits. On grey values in [0, 1] it is the cross
    entropy, not a likelihood.
    """

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        variables = _Bernoulli(logits=values[0], validate_args=False)
        return _Bernoullis(variables, event_dims, validate_args=False)

    def of_rows(self, natural: DeferredLinear, free: Sequence[Tensor]) -> Distribution:
        return RowsDistribution(
            natural,
            "softplus",
            lambda inner, softplus, x: inner - softplus,
            lambda logits: self((logits,), 1),
        )

    def natural(self, mean: Tensor) -> Tensor | None:
        return torch.logit(mean, eps=1e-6)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return outside_unit("Bernoulli", low, high)

    def caveat(self, low: float, high: float, levels: int | None) -> str | None:
        if levels == 2:
            return None
        return (
            "Bernoulli on grey values is a cross entropy, not a likelihood; use "
            f"{_likelihood_of_levels(levels)}ContinuousBernoulli or data.binarize"
        )


def _likelihood_of_levels(levels: int | None) -> str:
    """Names the likelihood of values on a grid, where they are on one, to go before others."""
    if levels is None:
        return ""
    if levels == DEFAULT_LEVELS:
        return "model.likelihood=DiscretizedLogistic, "
    return f"model.likelihood=DiscretizedLogistic with model.likelihood.levels={levels}, "
