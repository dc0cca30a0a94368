"""Training loops: the published one, the same with its data in memory, and ours; and what a step
costs at the least.

The published loop draws MNIST through a `DataLoader` that converts image by image: the steps of
torchvision's data set and of its `ToTensor` (array -> Pillow image -> array -> float32 in [0, 1],
channels first), written out here because torchvision is not needed for anything else. It steps
PyTorch's ordinary optimiser and calls `.item()` on each loss.
"""

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from common import clocked, wait
from lowerbound.data import Data, Examples, named_sets
from lowerbound.data import Dataset as Splits
from lowerbound.recipe import Recipe
from lowerbound.training import Fit
from published import System


class PerItem(Dataset):
    """uint8 images (N, H, W) with labels, converted one at a time as torchvision does."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = torch.from_numpy(images.copy()), torch.from_numpy(labels.copy())

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.images[index].numpy())
        return to_tensor(picture), int(self.labels[index])


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """What torchvision's `ToTensor` does with a grey Pillow image: (1, H, W), float32 in [0, 1]."""
    array = torch.from_numpy(np.array(picture, copy=True))
    array = array.view(picture.size[1], picture.size[0], 1).permute((2, 0, 1)).contiguous()
    return array.to(dtype=torch.float32).div(255)


def loader(examples: Examples, batch_size: int) -> DataLoader:
    """The published way of feeding a model."""
    labels = examples.labels if examples.labels is not None else np.zeros(len(examples), np.int64)
    return DataLoader(
        PerItem(examples.values[examples.rows][:, 0], labels), batch_size=batch_size, shuffle=True
    )


class Published:
    """The published loop over a published model: seconds of a step, in the mean over `steps` steps.

    Args:
        system: the model with its optimiser.
        batches: gives (x, labels) anew each time that it is gone through.
        device: of the model; each batch is moved to it.
    """

    def __init__(self, system: System, batches: Iterable, device: str = "cpu") -> None:
        self.model, self.batches, self.device = system.model().to(device), batches, device
        self.optimizer = system.optimize(self.model)

    def __call__(self, steps: int) -> float:
        model, optimizer, total = self.model.train(), self.optimizer, 0.0
        batches, started = iter(self.batches), time.perf_counter()
        for _ in range(steps):
            x, _ = next(batches)
            x = x.to(self.device)
            optimizer.zero_grad()
            loss = model.loss(x)
            loss.backward()
            optimizer.step()
            total += loss.item()
        wait(self.device)
        return (time.perf_counter() - started) / steps


class InMemory:
    """Batches of examples that are floats already, in a new order each time."""

    def __init__(self, examples: Examples, batch_size: int) -> None:
        self.whole, self.batch_size = examples.batch(slice(None)), batch_size

    def __iter__(self):
        for index in torch.randperm(len(self.whole)).split(self.batch_size):
            yield self.whole[index], None


class Ours:
    """Our loop: seconds of a step, in the mean over `steps` steps, which start again at the first
    batch each time.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit, self.device, self.order = fit, str(fit.fabric.device), fit.loader.order(0)
        fit._begin_epoch()

    def __call__(self, steps: int) -> float:
        self.fit.state.batch = 0

        def work() -> None:
            for _ in range(steps):
                self.fit._step(self.order)
            self.fit._look()

        with self.fit.threads():
            return clocked(work, self.device) / steps


def ours(plan: Recipe, data: Splits) -> Ours:
    """Our loop for a recipe with new weights, without early stopping."""
    plan = plan.replace({"training.patience": None})
    return Ours(Fit(plan.model.build(data.schema.shape), data, plan.objective, plan.training))


def mnist(folder: str | Path) -> Splits:
    """MNIST where it is found, otherwise random images like it."""
    return (
        Data("mnist", validation=0).open()
        if named_sets()["mnist"].found()
        else random_images(folder, 28, 20_000)
    )


def random_images(folder: str | Path, size: int, count: int) -> Splits:
    """`count` grey images of size x size with random values, by way of a file in `folder`."""
    path = Path(folder) / f"images-{size}.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (count, size, size), dtype=np.uint8))
    return Data(str(path), validation=0, test=0).open()


def operations(model: torch.nn.Module, x: torch.Tensor) -> int:
    """Multiplications and additions of all linear and convolutional layers in one training step of
    a published model.

    That is three times those of the forward pass, less the gradient of the first layer's input,
    which nobody needs.
    """
    with FlopCounterMode(display=False) as counter:
        model.loss(x).backward()
    return counter.get_total_flops()


def traffic(optimizer: torch.optim.Optimizer) -> int:
    """Bytes that pass through memory at least in a step, for the weights alone, after a step has
    been made.

    They are read forward and backward, and their gradient is written; the optimiser reads both,
    writes the weights, and reads and writes each of its averages. Batches and activations are not
    counted.
    """
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    averages = sum(
        s.nbytes
        for p in weights
        for s in optimizer.state[p].values()
        if getattr(s, "shape", None) == p.shape
    )
    return sum(6 * p.nbytes for p in weights) + 2 * averages
