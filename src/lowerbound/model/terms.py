"""What an objective needs of a batch."""

from typing import NamedTuple

from torch import Tensor


class Terms(NamedTuple):
    """What an objective or an estimator needs of a batch, in nats.

    Attributes:
        log_likelihood: log p(x | z), (K, B).
        rate: KL(q || p) of each level or its one-sample estimates, (K, B, levels).
        log_weight: log p(x, z) - log q(z | x) at the drawn z, (K, B); its mean estimates the ELBO,
        whatever the `rate`.
        entries: of sparse rows, how many each has, (1, B); None for dense examples.
    """

    log_likelihood: Tensor
    rate: Tensor
    log_weight: Tensor
    entries: Tensor | None = None
