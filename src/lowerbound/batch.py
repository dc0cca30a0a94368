"""What a model is given of some examples: their values, and what is known beside them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .errors import DataError
from .sparse import SparseRows

Values = Tensor | SparseRows
"""The values of a batch: dense examples (B, *shape), or sparse rows (B, I)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples, and what is known beside their values.

    A model takes bare `Values` wherever it takes a `Batch`: they are a batch of which nothing else
    is known.

    Attributes:
        x: the values, (B, *shape).
        given: conditions, (B, ...): what the encoder, the priors and the decoder may look at beside
            x and z, such as a class. None where the model is not conditional.
        observed: which values are known, (B, *shape) bool: the likelihood is that of the observed
            values alone. None where all are known.
    """

    x: Values
    given: Tensor | None = None
    observed: Tensor | None = None

    def __len__(self) -> int:
        """Returns the number of examples, B."""
        return len(self.x)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "Batch":
        """Returns the batch on a device, with its values and conditions in a precision.

        Conditions that are whole numbers, such as classes, keep their type.
        """
        given = self.given
        if given is not None and given.is_floating_point():
            given = given.to(device, dtype)
        elif given is not None:
            given = given.to(device)
        observed = self.observed
        if observed is not None:
            observed = observed.to(device)
        return Batch(self.x.to(device=device, dtype=dtype), given, observed)

    def take(self, rows: Tensor) -> "Batch":
        """Returns some of the examples, those in `rows` (n,); of dense batches alone.

        Raises:
            DataError: the values are sparse rows.
        """
        if not isinstance(self.x, Tensor):
            raise DataError("a batch of sparse rows is not taken apart")
        parts = []
        for values in (self.x, self.given, self.observed):
            if values is not None:
                values = values[rows.to(values.device)]
            parts.append(values)
        x, given, observed = parts
        assert x is not None
        return Batch(x, given, observed)

    def with_values(self, x: Values) -> "Batch":
        """Returns the batch with other values of the same examples."""
        return replace(self, x=x)


def as_batch(x: object) -> Batch:
    """Returns bare values as a batch, and a batch as it is.

    Raises:
        DataError: `x` is neither, such as an array of NumPy.
    """
    if isinstance(x, Batch):
        return x
    if isinstance(x, Tensor | SparseRows):
        return Batch(x)
    raise DataError(f"this model takes batches as tensors or sparse rows, got {type(x).__name__}")
