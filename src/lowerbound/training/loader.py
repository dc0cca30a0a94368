"""The training batches of one process.

The order of the examples is a function of (seed, epoch) alone, and what is drawn for a batch one
of (seed, step) alone. A fit therefore reads the same batches from whatever step it goes on, and
several processes share the very batches that one process would have.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..batch import Batch, as_batch
from ..data import Split
from ..distributed.processes import Processes, Share
from ..recipe import Training
from .seeds import NOISE_STREAM, ORDER_STREAM, derive_seed


class Loader:
    """The training split in random order, one batch for each optimiser step.

    Args:
        train: the training split.
        settings: of the training; the batch size is that of all processes together.
        processes: those that share each batch.
        device: the device of this process. It gets the batches, and draws the noise.

    Attributes:
        batches: the number of batches in an epoch.
    """

    def __init__(
        self,
        train: Split,
        settings: Training,
        processes: Processes,
        device: torch.device,
    ) -> None:
        self.train = train
        self.batch_size: int = settings.batch_size
        self.accumulate: int = settings.accumulate
        self.seed_of_run: int = settings.seed
        self.processes = processes
        self.device = device
        self.batches: int = math.ceil(len(train) / self.batch_size)

    def examples_before(self, epoch: int, batch: int) -> int:
        """Counts the examples of a run before a batch of an epoch, both from 0."""
        in_epoch = min(batch * self.batch_size, len(self.train))
        return epoch * len(self.train) + in_epoch

    def order(self, epoch: int) -> Tensor:
        """Draws the order of the training examples in an epoch, (N,)."""
        seed = derive_seed(self.seed_of_run, ORDER_STREAM, epoch)
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(len(self.train), generator=generator)

    def read(self, order: Tensor, batch: int, step: int) -> tuple[Batch, Share]:
        """Reads this process's share of a batch, and seeds the noise of the step.

        Args:
            order: of the examples in this epoch, (N,).
            batch: number of the batch in the epoch, from 0.
            step: number of the step in the run, from 0.

        Returns:
            The examples on the device (B, *shape), and what they are of the whole batch.
        """
        index = self._index(order, batch)
        share = self.share(order, batch)
        (examples,) = self._examples(index, [share], self._noise(step))
        self.seed(step)
        return examples, share

    def share(self, order: Tensor, batch: int) -> Share:
        """Returns which examples of a batch are this process's."""
        index = self._index(order, batch)
        share = self.processes.share(len(index))
        if share.world > 1 or self.accumulate > 1:
            share = share._replace(counts=self.train.counts(index))
        return share

    def parts(self, order: Tensor, batch: int) -> int:
        """Returns in how many parts each process computes a batch.

        There are no more than leave the first process an example in each.
        """
        size = len(self._index(order, batch))
        return min(self.accumulate, math.ceil(size / self.processes.world))

    def read_parts(self, order: Tensor, batch: int, step: int) -> list[tuple[Batch, Share]]:
        """Reads this process's share of a batch in parts, each with what it is of the whole batch.

        The noise of the step is to be seeded by `seed` before each of them is computed.
        """
        share = self.share(order, batch)
        number = self.parts(order, batch)
        parts = [share.part(i, number) for i in range(number)]
        examples = self._examples(self._index(order, batch), parts, self._noise(step))
        return list(zip(examples, parts, strict=True))

    def seed(self, step: int) -> None:
        """Seeds the noise of a step."""
        self._seed_device(self._noise(step))

    def _noise(self, step: int) -> int:
        """Returns the seed of what is drawn for a step."""
        return derive_seed(self.seed_of_run, NOISE_STREAM, step, 0)

    def columns(self, order: Tensor, batch: int) -> Tensor:
        """Returns the columns that a batch of interactions has in all processes together, (C,)."""
        columns = self.train.seen(self._index(order, batch))
        assert columns is not None
        return columns.to(self.device)

    def _index(self, order: Tensor, batch: int) -> Tensor:
        start = batch * self.batch_size
        return order[start : start + self.batch_size]

    def _examples(self, index: Tensor, shares: Sequence[Share], noise: int) -> list[Batch]:
        """Reads shares of a batch, on the device. Binarisation is drawn for the whole batch."""
        if self.train.draw == "keyed" or shares[0].world == 1:
            whole = as_batch(self.train.batch(index, noise))
            batches = [whole]
            if shares[0].world > 1:
                batches = [whole.take(share.rows) for share in shares]
        else:
            batches = [as_batch(self.train.batch(index[s.rows], noise)) for s in shares]
        return [batch.to(self.device) for batch in batches]

    def _seed_device(self, seed: int) -> None:
        """Seeds the device that draws the noise.

        `torch.manual_seed` would also queue this for devices that are not in use.
        """
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index].manual_seed(seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(seed)
