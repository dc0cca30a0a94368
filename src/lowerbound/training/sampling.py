"""Training on some of the items in each step, see `sparse.sampled`."""

from typing import Literal

import numpy as np
import torch

from ..data import Dataset, History
from ..errors import ConfigError
from ..families import Multinomial
from ..model import VAE
from ..sparse import ItemSampler, Uncomputed


def sample_items(model: VAE, dataset: Dataset, count: int | Literal["batch"]) -> None:
    """Lets a model look at some of the items in each step of its training.

    Args:
        model: of interactions.
        dataset: whose training split says how popular the items are.
        count: `Training.sampled_items`.

    Raises:
        ConfigError: the model has no softmax over items.
    """
    family = getattr(model.decoder, "family", None)
    if not isinstance(dataset.train, History) or not isinstance(family, Multinomial):
        raise ConfigError(
            "training.sampled_items is for models of interactions with the likelihood Multinomial"
        )
    columns = dataset.train.matrix.indices
    users = np.bincount(columns, minlength=dataset.train.matrix.shape[1])
    popularity = torch.from_numpy(users / len(dataset.train))
    sampler = ItemSampler.of(popularity, count)
    for layer in model.modules():
        if isinstance(layer, Uncomputed):
            layer.sampler = sampler
