"""Latent variables: how the levels of z hang together.

Shapes: K samples first, then B examples, then the event.
"""

from .chain import Chain
from .levels import (
    KL,
    Inference,
    Latents,
    LatentValues,
    Level,
    Priors,
    apply_conditional,
    code,
    cooled,
    draw,
    draw_top,
    log_posterior,
    rate,
    rate_per_dimension,
    rates,
    sample,
    stretched,
)
from .top_down import TopDown, TopPosterior

__all__ = [
    "KL",
    "Chain",
    "Inference",
    "LatentValues",
    "Latents",
    "Level",
    "Priors",
    "TopDown",
    "TopPosterior",
    "apply_conditional",
    "code",
    "cooled",
    "draw",
    "draw_top",
    "log_posterior",
    "rate",
    "rate_per_dimension",
    "rates",
    "sample",
    "stretched",
]
