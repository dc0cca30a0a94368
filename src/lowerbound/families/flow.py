"""A posterior that is a normalising flow."""

from typing import ClassVar, Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from ..errors import ConfigError
from ..networks.limits import in_full_precision
from ..specs.checked import checked
from .base import FamilyWithHead
from .normal import Normal
from .place import Place
from .transforms import Flow, build_transform

_BASE = Normal()
"""Made once, because a part checks its fields whenever it is made."""


class _FlowHead(nn.Module):
    """Makes of features (..., 2 d + context) the flow that depends on them."""

    compiles: ClassVar[bool] = False

    def __init__(self, spec: "FlowPosterior", size: int) -> None:
        super().__init__()
        self.sizes: tuple[int, int, int] = (size, size, spec.context)
        self.only_own_draws = spec.flow == "IAF"
        self.transform = build_transform(
            "FlowPosterior",
            spec.flow,
            size,
            context=spec.context,
            transforms=spec.transforms,
            hidden=spec.hidden,
        )

    def forward(self, features: Tensor) -> Flow:
        mean, log_variance, seen = in_full_precision(features).split(self.sizes, dim=-1)
        base = _BASE((mean, log_variance), 1)
        # The map goes from the base to z, so that a draw and its density are one pass.
        to_base = self.transform(seen).inv
        return Flow(to_base, base, only_own_draws=self.only_own_draws)


@checked
class FlowPosterior(FamilyWithHead):
    """A normal distribution that is bent by a normalising flow, which depends on x.

    The network gives the mean and the log variance of the base, as for `Normal`, and features of x
    that the networks of the flow see beside z: without them every example would be bent in the same
    way. It starts as `Normal`. Its KL has no closed form, and its code is the image of the mean of
    its base. It needs zuko: `pip install "lowerbound[flows]"`.

    Args:
        flow: "IAF", inverse autoregressive (Kingma et al. 2016): a draw and its density take one
            pass, the density elsewhere one for each dimension, so that log p(x) is measured by its
            own draws alone; or "RealNVP", coupling layers (Dinh et al. 2017): one pass either way.
        transforms: number of maps in a row.
        hidden: widths of the hidden layers of the network of each map.
        context: number of features of x that these networks see.
    """

    reparameterised: ClassVar[bool] = True

    flow: Literal["IAF", "RealNVP"] = "IAF"
    transforms: PositiveInt = 2
    hidden: tuple[PositiveInt, ...] = (128, 128)
    context: PositiveInt = 32

    def features(self, event: tuple[int, ...]) -> tuple[int, ...]:
        if len(event) != 1:
            raise ConfigError(f"FlowPosterior is of vectors, got events of shape {event}")
        return (2 * event[0] + self.context,)

    def head(self, place: Place) -> nn.Module:
        return _FlowHead(self, place.size)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return "FlowPosterior is a posterior, not a likelihood; use Normal"
