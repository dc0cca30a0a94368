"""The last layer of a model of interactions: a vector and a bias for each item."""

import numpy as np
import torch

from ..errors import ConfigError
from ..sparse import DeferredLinear
from .vae import VAE


def last_layer(model: VAE) -> DeferredLinear:
    """Returns the last layer of a recommender's decoder, for z = 0.

    Its weight is (I, d), one vector for each item.

    Raises:
        ConfigError: the model is not one of interactions.
    """
    context = next(model.parameters()).new_zeros(1, *model.latents.context_shape)
    natural = getattr(model.decode(context), "natural", None)
    if not isinstance(natural, DeferredLinear):
        raise ConfigError(
            "only a run on interactions recommends; this one was fitted to dense examples"
        )
    return natural


def item_vectors(model: VAE) -> np.ndarray:
    """Returns the rows of the weight of the decoder's last layer, (I, d) float32."""
    with torch.no_grad():
        return last_layer(model).weight.float().cpu().numpy()
