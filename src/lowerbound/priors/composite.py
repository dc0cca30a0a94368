"""The composite prior of RecVAE."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily
from torch.distributions import Normal as _Normal

from ..errors import ConfigError
from ..specs.checked import checked
from .base import Prior, Snapshot


class _Composite(Snapshot):
    log_weights: Tensor
    wide: Tensor

    def __init__(self, size: int, spec: "Composite", posterior: nn.Module) -> None:
        super().__init__()
        self.previous = copy.deepcopy(posterior).requires_grad_(False)
        self.register_buffer("log_weights", torch.tensor(spec.weights).log(), persistent=False)
        self.register_buffer("wide", torch.tensor(spec.wide_log_variance), persistent=False)
        self.size, self._posterior = size, (posterior,)  # in a tuple, so that it is registered once

    def train(self, mode: bool = True) -> "_Composite":
        """The earlier posterior sees the data without noise, always."""
        super().train(mode)
        self.previous.eval()
        return self

    @torch.no_grad()
    def refresh(self) -> None:
        self.previous.load_state_dict(self._posterior[0].state_dict())

    def forward(self, context: Any = None) -> Distribution:
        zero = self.wide.new_zeros(self.size)
        parts = [(zero, zero), (zero, self.wide.expand(self.size))]
        if context is None:  # there is nothing to infer from: the mixture of what is left
            return self._mixture(parts, self.log_weights[[0, 2]])
        with torch.no_grad():
            earlier = self.previous(context).base_dist
        parts.insert(1, (earlier.loc, 2 * earlier.log_scale))
        return self._mixture(parts, self.log_weights)

    def _mixture(self, parts: list[tuple[Tensor, Tensor]], log_weights: Tensor) -> Distribution:
        """In each dimension by itself, as in the published code."""
        means, log_variances = (
            torch.stack(torch.broadcast_tensors(*each), -1) for each in zip(*parts, strict=True)
        )
        components = _Normal(means, torch.exp(log_variances / 2), validate_args=False)
        weights = Categorical(logits=log_weights.expand(means.shape), validate_args=False)
        return Independent(
            MixtureSameFamily(weights, components, validate_args=False), 1, validate_args=False
        )


@checked
class Composite(Prior):
    """A mixture of N(0, 1), of the posterior of an earlier phase of training, and of a wide normal
    (Shenbin et al. 2020, RecVAE).

    After each phase of training (`training.phases`; without them, after each epoch) the earlier
    posterior is renewed. Its KL has no closed form. The posterior must be `Normal`. Without data to
    infer from, as in sampling, the earlier posterior is left out.

    Args:
        weights: of the three, in this order.
        wide_log_variance: log of the variance of the wide one.
    """

    weights: tuple[float, float, float] = (0.15, 0.75, 0.1)
    wide_log_variance: float = 10.0

    def __post_init__(self) -> None:
        if min(self.weights) <= 0 or abs(sum(self.weights) - 1) > 1e-6:
            raise ValueError(
                f"weights must be three numbers above 0 that sum to 1, got {self.weights}"
            )

    def build(self, size: int, posterior: nn.Module | None = None) -> nn.Module:
        if posterior is None:
            raise ConfigError(
                "a Composite prior is built together with the posterior of its level, got none"
            )
        return _Composite(size, self, posterior)
