"""Invertible maps by the library zuko, which is optional, and the distributions that they give."""

import inspect
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from ..errors import ConfigError
from ..networks.limits import in_full_precision
from ..system.machine import refuse_beyond_memory

Kind = Literal["MAF", "NSF", "IAF", "RealNVP"]
"""The kinds of maps.

- `MAF`: affine in each dimension given those before it (Papamakarios et al. 2017). The density is
  one pass of its network, a draw one for each dimension.
- `NSF`: the same with monotonic splines on [-5, 5] (Durkan et al. 2019).
- `IAF`: a MAF the other way round (Kingma et al. 2016): a draw and its density are one pass, the
  density of any other value one for each dimension.
- `RealNVP`: affine in half of the dimensions given the other half (Dinh et al. 2017): one pass
  either way.
"""


def import_zuko(part: str) -> Any:
    """Imports zuko, and takes back what this changes in torch for the whole process.

    zuko turns the checks of arguments of all distributions off, and gives every class that does not
    say what its arguments are an empty table of them. Where somebody has imported it before, the
    process stays as they have it.

    Args:
        part: the name of the part that needs it, for the message.

    Raises:
        ConfigError: it is not installed.
    """
    if sys.modules.get("zuko") is not None:
        return sys.modules["zuko"]
    validates = Distribution._validate_args
    arguments = inspect.getattr_static(Distribution, "arg_constraints")
    try:
        import zuko
    except ImportError:
        raise ConfigError(
            f'{part} needs the library zuko: pip install "lowerbound[flows]"'
        ) from None
    finally:
        Distribution.set_default_validate_args(validates)
        Distribution.arg_constraints = arguments  # type: ignore[method-assign]
    _describe_arguments(zuko.distributions)
    return zuko


def _describe_arguments(module: Any) -> None:
    """Gives the distributions of zuko themselves the empty table that they count on."""
    for value in vars(module).values():
        is_class = inspect.isclass(value) and issubclass(value, Distribution)
        if is_class and value.__module__ == module.__name__:
            found = inspect.getattr_static(value, "arg_constraints")
            if isinstance(found, property):
                value.arg_constraints = {}


def build_transform(
    part: str,
    kind: Kind,
    size: int,
    *,
    context: int = 0,
    transforms: int = 3,
    hidden: Sequence[int] = (128, 128),
    bins: int = 8,
) -> nn.Module:
    """Builds an invertible map of vectors that starts as the identity.

    Args:
        part: the name of the part that needs it, for the message of an absent library.
        kind: what each of the maps in a row is. An IAF is the MAF that it inverts.
        size: number of dimensions, d.
        context: number of features that the map depends on; 0 for a map that depends on nothing.
        transforms: number of maps in a row, each in the reverse order of the dimensions before.
        hidden: widths of the hidden layers of the network of each.
        bins: of the splines of an NSF.

    Returns:
        A module that gives a transform of zuko for features (..., context), or for None.

    Raises:
        ConfigError: zuko is not installed, or the weights do not fit in memory.
    """
    flows = import_zuko(part).flows
    classes = {"MAF": flows.MAF, "IAF": flows.MAF, "NSF": flows.NSF, "RealNVP": flows.RealNVP}
    options: dict[str, Any] = {"transforms": transforms, "hidden_features": tuple(hidden)}
    if kind == "NSF":
        options["bins"] = bins
    widths = [size + context, *hidden, 3 * bins * size]
    weights = transforms * sum(one * other for one, other in pairwise(widths))
    refuse_beyond_memory(weights, f"up to {weights:,} weights of a flow")
    # Masks are computed, also for a draft on the meta device, which has no numbers.
    device = torch.get_default_device()
    with torch.device("cpu"):
        flow = classes[kind](size, context, activation=nn.ELU, **options)
    start_as_identity(flow.transform)
    return flow.transform.to(device)


@torch.no_grad()
def start_as_identity(transform: nn.Module) -> None:
    """Sets the parameters of each map to zero, at which it is the identity, whatever it sees."""
    for part in transform.modules():
        network = getattr(part, "hyper", None)
        if network is not None:
            network[-1].weight.zero_()
            network[-1].bias.zero_()
        for parameter in getattr(part, "phi", ()):
            parameter.zero_()


class Flow(Distribution):
    """The distribution of vectors z whose image f(z) has the distribution of a base.

    It computes in float32 or float64, also where products are in another precision.

    Args:
        transform: f, a transform of zuko from z to the base.
        base: of events (d,), with reparameterised draws.
        only_own_draws: whether the density at any other value than a draw of its own takes so long
            that measures should not ask for it.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support: ClassVar[constraints.Constraint] = constraints.real_vector
    has_rsample = True

    def __init__(self, transform: Any, base: Distribution, *, only_own_draws: bool = False) -> None:
        self.transform = transform
        self.base = base
        self.only_own_draws = only_own_draws
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        values = in_full_precision(self.base.rsample(torch.Size(sample_shape)))
        with _full_precision(values):
            return self.transform.inv(values)

    def rsample_and_log_prob(
        self,
        sample_shape: Any = torch.Size(),  # noqa: B008
    ) -> tuple[Tensor, Tensor]:
        """Draws values (*sample_shape, *batch, d), with gradients, and computes their density."""
        values = in_full_precision(self.base.rsample(torch.Size(sample_shape)))
        with _full_precision(values):
            z, log_stretch = self.transform.inv.call_and_ladj(values)
            return z, self.base.log_prob(values) - log_stretch

    def log_prob(self, value: Tensor) -> Tensor:
        batch_shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        z = in_full_precision(value).expand(*batch_shape, *self.event_shape)
        with _full_precision(z):
            values, log_stretch = self.transform.call_and_ladj(z)
            log_prob = self.base.log_prob(values) + log_stretch
        # Far from all draws an inverse may overflow, where there is no density to speak of.
        return torch.where(log_prob.isnan(), -torch.inf, log_prob)


def _full_precision(values: Tensor) -> AbstractContextManager[Any]:
    """Turns off products in lower precision on the device of some values."""
    return torch.autocast(values.device.type, enabled=False)
