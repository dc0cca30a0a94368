"""The composite prior of RecVAE."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily
from torch.distributions import Normal as _Normal

from ..errors import ConfigError
from ..families import Family, Normal, Place
from ..specs.checked import checked
from .base import Prior, Snapshot


class _Composite(Snapshot):
    """The mixture, with a copy of the posterior as it was when the prior was last refreshed."""

    takes_conditions = True

    log_weights: Tensor
    wide: Tensor

    def __init__(self, size: int, spec: "Composite", posterior: nn.Module) -> None:
        super().__init__()
        self.previous = copy.deepcopy(posterior).requires_grad_(False)
        self.register_buffer("log_weights", torch.tensor(spec.weights).log(), persistent=False)
        self.register_buffer("wide", torch.tensor(spec.wide_log_variance), persistent=False)
        self.size = size
        self._posterior = (posterior,)  # in a tuple, so that its weights are registered once

    def train(self, mode: bool = True) -> "_Composite":
        """Sets the mode; the earlier posterior always sees the data without noise."""
        super().train(mode)
        self.previous.eval()
        return self

    @torch.no_grad()
    def refresh(self) -> None:
        self.previous.load_state_dict(self._posterior[0].state_dict())

    def forward(self, context: Any = None, given: Tensor | None = None) -> Distribution:
        zero = self.wide.new_zeros(self.size)
        wide = self.wide.expand(self.size)
        if context is None:
            # There is nothing to infer from: the mixture is that of the other two.
            return self._mix([zero, zero], [zero, wide], self.log_weights[[0, 2]])
        with torch.no_grad():
            earlier = self._earlier(context, given).base_dist
        means = [zero, earlier.loc, zero]
        log_variances = [zero, 2 * earlier.log_scale, wide]
        return self._mix(means, log_variances, self.log_weights)

    def _earlier(self, context: Any, given: Tensor | None) -> Any:
        """Returns the earlier posterior of the examples, with their conditions if there are any."""
        if given is None:
            return self.previous(context)
        return self.previous(context, given)

    @staticmethod
    def _mix(means: list[Tensor], log_variances: list[Tensor], log_weights: Tensor) -> Distribution:
        """Mixes normal distributions in each dimension by itself, as in the published code."""
        mean = torch.stack(torch.broadcast_tensors(*means), -1)
        log_variance = torch.stack(torch.broadcast_tensors(*log_variances), -1)
        components = _Normal(mean, torch.exp(log_variance / 2), validate_args=False)
        weights = Categorical(logits=log_weights.expand(mean.shape), validate_args=False)
        mixtures = MixtureSameFamily(weights, components, validate_args=False)
        return Independent(mixtures, 1, validate_args=False)


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

    def build(self, place: Place) -> nn.Module:
        if place.posterior is None:
            raise ConfigError(
                "a Composite prior is built together with the posterior of its level, got none"
            )
        return _Composite(place.size, self, place.posterior)

    def refuses_posterior(self, family: Family) -> str | None:
        if isinstance(family, Normal):
            return None
        return f"a Composite prior needs the posterior Normal, got {type(family).__name__}"
