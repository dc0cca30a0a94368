"""Networks, one file each: frozen specs that make encoders and decoders for any event shape."""

from typing import Annotated

from ..specs.registry import part
from .base import Network
from .conv import Conv
from .densemlp import DenseMLP
from .mlp import MLP
from .resnet import ResNet

AnyNetwork = Annotated[Network, part(__name__, Network)]

__all__ = ["MLP", "AnyNetwork", "Conv", "DenseMLP", "Network", "ResNet"]
