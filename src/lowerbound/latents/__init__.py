"""Latent variables: how the levels of z hang together.

Shapes: K samples first, then B examples, then the event.
"""

from .chain import Chain
from .levels import KL, Latents, Level, rate, rate_per_dimension, rates

__all__ = ["Chain", "KL", "Latents", "Level", "rate", "rate_per_dimension", "rates"]
