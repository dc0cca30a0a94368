"""How every measure walks over examples: noise off, no gradients, a random stream of its own, in chunks that fit memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import nn

from ..errors import ConfigError, DataError
from ..machine import keep_freed_memory
from ..noise import Batch

ELEMENTS = 2**20
"""Numbers of the event in one chunk of samples x examples: small enough for the cache, large enough for the matrix products."""


ROWS = 512
"""Sparse examples in one chunk."""


class Model(Protocol):
    """What is to be known of a model."""

    shape: tuple[int, ...]
    sparse: bool


class Batches(Protocol):
    """Anything that has a length and gives float batches (B, *shape); `Examples` of the data floor does."""

    def __len__(self) -> int: ...

    def batch(self, index: slice, key: int = 0) -> Batch: ...


@contextmanager
def evaluating(model: nn.Module, seed: int) -> Iterator[None]:
    """Noise off, no gradients, and a random stream of its own that leaves the caller's untouched."""
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


def positive(samples: int, least: int = 1) -> int:
    """The number of samples, if there are enough of them.

    Raises:
        ConfigError: there are fewer than `least`.
    """
    if samples < least:
        raise ConfigError(f"samples must be {least} or more, got {samples}")
    return samples


def rows(model: Model) -> int:
    """How many events of this model make one chunk; those of sparse rows are never held whole."""
    return ROWS if model.sparse else max(1, ELEMENTS // max(math.prod(model.shape), 512))


def chunks(model: nn.Module, examples: Batches, size: int) -> Iterator[Batch]:
    """All examples in order, `size` at a time (the last chunk has what is left), on the model's device.

    Raises:
        DataError: there are no examples.
    """
    if len(examples) == 0:
        raise DataError("there are no examples to evaluate")
    for start in range(0, len(examples), size):
        yield placed(model, examples.batch(slice(start, min(start + size, len(examples)))))


def placed(model: nn.Module, x: Batch) -> Batch:
    """The batch on the device and in the precision of the model."""
    weight = next(model.parameters())
    return x.to(weight.device, weight.dtype)
