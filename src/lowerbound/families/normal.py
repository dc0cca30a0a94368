"""Independent normal distributions."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, register_kl
from torch.distributions import Normal as _Normal
from torch.distributions.utils import _standard_normal

from ..distributed.processes import draw_shared
from ..networks.limits import bounded
from ..sparse import DeferredLinear, SparseRows
from ..specs.checked import checked
from .base import Family, RowsDistribution, grid_caveat, squash


class _Gaussian(_Normal):
    """A normal distribution that is given by its log-scale.

    That of torch takes the log of the scale again, and squares it, at each call.
    """

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc = loc
        self.log_scale = log_scale
        self.scale = torch.exp(log_scale).expand(loc.shape)
        Distribution.__init__(self, loc.shape, validate_args=False)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        noise = draw_shared(
            lambda whole: _standard_normal(whole.shape, whole.dtype, whole.device),
            self.loc.new_empty(shape),
            -2,
        )
        return self.loc + noise * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return torch.addcmul(-self.log_scale - math.log(2 * math.pi) / 2, z, z, value=-0.5)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "_Gaussian":
        return _Gaussian(self.loc.expand(batch_shape), self.log_scale)


@register_kl(_Gaussian, _Gaussian)
def _kl_gaussian(q: _Gaussian, p: _Gaussian) -> Tensor:
    """Computes KL(q || p) of two normal distributions in closed form."""
    difference = q.log_scale - p.log_scale
    z = (q.loc - p.loc) / p.scale
    return torch.addcmul(torch.expm1(2 * difference), z, z) / 2 - difference


@checked
class Normal(Family):
    """Independent normal distributions.

    Args:
        variance: `"learned"` by the network for each element; `"shared"`, one learned number; or a
            fixed number (`variance=0.5` makes -log p(x) the squared error, up to a constant).
        mean: `"sigmoid"` keeps the mean in (0, 1).
    """

    reparameterised: ClassVar[bool] = True
    real_density: ClassVar[bool] = True

    variance: Literal["learned", "shared"] | float = "learned"
    mean: Literal["identity", "sigmoid"] = "identity"

    def __post_init__(self) -> None:
        if not isinstance(self.variance, str) and self.variance <= 0:
            raise ValueError(
                f"variance must be 'learned', 'shared' or a number above 0, got {self.variance:g}"
            )

    @property
    def parameters(self) -> int:
        if self.variance == "learned":
            return 2
        return 1

    @property
    def free(self) -> int:
        if self.variance == "shared":
            return 1
        return 0

    def __call__(self, values: Sequence[Tensor], event_dims: int) -> Distribution:
        mean = squash(values[0], self.mean)
        normal = _Gaussian(mean, self._log_scale(values))
        return Independent(normal, event_dims, validate_args=False)

    def of_rows(self, natural: DeferredLinear, free: Sequence[Tensor]) -> Distribution:
        if self.variance == "learned" or self.mean != "identity":
            return super().of_rows(natural, free)
        log_scale = self._log_scale((natural.bias, *free))

        def log_prob(inner: Tensor, squares: Tensor, x: SparseRows) -> Tensor:
            error = squares - 2 * inner + x.with_values(x.values.square()).sums()
            log_norm = log_scale + math.log(2 * math.pi) / 2
            return -error / (2 * torch.exp(2 * log_scale)) - x.width * log_norm

        return RowsDistribution(natural, "square", log_prob, lambda means: self((means, *free), 1))

    def natural(self, mean: Tensor) -> Tensor | None:
        if self.mean == "identity" and self.variance != "learned":
            return mean
        return None

    def _log_scale(self, values: Sequence[Tensor]) -> Tensor:
        """Returns log sigma.

        Where it is learned, values[1] is log sigma^2 (Kingma & Welling 2013, appendix C).
        """
        if isinstance(self.variance, str):
            return bounded(values[1]) / 2
        # Filled on the device: a number that is copied to it would be waited for.
        return values[0].new_full((), math.log(self.variance) / 2)

    def caveat(self, low: float, high: float, levels: int | None) -> str | None:
        return grid_caveat(levels)
