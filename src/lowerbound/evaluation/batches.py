"""How every measure walks over examples.

Noise is off, there are no gradients, the random stream is one of its own, and chunks fit memory.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..batch import Batch, Values, as_batch
from ..distributed.processes import common_noise, seed_of_common_noise
from ..errors import ConfigError, DataError, one_line
from ..system.machine import keep_freed_memory, limit_threads

CHUNK_NUMBERS = 2**20
"""The numbers of the widest row in one chunk of samples x examples, on a CPU.

They are few enough for the cache, and enough for the matrix products.
"""

DEVICE_CHUNK_NUMBERS = 2**26
"""The same on another device: 256 MiB of float32, of which a chunk holds several at a time.

They are many enough for each operation to take longer than it takes to start it. Reckoned for GPUs,
and not measured on one.
"""

SPARSE_CHUNK = 512
"""The number of sparse examples in one chunk."""


class Model(Protocol):
    """What a measure must know of a model to choose the size of its chunks.

    Its parameters say which device it is on.

    Attributes:
        widest: how many numbers the widest row of one example has, be it the example itself.
        sparse: whether the examples are sparse rows.
    """

    @property
    def widest(self) -> int: ...

    sparse: bool

    def parameters(self) -> Iterator[nn.Parameter]: ...


class Batches(Protocol):
    """Anything that has a length and gives float batches (B, *shape), as `Examples` do."""

    def __len__(self) -> int: ...

    def batch(self, index: slice, key: int = 0) -> Batch | Values: ...


@dataclass(frozen=True)
class WholeBatch:
    """One batch of dense examples as `Batches`.

    Attributes:
        whole: all examples.
    """

    whole: Batch

    def __len__(self) -> int:
        """Returns the number of examples."""
        return len(self.whole)

    def batch(self, index: slice, key: int = 0) -> Batch:
        """Returns the examples at `index`."""
        return self.whole.take(torch.arange(len(self))[index])


@contextmanager
def evaluating(model: nn.Module, seed: int, shares_noise: bool = False) -> Iterator[None]:
    """Puts a model in evaluation mode, without gradients and with a random stream of its own.

    The caller's random stream and the mode of each module are as before when the block ends.

    Args:
        model: the model.
        seed: of the random stream.
        shares_noise: whether all examples have the same noise, so that what is measured of each of
            the `chunks` is a function of the example alone, see `processes.common_noise`.

    Raises:
        ConfigError: the seed is none.
    """
    refuse_seed(seed)
    keep_freed_memory()
    limit_threads()
    modes = {module: module.training for module in model.modules()}
    device = device_of(model)
    noise: AbstractContextManager[None] = nullcontext()
    if shares_noise:
        noise = common_noise(seed)
    with streams_kept(device), torch.no_grad(), noise:
        restart(seed, device)
        model.eval()
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training


def device_of(model: "Model | nn.Module") -> torch.device:
    """Returns the device of a model's parameters; that of a model without any is the CPU."""
    for parameter in model.parameters():
        return parameter.device
    return torch.device("cpu")


def restart(seed: int, device: torch.device) -> None:
    """Starts the random streams of the CPU and of a device anew.

    It is `torch.manual_seed` for work of milliseconds: that takes six of them on the CPU, to note
    for devices that are not in use yet who has called it.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    elif device.type == "cuda":
        torch.default_generator.manual_seed(seed)
        torch.cuda.default_generators[_number_of(device)].manual_seed(seed)
    elif device.type == "mps":
        torch.default_generator.manual_seed(seed)
        torch.mps.manual_seed(seed)
    else:
        torch.manual_seed(seed)


@contextmanager
def streams_kept(device: torch.device) -> Iterator[None]:
    """Gives the random streams of the CPU and of a device back as they were, after a block.

    Those of other devices stay as they are: to keep them too would take each of them into use.
    """
    devices = []
    if device.type == "cuda":
        devices = [_number_of(device)]
    with torch.random.fork_rng(devices):
        yield


def _number_of(device: torch.device) -> int:
    """Returns the number of a CUDA device; one without a number is the current one."""
    if device.index is None:
        return torch.cuda.current_device()
    return device.index


def _is_whole(number: object) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def refuse_seed(seed: int) -> None:
    """Refuses a seed that a random stream cannot start from.

    Raises:
        ConfigError: the seed is no whole number, or out of range.
    """
    if not _is_whole(seed) or not 0 <= seed < 2**63:
        got = one_line(seed, 60)
        raise ConfigError(f"seed must be a whole number from 0 to 2^63 - 1, got {got}")


def positive(number: int, least: int = 1, what: str = "samples") -> int:
    """Returns a number of samples, if there are enough of them.

    Raises:
        ConfigError: it is no whole number, or below `least`.
    """
    if not _is_whole(number):
        raise ConfigError(f"{what} must be a whole number, got {one_line(number, 60)}")
    if number < least:
        raise ConfigError(f"{what} must be {least} or more, got {number}")
    return int(number)


def chunk_size(model: Model) -> int:
    """Returns how many events of this model make one chunk.

    The events of sparse rows are never held whole, so that their number does not depend on them.
    """
    if model.sparse:
        return SPARSE_CHUNK
    numbers = CHUNK_NUMBERS
    if device_of(model).type != "cpu":
        numbers = DEVICE_CHUNK_NUMBERS
    return max(1, numbers // max(model.widest, 512))


def chunks(model: nn.Module, examples: Batches, size: int) -> Iterator[Batch]:
    """Yields all examples in order, `size` at a time, on the model's device.

    The last chunk has what is left. Where all examples have the same noise, the random stream
    starts anew with each chunk.

    Raises:
        DataError: there are no examples.
    """
    if len(examples) == 0:
        raise DataError("there are no examples to evaluate")
    seed = seed_of_common_noise()
    for start in range(0, len(examples), size):
        stop = min(start + size, len(examples))
        if seed is not None:
            restart(seed, device_of(model))
        yield placed(model, examples.batch(slice(start, stop)))


def placed(model: nn.Module, x: object) -> Batch:
    """Returns a batch, or bare values as one, on the device and in the precision of the model.

    Raises:
        DataError: `x` is no batch.
    """
    weight = next(model.parameters())
    return as_batch(x).to(weight.device, weight.dtype)
