"""A prior that is a normalising flow."""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution

from ..families import Normal, Place
from ..families.transforms import Flow, build_transform
from ..specs.checked import checked
from .base import Prior

_UNIT_NORMAL = Normal(variance=1.0)
"""N(mean, I). It is made once, because a part checks its fields whenever it is made."""


class _FlowPrior(nn.Module):
    """The flow with its learned maps, from N(0, I)."""

    compiles: ClassVar[bool] = False

    location: Tensor

    def __init__(self, spec: "FlowPrior", size: int) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(size), persistent=False)
        self.transform = build_transform(
            "FlowPrior",
            spec.flow,
            size,
            transforms=spec.transforms,
            hidden=spec.hidden,
            bins=spec.bins,
        )

    def forward(self, context: Any = None) -> Distribution:
        return Flow(self.transform(None), _UNIT_NORMAL((self.location,), 1))


@checked
class FlowPrior(Prior):
    """A normalising flow: z is the image of N(0, I) under learned invertible maps. It starts as
    N(0, I), and has no closed-form KL. It needs zuko: `pip install "lowerbound[flows]"`.

    Args:
        flow: "MAF", masked autoregressive, affine (Papamakarios et al. 2017); "NSF", masked
            autoregressive with splines, which takes several times as long (Durkan et al. 2019); or
            "RealNVP", coupling layers (Dinh et al. 2017). The density of the first two is one pass,
            and a sample one for each dimension.
        transforms: number of maps in a row.
        hidden: widths of the hidden layers of the network of each map.
        bins: number of bins of each spline of an NSF.
    """

    flow: Literal["MAF", "NSF", "RealNVP"] = "MAF"
    transforms: PositiveInt = 3
    hidden: tuple[PositiveInt, ...] = (128, 128)
    bins: int = Field(default=8, ge=2)

    def build(self, place: Place) -> nn.Module:
        return _FlowPrior(self, place.size)
