"""Likelihoods of examples of which some values are not known.

The bound of the observed values alone is that of a model from which the others are integrated out,
which a likelihood that factorises over the values given z does by leaving them out of the sum
(Mattei & Frellsen 2019, MIWAE, eq. 4; Nazabal et al. 2020, HI-VAE). The encoder sees zeros in place
of what is not known.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from ..batch import Batch
from ..errors import ConfigError, DataError


def without_unobserved(batch: Batch) -> Batch:
    """Returns the batch with zeros in place of the values that are not known.

    Raises:
        DataError: the values are sparse rows, or the mask has another shape than they.
    """
    if batch.observed is None:
        return batch
    if not isinstance(batch.x, Tensor) or batch.x.shape != batch.observed.shape:
        raise DataError(
            "a mask of observed values is for dense batches and has their shape, "
            f"{tuple(batch.x.shape)}; got {tuple(batch.observed.shape)}"
        )
    return replace(batch, x=torch.where(batch.observed, batch.x, 0))


def observed_log_prob(p: Distribution, batch: Batch) -> Tensor:
    """Computes the log-likelihood of the observed values of each example, (K, B), in nats.

    Raises:
        ConfigError: the likelihood does not factorise over the values.
    """
    known = cells_log_prob(p, batch)
    axes = batch.x.dim() - 1
    return known.flatten(-axes).sum(-1)


def cells_log_prob(p: Distribution, batch: Batch) -> Tensor:
    """Computes the log-likelihood of each value, (K, B, *shape), in nats; 0 where it is not known.

    Raises:
        ConfigError: the likelihood does not factorise over the values.
    """
    if not isinstance(p, Independent):
        raise ConfigError(
            f"a likelihood of observed values must factorise over them; {type(p).__name__} does not"
        )
    hidden = without_unobserved(batch)
    assert hidden.observed is not None
    log_probs = p.base_dist.log_prob(hidden.x)
    return torch.where(hidden.observed, log_probs, 0)
