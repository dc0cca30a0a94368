"""What an objective or an estimator needs of a batch."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Terms(NamedTuple):
    """What an objective or an estimator needs of a batch, in nats.

    Attributes:
        log_likelihood: log p(x | z), (K, B).
        rate: KL(q || p) of each level or its one-sample estimates, (K, B, levels).
        log_weight: log p(x, z) - log q(z | x) at the drawn z, (K, B); its mean estimates the ELBO,
            whatever the `rate`.
        entries: of sparse rows, the number of entries of each, (1, B); None for dense examples.
        extra: an additive term of the loss that is no part of the bound, such as the commitment
            loss of discrete codes, (K, B); None where there is none.
    """

    log_likelihood: Tensor
    rate: Tensor
    log_weight: Tensor
    entries: Tensor | None = None
    extra: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Terms":
        """Returns the terms with each tensor changed; what is None stays None."""
        changed = {name: change(value) for name, value in self.known().items()}
        return self._replace(**changed)

    def known(self) -> dict[str, Tensor]:
        """Returns the tensors that there are, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    def of_draws(self, draws: slice) -> "Terms":
        """Returns the terms of some of the K draws; the entries are those of the examples."""
        return self.map(lambda values: values[draws])._replace(entries=self.entries)

    @classmethod
    def join(cls, parts: Sequence["Terms"]) -> "Terms":
        """Joins the terms of several batches, example by example, as those of one batch."""
        joined = {}
        for name in parts[0].known():
            joined[name] = torch.cat([part.known()[name] for part in parts], dim=1)
        return parts[0]._replace(**joined)
