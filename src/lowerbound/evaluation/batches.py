"""How every measure walks over examples: noise off, no gradients, a random stream of its own, in
chunks that fit memory.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..errors import ConfigError, DataError, one_line
from ..model import as_batch
from ..noise import Batch
from ..system.machine import keep_freed_memory

CHUNK_NUMBERS = 2**20
"""Numbers of the event in one chunk of samples x examples: small enough for the cache, large enough
for the matrix products.
"""


SPARSE_CHUNK = 512
"""Sparse examples in one chunk."""


class Model(Protocol):
    """What is to be known of a model."""

    shape: tuple[int, ...]
    sparse: bool


class Batches(Protocol):
    """Anything that has a length and gives float batches (B, *shape); `Examples` of the data floor
    does.
    """

    def __len__(self) -> int: ...

    def batch(self, index: slice, key: int = 0) -> Batch: ...


@contextmanager
def evaluating(model: nn.Module, seed: int) -> Iterator[None]:
    """Noise off, no gradients, and a random stream of its own that leaves the caller's untouched.

    Raises:
        ConfigError: the seed is none.
    """
    refuse_seed(seed)
    keep_freed_memory()
    modes = {module: module.training for module in model.modules()}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model.eval()
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training


def _whole(number: object) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def refuse_seed(seed: int) -> None:
    """ConfigError for a seed that a random stream cannot start from."""
    if not _whole(seed) or not 0 <= seed < 2**63:
        raise ConfigError(
            f"seed must be a whole number from 0 to 2^63 - 1, got {one_line(seed, 60)}"
        )


def positive(number: int, least: int = 1, what: str = "samples") -> int:
    """The number of samples, if there are enough of them.

    Raises:
        ConfigError: it is no whole number, or below `least`.
    """
    if not _whole(number):
        raise ConfigError(f"{what} must be a whole number, got {one_line(number, 60)}")
    if number < least:
        raise ConfigError(f"{what} must be {least} or more, got {number}")
    return int(number)


def chunk_size(model: Model) -> int:
    """How many events of this model make one chunk; those of sparse rows are never held whole."""
    return (
        SPARSE_CHUNK if model.sparse else max(1, CHUNK_NUMBERS // max(math.prod(model.shape), 512))
    )


def chunks(model: nn.Module, examples: Batches, size: int) -> Iterator[Batch]:
    """All examples in order, `size` at a time (the last chunk has what is left), on the model's
    device.

    Raises:
        DataError: there are no examples.
    """
    if len(examples) == 0:
        raise DataError("there are no examples to evaluate")
    for start in range(0, len(examples), size):
        yield placed(model, examples.batch(slice(start, min(start + size, len(examples)))))


def placed(model: nn.Module, x: Batch) -> Batch:
    """The batch on the device and in the precision of the model. DataError for what is no batch."""
    weight = next(model.parameters())
    return as_batch(x).to(weight.device, weight.dtype)
