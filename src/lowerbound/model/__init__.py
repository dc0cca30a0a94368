"""The one model class, and the frozen spec that builds it.

An autoencoder is a VAE with a `Delta` posterior, a denoising one has noise, a three-level VAE is a
list of three sizes.
"""

from ..batch import Batch, as_batch
from ..families import Family
from ..networks import Network
from ..noise import Noise
from ..priors import Prior
from .architecture import Architecture
from .terms import Terms
from .vae import VAE

__all__ = [
    "VAE",
    "Architecture",
    "Batch",
    "Family",
    "Network",
    "Noise",
    "Prior",
    "Terms",
    "as_batch",
]
